//! The `arena` command: plays the arena and records a dataset.

mod cli;
mod policies;
mod progress;
mod run;
mod summary;
mod tournament_run;
#[cfg(feature = "window")]
mod windowed;

use std::{
    io::{Write, stderr, stdout},
    process::ExitCode,
};

fn main() -> ExitCode {
    let args = cli::parse();
    let completed = match args.tournament {
        Some(rounds) => tournament_run::run(&args, rounds),
        None => run::run(&args).map(|run| (run.summary.render(args.summary), run.exit_code)),
    };
    match completed {
        Ok((output, exit_code)) => {
            // A reader that closed the pipe early is no failure of the run.
            let _ = stdout().write_all(output.as_bytes());
            ExitCode::from(exit_code)
        }
        Err(message) => {
            let _ = writeln!(stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

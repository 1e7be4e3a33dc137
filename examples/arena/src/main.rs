//! The `arena` command: plays the arena and records a dataset.

mod cli;
mod progress;
mod run;
mod summary;
#[cfg(feature = "window")]
mod windowed;

use std::{
    io::{Write, stderr, stdout},
    process::ExitCode,
};

fn main() -> ExitCode {
    let args = cli::parse();
    match run::run(&args) {
        Ok(run) => {
            // A reader that closed the pipe early is no failure of the run.
            let _ = stdout().write_all(run.summary.render(args.summary).as_bytes());
            ExitCode::from(run.exit_code)
        }
        Err(message) => {
            let _ = writeln!(stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

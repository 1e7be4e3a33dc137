//! Plays the arena from the command line and leaves a dataset.

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
        Ok(played) => {
            // Whoever closed our output early does not want the rest.
            let _ = stdout().write_all(played.summary.render(args.summary).as_bytes());
            ExitCode::from(played.exit_code)
        }
        Err(message) => {
            let _ = writeln!(stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

//! `experience`: inspects, checks and converts datasets that `bevy_experience` recorded.
//!
//! Each command calls a function of [`experience_dataset`] and prints the result. See `experience help`.

mod args;
mod convert;
mod densify;
mod doctor;
mod erase;
mod head;
mod info;
mod merge;
mod output;
mod plot;
mod recover;
mod stats;
mod validate;

use args::{Args, CliCommand};
use clap::Parser;
use output::{CommandError, Printer};
use std::{io::Write, process::ExitCode};

/// The result of a command that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// No problem was found.
    Clean,
    /// The data has problems.
    Problems,
    /// A part of the command could not be done, for a reason that is not in the data.
    Failure,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut output = Printer::new(args.json, args.quiet);
    let result = match &args.command {
        CliCommand::Info(source) => info::run(source, &mut output),
        CliCommand::Head(head) => head::run(head, &mut output),
        CliCommand::Stats(stats) => stats::run(stats, &mut output),
        CliCommand::Doctor(source) => doctor::run(source, &mut output),
        CliCommand::Erase(erase) => erase::run(erase, &mut output),
        CliCommand::Merge(merge) => merge::run(merge, &mut output),
        CliCommand::Recover(recover) => recover::run(recover, &mut output),
        CliCommand::Convert(convert) => convert::run(convert, &mut output),
        CliCommand::Densify(densify) => densify::run(densify, &mut output),
        CliCommand::Validate(source) => validate::run(source, &mut output),
    };
    let result = result.and_then(|verdict| output.finish().map(|()| verdict).map_err(CommandError::from));
    match result {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Problems) => ExitCode::from(1),
        Ok(Verdict::Failure) => ExitCode::from(3),
        // The reader of the output has closed the pipe: `experience head data/arena | head`.
        Err(CommandError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed too, the exit code remains.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(3)
        }
    }
}

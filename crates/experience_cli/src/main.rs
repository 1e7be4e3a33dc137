//! `experience`: inspects, checks and converts datasets that `bevy_experience` recorded.
//!
//! Each command calls a function of [`experience_dataset`] and prints the result. See `experience help`.

mod args;
mod compact;
mod convert;
mod densify;
mod doctor;
mod erase;
mod filter;
mod fleet;
mod head;
mod info;
mod merge;
mod output;
mod output_place;
mod plot;
mod recover;
mod split;
mod stats;
mod validate;

use args::{Args, CliCommand};
use clap::Parser;
use output::{CommandError, Printer};
use serde_json::json;
use std::{env, io::Write, process::ExitCode};

/// The result of a command that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// No problem was found.
    Clean,
    /// The data has problems.
    Problems,
}

fn main() -> ExitCode {
    let args = match Args::try_parse().and_then(Args::checked) {
        Ok(args) => args,
        Err(error) => return invalid_arguments(&error),
    };
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
        CliCommand::Filter(filter) => filter::run(filter, &mut output),
        CliCommand::Split(split) => split::run(split, &mut output),
        CliCommand::Compact(compact) => compact::run(compact, &mut output),
        CliCommand::Validate(source) => validate::run(source, &mut output),
    };
    if let Err(error) = &result
        && output.is_json()
    {
        // An error of standard output is reported below, as the one of the command.
        let _ = output.json(&json!({ "error": { "kind": error.kind(), "message": error.to_string() } }));
    }
    let finished = output.finish().map_err(CommandError::from);
    match result.and_then(|verdict| finished.map(|()| verdict)) {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Problems) => ExitCode::from(1),
        Err(error) => {
            // If standard error is closed too, the exit code remains.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(3)
        }
    }
}

/// Prints an error of the arguments, or the help that was asked for.
fn invalid_arguments(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && env::args_os().any(|argument| argument == "--json") {
        let message = error.to_string();
        let message = message.trim_end();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let document = json!({ "error": { "kind": "arguments", "message": message } });
        let _ = writeln!(std::io::stdout(), "{document}");
    }
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

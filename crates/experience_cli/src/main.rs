//! `experience`: looks after datasets that `bevy_experience` recorded.
//!
//! Everything that it does is a function of [`experience_dataset`]; here arguments are read, and what came of it is
//! printed. `experience help` tells the rest.

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

use args::{Args, Verb};
use clap::Parser;
use output::{Failure, Output};
use std::{io::Write, process::ExitCode};

/// What a verb found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// All is well.
    Fine,
    /// It was done, and something is wrong with the data.
    Wrong,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut output = Output::new(args.json, args.quiet);
    let done = match &args.verb {
        Verb::Info(what) => info::run(what, &mut output),
        Verb::Head(head) => head::run(head, &mut output),
        Verb::Stats(stats) => stats::run(stats, &mut output),
        Verb::Doctor(what) => doctor::run(what, &mut output),
        Verb::Erase(erase) => erase::run(erase, &mut output),
        Verb::Merge(merge) => merge::run(merge, &mut output),
        Verb::Recover(recover) => recover::run(recover, &mut output),
        Verb::Convert(convert) => convert::run(convert, &mut output),
        Verb::Densify(densify) => densify::run(densify, &mut output),
        Verb::Validate(what) => validate::run(what, &mut output),
    };
    let done = done.and_then(|verdict| output.finish().map(|()| verdict).map_err(Failure::from));
    match done {
        Ok(Verdict::Fine) => ExitCode::SUCCESS,
        Ok(Verdict::Wrong) => ExitCode::from(1),
        // Whoever reads has seen enough: `experience head data/arena | head`.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            // Where nobody can be told there is still the exit code.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            ExitCode::from(3)
        }
    }
}

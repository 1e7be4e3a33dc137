//! What the command line takes.

use std::path::PathBuf;

use arena::ArenaSettings;
use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind, value_parser};

/// The most fighters in all matches together: a few kilobytes of memory for each.
const MOST_FIGHTERS: usize = 200_000;

/// Play a multiplayer arena with scripted bots, and record every fighter's life as training data.
#[derive(Parser, Clone, Debug)]
#[command(version)]
pub struct Args {
    /// Fighters in each match
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u32).range(1..=100_000))]
    pub players: u32,
    /// Matches side by side in this process
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=10_000))]
    pub matches: u32,
    /// Ticks to play
    #[arg(long, default_value_t = 36_000, value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    pub ticks: u64,
    /// Ticks in a second of the game
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u32).range(1..=1_000))]
    pub hz: u32,
    /// Where all chance starts from: the same seed, the same game
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// The dataset's folder: a new one, or one that holds a dataset already
    #[arg(long, default_value = "data/arena")]
    pub out: PathBuf,
    /// Play at the speed of the clock on the wall, not as fast as possible
    #[arg(long)]
    pub realtime: bool,
    /// Let fighters leave in mid-match and come back later
    #[arg(long)]
    pub churn: bool,
    /// Play without recording
    #[arg(long)]
    pub no_record: bool,
    /// How to print what came of it
    #[arg(long, value_enum, default_value_t)]
    pub summary: SummaryFormat,
}

/// For whom the summary is.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SummaryFormat {
    /// A table, and how to load the data
    #[default]
    Text,
    /// One JSON object
    Json,
}

impl Args {
    /// The arena that was asked for.
    pub fn settings(&self) -> ArenaSettings {
        ArenaSettings {
            players: self.players,
            matches: self.matches,
            hz: self.hz,
            seed: self.seed,
            churn: self.churn,
        }
    }
}

/// The arguments of this process. Leaves it, with a message and exit code 2, when they make no sense.
pub fn parse() -> Args {
    let args = Args::parse();
    if args.settings().seats() > MOST_FIGHTERS {
        let message = format!(
            "{} players in each of {} matches are {} fighters, and {MOST_FIGHTERS} are the most: lower `--players` or `--matches`",
            args.players,
            args.matches,
            args.settings().seats()
        );
        Args::command().error(ErrorKind::ValueValidation, message).exit();
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn nonsense_is_refused() {
        for nonsense in [
            ["--players", "0"],
            ["--players", "4294967296"],
            ["--matches", "-1"],
            ["--hz", "0"],
            ["--ticks", "0"],
            ["--ticks", "many"],
            ["--summary", "yaml"],
        ] {
            assert!(
                Args::try_parse_from(["arena"].iter().chain(&nonsense)).is_err(),
                "{nonsense:?}"
            );
        }
    }
}

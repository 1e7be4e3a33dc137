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
    /// Ticks to play [default: 36000; in a window, until it is closed; for a picture, 1200]
    #[arg(long, value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    pub ticks: Option<u64>,
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
    /// Play in a window, at the speed of the clock on the wall. Takes a build with `--features window`
    #[arg(long)]
    pub window: bool,
    /// Play the first fighter at the keyboard
    #[arg(long, requires = "window")]
    pub human: bool,
    /// Follow this fighter from the start; they count from 0
    #[arg(long, value_name = "AGENT", requires = "window", value_parser = value_parser!(i64).range(0..))]
    pub follow: Option<i64>,
    /// Open the inspector of what is recorded at once; otherwise F9 does
    #[arg(long, requires = "window")]
    pub inspector: bool,
    /// Take a picture of the window after the last tick, without a display, and leave
    #[arg(long, value_name = "FILE", requires = "window")]
    pub screenshot: Option<PathBuf>,
    /// Width and height of the picture, in pixels
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1280x800", requires = "screenshot", value_parser = size)]
    pub size: [u32; 2],
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

/// Two numbers of pixels with an `x` between them.
fn size(text: &str) -> Result<[u32; 2], String> {
    let sides = text.split_once('x').and_then(|(width, height)| {
        let side = |text: &str| text.parse().ok().filter(|side| (64..=8192).contains(side));
        Some([side(width)?, side(height)?])
    });
    sides.ok_or_else(|| "two numbers from 64 to 8192 are wanted, as in `1280x800`".to_owned())
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
            // What is of the window alone.
            ["--human", "--churn"],
            ["--inspector", "--churn"],
            ["--screenshot", "picture.png"],
        ] {
            assert!(
                Args::try_parse_from(["arena"].iter().chain(&nonsense)).is_err(),
                "{nonsense:?}"
            );
        }
    }

    #[test]
    fn a_picture_has_a_size() {
        let parse = |size| Args::try_parse_from(["arena", "--window", "--screenshot", "a.png", "--size", size]);
        assert_eq!(parse("1920x1080").map(|args| args.size).ok(), Some([1920, 1080]));
        for nonsense in ["1920", "x", "0x10", "1920x1080x3", "99999x100"] {
            assert!(parse(nonsense).is_err(), "{nonsense}");
        }
    }
}

//! Command-line arguments of the arena.

use std::path::PathBuf;

use arena::ArenaSettings;
use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind, value_parser};

/// Maximum number of fighters in all matches together. Each uses a few kilobytes of memory.
const MAX_FIGHTERS: usize = 200_000;

/// Run a multiplayer arena of scripted bots, and record each fighter from spawn to death as an episode
#[derive(Parser, Clone, Debug)]
#[command(version)]
pub struct Args {
    /// Fighters in each match
    #[arg(long, default_value_t = 16, value_parser = value_parser!(u32).range(1..=100_000))]
    pub players: u32,
    /// Matches in this process
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=10_000))]
    pub matches: u32,
    /// Ticks to play [default: 36000; in a window, until it is closed; for a screenshot, 1200]
    #[arg(long, value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    pub ticks: Option<u64>,
    /// Ticks per second of game time
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u32).range(1..=1_000))]
    pub hz: u32,
    /// Random seed: the same seed and settings give the same game
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Folder of the dataset, which is created or added to
    #[arg(long, default_value = "data/arena")]
    pub out: PathBuf,
    /// Seconds after which a file of the dataset is finished, and uploaded if the dataset is in an object store [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u64).range(1..=86_400), conflicts_with = "no_record")]
    pub shard_age: Option<u64>,
    /// Also stream the recording to trainers from this address, such as 127.0.0.1:7711. Needs a build with `--features stream`
    #[arg(long, value_name = "ADDRESS", conflicts_with = "no_record")]
    pub stream: Option<String>,
    /// Play in real time, not as fast as possible
    #[arg(long)]
    pub realtime: bool,
    /// Make fighters leave in mid-match and join again later
    #[arg(long)]
    pub churn: bool,
    /// Play without recording
    #[arg(long)]
    pub no_record: bool,
    /// Seat an ONNX policy in each match, as in `fighter.onnx=4` for four seats; can be repeated
    #[arg(long = "policy", value_name = "FILE=SEATS", value_parser = parse_policy)]
    pub policies: Vec<PolicySeats>,
    /// Policies of `--policy` sample their actions, and do not choose the most probable ones
    #[arg(long, requires = "policies")]
    pub sample: bool,
    /// Let the process that listens at this address, such as `grpc://127.0.0.1:7712`, play all seats without a policy; `env` for the
    /// environment in Python that starts the arena. Needs a build with `--features remote`
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["tournament", "window"])]
    pub remote: Option<String>,
    /// Play this many rounds of rotating seats without recording, and print the results of each kind of fighter
    #[arg(long, value_name = "ROUNDS", conflicts_with_all = ["ticks", "window", "realtime", "churn"], value_parser = value_parser!(u32).range(2..=1_000_000))]
    pub tournament: Option<u32>,
    /// Play in a window, in real time. Needs a build with `--features window`
    #[arg(long)]
    pub window: bool,
    /// Control the first fighter with the keyboard
    #[arg(long, requires = "window")]
    pub human: bool,
    /// Follow this fighter with the camera; agent ids start at 0
    #[arg(long, value_name = "AGENT", requires = "window", value_parser = value_parser!(i64).range(0..))]
    pub follow: Option<i64>,
    /// Open the recording inspector at the start; F9 toggles it
    #[arg(long, requires = "window")]
    pub inspector: bool,
    /// Save a screenshot after the last tick, without a display, and exit
    #[arg(long, value_name = "FILE", requires = "window")]
    pub screenshot: Option<PathBuf>,
    /// Width and height of the screenshot, in pixels
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1280x800", requires = "screenshot", value_parser = parse_size)]
    pub size: [u32; 2],
    /// Format of the summary on standard output
    #[arg(long, value_enum, default_value_t)]
    pub summary: SummaryFormat,
}

/// The seats of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySeats {
    /// The ONNX file.
    pub file: PathBuf,
    /// Seats in each match.
    pub seats: u32,
}

/// The format of the summary.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SummaryFormat {
    /// A table, and code that loads the dataset
    #[default]
    Text,
    /// One JSON object
    Json,
}

impl Args {
    /// The settings of the arena.
    pub fn settings(&self) -> ArenaSettings {
        ArenaSettings {
            players: self.players,
            matches: self.matches,
            hz: self.hz,
            seed: self.seed,
            churn: self.churn,
            policies: (self.policies.iter().map(|policy| policy.seats))
                .chain(self.remote.as_ref().map(|_| self.remote_seats()))
                .collect(),
            rotate_seats: self.tournament.is_some(),
        }
    }
}

impl Args {
    /// Seats in each match that no policy in a file has.
    fn remote_seats(&self) -> u32 {
        let seats = self.policies.iter().map(|policy| policy.seats);
        seats.fold(self.players, u32::saturating_sub)
    }

    /// Whether any policy plays.
    pub fn has_policies(&self) -> bool {
        !self.policies.is_empty() || self.remote.is_some()
    }
}

/// Parses `FILE=SEATS`, of which `=SEATS` is 1 by default.
fn parse_policy(text: &str) -> Result<PolicySeats, String> {
    let (file, seats) = text.rsplit_once('=').unwrap_or((text, "1"));
    let seats = seats.parse().ok().filter(|seats| *seats > 0);
    match seats {
        Some(seats) if !file.is_empty() => Ok(PolicySeats {
            file: file.into(),
            seats,
        }),
        _ => Err("expected a file and a number of seats, as in `fighter.onnx=4`".to_owned()),
    }
}

/// Parses `WIDTHxHEIGHT`, each from 64 to 8192 pixels.
fn parse_size(text: &str) -> Result<[u32; 2], String> {
    let sides = text.split_once('x').and_then(|(width, height)| {
        let side = |text: &str| text.parse().ok().filter(|side| (64..=8192).contains(side));
        Some([side(width)?, side(height)?])
    });
    sides.ok_or_else(|| "expected two numbers from 64 to 8192, as in `1280x800`".to_owned())
}

/// The arguments of this process. Exits with a message and code 2 if they are invalid.
pub fn parse() -> Args {
    let mut args = Args::parse();
    if args.remote.is_some() {
        args.seed = crate::policies::environment_seed().unwrap_or(args.seed);
    }
    if args.settings().agent_count() > MAX_FIGHTERS {
        let message = format!(
            "{} players in each of {} matches are {} fighters, more than the limit of {MAX_FIGHTERS}: lower `--players` or `--matches`",
            args.players,
            args.matches,
            args.settings().agent_count()
        );
        Args::command().error(ErrorKind::ValueValidation, message).exit();
    }
    let seats = args.policies.iter().map(|policy| u64::from(policy.seats)).sum::<u64>();
    if seats > u64::from(args.players) {
        let message = format!(
            "the policies have {seats} seats, and a match has {}: lower the seats of `--policy`, or raise `--players`",
            args.players
        );
        Args::command().error(ErrorKind::ValueValidation, message).exit();
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_definition_is_valid() {
        Args::command().debug_assert();
    }

    #[test]
    fn invalid_arguments_are_rejected() {
        for invalid in [
            ["--players", "0"],
            ["--players", "4294967296"],
            ["--matches", "-1"],
            ["--hz", "0"],
            ["--ticks", "0"],
            ["--ticks", "many"],
            ["--summary", "yaml"],
            // This needs `--policy`.
            ["--sample", "--churn"],
            // These need `--window`.
            ["--human", "--churn"],
            ["--inspector", "--churn"],
            ["--screenshot", "screenshot.png"],
        ] {
            assert!(
                Args::try_parse_from(["arena"].iter().chain(&invalid)).is_err(),
                "{invalid:?}"
            );
        }
    }

    #[test]
    fn a_policy_has_a_file_and_seats() {
        let parse = |policy| Args::try_parse_from(["arena", "--policy", policy]).map(|args| args.policies[0].clone());
        let seats = |file: &str, seats| PolicySeats {
            file: file.into(),
            seats,
        };
        assert_eq!(parse("a=b.onnx=4").ok(), Some(seats("a=b.onnx", 4)));
        assert_eq!(parse("a.onnx").ok(), Some(seats("a.onnx", 1)));
        for invalid in ["=4", "a.onnx=0", "a.onnx=-1", "a.onnx=", "a.onnx=x"] {
            assert!(parse(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_screenshot_size_has_two_numbers() {
        let parse = |size| Args::try_parse_from(["arena", "--window", "--screenshot", "a.png", "--size", size]);
        assert_eq!(parse("1920x1080").map(|args| args.size).ok(), Some([1920, 1080]));
        for invalid in ["1920", "x", "0x10", "1920x1080x3", "99999x100"] {
            assert!(parse(invalid).is_err(), "{invalid}");
        }
    }
}

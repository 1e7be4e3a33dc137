//! What the command line takes.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use experience_dataset::{Dataset, DatasetError, DensifySettings, RecordingData};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0  it was done, and nothing is wrong
  1  it was done, and something is wrong with the data
  2  the arguments make no sense
  3  it could not be done";

/// Look after datasets that `bevy_experience` recorded.
#[derive(Parser, Clone, Debug)]
#[command(name = "experience", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
    /// Print JSON for programs, in place of text for people
    #[arg(long, global = true)]
    pub json: bool,
    /// Show no progress
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// What to do.
#[derive(Subcommand, Clone, Debug)]
pub enum Verb {
    /// Tell what is in a dataset: recordings, columns, runs, and what was lost
    Info(What),
    /// Print the first transitions
    Head(Head),
    /// Returns, lengths, ends, and every column in a few numbers
    Stats(Stats),
    /// Look for what ruins training, and tell what it usually comes from
    Doctor(What),
    /// Check every rule of the contract, and name each violation by file, episode and step
    Validate(What),
    /// Remove an agent from a dataset, in place: its episodes, and its totals in the accounts
    ///
    /// The files are written anew without it and read again, to see that nothing is left. Not reached are: the agent as others
    /// saw it (a nearest player in their observations), copies and uploads of the dataset, what was trained on it, and the
    /// blocks that the file system has freed and not yet overwritten. Shards that a process was writing when it died cannot be
    /// read; they are named, to be removed by hand.
    Erase(Erase),
    /// Bring into shards what processes that died have left behind, in place
    ///
    /// That is what their journals hold, and what their buffers hold where those lie in files. Episodes that had not ended are
    /// truncated, reason `crash`. Runs that are alive are left alone. A game does the same for the recordings that it writes, when
    /// it starts.
    Recover(Recover),
    /// Write a recording in another format
    Convert(Convert),
    /// Make a dataset in which every transition lasts one tick
    ///
    /// A transition that lasts longer becomes several: what was seen and done stays until the next row says otherwise, which is
    /// true of a recording that writes a row when something changed. Of one with a decision every few ticks, what was seen in
    /// between was never recorded, and stays what it was at the decision.
    Densify(Densify),
    /// Make one dataset of several, with columns aligned by their names
    Merge(Merge),
}

/// A recording to be converted.
#[derive(ClapArgs, Clone, Debug)]
pub struct Convert {
    #[command(flatten)]
    pub what: What,
    /// The format
    #[arg(long, value_enum)]
    pub to: Format,
    /// Where it goes: the folder that `MINARI_DATASETS_PATH` names, the new folder of `LeRobot`'s dataset or of
    /// the frames, or the file of lines
    #[arg(long, short)]
    pub output: PathBuf,
    /// Minari: the id of the new dataset; the names of the dataset's folder and of the recording unless told
    #[arg(long)]
    pub id: Option<String>,
    /// `LeRobot`: what was played, in words; the recording's name unless told
    #[arg(long)]
    pub task: Option<String>,
    /// `LeRobot`: frames in a second; as the runs' accounts have it unless told
    #[arg(long)]
    pub fps: Option<u32>,
}

/// Another format.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Minari's own files, in HDF5
    Minari,
    /// `LeRobot` v3.0
    Lerobot,
    /// JSON Lines, a transition a line
    Jsonl,
    /// Frames of bincode, as the journal has them, a folder for each run
    Bincode,
}

/// A dataset whose skipped ticks are filled in.
#[derive(ClapArgs, Clone, Debug)]
pub struct Densify {
    /// The dataset's folder
    pub dataset: PathBuf,
    /// The folder of the new dataset: a new or an empty one
    #[arg(long, short)]
    pub output: PathBuf,
    /// Spread a reward evenly over the ticks that it was summed over; it goes to the last of them unless told
    #[arg(long)]
    pub spread_rewards: bool,
    /// Refuse episodes that would have more transitions
    #[arg(long, default_value_t = DensifySettings::default().max_steps)]
    pub max_steps: u64,
}

/// A dataset in numbers.
#[derive(ClapArgs, Clone, Debug)]
pub struct Stats {
    #[command(flatten)]
    pub what: What,
    /// Draw returns and lengths into this PNG file; where there are several recordings, into one for each
    #[arg(long)]
    pub plot: Option<PathBuf>,
}

/// Datasets to be merged.
#[derive(ClapArgs, Clone, Debug)]
pub struct Merge {
    /// The datasets' folders
    #[arg(required = true)]
    pub datasets: Vec<PathBuf>,
    /// The folder of the new dataset: a new or an empty one
    #[arg(long, short)]
    pub output: PathBuf,
    /// Give columns that a dataset lacks this value; 0 unless told
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "0", allow_negative_numbers = true)]
    pub fill: Option<f64>,
    /// Leave recordings with other columns apart, in folders of their own
    #[arg(long, conflicts_with = "fill")]
    pub keep_apart: bool,
}

/// A dataset to be recovered.
#[derive(ClapArgs, Clone, Debug)]
pub struct Recover {
    /// The dataset's folder
    pub dataset: PathBuf,
    /// Recover runs, too, whose process cannot be told to be dead because their lock is missing
    #[arg(long)]
    pub include_unclear: bool,
}

/// An agent to be erased.
#[derive(ClapArgs, Clone, Debug)]
pub struct Erase {
    /// The dataset's folder
    pub dataset: PathBuf,
    /// The agent's id, as the column `agent_id` has it
    #[arg(long, allow_negative_numbers = true)]
    pub agent: i64,
}

/// A dataset, or one recording of it.
#[derive(ClapArgs, Clone, Debug)]
pub struct What {
    /// The dataset's folder
    pub dataset: PathBuf,
    /// One recording of it; all unless told
    #[arg(long, short)]
    pub recording: Option<String>,
}

/// The first transitions.
#[derive(ClapArgs, Clone, Debug)]
pub struct Head {
    #[command(flatten)]
    pub what: What,
    /// How many
    #[arg(short = 'n', long, default_value_t = 5)]
    pub transitions: usize,
}

impl What {
    /// The recordings that were asked for.
    pub fn recordings(&self) -> Result<Vec<RecordingData>, DatasetError> {
        let dataset = Dataset::open(&self.dataset)?;
        match &self.recording {
            Some(name) => Ok(vec![dataset.recording(name)?.clone()]),
            None => Ok(dataset.recordings().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_is_sound() {
        Args::command().debug_assert();
    }
}

//! The command line arguments.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use experience_dataset::{Dataset, DatasetError, DensifySettings, RecordingData};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0  success, and no problem in the data
  1  success, and a problem in the data
  2  invalid arguments
  3  failure";

/// Inspect, check and convert datasets that `bevy_experience` recorded.
#[derive(Parser, Clone, Debug)]
#[command(name = "experience", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: CliCommand,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Do not show progress
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// A subcommand.
#[derive(Subcommand, Clone, Debug)]
pub enum CliCommand {
    /// Show what is in a dataset: recordings, columns, runs, and what was lost
    Info(RecordingArgs),
    /// Print the first transitions
    Head(HeadArgs),
    /// Print statistics of returns, lengths, end reasons and every column
    Stats(StatsArgs),
    /// Look for problems that spoil training, and name their likely causes
    Doctor(RecordingArgs),
    /// Check every rule of the format, and list violations by file, episode and step
    Validate(RecordingArgs),
    /// Erase an agent from a dataset, in place: its episodes, and its totals in the accounts
    ///
    /// The files are rewritten without the agent and read again to verify that it is gone. Not erased are: the agent in the
    /// observations of others (as a nearest player), copies and uploads of the dataset, models that were trained on it, and
    /// disk blocks that the file system has freed and not yet overwritten. Shards that a process was writing when it died
    /// cannot be read; they are listed, to be removed by hand.
    Erase(EraseArgs),
    /// Recover the runs of processes that died, in place
    ///
    /// The episodes in their journals, and in their buffers if these are memory-mapped files, are brought into shards. Open
    /// episodes are truncated, reason `crash`. Live runs are unchanged. A game does the same at its start, for the recordings
    /// that it writes.
    Recover(RecoverArgs),
    /// Write a recording in another format
    Convert(ConvertArgs),
    /// Write a dataset in which every transition lasts one tick
    ///
    /// A longer transition becomes several, with the same observation and action. That is exact for recordings that write a row
    /// when something changes. For recordings with a decision every few ticks, the observations in between were never recorded,
    /// and are those of the decision.
    Densify(DensifyArgs),
    /// Merge several datasets into one, with columns matched by name
    Merge(MergeArgs),
}

/// Arguments of `convert`.
#[derive(ClapArgs, Clone, Debug)]
pub struct ConvertArgs {
    #[command(flatten)]
    pub source: RecordingArgs,
    /// The format
    #[arg(long, value_enum)]
    pub to: OutputFormat,
    /// The output: for Minari the folder in `MINARI_DATASETS_PATH`, for `LeRobot` and bincode a new folder, for JSON Lines
    /// a file
    #[arg(long, short)]
    pub output: PathBuf,
    /// Minari: the id of the new dataset [default: from the names of the dataset's folder and of the recording]
    #[arg(long)]
    pub id: Option<String>,
    /// `LeRobot`: a description of what was played [default: the recording's name]
    #[arg(long)]
    pub task: Option<String>,
    /// `LeRobot`: frames per second [default: from the accounts of the runs]
    #[arg(long)]
    pub fps: Option<u32>,
}

/// An output format of `convert`.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// Minari, in HDF5 files
    Minari,
    /// `LeRobot` v3.0
    Lerobot,
    /// JSON Lines, one transition per line
    Jsonl,
    /// Frames of bincode in the format of the journal, with a folder for each run
    Bincode,
}

/// Arguments of `densify`.
#[derive(ClapArgs, Clone, Debug)]
pub struct DensifyArgs {
    /// The dataset's folder
    pub dataset: PathBuf,
    /// The folder of the new dataset: a new or an empty one
    #[arg(long, short)]
    pub output: PathBuf,
    /// Divide a reward evenly among the ticks of its transition, instead of giving it to the last of them
    #[arg(long)]
    pub spread_rewards: bool,
    /// Fail if an episode would have more transitions
    #[arg(long, default_value_t = DensifySettings::default().max_steps)]
    pub max_steps: u64,
}

/// Arguments of `stats`.
#[derive(ClapArgs, Clone, Debug)]
pub struct StatsArgs {
    #[command(flatten)]
    pub source: RecordingArgs,
    /// Plot returns and lengths to this PNG file, or to one for each recording if there are several
    #[arg(long)]
    pub plot: Option<PathBuf>,
}

/// Arguments of `merge`.
#[derive(ClapArgs, Clone, Debug)]
pub struct MergeArgs {
    /// The datasets' folders
    #[arg(required = true)]
    pub datasets: Vec<PathBuf>,
    /// The folder of the new dataset: a new or an empty one
    #[arg(long, short)]
    pub output: PathBuf,
    /// Fill columns that a dataset lacks with this value, or 0 if none is given
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "0", allow_negative_numbers = true)]
    pub fill: Option<f64>,
    /// Write recordings with different schemas to different folders
    #[arg(long, conflicts_with = "fill")]
    pub keep_apart: bool,
}

/// Arguments of `recover`.
#[derive(ClapArgs, Clone, Debug)]
pub struct RecoverArgs {
    /// The dataset's folder
    pub dataset: PathBuf,
    /// Also recover runs whose process may be alive: their lock file is missing, or they are of another host or container
    #[arg(long)]
    pub include_unclear: bool,
    /// Then remove the parts of journals that could not be read, which recoveries keep in the folder `damaged`
    #[arg(long)]
    pub discard_damaged: bool,
}

/// Arguments of `erase`.
#[derive(ClapArgs, Clone, Debug)]
pub struct EraseArgs {
    /// The dataset's folder
    pub dataset: PathBuf,
    /// The agent's id, as in the column `agent_id`
    #[arg(long, allow_negative_numbers = true)]
    pub agent: i64,
}

/// Selects a dataset, or one recording of it.
#[derive(ClapArgs, Clone, Debug)]
pub struct RecordingArgs {
    /// The dataset's folder
    pub dataset: PathBuf,
    /// One recording of it [default: all]
    #[arg(long, short)]
    pub recording: Option<String>,
}

/// Arguments of `head`.
#[derive(ClapArgs, Clone, Debug)]
pub struct HeadArgs {
    #[command(flatten)]
    pub source: RecordingArgs,
    /// The number of transitions
    #[arg(short = 'n', long, default_value_t = 5)]
    pub transitions: usize,
}

impl RecordingArgs {
    /// Opens the selected recordings.
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
    fn the_command_is_valid() {
        Args::command().debug_assert();
    }
}

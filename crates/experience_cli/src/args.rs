//! The command line arguments.

mod curation;

use crate::output::CommandError;
use clap::{Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};
pub use curation::{CompactArgs, FilterArgs, SplitArgs};
use experience_dataset::{Dataset, DatasetError, DensifySettings, RecordingData};
use std::path::{Path, PathBuf};

const EXIT_CODES: &str = "\
Exit codes:
  0  success, and no problem in the data
  1  success, and a problem in the data
  2  invalid arguments
  3  failure: it could not be done, or not all of it

With `--json`, errors are JSON documents on standard output as well: {\"error\": {\"kind\": .., \"message\": ..}}";

/// Endings of files. A folder with such a name would be taken for a file.
const FILE_ENDINGS: &[&str] = &[
    "arrow", "csv", "feather", "gz", "h5", "hdf5", "json", "jsonl", "ndjson", "npy", "npz", "parquet", "pkl", "png",
    "tar", "tsv", "txt", "zip", "zst",
];
const JSONL_ENDINGS: &[&str] = &["jsonl", "ndjson"];

/// Inspect, check and convert datasets that `bevy_experience` recorded.
#[derive(Parser, Clone, Debug)]
#[command(name = "experience", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: CliCommand,
    /// Print JSON instead of text, and errors as JSON too
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
    /// disk blocks that the file system has freed and not yet overwritten. In an object store, old content that the bucket keeps is
    /// not erased either: versions, soft delete, locks, replicas and backups are settings of the bucket, which this command cannot ask
    /// for. It names the versions that the store answers with; delete them by the store's own tools. Shards that a process was writing when it died
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
    /// Write the episodes of a recording that meet all conditions to a new dataset
    ///
    /// Ids, tags and columns stay as they are. In the accounts of the new dataset, the transitions that were left out count as
    /// discarded, and `filtered` says by which conditions. A value that no episode has is an error, as it may be mistyped.
    Filter(FilterArgs),
    /// Divide a recording into datasets for training, validation and test
    ///
    /// Each episode is in one of them, and with `--by agent`, `match` or `run` all that belongs to one of these. The parts are
    /// those of `split` in the Python package with the same seed.
    Split(SplitArgs),
    /// Turn many small shards into few large ones, in place or in a new dataset
    ///
    /// Rows, ids and counts stay the same, and each run has shards of its own. Shards of runs that are being recorded or must
    /// be recovered are left as they are. `experience` and the Python package may read the dataset meanwhile; other loaders may
    /// see rows twice for a moment. An interrupted compaction is ended or undone by the next one.
    Compact(CompactArgs),
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
    /// a file, `.jsonl` or `.ndjson`, which is replaced if it exists
    #[arg(long, short)]
    pub output: PathBuf,
    /// Minari: the id of the new dataset [default: from the names of the dataset's folder and of the recording]
    #[arg(long)]
    pub id: Option<String>,
    /// Minari: observations are one flat array, even if they hold lists of entities
    #[arg(long)]
    pub flat: bool,
    /// `LeRobot`: a description of what was played [default: the recording's name]
    #[arg(long)]
    pub task: Option<String>,
    /// `LeRobot`: frames per second, which must be those of an episode: frames are not resampled [default: from the accounts of
    /// the runs, and checked against the timestamps of all episodes]
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
    /// Plot returns and lengths to this file, `.png`, or to one for each recording if there are several
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
    /// The dataset's folder, or the folder of journals without a dataset (`JournalSettings::folder`), which becomes a dataset; or the
    /// address of an object store, to upload what this host has recorded for it
    pub dataset: PathBuf,
    /// Also recover runs whose process may be alive: their lock file is missing, or they are of another host or container
    #[arg(long)]
    pub include_unclear: bool,
    /// Then remove the parts of journals that could not be read, which recoveries keep in the folder `damaged`
    #[arg(long)]
    pub discard_damaged: bool,
    /// With the address of an object store: the folder of `DatasetSink::with_staging`, in which the runs of this host wait for their
    /// upload [default: that of the sink]
    #[arg(long)]
    pub staging: Option<PathBuf>,
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
    /// The dataset's folder or address, such as `s3://bucket/prefix`
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

impl Args {
    /// Checks what does not depend on a dataset: that the ending of an output's name is that of its format.
    ///
    /// # Errors
    /// If an output has another ending.
    pub fn checked(self) -> Result<Self, clap::Error> {
        let checked = match &self.command {
            CliCommand::Stats(stats) => stats.plot.as_deref().map_or(Ok(()), |plot| {
                if has_ending(plot, &["png"]) {
                    Ok(())
                } else {
                    Err(format!(
                        "`{}` does not end with `.png`, and plots are PNG images",
                        plot.display()
                    ))
                }
            }),
            CliCommand::Convert(convert) => check_output(&convert.output, convert.to == OutputFormat::Jsonl),
            CliCommand::Densify(densify) => check_output(&densify.output, false),
            CliCommand::Merge(merge) => check_output(&merge.output, false),
            CliCommand::Filter(filter) => check_output(&filter.output, false).and_then(|()| filter.check()),
            CliCommand::Split(split) => check_output(&split.output, false).and_then(|()| split.check()),
            CliCommand::Compact(compact) => compact.output.as_deref().map_or(Ok(()), |to| check_output(to, false)),
            _ => Ok(()),
        };
        match checked {
            Ok(()) => Ok(self),
            Err(reason) => Err(Self::command().error(ErrorKind::ValueValidation, reason)),
        }
    }
}

/// Checks the ending of an output, a file of JSON Lines or a folder.
fn check_output(path: &Path, is_lines: bool) -> Result<(), String> {
    let name = path.display();
    if path == Path::new("-") {
        return Err(
            "the output cannot be standard output: name a file or a folder; `experience head -n N --json` prints lines"
                .to_owned(),
        );
    }
    if is_lines && path.extension().is_some() && !has_ending(path, JSONL_ENDINGS) {
        return Err(format!(
            "`{name}` does not end with `.jsonl` or `.ndjson`, and the format is JSON Lines"
        ));
    }
    if !is_lines && has_ending(path, FILE_ENDINGS) && !path.is_dir() {
        return Err(format!("`{name}` has the ending of a file, and the output is a folder"));
    }
    Ok(())
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| endings.iter().any(|other| ending.eq_ignore_ascii_case(other)))
}

impl RecordingArgs {
    /// Opens the selected recordings.
    pub fn recordings(&self) -> Result<Vec<RecordingData>, CommandError> {
        let dataset = Dataset::open(&self.dataset).map_err(|error| match error {
            DatasetError::WithinDataset {
                path,
                dataset,
                recording,
            } => CommandError::Arguments(format!(
                "`{}` belongs to a recording, and the argument is a dataset: `{} --recording {recording}`",
                path.display(),
                dataset.display()
            )),
            error => error.into(),
        })?;
        match &self.recording {
            Some(name) => Ok(vec![dataset.recording(name)?.clone()]),
            None => Ok(dataset.recordings().to_vec()),
        }
    }

    /// Opens the selected recording.
    ///
    /// # Errors
    /// If the dataset has several, and none is named.
    pub fn recording(&self) -> Result<RecordingData, CommandError> {
        let mut recordings = self.recordings()?;
        match recordings.pop() {
            Some(recording) if recordings.is_empty() => Ok(recording),
            last => {
                recordings.extend(last);
                let names: Vec<_> = recordings.iter().map(RecordingData::folder_name).collect();
                Err(CommandError::Arguments(format!(
                    "`{}` has {} recordings; choose one of them with `--recording`: {}",
                    self.dataset.display(),
                    names.len(),
                    names.join(", ")
                )))
            }
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

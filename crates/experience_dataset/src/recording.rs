//! One recording of a dataset.

use super::{
    DatasetError, Diagnosis, Episodes, Overview, PlayerAt, Profile, Progress, RecordingStats, Validation, doctor,
    joint, overview, profile, shard, stats, validate,
};
use crate::sink::{
    RunAccount,
    experience::{Experience, Unreadable},
    layout,
};
use experience_core::{schema::Schema, transition::RunId};
use experience_export::disk;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// One recording of a [`Dataset`](super::Dataset): a stream of alike players with one schema.
#[derive(Clone, Debug)]
pub struct RecordingData {
    path: PathBuf,
    folder: String,
    schema: Arc<Schema>,
}

impl RecordingData {
    pub(super) fn open(dataset: &Path, folder: String) -> Result<Self, DatasetError> {
        let path = dataset.join(&folder);
        let document = path.join(layout::EXPERIENCE);
        let experience = Experience::read(&path).map_err(|error| match error {
            Unreadable::Io(source) => DatasetError::io("read", &document)(source),
            Unreadable::Damaged(reason) => DatasetError::damaged(&document, reason),
        })?;
        Ok(Self {
            path,
            folder,
            schema: experience.schema.into_shared(),
        })
    }

    /// The recording's true name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.schema.name()
    }

    /// The name of its folder in the dataset.
    #[must_use]
    pub fn folder_name(&self) -> &str {
        &self.folder
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its columns.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The accounts of all runs, in the order of their names.
    ///
    /// # Errors
    /// When an account cannot be read, or is damaged.
    pub fn runs(&self) -> Result<Vec<RunAccount>, DatasetError> {
        self.accounts()?.iter().map(|path| self.account(path)).collect()
    }

    /// What episodes were marked with while they were recorded, of all runs: the tags of each, in order. Episodes that never
    /// came to the dataset may be among them.
    ///
    /// # Errors
    /// When an account cannot be read, or is damaged.
    pub fn tags(&self) -> Result<BTreeMap<i64, BTreeSet<String>>, DatasetError> {
        let mut tags = BTreeMap::<i64, BTreeSet<String>>::new();
        for found in self.runs()?.into_iter().flat_map(|run| run.account.tags) {
            tags.entry(found.episode_id).or_default().insert(found.tag);
        }
        Ok(tags)
    }

    /// The files with the accounts of all runs, in the order of their names.
    pub(super) fn accounts(&self) -> Result<Vec<PathBuf>, DatasetError> {
        list(&self.path.join(layout::RUNS), ".json")
    }

    /// The account in a file.
    pub(super) fn account(&self, path: &Path) -> Result<RunAccount, DatasetError> {
        let content = disk::read(path).map_err(DatasetError::io("read", path))?;
        let mut account: RunAccount =
            serde_json::from_slice(&content).map_err(|error| DatasetError::damaged(path, error.to_string()))?;
        account.settle(&self.path);
        Ok(account)
    }

    /// The Parquet files with its transitions, in the order of their names: run by run, each in the order of its writing.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn shards(&self) -> Result<Vec<PathBuf>, DatasetError> {
        list(&self.path.join(layout::DATA), layout::SHARD)
    }

    /// All episodes, one at a time: memory holds no more than one of them and a few thousand rows.
    ///
    /// A shard that is damaged yields an error where the damage is met; what follows it are the episodes of the next shard.
    ///
    /// The final observation's own time is not in the data: the tick of an episode's last row is its last transition's plus
    /// what that lasted, and its timestamp follows from the episode's pace.
    #[must_use]
    pub fn episodes(&self) -> Episodes {
        Episodes::new(self.schema.clone(), self.shards())
    }

    /// Counts, returns, lengths and reasons over all episodes. Reads only the columns that it needs.
    ///
    /// # Errors
    /// When a shard cannot be read, or is damaged.
    pub fn stats(&self) -> Result<RecordingStats, DatasetError> {
        stats::stats(&self.schema, &self.shards()?)
    }

    /// How many transitions the shards hold, as their footers say.
    ///
    /// # Errors
    /// When a shard cannot be opened, or is damaged.
    pub fn transitions(&self) -> Result<u64, DatasetError> {
        self.shards()?.iter().try_fold(0_u64, |sum, path| {
            Ok(sum.saturating_add(shard::Shard::open(&self.schema, path)?.rows()))
        })
    }

    /// What there is, in a few numbers, without reading a row.
    ///
    /// # Errors
    /// When the folder cannot be listed. Files that cannot be read are named in [`Overview::damaged`].
    pub fn overview(&self) -> Result<Overview, DatasetError> {
        overview::overview(self)
    }

    /// Checks every [`Rule`](super::Rule) of the contract, row by row. `watch` is told how far it is.
    ///
    /// A file that cannot be read is a violation, and what can be read is checked all the same.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn validate(&self, watch: &mut dyn FnMut(Progress)) -> Result<Validation, DatasetError> {
        validate::validate(self, watch)
    }

    /// Every column in a few numbers, and each episode's return and length. `watch` is told how far it is.
    ///
    /// # Errors
    /// When a shard cannot be read, or is damaged.
    pub fn profile(&self, watch: &mut dyn FnMut(Progress)) -> Result<Profile, DatasetError> {
        profile::profile(self, watch)
    }

    /// Looks for what ruins training although every rule is kept. `watch` is told how far it is.
    ///
    /// # Errors
    /// When a shard or an account cannot be read, or is damaged.
    pub fn diagnose(&self, watch: &mut dyn FnMut(Progress)) -> Result<Diagnosis, DatasetError> {
        doctor::diagnose(self, watch)
    }

    /// All players of a match of a run at one tick, by agent id: those whose transition was under way at `tick`.
    ///
    /// # Errors
    /// When a shard cannot be read, or is damaged.
    pub fn joint(&self, run: RunId, match_id: Option<i64>, tick: i64) -> Result<Vec<PlayerAt>, DatasetError> {
        let moment = joint::Moment { run, match_id, tick };
        let mut players = Vec::new();
        for path in self.shards()? {
            let shard = shard::Shard::open(&self.schema, &path)?;
            players.extend(joint::players(&shard, moment)?);
        }
        players.sort_by_key(|player: &PlayerAt| player.episode().info().agent_id);
        Ok(players)
    }
}

/// The files in `folder` whose names end so, in order. Hidden and unfinished ones have other names.
fn list(folder: &Path, end: &str) -> Result<Vec<PathBuf>, DatasetError> {
    let mut found = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(DatasetError::io("list", folder))?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.ends_with(end) && !name.starts_with('.') {
                    found.push(entry.path());
                }
            }
        }
        // A copy without its empty folders is a recording without episodes.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(DatasetError::io("list", folder)(error)),
    }
    found.sort();
    Ok(found)
}

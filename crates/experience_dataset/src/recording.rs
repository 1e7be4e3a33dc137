//! Reads one recording of a dataset.

use super::{
    DatasetError, Diagnosis, EpisodeQuery, Episodes, Overview, PlayerAt, Profile, Progress, RecordingStats,
    RecordingSummary, Validation, agents, doctor, joint, one_episode, overview, profile, shard, stats, summary,
    validate,
};
use crate::{
    sink::{
        RunAccount,
        compaction::Compactions,
        experience::{self, ExperienceFileError},
        layout, tag_file,
    },
    store::source,
};
use experience_core::{
    account::{AgentTotals, DISCARDED_TAG, EpisodeTag},
    schema::Schema,
    transition::{Episode, RunId},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// One recording of a [`Dataset`](super::Dataset): the episodes of one kind of player, with one schema.
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
        let experience = experience::read(&path).map_err(|error| match error {
            ExperienceFileError::Io(source) => DatasetError::read(&document)(source),
            ExperienceFileError::Damaged(reason) => DatasetError::damaged(&document, reason),
        })?;
        Ok(Self {
            path,
            folder,
            schema: experience.schema.into_shared(),
        })
    }

    /// The name of the recording.
    #[must_use]
    pub fn name(&self) -> &str {
        self.schema.name()
    }

    /// The name of its folder in the dataset, in which characters of the recording's name are escaped.
    #[must_use]
    pub fn folder_name(&self) -> &str {
        &self.folder
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its schema.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The accounts of all runs, in the order of their file names.
    ///
    /// # Errors
    /// If an account cannot be read, or is damaged.
    pub fn runs(&self) -> Result<Vec<RunAccount>, DatasetError> {
        let compactions = self.compactions()?;
        let accounts = self.accounts()?;
        accounts
            .iter()
            .map(|path| self.account_with(path, &compactions))
            .collect()
    }

    /// The tags of each episode of all runs, by episode id. Episodes that are not in the dataset may be among them.
    ///
    /// # Errors
    /// If an account or a file of tags cannot be read, or is damaged.
    pub fn tags(&self) -> Result<BTreeMap<i64, BTreeSet<String>>, DatasetError> {
        let mut tags = BTreeMap::<i64, BTreeSet<String>>::new();
        for run in self.runs()? {
            // Version 0.1.0 wrote tags to the account.
            for found in run.account.tags.iter().cloned().chain(self.run_tags(run.run)?) {
                tags.entry(found.episode_id).or_default().insert(found.tag);
            }
        }
        Ok(tags)
    }

    /// The tags in the file of a run.
    pub(super) fn run_tags(&self, run: RunId) -> Result<Vec<EpisodeTag>, DatasetError> {
        let path = tag_file::path(&self.path, run);
        tag_file::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => DatasetError::damaged(&path, error.to_string()),
            _ => DatasetError::io("read", &path)(error),
        })
    }

    /// The ids of the episodes that were discarded after they had ended: those with the tag
    /// [`DISCARDED_TAG`]. Their rows are in shards, and [`episodes`](Self::episodes) and all that is computed
    /// from it skip them. [`Dataset::compact`](crate::Dataset::compact), [`filter`](crate::filter()) and
    /// [`split`](crate::split()) write shards without them.
    ///
    /// # Errors
    /// If a file of tags cannot be read, or is damaged.
    pub fn discarded(&self) -> Result<HashSet<i64>, DatasetError> {
        let mut discarded = HashSet::new();
        for path in list(&self.path.join(layout::RUNS), layout::TAGS)? {
            let Some(run) = path.file_name().and_then(layout::tags_run) else {
                continue;
            };
            let tags = self.run_tags(run)?.into_iter().filter(|tag| tag.tag == DISCARDED_TAG);
            discarded.extend(tags.map(|tag| tag.episode_id));
        }
        Ok(discarded)
    }

    /// The files of the accounts of all runs, sorted by name.
    pub(super) fn accounts(&self) -> Result<Vec<PathBuf>, DatasetError> {
        list(&self.path.join(layout::RUNS), layout::ACCOUNT)
    }

    /// Reads an account from its file.
    pub(super) fn account(&self, path: &Path) -> Result<RunAccount, DatasetError> {
        self.account_with(path, &self.compactions()?)
    }

    /// The same, for a caller that reads several.
    pub(super) fn account_with(&self, path: &Path, compactions: &Compactions) -> Result<RunAccount, DatasetError> {
        let mut account = RunAccount::read_from(path).map_err(DatasetError::read(path))?;
        account.resolve_deletions(&self.path);
        compactions.resolve(&self.path, &mut account);
        Ok(account)
    }

    /// The Parquet files of its transitions, sorted by name: by run, and in the order of writing within a run.
    ///
    /// While shards are compacted, each row is in one of them: the old shards are listed, or the new ones.
    ///
    /// # Errors
    /// If the folder cannot be listed, or a compaction has ended in the middle because another process deleted its shards.
    pub fn shards(&self) -> Result<Vec<PathBuf>, DatasetError> {
        // The folder changes at most a few times, each in the time of one rename.
        const ATTEMPTS: usize = 100;
        for _ in 0..ATTEMPTS {
            let before = self.compactions()?;
            let listed = list(&self.path.join(layout::DATA), layout::SHARD)?;
            if let Some(visible) = before.visible(listed)
                && self.compactions()? == before
            {
                return Ok(visible);
            }
        }
        Err(DatasetError::unsuitable(
            &self.path,
            "shards were deleted while they were compacted; run `experience compact`, which ends the compaction",
        ))
    }

    /// Which shards were compacted.
    pub(super) fn compactions(&self) -> Result<Compactions, DatasetError> {
        Compactions::read(&self.path).map_err(DatasetError::read(&self.path.join(layout::COMPACTION)))
    }

    /// Iterates over all episodes. Memory holds one episode and one batch of rows at a time.
    ///
    /// A damaged shard yields an error at the damage, after which the iterator continues with the next shard. Episodes that were
    /// [discarded](Self::discarded) are skipped.
    ///
    /// The time of a final observation is not in the data: the tick of an episode's last row is the tick plus the ticks of its
    /// last transition, and its timestamp is extrapolated from the episode's mean seconds per tick.
    #[must_use]
    pub fn episodes(&self) -> Episodes {
        let files = self.discarded().and_then(|discarded| Ok((self.shards()?, discarded)));
        Episodes::new(self.schema.clone(), files)
    }

    /// The first episode that `query` selects, in the order of the shards. Finds it in the columns of ids, and reads the other columns
    /// of its own rows alone.
    ///
    /// # Errors
    /// If there is none. If a shard cannot be read or is damaged, and no other shard has the episode.
    pub fn episode(&self, query: &EpisodeQuery) -> Result<Episode, DatasetError> {
        one_episode::find(self, query)
    }

    /// Counts, returns, lengths and end reasons of all episodes. Reads only the columns that it needs.
    ///
    /// # Errors
    /// If a shard cannot be read, or is damaged.
    pub fn stats(&self) -> Result<RecordingStats, DatasetError> {
        stats::stats(&self.schema, &self.shards()?, &self.discarded()?)
    }

    /// Moments of the features and rewards, classes of discrete actions, and steps of each controller. `watch` is called with the
    /// progress.
    ///
    /// They are combined from the footers of the shards. Rows are read only of shards whose footer has no summary that can be used, and
    /// of those with an episode that was [discarded](Self::discarded).
    ///
    /// ```no_run
    /// # use experience_dataset::{Dataset, DatasetError};
    /// let dataset = Dataset::open("data/arena")?;
    /// let summary = dataset.recording("fighter")?.summary(&mut |_| {})?;
    /// for feature in &summary.observation {
    ///     println!("{}: {} ± {}", feature.name, feature.mean, feature.deviation);
    /// }
    /// # Ok::<(), DatasetError>(())
    /// ```
    ///
    /// # Errors
    /// If a shard cannot be read, or is damaged.
    pub fn summary(&self, watch: &mut dyn FnMut(Progress)) -> Result<RecordingSummary, DatasetError> {
        summary::summary(self, watch)
    }

    /// The totals of each agent, in ascending order of agent id. Reads only the columns that it needs.
    ///
    /// # Errors
    /// If a shard cannot be read, or is damaged.
    pub fn agent_totals(&self) -> Result<BTreeMap<i64, AgentTotals>, DatasetError> {
        agents::totals(self)
    }

    /// The number of transitions in all shards, from their footers.
    ///
    /// # Errors
    /// If a shard cannot be opened, or is damaged.
    pub fn transitions(&self) -> Result<u64, DatasetError> {
        self.shards()?.iter().try_fold(0_u64, |sum, path| {
            let shard = shard::ShardReader::open(&self.schema, path)?;
            Ok(sum.saturating_add(shard.map_or(0, |shard| shard.rows())))
        })
    }

    /// Counts of transitions, episodes, agents, runs and files. Of the rows it reads only the agent ids.
    ///
    /// # Errors
    /// If a file or folder cannot be opened or read for a reason other than damage. Damaged files are listed in
    /// [`Overview::damaged`].
    pub fn overview(&self) -> Result<Overview, DatasetError> {
        overview::overview(self)
    }

    /// Checks every [`Rule`](super::Rule) of the format, row by row. `watch` is called with the progress.
    ///
    /// A damaged file is a violation; the other files are still checked.
    ///
    /// # Errors
    /// If a file cannot be opened or read for a reason other than damage.
    pub fn validate(&self, watch: &mut dyn FnMut(Progress)) -> Result<Validation, DatasetError> {
        validate::validate(self, watch)
    }

    /// Statistics of every column, and each episode's return and length. `watch` is called with the progress.
    ///
    /// # Errors
    /// If a shard cannot be read, or is damaged.
    pub fn profile(&self, watch: &mut dyn FnMut(Progress)) -> Result<Profile, DatasetError> {
        profile::profile(self, watch)
    }

    /// Looks for problems of valid data that spoil training. `watch` is called with the progress.
    ///
    /// # Errors
    /// If a shard or an account cannot be read, or is damaged.
    pub fn diagnose(&self, watch: &mut dyn FnMut(Progress)) -> Result<Diagnosis, DatasetError> {
        doctor::diagnose(self, watch)
    }

    /// The joint state of a match: all players with a transition that includes `tick`, sorted by agent id.
    ///
    /// # Errors
    /// If a shard cannot be read, or is damaged.
    pub fn joint(&self, run: RunId, match_id: Option<i64>, tick: i64) -> Result<Vec<PlayerAt>, DatasetError> {
        let key = joint::JointKey { run, match_id, tick };
        let mut players = Vec::new();
        for path in self.shards()? {
            if let Some(shard) = shard::ShardReader::open(&self.schema, &path)? {
                players.extend(joint::players(&shard, key)?);
            }
        }
        let discarded = self.discarded()?;
        players.retain(|player: &PlayerAt| !discarded.contains(&player.episode().info().episode_id));
        players.sort_by_key(|player: &PlayerAt| player.episode().info().agent_id);
        Ok(players)
    }
}

/// The files in `folder` whose names end with `suffix`, sorted. Hidden files are skipped.
fn list(folder: &Path, suffix: &str) -> Result<Vec<PathBuf>, DatasetError> {
    let mut found = Vec::new();
    match source::list(folder) {
        Ok(names) => {
            for name in names {
                let text = name.to_string_lossy();
                if text.ends_with(suffix) && !text.starts_with('.') {
                    found.push(folder.join(&name));
                }
            }
        }
        // Tools that copy a dataset may leave out empty folders.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(DatasetError::io("list", folder)(error)),
    }
    found.sort();
    Ok(found)
}

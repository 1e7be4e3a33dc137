//! The shards of one run, and what is in them.

use super::{super::shard::ShardAccount, remains::Remains};
use crate::{
    arrow::Content,
    sink::{account::RunAccount, files, layout},
};
use arrow_array::{
    cast::AsArray,
    types::{Float64Type, Int64Type},
};
use experience_core::{
    account::{AgentTotals, RunReport},
    schema::Schema,
    transition::{Episode, RunId},
};
use experience_export::{SinkError, disk};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    path::{Path, PathBuf},
};

/// What the shards of a run hold.
pub(super) struct FilesOfRun {
    run: RunId,
    shards: Vec<ShardAccount>,
    episodes: HashSet<i64>,
    agents: BTreeMap<i64, AgentTotals>,
    next: u32,
    unfinished: Vec<PathBuf>,
}

impl FilesOfRun {
    /// Looks at every shard of the run.
    pub(super) fn read(folder: &Path, schema: &Schema, run: RunId) -> Result<Self, SinkError> {
        let data = folder.join(layout::DATA);
        let mut found = Self {
            run,
            shards: Vec::new(),
            episodes: HashSet::new(),
            agents: BTreeMap::new(),
            next: 0,
            unfinished: Vec::new(),
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(&data).map_err(files::failed("list", &data))? {
            let name = entry.map_err(files::failed("list", &data))?.file_name();
            let Some(name) = name.to_str() else { continue };
            let whole = name.strip_suffix(".tmp").unwrap_or(name);
            let Some(index) = layout::shard_index(run, whole) else {
                continue;
            };
            found.next = found.next.max(index.saturating_add(1));
            if whole == name {
                names.push(name.to_owned());
            } else {
                found.unfinished.push(data.join(name));
            }
        }
        names.sort();
        for name in names {
            let path = data.join(&name);
            let shard = found.look(&path, name, schema).map_err(|error| {
                SinkError::Other(format!(
                    "`{}` cannot be read: {error}; restore it from a copy, or move it out of the dataset",
                    path.display()
                ))
            })?;
            found.shards.push(shard);
        }
        Ok(found)
    }

    fn look(
        &mut self,
        path: &Path,
        file: String,
        schema: &Schema,
    ) -> Result<ShardAccount, Box<dyn core::error::Error>> {
        let columns = [
            Content::EpisodeId,
            Content::AgentId,
            Content::Reward,
            Content::Terminated,
            Content::Truncated,
        ]
        .map(|content| content.name(schema));
        let mut shard = ShardAccount {
            file,
            episodes: 0,
            transitions: 0,
        };
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().map(AsRef::as_ref));
        for batch in builder.with_projection(mask).build()? {
            let batch = batch?;
            let column = |index: usize| {
                let name: &str = columns[index].as_ref();
                batch
                    .column_by_name(name)
                    .ok_or_else(|| format!("the column `{name}` is missing"))
            };
            let (ids, agents) = (column(0)?, column(1)?);
            let ids = ids
                .as_primitive_opt::<Int64Type>()
                .ok_or("`episode_id` is no integer")?;
            let agents = agents
                .as_primitive_opt::<Int64Type>()
                .ok_or("`agent_id` is no integer")?;
            let rewards = column(2)?;
            let rewards = rewards
                .as_primitive_opt::<Float64Type>()
                .ok_or("`reward` is no number")?;
            let flags = [column(3)?, column(4)?].map(|flag| flag.as_boolean_opt().cloned());
            let [Some(terminated), Some(truncated)] = flags else {
                return Err("a flag is none".into());
            };
            for row in 0..batch.num_rows() {
                let ends = terminated.value(row) || truncated.value(row);
                let totals = self.agents.entry(agents.value(row)).or_default();
                totals.transitions += 1;
                totals.episodes += u64::from(ends);
                totals.total_reward += rewards.value(row);
                shard.transitions += 1;
                shard.episodes += u64::from(ends);
                self.episodes.insert(ids.value(row));
            }
        }
        Ok(shard)
    }

    /// Whether an episode is in a shard.
    pub(super) fn has(&self, episode_id: i64) -> bool {
        self.episodes.contains(&episode_id)
    }

    /// An episode is on its way to a shard.
    pub(super) fn note(&mut self, episode: &Episode) {
        self.episodes.insert(episode.info().episode_id);
        let totals = self.agents.entry(episode.info().agent_id).or_default();
        totals.episodes += 1;
        totals.transitions += episode.len() as u64;
        totals.total_reward += episode.total_reward();
    }

    /// The name of another shard.
    pub(super) fn next_shard(&mut self) -> String {
        self.next += 1;
        layout::shard_name(self.run, self.next - 1)
    }

    /// Another shard has found its place.
    pub(super) fn landed(&mut self, shard: ShardAccount) {
        self.shards.push(shard);
    }

    pub(super) fn accounts(&self) -> Vec<ShardAccount> {
        self.shards.clone()
    }

    /// What became of everything that the run recorded, as far as that can be known.
    pub(super) fn report(&self, account: &RunAccount, remains: &Remains) -> RunReport {
        let (before, counts) = (&account.account, &remains.counts);
        let mut agents = self.agents.clone();
        for (agent, retired) in &account.retired.agents {
            let totals = agents.entry(*agent).or_default();
            totals.episodes += retired.episodes;
            totals.transitions += retired.transitions;
        }
        let exported = agents.values().map(|totals| totals.transitions).sum::<u64>();
        let discarded = before.discarded.max(counts.discarded) + remains.discarded;
        let non_finite = before.non_finite.max(counts.non_finite);
        let known = exported + discarded + non_finite + counts.lost + remains.lost;
        let recorded = before.recorded.max(counts.recorded).max(known);
        RunReport {
            recorded,
            exported,
            // What was recorded and is in no shard is lost.
            dropped: recorded.saturating_sub(exported + discarded),
            discarded,
            pending: 0,
            episodes: agents.values().map(|totals| totals.episodes).sum(),
            empty_episodes: before.empty_episodes.max(counts.empty_episodes),
            orphaned_rewards: before.orphaned_rewards.max(counts.orphaned_rewards),
            non_finite,
            ignored_ends: before.ignored_ends.max(counts.ignored_ends),
            refused_agents: before.refused_agents.max(counts.refused_agents),
            unbuffered_agents: before.unbuffered_agents.max(counts.unbuffered_agents),
            tags: before.tags.clone(),
            failures: before.failures,
            agents,
        }
    }

    /// Removes what the run was writing when its process died.
    pub(super) fn remove_unfinished(&self) {
        for path in &self.unfinished {
            disk::remove_unfinished(path);
        }
    }
}

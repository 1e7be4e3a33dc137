//! The committed shards of an unfinished run, with their episodes and the totals of each agent.

use super::{super::shard::ShardAccount, recovered_state::RecoveredState};
use crate::sink::{account::RunAccount, files::io_error, layout, partial, read::for_each_batch};
use experience_arrow::columns::ColumnId;
use experience_core::{
    account::{AgentTotals, RunReport},
    schema::Schema,
    transition::{Episode, RunId},
};
use experience_export::{SinkError, disk};
use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

/// The shards of a run and their content.
pub(super) struct RunShards {
    shards: Vec<ShardAccount>,
    episodes: HashSet<i64>,
    agents: BTreeMap<i64, AgentTotals>,
    next_index: u32,
    unfinished: Vec<PathBuf>,
}

impl RunShards {
    /// Reads every shard of the run.
    pub(super) fn read(folder: &Path, schema: &Schema, run: RunId) -> Result<Self, SinkError> {
        let (data, partial) = (folder.join(layout::DATA), folder.join(layout::PARTIAL));
        let mut shards = Self {
            shards: Vec::new(),
            episodes: HashSet::new(),
            agents: BTreeMap::new(),
            next_index: 0,
            unfinished: Vec::new(),
        };
        let mut names = Vec::new();
        // Runs of 0.1.0 wrote unfinished shards to `data/`.
        for part in [&data, &partial] {
            let entries = match fs::read_dir(part) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && part == &partial => continue,
                entries => entries.map_err(io_error("list", part))?,
            };
            for entry in entries {
                let name = entry.map_err(io_error("list", part))?.file_name();
                let Some(name) = name.to_str() else { continue };
                let final_name = name.strip_suffix(layout::UNFINISHED).unwrap_or(name);
                let Some(index) = layout::shard_index(run, final_name) else {
                    continue;
                };
                shards.next_index = shards.next_index.max(index.saturating_add(1));
                if final_name != name {
                    shards.unfinished.push(part.join(name));
                } else if part == &data {
                    names.push(name.to_owned());
                }
            }
        }
        names.sort();
        for name in names {
            let path = data.join(&name);
            shards.read_shard(&path, name, schema).map_err(|error| {
                SinkError::Other(format!(
                    "`{}` cannot be read: {error}; restore it from a copy, or move it out of the dataset",
                    path.display()
                ))
            })?;
        }
        Ok(shards)
    }

    fn read_shard(&mut self, path: &Path, file: String, schema: &Schema) -> Result<(), Box<dyn core::error::Error>> {
        let columns = [
            ColumnId::EpisodeId,
            ColumnId::AgentId,
            ColumnId::Reward,
            ColumnId::Terminated,
            ColumnId::Truncated,
        ];
        let mut shard = ShardAccount {
            file,
            episodes: 0,
            transitions: 0,
        };
        for_each_batch(path, schema, &columns, |batch| {
            let (ids, agents) = (batch.i64(ColumnId::EpisodeId), batch.i64(ColumnId::AgentId));
            let (rewards, is_last) = (batch.f64(ColumnId::Reward), batch.is_last());
            for row in 0..batch.rows() {
                let episodes = u64::from(is_last.value(row));
                let totals = self.agents.entry(agents.value(row)).or_default();
                totals.transitions += 1;
                totals.episodes += episodes;
                totals.total_reward += rewards.value(row);
                shard.transitions += 1;
                shard.episodes += episodes;
                self.episodes.insert(ids.value(row));
            }
        })?;
        self.shards.push(shard);
        Ok(())
    }

    /// Whether an episode is in a shard.
    pub(super) fn has_episode(&self, episode_id: i64) -> bool {
        self.episodes.contains(&episode_id)
    }

    /// Counts an episode that is written to a new shard.
    pub(super) fn add_episode(&mut self, episode: &Episode) {
        self.episodes.insert(episode.info().episode_id);
        let totals = self.agents.entry(episode.info().agent_id).or_default();
        totals.episodes += 1;
        totals.transitions += episode.len() as u64;
        totals.total_reward += episode.total_reward();
    }

    /// The index of the next shard. Indexes of unfinished shards are not reused.
    pub(super) fn next_index(&self) -> u32 {
        self.next_index
    }

    /// Adds shards that were committed.
    pub(super) fn add_shards(&mut self, shards: Vec<ShardAccount>) {
        self.shards.extend(shards);
    }

    pub(super) fn accounts(&self) -> Vec<ShardAccount> {
        self.shards.clone()
    }

    /// The counts of the run, from its shards, its last account and its journal.
    pub(super) fn report(&self, account: &RunAccount, state: &RecoveredState) -> RunReport {
        let (before, counts) = (&account.account, &state.counts);
        let mut agents = self.agents.clone();
        for (agent, retired) in &account.retired.agents {
            let totals = agents.entry(*agent).or_default();
            totals.episodes += retired.episodes;
            totals.transitions += retired.transitions;
        }
        let exported = agents.values().map(|totals| totals.transitions).sum::<u64>();
        let discarded = before.discarded.max(counts.discarded) + state.discarded;
        let non_finite = before.non_finite.max(counts.non_finite);
        let known = exported + discarded + non_finite + counts.lost + state.lost;
        let recorded = before.recorded.max(counts.recorded).max(known);
        RunReport {
            recorded,
            exported,
            // Recorded transitions that are in no shard are lost.
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

    /// Removes the shards that were not committed when the process died.
    pub(super) fn remove_unfinished(&self, folder: &Path) {
        for path in &self.unfinished {
            disk::remove_unfinished(path);
        }
        partial::remove_if_empty(folder);
    }
}

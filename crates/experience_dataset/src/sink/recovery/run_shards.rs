//! The committed shards of an unfinished run, and which episodes of its journal are in them.

use super::{super::shard_account::ShardAccount, recovered_state::RecoveredState};
use crate::sink::{
    account::RunAccount, checksum::FileChecksum, files::io_error, layout, read::for_each_batch, shard_name::ShardName,
};
use crate::store::uploaded;
use experience_arrow::columns::ColumnId;
use experience_core::{
    account::{MAX_TICK_RATES, RunReport, TickRate},
    schema::Schema,
    transition::RunId,
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
    /// Episodes of the journal that are in no shard.
    only_in_journal: HashSet<i64>,
    last_tick: Option<i64>,
    /// The commit time of shards that the account does not list.
    committed: u64,
    next_index: u32,
    unfinished: Vec<PathBuf>,
}

impl RunShards {
    /// Reads every shard of the run. `account` is its last account, and `in_journal` are the episodes in its journal.
    pub(super) fn read(
        folder: &Path,
        schema: &Schema,
        run: RunId,
        account: Option<&RunAccount>,
        in_journal: HashSet<i64>,
    ) -> Result<Self, SinkError> {
        let (data, partial) = (folder.join(layout::DATA), folder.join(layout::PARTIAL));
        let mut shards = Self {
            shards: Vec::new(),
            only_in_journal: in_journal,
            last_tick: None,
            // The episodes were recorded before the last update of the account or soon after it.
            committed: account.map_or(0, |account| {
                account.last_commit_time().max((account.updated.max(0.0) * 1e3) as u64)
            }),
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
                let Some(shard) = ShardName::parse(final_name).filter(|shard| shard.run() == run) else {
                    continue;
                };
                shards.next_index = shards.next_index.max(shard.index().saturating_add(1));
                if final_name != name {
                    shards.unfinished.push(part.join(name));
                } else if part == &data {
                    names.push(shard);
                }
            }
        }
        for (name, uploaded) in uploaded::read_all(folder, run).map_err(io_error("read", folder))? {
            shards.next_index = shards.next_index.max(name.index().saturating_add(1));
            // Its file is removed after this record was written.
            names.retain(|found| *found != name);
            for episode in &uploaded.episodes {
                shards.only_in_journal.remove(episode);
            }
            shards.last_tick = shards.last_tick.max(uploaded.last_tick);
            shards.shards.push(uploaded.shard);
        }
        names.sort();
        for name in names {
            let path = name.path(folder);
            let file = name.to_string();
            let listed = account.and_then(|account| account.shards.iter().find(|shard| shard.file == file));
            shards.read_shard(&path, file, listed, schema).map_err(|error| {
                // A shard that cannot be opened is not damaged.
                if let Err(refused) = fs::File::open(&path) {
                    return io_error("open", &path)(refused);
                }
                SinkError::Other(format!(
                    "`{}` cannot be read: {error}; restore it from a copy, or move it out of the dataset",
                    path.display()
                ))
            })?;
        }
        Ok(shards)
    }

    /// Reads a shard, which the account may list as `listed`.
    fn read_shard(
        &mut self,
        path: &Path,
        file: String,
        listed: Option<&ShardAccount>,
        schema: &Schema,
    ) -> Result<(), Box<dyn core::error::Error>> {
        let columns = [
            ColumnId::EpisodeId,
            ColumnId::Tick,
            ColumnId::Terminated,
            ColumnId::Truncated,
        ];
        let mut shard = match listed {
            Some(listed) => ShardAccount {
                episodes: 0,
                transitions: 0,
                ..listed.clone()
            },
            // The process died between the commit of the shard and the next update of the account.
            None => ShardAccount {
                file,
                episodes: 0,
                transitions: 0,
                checksum: Some(FileChecksum::read(path)?),
                committed: Some(self.committed),
            },
        };
        for_each_batch(path, schema, &columns, |batch| {
            shard.transitions += batch.rows() as u64;
            shard.episodes += batch.is_last().true_count() as u64;
            for episode in batch.i64(ColumnId::EpisodeId).values() {
                self.only_in_journal.remove(episode);
            }
            self.last_tick = self
                .last_tick
                .max(batch.i64(ColumnId::Tick).values().iter().max().copied());
        })?;
        self.shards.push(shard);
        Ok(())
    }

    /// Whether an episode of the journal is in a shard.
    pub(super) fn has_episode(&self, episode_id: i64) -> bool {
        !self.only_in_journal.contains(&episode_id)
    }

    /// The largest tick of a row.
    pub(super) fn last_tick(&self) -> Option<i64> {
        self.last_tick
    }

    /// The index of the next shard. Indexes of unfinished shards are not reused.
    pub(super) fn next_index(&self) -> u32 {
        self.next_index
    }

    /// Adds shards that were committed.
    pub(super) fn add_shards(&mut self, mut shards: Vec<ShardAccount>) {
        for shard in &mut shards {
            shard.committed = Some(self.committed);
            self.next_index = self.next_index.saturating_add(1);
        }
        self.shards.extend(shards);
    }

    pub(super) fn accounts(&self) -> Vec<ShardAccount> {
        self.shards.clone()
    }

    /// The counts of the run, from its shards, its last account and its journal.
    pub(super) fn report(&self, account: &RunAccount, state: &RecoveredState) -> RunReport {
        let (before, counts) = (&account.account, &state.counts);
        let retired = &account.retired;
        // Saturating, because an account may hold any number.
        let sum = |numbers: &[u64]| numbers.iter().fold(0_u64, |sum, number| sum.saturating_add(*number));
        let (episodes, transitions) = self
            .shards
            .iter()
            .fold((0_u64, 0_u64), |(episodes, transitions), shard| {
                (
                    episodes.saturating_add(shard.episodes),
                    transitions.saturating_add(shard.transitions),
                )
            });
        let exported = sum(&[retired.transitions, transitions]);
        let discarded = sum(&[before.discarded.max(counts.discarded), state.discarded]);
        let non_finite = before.non_finite.max(counts.non_finite);
        let known = sum(&[exported, discarded, non_finite, counts.lost, state.lost]);
        let recorded = before.recorded.max(counts.recorded).max(known);
        // Recorded transitions that are in no shard are lost.
        let dropped = recorded.saturating_sub(sum(&[exported, discarded]));
        RunReport {
            recorded,
            exported,
            dropped,
            discarded,
            pending: 0,
            episodes: sum(&[retired.episodes, episodes]),
            empty_episodes: before.empty_episodes.max(counts.empty_episodes),
            orphaned_rewards: before.orphaned_rewards.max(counts.orphaned_rewards),
            non_finite,
            ignored_ends: before.ignored_ends.max(counts.ignored_ends),
            refused_agents: before.refused_agents.max(counts.refused_agents),
            unbuffered_agents: before.unbuffered_agents.max(counts.unbuffered_agents),
            tags: Vec::new(),
            tick_rates: merge_tick_rates(&before.tick_rates, &state.tick_rates),
            failures: before.failures.max(state.failures),
            // Missing shards count as dropped, like all that is in no shard.
            missing: before.missing.min(dropped),
            missing_episodes: before.missing_episodes,
            agents: BTreeMap::new(),
        }
    }

    /// Removes the shards that were not committed when the process died.
    pub(super) fn remove_unfinished(&self) {
        for path in &self.unfinished {
            disk::remove_unfinished(path);
        }
    }
}

/// The tick rates of an account, and those that the journal states besides, in the order of their ticks. The journal restates some.
fn merge_tick_rates(account: &[TickRate], journal: &[TickRate]) -> Vec<TickRate> {
    let mut rates = account.to_vec();
    for rate in journal {
        if !rates.contains(rate) {
            rates.push(*rate);
        }
    }
    // Stable, because the first two rates may be of the same tick.
    rates.sort_by_key(|rate| rate.from_tick);
    rates.truncate(MAX_TICK_RATES);
    rates
}

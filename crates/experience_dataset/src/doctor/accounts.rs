//! Checks the accounts of the runs: what was lost, refused or not finished.

use super::{Diagnosis, Severity, Symptom};
use crate::RunAccount;
use experience_core::transition::{EpisodeInfo, RunId};
use std::collections::{BTreeMap, HashSet};

/// Players of a run that are told apart. Beyond that, their number is not known.
const MAX_PLAYERS: usize = 1 << 16;

/// Counts the players of each run.
#[derive(Default)]
pub(super) struct PlayerCounts {
    seen: HashSet<(RunId, i64)>,
    by_run: BTreeMap<RunId, u64>,
}

impl PlayerCounts {
    pub(super) fn add(&mut self, episode: &EpisodeInfo) {
        if self.seen.len() < MAX_PLAYERS && self.seen.insert((episode.run, episode.agent_id)) {
            *self.by_run.entry(episode.run).or_default() += 1;
        }
    }

    /// Whether rewards outside of episodes are about as many as the players of their run, each of which joined once.
    fn are_of_joins(&self, runs: &[RunAccount]) -> bool {
        runs.iter().filter(|run| run.account.orphaned_rewards > 0).all(|run| {
            let players = self.by_run.get(&run.run).copied().unwrap_or_default();
            (players.div_ceil(2)..=players.saturating_mul(2)).contains(&run.account.orphaned_rewards)
        })
    }
}

/// Adds the findings in the accounts of the runs.
pub(super) fn check(runs: &[RunAccount], players: &PlayerCounts, diagnosis: &mut Diagnosis) {
    let per_run = |count: fn(&RunAccount) -> u64| -> (u64, Vec<String>) {
        let some = runs
            .iter()
            .map(|run| (run.run, count(run)))
            .filter(|(_, count)| *count > 0);
        let places = some.clone().map(|(run, count)| format!("run {run}: {count}")).collect();
        (some.map(|(_, count)| count).fold(0, u64::saturating_add), places)
    };
    let (lost, places) = per_run(|run| run.account.dropped.saturating_sub(run.account.non_finite));
    if lost > 0 {
        diagnosis.add(
            Symptom::Lost,
            Severity::Warning,
            format!("{lost} transitions were recorded and dropped"),
            places,
            "buffers overflowed, the disk was full, or a process died: raise `BufferSettings::capacity`, or use `Overflow::Block` in \
             headless runs",
        );
    }
    let (refused, places) = per_run(|run| run.account.refused_agents);
    if refused > 0 {
        diagnosis.add(
            Symptom::RefusedAgents,
            Severity::Warning,
            format!("{refused} players were not recorded, because another player had their agent id, or it was negative"),
            places,
            "the game gives one id to two players at a time, its ids are hashed to too few bits, or a hash is used as a signed number: give \
             each player its own `AgentId` of 0 or more",
        );
    }
    let (unbuffered, places) = per_run(|run| run.account.unbuffered_agents);
    if unbuffered > 0 {
        diagnosis.add(
            Symptom::RefusedAgents,
            Severity::Warning,
            format!("{unbuffered} players were not recorded for lack of buffer memory"),
            places,
            "more players joined than the memory budget has buffers for: raise `ExperiencePlugin::memory_budget`, or lower \
             `BufferSettings::capacity`",
        );
    }
    let (non_finite, places) = per_run(|run| run.account.non_finite);
    if non_finite > 0 {
        diagnosis.add(
            Symptom::NonFinite,
            Severity::Warning,
            format!("{non_finite} transitions were dropped because a value was NaN or infinite"),
            places,
            "a division by zero or the normalisation of a zero vector in the game, whose log names the feature",
        );
    }
    let (orphaned, places) = per_run(|run| run.account.orphaned_rewards);
    if orphaned > 0 {
        diagnosis.add(
            Symptom::OrphanedRewards,
            Severity::Note,
            format!("rewards were given at {orphaned} captures to players outside of any episode"),
            places,
            if players.are_of_joins(runs) {
                "players join at the end of a tick, so the rewards of the tick in which they are spawned follow no recorded \
                 observation, and no action has earned them: give the first reward a tick after the spawn"
            } else {
                "rewards after the end of an episode are in no transition: give them before `EndEpisode`, in the same tick, let \
                 them count to the last step with `EpisodeRules::reward_window`, or begin the next episode first (`BeginEpisode`)"
            },
        );
    }
    let (_, places) = per_run(|run| u64::from(run.ended.is_none()));
    if !places.is_empty() {
        diagnosis.add(
            Symptom::Unfinished,
            Severity::Note,
            format!("{} runs are not closed", places.len()),
            runs.iter().filter(|run| run.ended.is_none()).map(|run| format!("run {}", run.run)).collect(),
            "the game is still running, or its process died: then `experience recover` writes what its journal holds to shards, and \
             closes the run",
        );
    }
}

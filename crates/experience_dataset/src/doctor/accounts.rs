//! Checks the accounts of the runs: what was lost, refused or not finished.

use super::{Diagnosis, Severity, Symptom};
use crate::RunAccount;

/// Adds the findings in the accounts of the runs.
pub(super) fn check(runs: &[RunAccount], diagnosis: &mut Diagnosis) {
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
            format!("{refused} players were not recorded, because another player had their agent id"),
            places,
            "the game gives one id to two players at a time, or its ids are hashed to too few bits: give each player its own `AgentId`",
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
            "rewards after the end of an episode are in no transition; give them before `EndEpisode`, in the same tick",
        );
    }
    let (_, places) = per_run(|run| u64::from(run.ended.is_none()));
    if !places.is_empty() {
        diagnosis.add(
            Symptom::Unfinished,
            Severity::Note,
            format!("{} runs are not closed", places.len()),
            runs.iter().filter(|run| run.ended.is_none()).map(|run| format!("run {}", run.run)).collect(),
            "a process that died lost its open episodes and the shard that it was writing; `.with_shard_age(…)` bounds that",
        );
    }
}

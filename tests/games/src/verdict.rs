//! Comparison of the recorded rows with the log of the game.

use crate::{Log, log::Step, rows};
use bevy::app::AppExit;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

/// Steps that a player may take before it joins, which a capture does.
const BEFORE_JOINING: usize = 2;

/// Steps at the end that a game with rollback may not have confirmed.
const UNCONFIRMED: usize = 8;

/// Compares each recorded row with the step of the log at its place. With rollback, the last steps may be missing. Prints how many there are and are right, and what differs first.
pub fn compare(log: &Log, has_rollback: bool) -> AppExit {
    let mut recorded: BTreeMap<i64, Vec<(Step, i64)>> = BTreeMap::new();
    let mut episodes = rows().episodes();
    episodes.sort_by_key(|episode| episode.info().episode_id);
    for episode in &episodes {
        let steps = recorded.entry(episode.info().agent_id).or_default();
        steps.extend(episode.transitions().map(|transition| {
            // An episode that is open at the end of the process is none that the game ended.
            let is_end = transition.is_last()
                && transition
                    .end_reason()
                    .is_some_and(|reason| reason.as_str() != "shutdown");
            let step = Step {
                state: transition.observation().to_vec(),
                action: transition.action().map(|value| value as f32).collect(),
                reward: transition.reward(),
                next_state: transition.next_observation().to_vec(),
                end: is_end.then(|| transition.terminated()),
            };
            (step, transition.tick())
        }));
    }
    let (mut total, mut right) = (0, 0);
    let mut is_complete = log.players().count() == recorded.len();
    for ((player, expected), (agent, steps)) in log.players().zip(&recorded) {
        let unconfirmed = if has_rollback { UNCONFIRMED } else { 0 };
        let Some(missing) = expected
            .len()
            .checked_sub(steps.len())
            .filter(|&missing| missing <= BEFORE_JOINING + unconfirmed)
        else {
            println!(
                "player {player} took {} steps, and agent {agent} has {} rows",
                expected.len(),
                steps.len()
            );
            is_complete = false;
            continue;
        };
        let count_right = |&skipped: &usize| {
            let pairs = steps.iter().zip(&expected[skipped..]);
            pairs.filter(|((step, _), expected)| step == *expected).count()
        };
        let first = missing.saturating_sub(unconfirmed);
        let skipped = (first..=missing.min(BEFORE_JOINING))
            .max_by_key(count_right)
            .unwrap_or(first);
        let mut differs = false;
        for ((step, tick), expected) in steps.iter().zip(&expected[skipped..]) {
            total += 1;
            if step == expected {
                right += 1;
            } else if !differs {
                differs = true;
                println!("agent {agent}, tick {tick}:\n  the row {step:?}\n  the log {expected:?}");
            }
        }
    }
    print!("{total} rows, {right} right, {} episodes", episodes.len());
    if log.mispredicted > 0 {
        print!(", {} frames mispredicted", log.mispredicted);
    }
    println!();
    if let Some(path) = std::env::var_os("GAMES_ROWS")
        && let Err(error) = write_rows(path.as_ref(), &recorded)
    {
        println!("the rows cannot be written: {error}");
        return AppExit::error();
    }
    if is_complete && total > 0 && total == right {
        AppExit::Success
    } else {
        AppExit::error()
    }
}

/// Writes the rows, one a line, of all agents in turn, so that two recordings of one game can be compared as far as both go.
fn write_rows(path: &Path, recorded: &BTreeMap<i64, Vec<(Step, i64)>>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for index in 0..recorded.values().map(Vec::len).max().unwrap_or_default() {
        for (agent, steps) in recorded {
            if let Some((step, tick)) = steps.get(index) {
                writeln!(file, "agent {agent}, tick {tick}: {step:?}")?;
            }
        }
    }
    file.flush()
}

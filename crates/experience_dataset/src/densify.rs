//! Fills in skipped ticks.

use super::{
    Dataset, DatasetError, Progress, RecordingData,
    make::{Maker, rewrite, write_account},
    progress::Meter,
};
use experience_core::transition::{Episode, StepHeader};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};

/// How ticks are filled in; see [`densify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DensifySettings {
    /// Spreads a reward evenly over the ticks that it was summed over. Otherwise it goes to the last of them, where it came
    /// with what changed.
    pub spread_rewards: bool,
    /// An episode that would have more transitions is refused: it comes from a damaged file, or from a player who stood for
    /// hours.
    pub max_steps: u64,
}

impl Default for DensifySettings {
    fn default() -> Self {
        Self {
            spread_rewards: false,
            max_steps: 1 << 20,
        }
    }
}

/// A recording whose skipped ticks were filled in; see [`densify`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Densified {
    /// The recording's folder.
    pub recording: String,
    /// The transitions that it had.
    pub before: u64,
    /// The transitions that it has.
    pub after: u64,
}

/// Makes a dataset in which every transition lasts one tick, in the folder `to`, which comes into being when all of it is
/// written.
///
/// A transition of n ticks becomes n transitions: the observation, the mask, the action and its info stay what they were, and
/// the last of them leads to what the transition led to. That is what happened where rows were written when something changed.
/// Where a decision was taken every n ticks, what was seen in between was never recorded. Time between two rows is divided
/// evenly. `watch` is told how far it is.
///
/// # Errors
/// When the dataset is damaged, when an episode would become too long, or when `to` cannot be written.
pub fn densify(
    dataset: &Dataset,
    to: &Path,
    settings: DensifySettings,
    watch: &mut dyn FnMut(Progress),
) -> Result<Vec<Densified>, DatasetError> {
    let mut total: u64 = 0;
    for recording in dataset.recordings() {
        total = total.saturating_add(recording.transitions()?);
    }
    let maker = Maker::begin(to)?;
    let mut meter = Meter::new(total, watch);
    let mut done = Vec::new();
    for recording in dataset.recordings() {
        let folder = maker.recording(recording.schema())?;
        done.push(densify_recording(recording, &folder, settings, &mut meter)?);
    }
    maker.finish()?;
    Ok(done)
}

fn densify_recording(
    recording: &RecordingData,
    folder: &Path,
    settings: DensifySettings,
    meter: &mut Meter,
) -> Result<Densified, DatasetError> {
    let mut done = Densified {
        recording: recording.folder_name().to_owned(),
        before: 0,
        after: 0,
    };
    // What was added, by run and by agent.
    let mut added: BTreeMap<(i64, i64), u64> = BTreeMap::new();
    let mut shards = rewrite(recording, folder, recording.schema(), meter, |episode| {
        let dense = dense(episode, settings).map_err(|reason| DatasetError::write(recording.path(), reason))?;
        let info = episode.info();
        done.before += episode.len() as u64;
        done.after += dense.len() as u64;
        *added.entry((info.run.get(), info.agent_id)).or_default() += (dense.len() - episode.len()) as u64;
        Ok(dense)
    })?;
    for mut account in recording.runs()? {
        let run = account.run.get();
        for ((_, agent), added) in added.range((run, i64::MIN)..=(run, i64::MAX)) {
            // Every one of them counts as recorded and exported, so that the account still closes.
            account.account.recorded += added;
            account.account.exported += added;
            if let Some(totals) = account.account.agents.get_mut(agent) {
                totals.transitions += added;
            }
        }
        account.shards = shards.remove(&account.run).unwrap_or_default();
        write_account(folder, &account)?;
    }
    Ok(done)
}

/// The episode with a transition for each tick.
fn dense(episode: &Episode, settings: DensifySettings) -> Result<Episode, String> {
    let steps = episode
        .transitions()
        .map(|transition| u64::from(transition.ticks()).max(1));
    let steps = steps.fold(0, u64::saturating_add);
    if steps > settings.max_steps {
        return Err(format!(
            "episode {} would have {steps} transitions, and {} are the most: allow more, or leave it out",
            episode.info().episode_id,
            settings.max_steps
        ));
    }
    let layout = episode.schema().layout();
    let words = layout.row_words();
    let mut rows = Vec::with_capacity((steps as usize + 1) * words);
    rows.extend_from_slice(&episode.rows()[..words]);
    for pair in episode.rows().windows(2 * words).step_by(words) {
        let (before, after) = pair.split_at(words);
        let (from, to) = (*StepHeader::of(before), *StepHeader::of(after));
        let ticks = to.ticks.max(1);
        for tick in 1..=ticks {
            let start = rows.len();
            rows.extend_from_slice(after);
            let row = &mut rows[start..];
            let share = Share {
                is_last: tick == ticks,
                ticks: f64::from(ticks),
                is_spread: settings.spread_rewards,
            };
            let terms: &mut [f32] =
                bytemuck::cast_slice_mut(&mut bytemuck::cast_slice_mut::<_, u8>(row)[layout.reward_terms()]);
            for term in terms {
                *term = share.of(f64::from(*term)) as f32;
            }
            let header = StepHeader::of_mut(row);
            header.reward = share.of(header.reward);
            header.ticks = to.ticks.min(1);
            if tick < ticks {
                header.tick = from.tick.saturating_add(i64::from(tick));
                header.timestamp =
                    from.timestamp + (to.timestamp - from.timestamp) * f64::from(tick) / f64::from(ticks);
                header.set_match_id(from.match_id());
                let seen = layout.observation().start..layout.mask().end;
                bytemuck::cast_slice_mut::<_, u8>(row)[seen.clone()]
                    .copy_from_slice(&bytemuck::cast_slice(before)[seen]);
            }
        }
    }
    let (outcome, reason) = (episode.outcome(), episode.reason().clone());
    Ok(Episode::new(
        episode.schema().clone(),
        *episode.info(),
        rows,
        outcome,
        reason,
    ))
}

/// Which part of a reward a tick gets.
struct Share {
    is_last: bool,
    ticks: f64,
    is_spread: bool,
}

impl Share {
    fn of(&self, reward: f64) -> f64 {
        match (self.is_spread, self.is_last) {
            (true, false) => reward / self.ticks,
            // What rounding left over comes last, so that the sum stays what it was.
            (true, true) => reward - reward / self.ticks * (self.ticks - 1.0),
            (false, true) => reward,
            (false, false) => 0.0,
        }
    }
}

//! Densifies a dataset: turns transitions of several ticks into transitions of one tick.

use super::{
    Dataset, DatasetError, Progress, RecordingData,
    dataset_builder::{DatasetBuilder, copy_tags, rewrite, save_account},
    progress::ProgressMeter,
};
use experience_core::transition::{Episode, StepHeader};
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};

/// Settings of [`densify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DensifySettings {
    /// Divides a reward evenly among the ticks of its transition. Otherwise the last of them gets all of it.
    pub spread_rewards: bool,
    /// The maximum number of transitions of a densified episode. A longer one is an error: it comes from a damaged file, or
    /// from a player that was idle for hours.
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

/// The result of [`densify`] for one recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Densified {
    /// The name of the recording's folder.
    pub recording: String,
    /// The number of transitions before.
    pub before: u64,
    /// The number of transitions after.
    pub after: u64,
}

/// Writes a dataset in which every transition lasts one tick to the folder `to`, which appears when it is complete.
///
/// A transition of n ticks becomes n transitions with the same observation, mask, action, controller and info; the last of them has the
/// transition's next observation. That is exact for recordings that write a row when something changes. For recordings with a
/// decision every n ticks, the observations in between were never recorded. Timestamps are interpolated linearly. `watch` is
/// called with the progress.
///
/// # Errors
/// If the dataset is damaged, if an episode would have more than [`DensifySettings::max_steps`] transitions, or if `to` is not
/// empty or cannot be written.
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
    let builder = DatasetBuilder::create(to, [])?;
    let mut meter = ProgressMeter::new(total, watch);
    let mut densified = Vec::new();
    for recording in dataset.recordings() {
        let folder = builder.recording(recording.schema())?;
        densified.push(densify_recording(recording, &folder, settings, &mut meter)?);
    }
    builder.finish()?;
    Ok(densified)
}

fn densify_recording(
    recording: &RecordingData,
    folder: &Path,
    settings: DensifySettings,
    meter: &mut ProgressMeter,
) -> Result<Densified, DatasetError> {
    let mut densified = Densified {
        recording: recording.folder_name().to_owned(),
        before: 0,
        after: 0,
    };
    // Added transitions, by run and agent.
    let mut added: BTreeMap<(i64, i64), u64> = BTreeMap::new();
    let mut shards = rewrite(recording, folder, recording.schema(), meter, |episode| {
        let dense =
            densify_episode(episode, settings).map_err(|reason| DatasetError::unsuitable(recording.path(), reason))?;
        let info = episode.info();
        densified.before += episode.len() as u64;
        densified.after += dense.len() as u64;
        *added.entry((info.run.get(), info.agent_id)).or_default() += (dense.len() - episode.len()) as u64;
        Ok(dense)
    })?;
    for mut account in recording.runs()? {
        let run = account.run.get();
        for ((_, agent), added) in added.range((run, i64::MIN)..=(run, i64::MAX)) {
            // Added transitions count as recorded and exported, so that the counts still add up.
            account.account.recorded += added;
            account.account.exported += added;
            if let Some(totals) = account.account.agents.get_mut(agent) {
                totals.transitions += added;
            }
        }
        account.shards = shards.remove(&account.run).unwrap_or_default();
        save_account(folder, &account)?;
        copy_tags(recording.path(), folder, account.run)?;
    }
    Ok(densified)
}

/// Returns the episode with a transition for each tick.
fn densify_episode(episode: &Episode, settings: DensifySettings) -> Result<Episode, String> {
    let steps = episode
        .transitions()
        .map(|transition| u64::from(transition.ticks()).max(1));
    let steps = steps.fold(0, u64::saturating_add);
    if steps > settings.max_steps {
        return Err(format!(
            "episode {} would have {steps} transitions, more than the maximum of {}; raise the maximum, or leave the episode out",
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
            let share = RewardShare {
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
                let observed = layout.observed();
                bytemuck::cast_slice_mut::<_, u8>(row)[observed.clone()]
                    .copy_from_slice(&bytemuck::cast_slice(before)[observed]);
            }
        }
    }
    let (outcome, reason) = (episode.outcome(), episode.reason().clone());
    let dense = Episode::new(episode.schema().clone(), *episode.info(), rows, outcome, reason);
    Ok(dense.with_controllers(episode.controllers().iter().cloned()))
}

/// The share of a transition's reward that one of its ticks gets.
struct RewardShare {
    is_last: bool,
    ticks: f64,
    is_spread: bool,
}

impl RewardShare {
    fn of(&self, reward: f64) -> f64 {
        match (self.is_spread, self.is_last) {
            (true, false) => reward / self.ticks,
            // The last tick gets the rounding error, so that the sum is unchanged.
            (true, true) => reward - reward / self.ticks * (self.ticks - 1.0),
            (false, true) => reward,
            (false, false) => 0.0,
        }
    }
}

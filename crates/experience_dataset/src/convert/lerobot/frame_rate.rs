//! The frame rate of a recording, from the duration of its transitions, its timestamps and the tick rates of its runs.

use crate::{DatasetError, RecordingData, nominal_clock::NominalClock};
use experience_core::transition::Episode;
use experience_core::transition::RunId;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::Path,
};

/// The relative difference of an episode's own frame rate from the requested one, up to which its times count as the same.
const TOLERANCE: f64 = 0.05;

/// Frames per second: `requested`, or as the accounts of the runs say.
///
/// # Errors
/// If transitions differ in duration, or `requested` is 0 or the frame rate of no episode. If it is `None`: if the runs with
/// episodes have no common tick rate, an episode's timestamps follow another, or the rate is not an integer.
pub(super) fn frames_per_second(
    recording: &RecordingData,
    requested: Option<u32>,
    to: &Path,
) -> Result<u32, DatasetError> {
    let refused = |reason: String| Err(DatasetError::write(to, reason));
    if requested == Some(0) {
        return refused("`fps` is 0; choose a positive number".to_owned());
    }
    let accounts = recording.runs()?;
    let mut rates: BTreeMap<RunId, Option<f64>> = BTreeMap::new();
    let mut common = None;
    let mut longest_last = None;
    let mut rate_of_an_episode = None;
    let mut fits = false;
    for episode in recording.episodes() {
        let episode = episode?;
        let info = episode.info();
        for transition in episode.transitions() {
            let ticks = transition.ticks();
            // The last transition of an episode may be shorter.
            if transition.is_last() {
                longest_last = longest_last.max(Some(ticks));
            } else if *common.get_or_insert(ticks) != ticks {
                return refused(format!(
                    "episode {} has a transition of {ticks} ticks and another of {}, and LeRobot requires a fixed frame rate: \
                     convert the recording with `densify` first",
                    info.episode_id,
                    common.unwrap_or(ticks)
                ));
            }
        }
        if let Some(requested) = requested {
            if let Some(rate) = own_rate(&episode) {
                rate_of_an_episode.get_or_insert((info.episode_id, rate));
                fits |= is_close(rate, requested);
            }
            continue;
        }
        let rate = match rates.entry(info.run) {
            Entry::Occupied(rate) => *rate.get(),
            Entry::Vacant(entry) => {
                let account = accounts.iter().find(|account| account.run == info.run);
                *entry.insert(account.and_then(|account| account.tick_rate))
            }
        };
        if let Some(rate) = rate
            && let Some(deviation) = NominalClock::new(rate).deviation(&episode)
        {
            return refused(format!(
                "episode {} has {:.6} seconds per tick at step {}, and its run {} has {rate} ticks per second, so the times of its \
                 frames would be wrong: the timestep changed in mid-run; choose the frames per second with `fps` to write the \
                 times of that rate",
                info.episode_id, deviation.seconds_per_tick, deviation.step, info.run
            ));
        }
    }
    let Some(ticks) = common.or(longest_last).map(|ticks| ticks.max(1)) else {
        return refused("the recording has no episode".to_owned());
    };
    match (requested, rate_of_an_episode) {
        (Some(fps), Some((episode, rate))) if !fits => refused(format!(
            "no episode has {fps} frames per second: episode {episode} has {rate:.2} by its timestamps, so a second of it would last \
             {:.2} seconds. Leave `fps` out, or name the rate of the timestamps; frames are not resampled, so for fewer of them \
             record with a decision interval",
            rate / f64::from(fps)
        )),
        (Some(fps), _) => Ok(fps),
        (None, _) => common_rate(&rates, ticks).map_err(|reason| DatasetError::write(to, reason)),
    }
}

/// Mean frames per second of an episode by its timestamps. `None` for one of a single transition, whose duration is not known.
fn own_rate(episode: &Episode) -> Option<f64> {
    let (first, last) = (episode.transitions().next()?, episode.transitions().last()?);
    let frames = last.step() - first.step();
    let rate = frames as f64 / (last.timestamp() - first.timestamp());
    (frames > 0 && rate.is_finite() && rate > 0.0).then_some(rate)
}

/// Whether `fps` is `rate`, within the tolerance, or rounded to an integer.
fn is_close(rate: f64, fps: u32) -> bool {
    let difference = (rate - f64::from(fps)).abs();
    difference <= 0.5 || difference <= TOLERANCE * rate
}

fn common_rate(rates: &BTreeMap<RunId, Option<f64>>, ticks: u32) -> Result<u32, String> {
    let mut common: Option<(RunId, f64)> = None;
    for (run, rate) in rates {
        let rate = rate.ok_or_else(|| {
            format!(
                "run {run} has no tick rate in its account, because it has none, its captures are not at fixed ticks, or the game \
                 changed the timestep: choose the frames per second with `fps`"
            )
        })?;
        match common {
            Some((other, common)) if common != rate => {
                return Err(format!(
                    "run {other} has {common} ticks per second, and run {run} has {rate}, so the runs have no common tick rate: \
                     choose the frames per second with `fps`"
                ));
            }
            _ => common = Some((*run, rate)),
        }
    }
    match common.map(|(_, rate)| rate / f64::from(ticks)) {
        Some(fps) if fps >= 1.0 && (fps - fps.round()).abs() < 1e-6 && fps < 1e6 => Ok(fps.round() as u32),
        fps => Err(format!(
            "it has {} frames per second, and LeRobot requires an integer: choose one with `fps`",
            fps.unwrap_or(0.0)
        )),
    }
}

//! Profiles the values of a recording: moments and bounds of every column, classes of discrete actions, controllers, returns and
//! lengths of episodes.

mod classes;
mod controllers;
mod sample;

pub(crate) use classes::class_of;
pub use classes::{ActionClasses, ClassCount};
pub use controllers::ControllerProfile;
pub use sample::FeatureSample;

use super::{
    DatasetError, Progress, RecordingData, image_histogram::ImageHistogram, progress::ProgressMeter, summary::Moments,
};
use experience_core::{
    schema::{Column, Schema},
    transition::{Episode, values},
};
use serde::Serialize;

/// The values of a recording; see [`RecordingData::profile`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Profile {
    /// Each feature of the observation, over the T observations of every episode in which an action was taken: the rows of the
    /// column `observation`.
    pub observation: Vec<ValueProfile>,
    /// Each feature, over the final observations, one per episode.
    pub final_observation: Vec<ValueProfile>,
    /// Each channel of each image, over all pixels of the observations in which an action was taken.
    pub images: Vec<ValueProfile>,
    /// Each value of the action.
    pub action: Vec<ValueProfile>,
    /// How often each alternative of each discrete action was chosen.
    pub action_classes: Vec<ActionClasses>,
    /// What each controller did, in the order in which they first acted.
    pub controllers: Vec<ControllerProfile>,
    /// Each value of the info columns.
    pub info: Vec<ValueProfile>,
    /// The reward of a transition.
    pub reward: ValueProfile,
    /// Each term of the reward.
    pub reward_terms: Vec<ValueProfile>,
    /// The sum of each episode's rewards, in the order of the episodes.
    pub returns: Vec<f64>,
    /// The number of transitions of each episode, in the same order.
    pub lengths: Vec<u64>,
    /// The agent of each episode, in the same order.
    #[serde(skip)]
    pub agents: Vec<i64>,
    /// The index in `controllers` of what chose all actions of each episode, in the same order; `None` if there were several.
    #[serde(skip)]
    pub episode_controllers: Vec<Option<usize>>,
    /// Observations in which an action was taken.
    #[serde(skip)]
    pub sample: FeatureSample,
}

/// Statistics of one value of a row, over all rows. Non-finite numbers are counted, and excluded from the other fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ValueProfile {
    /// The name of the value: `transform.translation.x`, `board[1][3]`.
    pub name: String,
    /// The number of finite values.
    pub count: u64,
    /// The number of NaN and infinite values.
    pub non_finite: u64,
    /// The minimum; 0 if there is no finite value.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the population.
    pub deviation: f64,
    /// The maximum.
    pub max: f64,
    /// The sum of squared distances from the mean, updated by Welford's method.
    #[serde(skip)]
    squares: f64,
}

impl ValueProfile {
    fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    pub(super) fn of_moments(name: impl Into<String>, moments: &Moments) -> Self {
        Self {
            name: name.into(),
            count: moments.count,
            non_finite: moments.non_finite,
            min: moments.min,
            mean: moments.mean,
            deviation: (moments.squares / moments.count.max(1) as f64).sqrt(),
            max: moments.max,
            squares: moments.squares,
        }
    }

    /// The profile of bytes, given how often each of them occurs.
    pub(super) fn of_bytes(name: impl Into<String>, counts: &[u64; 256]) -> Self {
        let values = || (0_u8..=255).map(f64::from).zip(counts).filter(|(_, count)| **count > 0);
        let count = counts.iter().sum::<u64>();
        let mean = values().map(|(value, count)| value * *count as f64).sum::<f64>() / count.max(1) as f64;
        let squares: f64 = values()
            .map(|(value, count)| (value - mean).powi(2) * *count as f64)
            .sum();
        Self {
            name: name.into(),
            count,
            non_finite: 0,
            min: values().next().map_or(0.0, |(value, _)| value),
            mean,
            deviation: (squares / count.max(1) as f64).sqrt(),
            max: values().next_back().map_or(0.0, |(value, _)| value),
            squares,
        }
    }

    /// The profile of the values of both.
    pub(super) fn merged(&self, other: &Self) -> Self {
        let mut moments = self.moments();
        moments.merge(&other.moments());
        Self::of_moments(self.name.clone(), &moments)
    }

    fn moments(&self) -> Moments {
        Moments {
            count: self.count,
            non_finite: self.non_finite,
            min: self.min,
            max: self.max,
            mean: self.mean,
            squares: self.squares,
            is_binary: false,
        }
    }

    /// Whether all values are finite and equal.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.count > 0 && self.non_finite == 0 && self.min == self.max
    }

    /// Adds a value (Welford 1962, "Note on a method for calculating corrected sums of squares and products").
    pub(super) fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.non_finite += 1;
            return;
        }
        (self.min, self.max) = match self.count {
            0 => (value, value),
            _ => (self.min.min(value), self.max.max(value)),
        };
        self.count += 1;
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (value - self.mean);
        self.deviation = (self.squares / self.count as f64).max(0.0).sqrt();
    }
}

impl Profile {
    pub(super) fn new(schema: &Schema) -> Self {
        let named = |columns: &[Column]| {
            columns
                .iter()
                .flat_map(Column::element_names)
                .map(ValueProfile::new)
                .collect()
        };
        Self {
            observation: named(schema.observation()),
            final_observation: named(schema.observation()),
            images: Vec::new(),
            info: named(schema.info()),
            action: named(schema.action()),
            action_classes: ActionClasses::of_schema(schema),
            controllers: Vec::new(),
            sample: FeatureSample::new(schema.observation_width()),
            reward: ValueProfile::new("reward"),
            reward_terms: schema.reward_terms().iter().map(ValueProfile::new).collect(),
            returns: Vec::new(),
            lengths: Vec::new(),
            agents: Vec::new(),
            episode_controllers: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, episode: &Episode) {
        let last = episode.row(episode.len()).observation();
        for (feature, value) in self.final_observation.iter_mut().zip(last) {
            feature.add(f64::from(*value));
        }
        let mut total = 0.0;
        for transition in episode.transitions() {
            for (feature, value) in self.observation.iter_mut().zip(transition.observation()) {
                feature.add(f64::from(*value));
            }
            let columns = transition.episode().schema().info().iter().enumerate();
            let infos = columns.flat_map(|(index, column)| values(column.dtype, transition.after().info_bytes(index)));
            for (info, value) in self.info.iter_mut().zip(infos) {
                info.add(value);
            }
            for (part, value) in self.action.iter_mut().zip(transition.action()) {
                part.add(value);
            }
            ActionClasses::add(&mut self.action_classes, transition);
            self.sample.add(transition.observation());
            for (term, value) in self.reward_terms.iter_mut().zip(transition.reward_terms()) {
                term.add(f64::from(*value));
            }
            self.reward.add(transition.reward());
            total += transition.reward();
        }
        self.returns.push(total);
        self.lengths.push(episode.len() as u64);
        self.agents.push(episode.info().agent_id);
        let controller = controllers::add(&mut self.controllers, episode);
        self.episode_controllers.push(controller);
    }
}

pub(super) fn profile(recording: &RecordingData, watch: &mut dyn FnMut(Progress)) -> Result<Profile, DatasetError> {
    let mut meter = ProgressMeter::new(recording.transitions()?, watch);
    if meter.is_empty() {
        // Without a shard that confirms it, a damaged `experience.json` could name columns of any width.
        return Ok(Profile::default());
    }
    let schema = recording.schema();
    let mut profile = Profile::new(schema);
    let mut histograms: Vec<_> = schema.images().iter().map(ImageHistogram::new).collect();
    for episode in recording.episodes() {
        let episode = episode?;
        profile.add(&episode);
        for transition in episode.transitions() {
            for (index, histogram) in histograms.iter_mut().enumerate() {
                histogram.add(transition.image(index));
            }
        }
        meter.add(episode.len());
    }
    profile.images = histograms.iter().flat_map(ImageHistogram::profiles).collect();
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_of_the_finite_values() {
        let mut profile = ValueProfile::new("x");
        assert!(!profile.is_constant());
        for value in [2.0, f64::NAN, 4.0, 4.0, f64::INFINITY, 4.0, 5.0, 5.0, 7.0, 9.0] {
            profile.add(value);
        }
        assert_eq!((profile.count, profile.non_finite), (8, 2));
        assert_eq!((profile.min, profile.max), (2.0, 9.0));
        assert!(
            (profile.mean - 5.0).abs() < 1e-12 && (profile.deviation - 2.0).abs() < 1e-12,
            "{profile:?}"
        );
    }

    #[test]
    fn merged_statistics_are_those_of_all_values() {
        let of = |values: &[f64]| {
            let mut profile = ValueProfile::new("x");
            values.iter().for_each(|value| profile.add(*value));
            profile
        };
        let all = [2.0, 4.0, 4.0, f64::NAN, 4.0, 5.0, 5.0, 7.0, 9.0];
        for at in 0..=all.len() {
            let merged = of(&all[..at]).merged(&of(&all[at..]));
            assert_eq!((merged.count, merged.non_finite), (8, 1));
            assert_eq!((merged.min, merged.max), (2.0, 9.0));
            assert!((merged.mean - 5.0).abs() < 1e-12 && (merged.deviation - 2.0).abs() < 1e-12);
        }
    }
}

//! Statistics of one recording, updated once per frame from the new rows of its buffers.

mod distribution;
mod episode;

pub(super) use distribution::{FeatureRange, SampleWindow, WINDOW_LEN};

use super::InspectorSettings;
use bevy_experience::buffer::PlayerBuffers;
use bevy_experience::plugin::{PlayerState, RecordingProgress};
use bevy_experience::{schema::Schema, transition::StepBytes};
use core::time::Duration;
use episode::EpisodeTracker;
use std::collections::{HashMap, VecDeque};
use web_time::Instant;

/// Statistics of one recording since the inspector was first drawn.
#[derive(Default)]
pub(super) struct RecordingMetrics {
    /// By agent id.
    trackers: HashMap<i64, EpisodeTracker>,
    /// Calls of [`update`](Self::update).
    updates: u64,
    pub(super) distributions: Distributions,
    /// When transitions were counted, and how many had been recorded, over the last seconds.
    recorded_counts: VecDeque<(Instant, u64)>,
    dropped: u64,
    /// When the count of dropped transitions last rose.
    last_drop: Option<Instant>,
}

/// Value distributions over all players.
#[derive(Default)]
pub(super) struct Distributions {
    /// One per observation feature.
    pub(super) features: Vec<FeatureRange>,
    /// One per action value.
    pub(super) actions: Vec<SampleWindow>,
    /// Transitions of each complete episode.
    pub(super) lengths: SampleWindow,
    /// The sum of rewards of each complete episode.
    pub(super) returns: SampleWindow,
    /// Observations that were read.
    pub(super) observations: u64,
}

impl RecordingMetrics {
    /// Reads the rows that are new in the players' buffers. It reads no further buffers once
    /// [`InspectorSettings::rows_per_frame`] rows were read; they are read in later updates.
    pub(super) fn update(
        &mut self,
        schema: &Schema,
        buffers: &PlayerBuffers,
        players: &[PlayerState],
        progress: RecordingProgress,
        settings: &InspectorSettings,
    ) {
        self.updates += 1;
        self.update_counters(progress);
        let mut rows_left = settings.rows_per_frame.max(1);
        self.distributions
            .features
            .resize(schema.observation_width(), FeatureRange::default());
        self.distributions
            .actions
            .resize_with(schema.action_width(), SampleWindow::default);
        for player in players {
            let tracker = self.trackers.entry(player.agent_id).or_default();
            tracker.last_update = self.updates;
            let Some(stats) = player.buffer else { continue };
            if stats.added < tracker.added {
                // The agent left and joined again with a new buffer.
                *tracker = EpisodeTracker::default();
                tracker.last_update = self.updates;
            }
            let new_rows = usize::try_from(stats.added - tracker.added).unwrap_or(usize::MAX);
            let new_rows = new_rows.min(stats.capacity);
            if new_rows == 0 || rows_left == 0 {
                continue;
            }
            rows_left = rows_left.saturating_sub(new_rows);
            tracker.added = stats.added;
            if let Some(buffer) = buffers.get(player.agent_id) {
                let distributions = &mut self.distributions;
                buffer.peek_newest(new_rows, &mut |row| tracker.read_row(schema, row, distributions));
            }
        }
        let updates = self.updates;
        self.trackers.retain(|_, tracker| tracker.last_update == updates);
    }

    /// The sum of the rewards that were read of a player's open episode, and whether every row of the episode was read.
    pub(super) fn total_reward(&self, player: &PlayerState) -> (f64, bool) {
        match self.trackers.get(&player.agent_id) {
            Some(tracker) if player.episode_id.is_some() => (tracker.total_reward, tracker.is_complete),
            _ => (0.0, player.episode_id.is_none()),
        }
    }

    /// Clears the distributions, but not the totals of open episodes.
    pub(super) fn reset_distributions(&mut self) {
        self.distributions = Distributions::default();
    }

    fn update_counters(&mut self, progress: RecordingProgress) {
        /// The time over which the rate is averaged.
        const RATE_WINDOW: Duration = Duration::from_secs(2);
        let now = Instant::now();
        self.recorded_counts.push_back((now, progress.recorded));
        while self
            .recorded_counts
            .get(1)
            .is_some_and(|&(then, _)| now.duration_since(then) > RATE_WINDOW)
        {
            self.recorded_counts.pop_front();
        }
        // At the first update the count includes all drops so far, which are not recent.
        if progress.dropped > self.dropped && self.updates > 1 {
            self.last_drop = Some(now);
        }
        self.dropped = progress.dropped;
    }

    /// Transitions recorded per second, averaged over the last seconds.
    pub(super) fn transitions_per_second(&self) -> f64 {
        let (Some(&(then, before)), Some(&(now, after))) = (self.recorded_counts.front(), self.recorded_counts.back())
        else {
            return 0.0;
        };
        let seconds = now.duration_since(then).as_secs_f64();
        if seconds > 0.0 {
            after.saturating_sub(before) as f64 / seconds
        } else {
            0.0
        }
    }

    /// Whether transitions were dropped within the last seconds.
    pub(super) fn drops_are_rising(&self) -> bool {
        /// How long after a drop the warning is shown.
        const WARNING_TIME: Duration = Duration::from_secs(3);
        self.last_drop
            .is_some_and(|last_drop| last_drop.elapsed() < WARNING_TIME)
    }
}

impl Distributions {
    fn add_observation(&mut self, step: StepBytes<'_>) {
        self.observations += 1;
        for (range, &value) in self.features.iter_mut().zip(step.observation()) {
            range.add(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy_ecs::entity::Entity;
    use bevy_experience::buffer::{BufferSettings, Writer};
    use bevy_experience::{
        schema::{Column, DType, Space},
        transition::{Outcome, RunId, StepHeader, StepKind},
    };

    fn schema() -> Schema {
        Schema::new("test")
            .with_observation([Column::feature("x"), Column::feature("constant")])
            .with_action([Column::scalar(
                "a",
                DType::I64,
                Space::Discrete { n: 2, labels: vec![] },
            )])
    }

    /// One player's buffer and its writer, without an app.
    struct SinglePlayer {
        schema: Schema,
        buffers: PlayerBuffers,
        writer: Writer,
        ordinal: u32,
        episode: u32,
    }

    impl SinglePlayer {
        fn new(capacity: usize) -> Self {
            let schema = schema();
            let settings = BufferSettings {
                capacity,
                ..BufferSettings::default()
            };
            let buffers = PlayerBuffers::new(settings, schema.layout().row_words()).unwrap();
            let (writer, _) = buffers.open(7).unwrap();
            Self {
                schema,
                buffers,
                writer,
                ordinal: 0,
                episode: 0,
            }
        }

        fn push(&mut self, kind: StepKind, reward: f64, outcome: Option<Outcome>) {
            self.ordinal += u32::from(kind == StepKind::Transition);
            self.episode += u32::from(kind == StepKind::Begin);
            let mut row = vec![0; self.schema.layout().row_words()];
            let header = StepHeader::of_mut(&mut row);
            header.set_kind(kind);
            header.ordinal = self.ordinal;
            header.episode = self.episode;
            header.reward = reward;
            header.set_outcome(outcome, 1);
            let start = self.schema.layout().observation().start / 4;
            bytemuck::cast_slice_mut::<_, f32>(&mut row)[start] = self.ordinal as f32;
            self.writer.push(&row).unwrap();
        }

        /// Updates the metrics and returns the total reward of the open episode.
        fn update(&self, metrics: &mut RecordingMetrics, settings: &InspectorSettings) -> (f64, bool) {
            let player = PlayerState {
                agent_id: 7,
                entity: Entity::PLACEHOLDER,
                episode_id: Some(RunId::from_bits(1).episode_id(self.episode)),
                steps: 0,
                is_recorded: true,
                is_excluded: false,
                buffer: Some(self.buffers.get(7).unwrap().stats()),
                last_end: None,
            };
            let players = [player];
            metrics.update(
                &self.schema,
                &self.buffers,
                &players,
                RecordingProgress::default(),
                settings,
            );
            metrics.total_reward(&players[0])
        }
    }

    #[test]
    fn each_row_is_counted_once_in_any_number_of_updates() {
        let (mut player, mut metrics) = (SinglePlayer::new(64), RecordingMetrics::default());
        let settings = InspectorSettings::default();
        player.push(StepKind::Begin, 0.0, None);
        for _ in 0..3 {
            player.push(StepKind::Transition, 2.0, None);
            player.update(&mut metrics, &settings);
            player.update(&mut metrics, &settings);
        }
        assert_eq!(player.update(&mut metrics, &settings), (6.0, true));
        player.push(StepKind::Transition, 1.0, Some(Outcome::Terminated));
        player.push(StepKind::Begin, 0.0, None);
        assert_eq!(player.update(&mut metrics, &settings), (0.0, true));
        let distributions = &metrics.distributions;
        assert_eq!(distributions.observations, 6);
        assert_eq!(
            (distributions.lengths.len(), distributions.lengths.range()),
            (1, Some((4.0, 4.0)))
        );
        assert_eq!(distributions.returns.range(), Some((7.0, 7.0)));
        assert!(distributions.features[1].is_constant() && !distributions.features[0].is_constant());
        assert_eq!(distributions.actions[0].len(), 4);
    }

    #[test]
    fn an_episode_whose_first_rows_were_overwritten_is_incomplete() {
        let (mut player, mut metrics) = (SinglePlayer::new(4), RecordingMetrics::default());
        let settings = InspectorSettings::default();
        player.push(StepKind::Begin, 0.0, None);
        for _ in 0..10 {
            player.push(StepKind::Transition, 1.0, None);
        }
        let (total, is_complete) = player.update(&mut metrics, &settings);
        assert!(!is_complete && total < 10.0, "{total}");
        player.push(StepKind::Transition, 1.0, Some(Outcome::Truncated));
        player.update(&mut metrics, &settings);
        assert_eq!(metrics.distributions.lengths.len(), 0);
    }

    #[test]
    fn a_limit_below_the_new_rows_of_one_buffer_still_reads_all_of_them() {
        let settings = InspectorSettings {
            rows_per_frame: 1,
            ..InspectorSettings::default()
        };
        let (mut player, mut metrics) = (SinglePlayer::new(64), RecordingMetrics::default());
        player.push(StepKind::Begin, 0.0, None);
        player.push(StepKind::Transition, 1.0, None);
        assert_eq!(player.update(&mut metrics, &settings), (1.0, true));
    }
}

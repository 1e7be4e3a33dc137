//! What was seen of a recording's steps since the inspector was opened, in a few numbers.

mod sums;

pub(super) use sums::{FeatureSum, Samples};

use super::InspectorSettings;
use bevy_experience::buffer::PlayerBuffers;
use bevy_experience::plugin::{PlayerState, RecordingProgress};
use bevy_experience::{
    schema::Schema,
    transition::{StepBytes, StepHeader, StepKind},
};
use core::time::Duration;
use std::{collections::HashMap, time::Instant};

/// What was seen of one player.
#[derive(Default)]
struct Track {
    /// Rows that the buffer had been given when it was last looked at.
    added: u64,
    episode: u32,
    ordinal: u32,
    steps: u32,
    total_reward: f64,
    /// All of the episode was seen.
    is_whole: bool,
    /// The look at all players at which it was last among them.
    seen: u64,
}

/// What was seen of a recording.
#[derive(Default)]
pub(super) struct Watch {
    tracks: HashMap<i64, Track>,
    looks: u64,
    pub(super) sums: Sums,
    /// When transitions were counted, and how many there were.
    counts: std::collections::VecDeque<(Instant, u64)>,
    dropped: u64,
    rose: Option<Instant>,
}

/// Sums over all players.
#[derive(Default)]
pub(super) struct Sums {
    /// Of observations, by feature.
    pub(super) features: Vec<FeatureSum>,
    /// Of actions, by value.
    pub(super) actions: Vec<Samples>,
    pub(super) lengths: Samples,
    pub(super) returns: Samples,
    /// Observations that were looked at.
    pub(super) observations: u64,
}

impl Watch {
    /// Looks at what is new in the buffers, at no more rows than the settings allow: of a crowd that is met for the first time the
    /// rest waits for the next frames.
    pub(super) fn look(
        &mut self,
        schema: &Schema,
        buffers: &PlayerBuffers,
        players: &[PlayerState],
        progress: RecordingProgress,
        settings: &InspectorSettings,
    ) {
        self.looks += 1;
        self.count(progress);
        let mut left = settings.rows_a_frame.max(1);
        self.sums
            .features
            .resize(schema.observation_width(), FeatureSum::default());
        self.sums.actions.resize_with(schema.action_width(), Samples::default);
        for player in players {
            let track = self.tracks.entry(player.agent_id).or_default();
            track.seen = self.looks;
            let Some(stats) = player.buffer else { continue };
            if stats.added < track.added {
                // It left and came back.
                *track = Track {
                    seen: self.looks,
                    ..Track::default()
                };
            }
            let new = usize::try_from(stats.added - track.added).unwrap_or(usize::MAX);
            let new = new.min(stats.capacity);
            if new == 0 || left == 0 {
                continue;
            }
            left = left.saturating_sub(new);
            track.added = stats.added;
            if let Some(buffer) = buffers.get(player.agent_id) {
                let sums = &mut self.sums;
                buffer.peek_newest(new, &mut |row| track.take(schema, row, sums));
            }
        }
        let looks = self.looks;
        self.tracks.retain(|_, track| track.seen == looks);
    }

    /// The sum of the rewards that were seen of a player's open episode, and whether these are all.
    pub(super) fn total_reward(&self, player: &PlayerState) -> (f64, bool) {
        match self.tracks.get(&player.agent_id) {
            Some(track) if player.episode_id.is_some() => (track.total_reward, track.is_whole),
            _ => (0.0, player.episode_id.is_none()),
        }
    }

    /// Forgets what distributions were made of.
    pub(super) fn forget(&mut self) {
        self.sums = Sums::default();
    }

    fn count(&mut self, progress: RecordingProgress) {
        /// How long back the rate goes.
        const WINDOW: Duration = Duration::from_secs(2);
        let now = Instant::now();
        self.counts.push_back((now, progress.recorded));
        while self
            .counts
            .get(1)
            .is_some_and(|&(then, _)| now.duration_since(then) > WINDOW)
        {
            self.counts.pop_front();
        }
        // What was dropped before anybody looked did not just rise.
        if progress.dropped > self.dropped && self.looks > 1 {
            self.rose = Some(now);
        }
        self.dropped = progress.dropped;
    }

    /// Transitions a second, over the last seconds.
    pub(super) fn rate(&self) -> f64 {
        let (Some(&(then, before)), Some(&(now, after))) = (self.counts.front(), self.counts.back()) else {
            return 0.0;
        };
        let seconds = now.duration_since(then).as_secs_f64();
        if seconds > 0.0 {
            after.saturating_sub(before) as f64 / seconds
        } else {
            0.0
        }
    }

    /// Whether transitions were dropped a moment ago.
    pub(super) fn drops_rise(&self) -> bool {
        /// How long a rise is shown.
        const SHOWN: Duration = Duration::from_secs(3);
        self.rose.is_some_and(|rose| rose.elapsed() < SHOWN)
    }
}

impl Track {
    fn take(&mut self, schema: &Schema, row: &[u64], sums: &mut Sums) {
        let header = StepHeader::of(row);
        let step = StepBytes::new(schema, row);
        let passed = header.ordinal.wrapping_sub(self.ordinal);
        self.ordinal = header.ordinal;
        match header.kind() {
            StepKind::Begin => {
                self.episode = header.episode;
                self.steps = 0;
                self.total_reward = 0.0;
                self.is_whole = true;
                sums.observe(step);
            }
            StepKind::Transition => {
                self.meet(header, passed == 1);
                self.steps += 1;
                self.total_reward += header.reward;
                sums.observe(step);
                for (samples, value) in sums.actions.iter_mut().zip(step.action()) {
                    samples.add(value);
                }
                self.end(header, sums);
            }
            StepKind::End => {
                self.meet(header, passed == 0);
                self.total_reward += header.reward;
                self.end(header, sums);
            }
            StepKind::Discard => self.is_whole = false,
        }
    }

    /// A row of an episode whose beginning, or a row between, was not seen is not all there is of it.
    fn meet(&mut self, header: &StepHeader, follows: bool) {
        if header.episode != self.episode {
            *self = Self {
                episode: header.episode,
                steps: 0,
                total_reward: 0.0,
                is_whole: false,
                ..*self
            };
        }
        self.is_whole &= follows;
    }

    fn end(&mut self, header: &StepHeader, sums: &mut Sums) {
        if header.outcome().is_some() && self.is_whole && self.steps > 0 {
            sums.lengths.add(f64::from(self.steps));
            sums.returns.add(self.total_reward);
        }
    }
}

impl Sums {
    fn observe(&mut self, step: StepBytes<'_>) {
        self.observations += 1;
        for (sum, &value) in self.features.iter_mut().zip(step.observation()) {
            sum.add(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy_ecs::entity::Entity;
    use bevy_experience::buffer::BufferSettings;
    use bevy_experience::{
        schema::{Column, DType, Space},
        transition::{Outcome, RunId},
    };

    fn schema() -> Schema {
        Schema::new("test")
            .with_observation([Column::feature("x"), Column::feature("still")])
            .with_action([Column::scalar(
                "a",
                DType::I64,
                Space::Discrete { n: 2, labels: vec![] },
            )])
    }

    /// A player with a buffer, and who pushes to it.
    struct Game {
        schema: Schema,
        buffers: PlayerBuffers,
        writer: bevy_experience::buffer::Writer,
        ordinal: u32,
        episode: u32,
    }

    impl Game {
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

        fn look(&self, watch: &mut Watch, settings: &InspectorSettings) -> (f64, bool) {
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
            watch.look(
                &self.schema,
                &self.buffers,
                &players,
                RecordingProgress::default(),
                settings,
            );
            watch.total_reward(&players[0])
        }
    }

    #[test]
    fn each_row_is_summed_once_however_often_it_is_looked_at() {
        let (mut game, mut watch, settings) = (Game::new(64), Watch::default(), InspectorSettings::default());
        game.push(StepKind::Begin, 0.0, None);
        for _ in 0..3 {
            game.push(StepKind::Transition, 2.0, None);
            game.look(&mut watch, &settings);
            game.look(&mut watch, &settings);
        }
        assert_eq!(game.look(&mut watch, &settings), (6.0, true));
        game.push(StepKind::Transition, 1.0, Some(Outcome::Terminated));
        game.push(StepKind::Begin, 0.0, None);
        assert_eq!(game.look(&mut watch, &settings), (0.0, true));
        assert_eq!(watch.sums.observations, 6);
        assert_eq!(
            (watch.sums.lengths.len(), watch.sums.lengths.range()),
            (1, Some((4.0, 4.0)))
        );
        assert_eq!(watch.sums.returns.range(), Some((7.0, 7.0)));
        assert!(watch.sums.features[1].is_constant() && !watch.sums.features[0].is_constant());
        assert_eq!(watch.sums.actions[0].len(), 4);
    }

    #[test]
    fn an_episode_whose_beginning_is_gone_is_not_taken_for_a_whole_one() {
        let (mut game, mut watch, settings) = (Game::new(4), Watch::default(), InspectorSettings::default());
        game.push(StepKind::Begin, 0.0, None);
        for _ in 0..10 {
            game.push(StepKind::Transition, 1.0, None);
        }
        let (total, is_whole) = game.look(&mut watch, &settings);
        assert!(!is_whole && total < 10.0, "{total}");
        game.push(StepKind::Transition, 1.0, Some(Outcome::Truncated));
        game.look(&mut watch, &settings);
        assert_eq!(watch.sums.lengths.len(), 0);
    }

    #[test]
    fn no_more_rows_are_looked_at_in_a_frame_than_allowed_and_the_rest_is_not_forgotten() {
        let settings = InspectorSettings {
            rows_a_frame: 1,
            ..InspectorSettings::default()
        };
        let (mut game, mut watch) = (Game::new(64), Watch::default());
        game.push(StepKind::Begin, 0.0, None);
        game.push(StepKind::Transition, 1.0, None);
        assert_eq!(game.look(&mut watch, &settings), (1.0, true));
    }
}

//! A game of one player, whose movement logs what it consumes.

use bevy_app::prelude::*;
use bevy_diagnostic::FrameCountPlugin;
use bevy_ecs::{
    prelude::*,
    schedule::{InternedScheduleLabel, ScheduleLabel},
};
use bevy_experience::{plugin::RecordingTiming, prelude::*, transition::Episode};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use core::time::Duration;

#[derive(Component)]
pub struct Walker;

#[derive(Component, Reflect, Clone, Copy, Debug)]
pub struct Position(pub f32);

#[derive(Component, Reflect, Clone, Copy, Debug)]
pub struct Intent {
    pub step: f32,
}

/// One step of the game: what the movement read, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    pub before: f32,
    pub action: f32,
    pub reward: f64,
    pub after: f32,
    pub ends: bool,
}

/// The steps so far.
#[derive(Resource, Default, Clone)]
pub struct GameLog(pub Vec<Step>);

impl GameLog {
    /// Takes a step from `position`, and logs it.
    pub fn step(&mut self, position: f32, action: f32) -> Step {
        let count = self.0.len() + 1;
        let step = Step {
            before: position,
            action,
            reward: f64::from(action) * 0.5 + 1.0,
            after: position + action,
            ends: count.is_multiple_of(17),
        };
        self.0.push(step);
        step
    }
}

/// The n-th input.
pub fn nth_input(n: u32) -> f32 {
    (n * 7 % 31) as f32 + 1.0
}

/// Writes another intent at each run.
pub fn input(mut walkers: Query<&mut Intent>, mut count: Local<u32>) {
    for mut intent in &mut walkers {
        *count += 1;
        intent.step = nth_input(*count);
    }
}

/// Consumes the intent.
pub fn walk(
    mut walkers: Query<(Entity, &Intent, &mut Position, &mut Reward)>,
    mut log: ResMut<GameLog>,
    mut commands: Commands,
) {
    for (walker, intent, mut position, mut reward) in &mut walkers {
        let step = log.step(position.0, intent.step);
        position.0 = step.after;
        reward.add("step", step.reward);
        if step.ends {
            commands.trigger(EndEpisode::terminated(walker, "goal"));
        }
    }
}

fn spawn(mut commands: Commands) {
    commands.spawn((Walker, Position(0.0), Intent { step: 0.0 }));
}

fn restart(ended: On<EpisodeEnded>, mut walkers: Query<&mut Position>) {
    if let Ok(mut position) = walkers.get_mut(ended.entity) {
        position.0 = 0.0;
    }
}

/// The recording as a new user declares it.
pub fn recording() -> Recording<Walker> {
    Recording::new("walker").observe::<Position>().act::<Intent>()
}

/// The schedules that are expected.
pub struct Expected {
    pub capture: InternedScheduleLabel,
    pub read: Option<InternedScheduleLabel>,
}

/// An app with time, and the plugin.
pub fn app() -> App {
    let mut app = App::new();
    app.add_plugins((
        TaskPoolPlugin::default(),
        FrameCountPlugin,
        TimePlugin,
        ExperiencePlugin::default(),
    ));
    app.init_resource::<GameLog>();
    app
}

/// Runs frames of `hertz` a second.
pub fn run(app: &mut App, hertz: u32, frames: u32) {
    app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_secs(1) / hertz));
    for _ in 0..frames {
        app.update();
    }
}

/// Ends all recording.
pub fn close(app: &mut App) {
    let mut experience = app.world_mut().resource_mut::<Experience>();
    assert!(experience.close(Duration::from_secs(30)));
}

/// The rows of a recording in the order in which they were captured.
pub fn rows(sink: &MemorySink) -> Vec<Step> {
    let mut episodes = sink.episodes();
    episodes.sort_by_key(|episode| episode.info().episode_id);
    let transitions = episodes.iter().flat_map(Episode::transitions);
    transitions
        .map(|transition| Step {
            before: transition.observation()[0],
            action: transition.action().next().unwrap() as f32,
            reward: transition.reward(),
            after: transition.next_observation()[0],
            ends: transition.terminated(),
        })
        .collect()
}

/// Asserts that the rows are the steps of the game, all but the one before the first capture.
#[track_caller]
pub fn assert_rows(case: &str, rows: &[Step], log: &[Step]) {
    assert!(log.len() > 60, "{case}: the game has only {} steps", log.len());
    assert_eq!(rows.len(), log.len() - 1, "{case}: rows and steps");
    let wrong = rows.iter().zip(&log[1..]).filter(|(row, step)| row != step);
    let wrong: Vec<_> = wrong.collect();
    assert!(
        wrong.is_empty(),
        "{case}: {} of {} rows are wrong: {:?}",
        wrong.len(),
        rows.len(),
        wrong[0]
    );
}

/// The steps before the first capture that can begin an episode. An action that is read after the ticks of a frame is not known
/// yet in the first frame with ticks: if it has two, the first episode begins at the second capture.
pub fn unrecorded(timing: &RecordingTiming, hertz: u32) -> usize {
    let is_read_after_ticks =
        timing.capture_after == FixedLast.intern() && timing.read_actions_after == Some(Update.intern());
    usize::from(is_read_after_ticks && hertz < 60)
}

/// Plays a game at several frame rates, and asserts that every row is right.
#[track_caller]
pub fn assert_every_row(case: &str, expected: &Expected, build: impl Fn(&mut App)) {
    for hertz in [30, 60, 64, 144] {
        let sink = MemorySink::default();
        let mut app = app();
        app.add_recording(recording().sink(sink.clone()))
            .add_systems(Startup, spawn)
            .add_observer(restart);
        build(&mut app);
        run(&mut app, hertz, 200);
        let timing = timing(&app);
        close(&mut app);
        let case = format!("{case} at {hertz} Hz ({timing})");
        assert_eq!(timing.capture_after, expected.capture, "{case}");
        assert_eq!(timing.read_actions_after, expected.read, "{case}");
        let log = &app.world().resource::<GameLog>().0;
        assert_rows(&case, &rows(&sink), &log[unrecorded(&timing, hertz)..]);
    }
}

/// The timing of the recording.
#[track_caller]
pub fn timing(app: &App) -> RecordingTiming {
    let experience = app.world().resource::<Experience>();
    experience.timing("walker").expect("the timing was chosen").clone()
}

//! A game of walkers, each of which logs every step that it takes.

use bevy_app::{PluginsState, prelude::*};
use bevy_diagnostic::FrameCountPlugin;
use bevy_ecs::{
    prelude::*,
    schedule::{InternedScheduleLabel, ScheduleLabel},
};
use bevy_experience::{plugin::RecordingTiming, prelude::*, transition::Episode};
use bevy_input::{ButtonState, InputPlugin, keyboard::KeyboardInput, prelude::*};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use core::time::Duration;

/// Where a walker is: the observation.
#[derive(Component, Reflect, Clone, Copy, Debug, Default)]
#[require(Wanted, GameLog)]
pub struct Place(pub f32);

/// What a walker does in its next step, for games that read the input and move in two systems.
#[derive(Component, Default)]
pub struct Wanted(pub Vec<f64>);

/// A step: where the walker was, what it did, and where it was then.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub before: f32,
    pub action: Vec<f64>,
    pub after: f32,
}

/// The steps of a walker so far.
#[derive(Component, Default, Clone)]
pub struct GameLog(pub Vec<Step>);

/// Takes a step, and logs it.
pub fn step(place: &mut Place, log: &mut GameLog, action: Vec<f64>) {
    let before = place.0;
    place.0 = moved(before, &action);
    log.0.push(Step {
        before,
        action,
        after: place.0,
    });
}

/// The place after a step. Each action leads to another.
pub fn moved(before: f32, action: &[f64]) -> f32 {
    let weighted = action
        .iter()
        .zip([1.0, 3.0, 9.0, 27.0, 81.0, 7.0, 5.0, 2.0, 11.0, 13.0]);
    let by: f64 = weighted.map(|(value, weight)| value * weight).sum();
    (before + by as f32 + 1.0).rem_euclid(1024.0)
}

/// Moves walkers by what they want.
pub fn walk(mut walkers: Query<(&Wanted, &mut Place, &mut GameLog)>) {
    for (wanted, mut place, mut log) in &mut walkers {
        step(&mut place, &mut log, wanted.0.clone());
    }
}

/// The recording of walkers, which an adapter adds its action to.
pub fn recording() -> Recording<Place> {
    Recording::new("walker").observe::<Place>()
}

/// A game with input devices, and the plugin.
pub fn app() -> App {
    let mut app = App::new();
    app.add_plugins((
        TaskPoolPlugin::default(),
        FrameCountPlugin,
        TimePlugin,
        InputPlugin,
        ExperiencePlugin::default(),
    ));
    app
}

/// Frames a second, below, near and above the 64 fixed ticks.
pub const FRAME_RATES: [u32; 4] = [30, 60, 64, 144];

/// Where a game moves.
#[derive(Clone, Copy, Debug)]
pub struct Schedules {
    /// Where it reads the input.
    pub read: InternedScheduleLabel,
    /// Where it moves.
    pub walk: InternedScheduleLabel,
    /// Where the recording must be captured.
    pub capture: InternedScheduleLabel,
}

/// The games in which a system that reads the input and one that moves run.
pub fn schedules() -> [Schedules; 4] {
    let schedules = |read: InternedScheduleLabel, walk: InternedScheduleLabel, capture: InternedScheduleLabel| {
        Schedules { read, walk, capture }
    };
    [
        schedules(Update.intern(), Update.intern(), Last.intern()),
        schedules(FixedUpdate.intern(), FixedUpdate.intern(), FixedLast.intern()),
        schedules(FixedUpdate.intern(), FixedPostUpdate.intern(), FixedLast.intern()),
        schedules(Update.intern(), FixedUpdate.intern(), FixedLast.intern()),
    ]
}

/// Plays frames of a game, before each of which the script runs, and ends all recording.
pub fn play(app: &mut App, hertz: u32, frames: u32, mut script: impl FnMut(&mut World, u32)) {
    app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_secs(1) / hertz));
    if app.plugins_state() != PluginsState::Cleaned {
        app.finish();
        app.cleanup();
    }
    for frame in 0..frames {
        script(app.world_mut(), frame);
        app.update();
    }
    let mut experience = app.world_mut().resource_mut::<Experience>();
    assert!(experience.close(Duration::from_secs(30)), "the exporter did not finish");
}

/// The timing of the recording.
#[track_caller]
pub fn timing(app: &App) -> RecordingTiming {
    let experience = app.world().resource::<Experience>();
    experience.timing("walker").expect("the timing was chosen").clone()
}

/// The rows of an agent, in the order of their capture.
pub fn rows(sink: &MemorySink, agent: i64) -> Vec<Step> {
    let mut episodes = sink.episodes();
    episodes.retain(|episode| episode.info().agent_id == agent);
    episodes.sort_by_key(|episode| episode.info().episode_id);
    let transitions = episodes.iter().flat_map(Episode::transitions);
    transitions
        .map(|transition| Step {
            before: transition.observation()[0],
            action: transition.action().collect(),
            after: transition.next_observation()[0],
        })
        .collect()
}

/// Asserts that the rows of a walker are its steps, all but those before the first capture.
#[track_caller]
pub fn assert_rows(case: &str, app: &mut App, sink: &MemorySink, agent: i64) -> Vec<Step> {
    let mut walkers = app.world_mut().query::<(&AgentId, &GameLog)>();
    let walkers = walkers.iter(app.world());
    let log = walkers
        .filter(|(id, _)| id.0 == agent)
        .map(|(_, log)| log.0.clone())
        .next()
        .expect("the walker is there");
    let rows = rows(sink, agent);
    assert!(log.len() > 100, "{case}: the game has only {} steps", log.len());
    // An action that is read after the ticks of a frame is not known yet in the first frame with ticks: if it has two, the first
    // episode begins at the second capture.
    let is_read_after_ticks =
        timing(app).capture_after == FixedLast.intern() && timing(app).read_actions_after == Some(Update.intern());
    let frame = app.world().resource::<TimeUpdateStrategy>();
    let has_two_ticks = matches!(frame, TimeUpdateStrategy::ManualDuration(frame) if frame.as_millis() >= 32);
    let unrecorded = if is_read_after_ticks && has_two_ticks { 2 } else { 1 };
    assert_eq!(
        rows.len(),
        log.len() - unrecorded,
        "{case}: rows and steps ({})",
        timing(app)
    );
    let pairs = rows.iter().zip(&log[unrecorded..]);
    let wrong: Vec<_> = pairs.filter(|(row, step)| row != step).collect();
    assert!(
        wrong.is_empty(),
        "{case} ({}): {} of {} rows are wrong, the first: {:?}",
        timing(app),
        wrong.len(),
        rows.len(),
        wrong[0]
    );
    for column in 0..rows[0].action.len() {
        let first = rows[0].action[column];
        let changes = rows.iter().any(|row| row.action[column] != first);
        assert!(changes, "{case}: the script does not change column {column}");
    }
    rows
}

/// Presses or releases a key, if it is not yet.
pub fn set_key(world: &mut World, key_code: KeyCode, is_pressed: bool) {
    if world.resource::<ButtonInput<KeyCode>>().pressed(key_code) == is_pressed {
        return;
    }
    world.write_message(KeyboardInput {
        key_code,
        logical_key: bevy_input::keyboard::Key::Unidentified(bevy_input::keyboard::NativeKey::Unidentified),
        state: if is_pressed {
            ButtonState::Pressed
        } else {
            ButtonState::Released
        },
        text: None,
        repeat: false,
        window: Entity::PLACEHOLDER,
    });
}

/// Whether a key is pressed in a frame: a pattern that differs with the key, from taps of one frame to longer holds.
pub fn is_pressed(frame: u32, key: u32) -> bool {
    let hold = key % 4 + 1;
    let hash = (frame / hold + 1)
        .wrapping_mul(2_654_435_761)
        .wrapping_add(key.wrapping_mul(40_503))
        >> 13;
    hash.is_multiple_of(3)
}

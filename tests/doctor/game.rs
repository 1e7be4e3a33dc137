//! A game of walkers in the plane, of which each test has its own systems.

use bevy_app::prelude::*;
use bevy_ecs::{
    prelude::*,
    schedule::{ScheduleLabel, Schedules, SingleThreadedExecutor},
};
use bevy_experience::{
    dataset::{Dataset, Diagnosis, Finding, Severity, Symptom},
    prelude::*,
    test_app::TestApp,
    transition::RunId,
};
use bevy_reflect::Reflect;
use bevy_time::{Fixed, Time, TimeUpdateStrategy};
use core::time::Duration;
use std::path::Path;

/// The marker.
#[derive(Component)]
pub struct Walker;

#[derive(Component, Reflect, Clone, Copy, Default)]
pub struct Place {
    pub x: f32,
    pub y: f32,
}

/// The action.
#[derive(Component, Reflect, Clone, Copy, Default, PartialEq)]
pub struct Intent {
    pub x: f32,
    pub y: f32,
}

/// When the keys of each axis change, in seconds.
#[derive(Component, Default)]
pub struct Keys([f32; 2]);

/// Steps of the player's episode so far.
#[derive(Component, Default)]
pub struct Age(pub u32);

#[derive(Resource)]
pub struct Random(u64);

impl Random {
    /// A number from 0 to 1.
    pub fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// A whole number from 0 to `n` - 1.
    pub fn below(&mut self, n: u32) -> u32 {
        (self.next() * n as f32) as u32
    }

    /// A number from -1 to 1.
    pub fn signed(&mut self) -> f32 {
        2.0 * self.next() - 1.0
    }
}

/// The rates of frames and of fixed ticks, per second.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    pub frames: u32,
    pub ticks: u32,
}

/// One fixed tick per frame.
pub const STEADY: Rates = Rates { frames: 60, ticks: 60 };

/// How long a game of walkers is played, in seconds.
const SECONDS: u32 = 40;

/// Plays and records a game of walkers, and diagnoses the dataset.
pub fn diagnose(
    rates: Rates,
    capture_after: impl ScheduleLabel,
    recording: Recording<Walker>,
    systems: impl FnOnce(&mut App),
) -> Diagnosis {
    rates.diagnose(SECONDS, recording.capture_after(capture_after), |app| {
        systems(app);
        spawn(app.world_mut());
    })
}

impl Rates {
    /// Plays and records a game for as many seconds, and diagnoses the dataset.
    pub fn diagnose<P: Component>(
        self,
        seconds: u32,
        recording: Recording<P>,
        game: impl FnOnce(&mut App),
    ) -> Diagnosis {
        let folder = tempfile::tempdir().unwrap();
        self.play(seconds, folder.path(), recording, game);
        let dataset = Dataset::open(folder.path()).unwrap();
        let recording = &dataset.recordings()[0];
        assert!(recording.validate(&mut |_| {}).unwrap().is_valid());
        recording.diagnose(&mut |_| {}).unwrap()
    }

    fn play<P: Component>(self, seconds: u32, folder: &Path, recording: Recording<P>, game: impl FnOnce(&mut App)) {
        let mut test = TestApp::with_plugin(ExperiencePlugin {
            run: Some(RunId::from_bits(1)),
            ..ExperiencePlugin::default()
        });
        test.insert_resource(Random(7))
            .insert_resource(Time::<Fixed>::from_hz(f64::from(self.ticks)))
            .insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_secs(1) / self.frames));
        // A test does not depend on the speed of the machine.
        let recording = recording.buffers(BufferSettings {
            overflow: Overflow::Block(Duration::from_secs(60)),
            ..BufferSettings::default()
        });
        test.record(recording.sink(DatasetSink::new(folder)));
        game(&mut test);
        // Systems of a few players: handing them to threads takes longer than running them.
        for (_, schedule) in test.world_mut().resource_mut::<Schedules>().iter_mut() {
            schedule.set_executor(SingleThreadedExecutor::new());
        }
        for _ in 0..self.frames * seconds {
            test.update();
        }
        test.finish();
        // The sinks are closed with the app.
        drop(test);
    }
}

/// Spawns a walker at a random place.
pub fn spawn(world: &mut World) -> Entity {
    let mut random = world.resource_mut::<Random>();
    let place = Place {
        x: 3.0 * random.signed(),
        y: 3.0 * random.signed(),
    };
    world
        .spawn((Walker, place, Intent::default(), Keys::default(), Age::default()))
        .id()
}

pub fn recording() -> Recording<Walker> {
    Recording::new("walker").observe::<Place>().act::<Intent>()
}

/// Holds keys for a while, each axis for itself.
pub fn press_keys(time: Res<Time>, mut players: Query<(&mut Intent, &mut Keys)>, mut random: ResMut<Random>) {
    for (mut intent, mut keys) in &mut players {
        let intent = &mut *intent;
        for (axis, left) in [&mut intent.x, &mut intent.y].into_iter().zip(&mut keys.0) {
            *left -= time.delta_secs();
            if *left <= 0.0 {
                *axis = (3.0 * random.next()).floor() - 1.0;
                *left = 0.05 + 0.4 * random.next();
            }
        }
    }
}

/// Pushes a stick to a new place in each call.
pub fn push_stick(mut players: Query<&mut Intent>, mut random: ResMut<Random>) {
    for mut intent in &mut players {
        *intent = Intent {
            x: random.signed(),
            y: random.signed(),
        };
    }
}

pub fn walk(time: Res<Time>, mut players: Query<(&Intent, &mut Place, &mut Reward, &mut Age)>) {
    for (intent, mut place, mut reward, mut age) in &mut players {
        let step = 5.0 * time.delta_secs();
        place.x += step * intent.x;
        place.y += step * intent.y;
        reward.add("progress", f64::from(step * intent.x));
        age.0 += 1;
    }
}

/// Ends the episode of each walker after 100 steps or more.
pub fn finish(players: Query<(Entity, &Age)>, mut commands: Commands, mut random: ResMut<Random>) {
    for (player, age) in &players {
        if age.0 >= 100 && random.next() < 0.1 {
            commands.trigger(EndEpisode::terminated(player, "goal"));
        }
    }
}

pub fn reset(ended: On<EpisodeEnded>, mut players: Query<(&mut Place, &mut Age)>, mut random: ResMut<Random>) {
    if let Ok((mut place, mut age)) = players.get_mut(ended.entity) {
        *place = Place {
            x: 3.0 * random.signed(),
            y: 3.0 * random.signed(),
        };
        age.0 = 0;
    }
}

/// The findings that are no notes.
pub fn problems(found: &Diagnosis) -> Vec<Symptom> {
    let severe = found
        .findings
        .iter()
        .filter(|finding| finding.severity != Severity::Note);
    severe.map(|finding| finding.symptom).collect()
}

/// The only problem, which has a symptom and names a remedy.
#[track_caller]
pub fn assert_only(found: &Diagnosis, symptom: Symptom, remedy: &str, game: &str) {
    assert_eq!(problems(found), [symptom], "{game}: {found:#?}");
    let finding = finding(found, symptom);
    assert!(
        finding.cause.contains(remedy),
        "{game}: `{remedy}` is not in {finding:#?}"
    );
}

#[track_caller]
pub fn assert_healthy(found: &Diagnosis, game: &str) {
    assert!(found.transitions > 1000 && found.episodes > 10, "{game}: {found:#?}");
    assert_eq!(problems(found), [], "{game}: {found:#?}");
}

#[track_caller]
pub fn finding(found: &Diagnosis, symptom: Symptom) -> &Finding {
    found
        .findings
        .iter()
        .find(|finding| finding.symptom == symptom)
        .unwrap_or_else(|| panic!("{symptom:?} is not in {found:#?}"))
}

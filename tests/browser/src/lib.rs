//! A small game that records. `run` compiles it for `wasm32-unknown-unknown`, plays it under Node.js, and compares the rows of a
//! `MemorySink` and a `ChannelSink` with those of the same game on this machine. Then it sets up what a browser lacks, one by one.

use bevy_app::{TaskPoolPlugin, prelude::*};
use bevy_ecs::prelude::*;
use bevy_experience::{
    export::ExportSettings,
    journal::JournalSettings,
    prelude::*,
    transition::{Episode, RunId},
};
use bevy_reflect::Reflect;
use bevy_time::{TimePlugin, TimeUpdateStrategy};
use core::{fmt::Write, time::Duration};

const UPDATES: usize = 300;

#[derive(Component)]
struct Walker {
    /// Ticks until the episode ends.
    left: u32,
    random: u32,
}

#[derive(Component, Reflect)]
struct Place {
    x: f32,
    y: f32,
}

/// The action.
#[derive(Component, Reflect)]
struct Move {
    turn: f32,
    dash: bool,
}

/// Plays the game and returns the rows that its sinks received, one per line.
#[cfg_attr(target_family = "wasm", wasm_bindgen::prelude::wasm_bindgen)]
#[must_use]
pub fn play() -> String {
    let episodes = MemorySink::default();
    let (channel, batches) = ChannelSink::bounded(1024);
    let mut app = game(ExperiencePlugin {
        run: Some(RunId::from_bits(7)),
        ..ExperiencePlugin::default()
    });
    app.add_recording(recording().sink(episodes.clone()).sink(channel))
        .add_systems(FixedUpdate, (decide, walk).chain())
        .add_observer(begin_again);
    for index in 1..4 {
        let walker = Walker {
            left: 10 * index,
            random: index,
        };
        app.world_mut()
            .spawn((walker, Place { x: 0.0, y: 0.0 }, Move { turn: 0.0, dash: false }));
    }
    let mut rows = Rows::default();
    let receive = |rows: &mut Rows| {
        for episode in episodes.take() {
            rows.memory.extend(lines(&episode));
        }
        for batch in batches.try_iter() {
            for row in 0..batch.num_rows() {
                let mut line = String::from("channel");
                for (field, column) in core::iter::zip(batch.schema().fields(), batch.slice(row, 1).columns()) {
                    // Arrays are printed over several lines.
                    let value = format!("{column:?}").split_whitespace().collect::<Vec<_>>().join(" ");
                    write!(line, " {}={value}", field.name()).expect("writing to a string does not fail");
                }
                rows.channel.push(line);
            }
        }
    };
    for _ in 0..UPDATES {
        app.update();
        receive(&mut rows);
    }
    let closed = app
        .world_mut()
        .resource_mut::<Experience>()
        .close(Duration::from_secs(10));
    assert!(closed, "a sink could not be closed");
    receive(&mut rows);
    rows.sorted()
}

/// Sets up what a browser lacks, which must be refused with an error that names what works there. Returns the error, or panics
/// with it. A plugin that is disabled accepts it, and plays a few frames.
#[cfg_attr(target_family = "wasm", wasm_bindgen::prelude::wasm_bindgen)]
#[must_use]
pub fn set_up(what: &str) -> String {
    report_panics();
    let mut export = ExportSettings::default();
    let mut recording = recording().sink(MemorySink::default());
    let enabled = what != "disabled";
    match what {
        "threads" | "disabled" => export.threads = true,
        "journal" => {
            export.journal = Some(JournalSettings {
                folder: Some("journals".into()),
                ..JournalSettings::default()
            });
        }
        "file" => {
            recording = recording.buffers(BufferSettings {
                memory: Memory::File("rings".into()),
                ..BufferSettings::default()
            });
        }
        _ => return format!("there is no case `{what}`"),
    }
    let mut app = game(ExperiencePlugin {
        enabled,
        export,
        ..ExperiencePlugin::default()
    });
    if let Err(error) = app.try_add_recording(recording) {
        return error.to_string();
    }
    (0..8).for_each(|_| app.update());
    "it was accepted, and has played".to_owned()
}

fn game(plugin: ExperiencePlugin) -> App {
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), TimePlugin, plugin))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1));
    app
}

fn recording() -> Recording<Walker> {
    Recording::new("walker")
        .observe::<Place>()
        .act::<Move>()
        .reward_terms(["progress"])
}

fn decide(mut walkers: Query<(&mut Walker, &mut Move)>) {
    for (mut walker, mut action) in &mut walkers {
        walker.random = walker.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        action.turn = (walker.random >> 24) as f32 / 128.0 - 1.0;
        action.dash = walker.random & (1 << 20) != 0;
    }
}

fn walk(mut walkers: Query<(Entity, &mut Walker, &mut Place, &Move, &mut Reward)>, mut commands: Commands) {
    for (entity, mut walker, mut place, action, mut reward) in &mut walkers {
        let speed = if action.dash { 2.0 } else { 1.0 };
        place.x += speed * action.turn;
        place.y += speed * (1.0 - action.turn * action.turn);
        reward.add("progress", f64::from(speed * action.turn));
        walker.left -= 1;
        if walker.left == 0 {
            commands.trigger(EndEpisode::terminated(entity, "goal"));
        }
    }
}

fn begin_again(ended: On<EpisodeEnded>, mut walkers: Query<(&mut Walker, &mut Place)>) {
    if let Ok((mut walker, mut place)) = walkers.get_mut(ended.entity) {
        walker.left = 5 + walker.random % 32;
        (place.x, place.y) = (0.0, 0.0);
    }
}

/// The rows that the sinks received, one per line.
#[derive(Default)]
struct Rows {
    memory: Vec<String>,
    channel: Vec<String>,
}

impl Rows {
    /// All rows. Natively the order in which episodes of one tick arrive depends on the threads.
    fn sorted(mut self) -> String {
        assert_eq!(self.memory.len(), self.channel.len(), "rows of the two sinks");
        self.memory.append(&mut self.channel);
        self.memory.sort();
        self.memory.iter().flat_map(|line| [line, "\n"]).collect()
    }
}

fn lines(episode: &Episode) -> impl Iterator<Item = String> {
    let info = *episode.info();
    episode.transitions().map(move |transition| {
        format!(
            "memory {info:?} step {} tick {} time {} observation {:?} action {:?} reward {} next {:?} {} {}",
            transition.step(),
            transition.tick(),
            transition.timestamp(),
            transition.observation(),
            transition.action().collect::<Vec<_>>(),
            transition.reward(),
            transition.next_observation(),
            transition.terminated(),
            transition.truncated(),
        )
    })
}

#[cfg(not(target_family = "wasm"))]
fn report_panics() {}

/// Prints panics, which abort a WebAssembly module without a word.
#[cfg(target_family = "wasm")]
fn report_panics() {
    #[wasm_bindgen::prelude::wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_namespace = console)]
        fn error(text: &str);
    }
    std::panic::set_hook(Box::new(|panic| error(&panic.to_string())));
}

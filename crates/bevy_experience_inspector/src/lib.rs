//! What is recorded, to look at while the game runs: a window of egui.
//!
//! ```no_run
//! # use bevy_app::prelude::*;
//! use bevy_experience::prelude::*;
//! use bevy_experience_inspector::ExperienceInspectorPlugin;
//!
//! App::new()
//!     // After `DefaultPlugins`, and after `EguiPlugin` where the game adds that itself.
//!     .add_plugins((ExperiencePlugin::default(), ExperienceInspectorPlugin::default()))
//!     .run();
//! ```
//! F9 opens it, unless told otherwise. A game with windows or docks of its own leaves the plugin out, or `toggle` unset, and calls
//! [`ui_for_experience`] where it likes.
//!
//! It reads counters and peeks at buffers, and what its buttons ask for is asked between ticks: it never holds up a tick. While
//! it is closed nothing of it runs but the question whether its key was pressed.

mod actions;
mod distributions;
mod header;
mod look;
mod player;
mod players;
mod schema;
mod settings;
mod snapshot;
mod table;
mod watch;

pub use settings::InspectorSettings;

use bevy_app::{App, Plugin, Update};
use bevy_ecs::{
    entity::Entity,
    observer::On,
    query::With,
    resource::Resource,
    schedule::{IntoScheduleConfigs, common_conditions::resource_exists},
    system::{Local, Res, ResMut},
    world::{Mut, World},
};
use bevy_egui::{EguiContext, EguiPlugin, EguiPrimaryContextPass, PrimaryEguiContext, egui};
use bevy_experience::plugin::{Experience, SinkFailed, SinkFailure};
use bevy_input::{ButtonInput, keyboard::KeyCode};
use bevy_window::WindowPlugin;
use snapshot::Snapshot;
use std::collections::HashMap;

/// Shows what is recorded in a window over the game.
///
/// It needs something that egui is drawn with, which is a camera of the game's: it spawns none. Where nothing ever draws it, it
/// says so once in the log. `EguiPlugin` is added if the app has windows and nobody added it before.
#[derive(Clone, Debug)]
pub struct ExperienceInspectorPlugin {
    /// The key that opens and closes it; F9 unless told. With `None` only [`ExperienceInspector::open`] does.
    pub toggle: Option<KeyCode>,
    /// Whether it is open from the start.
    pub open: bool,
}

impl Default for ExperienceInspectorPlugin {
    fn default() -> Self {
        Self {
            toggle: Some(KeyCode::F9),
            open: false,
        }
    }
}

impl Plugin for ExperienceInspectorPlugin {
    fn build(&self, app: &mut App) {
        // Without windows egui's own plugin would wait for messages that nobody sends.
        if app.is_plugin_added::<WindowPlugin>() && !app.is_plugin_added::<EguiPlugin>() {
            app.add_plugins(EguiPlugin::default());
        }
        settings::register_editors(app);
        app.insert_resource(ExperienceInspector {
            open: self.open,
            ..ExperienceInspector::default()
        })
        .register_type::<InspectorSettings>()
        .add_observer(note_failure)
        .add_systems(EguiPrimaryContextPass, show.run_if(is_open))
        .add_systems(Update, say_if_never_drawn.run_if(is_open));
        if let Some(key) = self.toggle {
            let toggle = move |keys: Res<ButtonInput<KeyCode>>, inspector: Option<ResMut<ExperienceInspector>>| {
                if let Some(mut inspector) = inspector
                    && keys.just_pressed(key)
                {
                    inspector.open = !inspector.open;
                }
            };
            app.add_systems(Update, toggle.run_if(resource_exists::<ButtonInput<KeyCode>>));
        }
    }
}

/// The parts of the inspector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tab {
    /// All players, to sort, search and select.
    #[default]
    Players,
    /// The selected player: its transitions, and what it got for them.
    Player,
    /// What actions, features, lengths and returns are like.
    Distributions,
    /// The columns that are recorded.
    Schema,
    /// How it is recorded, and how the inspector shows it.
    Settings,
}

impl Tab {
    /// All of them, as they stand in the window.
    pub const ALL: [Self; 5] = [
        Self::Players,
        Self::Player,
        Self::Distributions,
        Self::Schema,
        Self::Settings,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Players => "Players",
            Self::Player => "Player",
            Self::Distributions => "Distributions",
            Self::Schema => "Schema",
            Self::Settings => "Settings",
        }
    }
}

/// What the inspector shows.
#[derive(Resource, Default)]
pub struct ExperienceInspector {
    /// Whether its window is open.
    pub open: bool,
    /// The tab that is shown.
    pub tab: Tab,
    /// The recording that is shown; the first where it is `None`, or there is none of that name.
    pub recording: Option<String>,
    /// The agent id of the player that is selected.
    pub selected: Option<i64>,
    /// How things are shown.
    pub settings: InspectorSettings,
    players: players::View,
    player: player::View,
    /// What was seen of each recording's steps.
    watches: HashMap<String, watch::Watch>,
    /// What was last said about the sinks of each recording.
    failures: HashMap<(String, String), Failure>,
    /// What came of the last thing that was asked for.
    answer: Option<Result<String, String>>,
    drawn: bool,
}

/// What was last said about a sink.
struct Failure {
    error: String,
    consequence: SinkFailure,
    /// Episodes that it had taken by then, once somebody looked: if it takes more, it works again.
    episodes: Option<u64>,
}

fn is_open(inspector: Option<Res<ExperienceInspector>>) -> bool {
    inspector.is_some_and(|inspector| inspector.open)
}

fn note_failure(failed: On<SinkFailed>, inspector: Option<ResMut<ExperienceInspector>>) {
    let Some(mut inspector) = inspector else { return };
    let failure = Failure {
        error: failed.error.clone(),
        consequence: failed.consequence,
        episodes: None,
    };
    let sink = (failed.recording.clone(), failed.sink.clone());
    inspector.failures.insert(sink, failure);
}

/// Draws the window over what the primary context of egui belongs to.
fn show(world: &mut World) {
    let mut contexts = world.query_filtered::<&mut EguiContext, With<PrimaryEguiContext>>();
    let Ok(mut context) = contexts.single_mut(world) else {
        return;
    };
    let context = context.get_mut().clone();
    let mut open = true;
    egui::Window::new("Experience")
        .open(&mut open)
        .default_size([760.0, 560.0])
        .min_size([420.0, 240.0])
        .show(&context, |ui| ui_for_experience(world, ui));
    if !open && let Some(mut inspector) = world.get_resource_mut::<ExperienceInspector>() {
        inspector.open = false;
    }
}

/// Says once that the inspector is open and nothing draws it.
fn say_if_never_drawn(inspector: Res<ExperienceInspector>, mut updates: Local<u32>) {
    /// Updates until a camera that is just being set up should be there.
    const PATIENCE: u32 = 120;
    if inspector.drawn {
        return;
    }
    *updates = updates.saturating_add(1);
    if *updates == PATIENCE {
        tracing::warn!(
            "the experience inspector is open, and nothing draws it: it needs `EguiPlugin` and a camera of the game's, or a call \
             of `ui_for_experience`"
        );
    }
}

/// Shows what is recorded, in any `ui`: for games with windows or docks of their own.
///
/// It needs no [`ExperienceInspectorPlugin`]. Without [`ExperiencePlugin`](bevy_experience::plugin::ExperiencePlugin), a recording or a
/// player it says what is missing.
pub fn ui_for_experience(world: &mut World, ui: &mut egui::Ui) {
    world.init_resource::<ExperienceInspector>();
    world.resource_scope(|world, mut inspector: Mut<ExperienceInspector>| {
        inspector.drawn = true;
        inspector.show(world, ui);
    });
}

impl ExperienceInspector {
    fn show(&mut self, world: &mut World, ui: &mut egui::Ui) {
        let Some(experience) = world.get_resource::<Experience>() else {
            look::empty(ui, "Nothing is recorded", "Add `ExperiencePlugin` to the app.");
            return;
        };
        let names: Vec<String> = experience.recordings().map(str::to_owned).collect();
        let Some(first) = names.first() else {
            look::empty(
                ui,
                "There is no recording",
                "Say what is to be recorded with `App::add_recording`.",
            );
            return;
        };
        let shown = self.recording.clone().filter(|name| names.contains(name));
        let name = shown.unwrap_or_else(|| first.clone());
        let watch = self.watches.entry(name.clone()).or_default();
        let Some(snapshot) = Snapshot::take(experience, &name, watch, &self.settings) else {
            return;
        };
        self.look_after_failures(&snapshot);
        let mut actions = Vec::new();
        self.header(ui, &names, &snapshot, &mut actions);
        ui.separator();
        self.tabs(ui);
        ui.separator();
        match self.tab {
            Tab::Players => self.players_tab(ui, &snapshot),
            Tab::Player => self.player_tab(world, ui, &snapshot, &mut actions),
            Tab::Distributions => self.distributions_tab(ui, &snapshot),
            Tab::Schema => schema::show(ui, &snapshot.schema),
            Tab::Settings => self.settings_tab(world, ui, &snapshot),
        }
        self.act(world, &name, actions);
    }

    fn tabs(&mut self, ui: &mut egui::Ui) {
        ui.horizontal(|ui| {
            for tab in Tab::ALL {
                ui.selectable_value(&mut self.tab, tab, tab.title());
            }
            match &self.answer {
                Some(Ok(said)) => ui.weak(said),
                Some(Err(said)) => ui.colored_label(look::alarm(ui), said),
                None => return,
            };
        });
    }

    /// A sink that takes episodes again has recovered.
    fn look_after_failures(&mut self, snapshot: &Snapshot) {
        for sink in &snapshot.sinks {
            let key = (snapshot.name.clone(), sink.sink.clone());
            let Some(failure) = self.failures.get_mut(&key) else {
                continue;
            };
            match failure.episodes {
                None => failure.episodes = Some(sink.episodes),
                Some(episodes) if sink.episodes > episodes && failure.consequence != SinkFailure::Retired => {
                    self.failures.remove(&key);
                }
                Some(_) => {}
            }
        }
    }

    /// Selects a player, and shows it.
    fn select(&mut self, agent_id: i64) {
        self.selected = Some(agent_id);
        self.player = player::View::default();
        self.tab = Tab::Player;
    }

    /// The entity of the player that is selected, for a world inspector to follow.
    #[must_use]
    pub fn selected_entity(&self, experience: &Experience) -> Option<Entity> {
        let shown = self.recording.as_deref();
        let name = shown.or_else(|| experience.recordings().next())?;
        let mut players = experience.players(name);
        players
            .find(|player| Some(player.agent_id) == self.selected)
            .map(|player| player.entity)
    }
}

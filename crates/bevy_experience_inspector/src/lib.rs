//! Egui inspector for [`bevy_experience`]: a panel that shows the state of recordings while the game runs, and controls
//! them.
//!
//! ```no_run
//! # use bevy_app::prelude::*;
//! use bevy_experience::prelude::*;
//! use bevy_experience_inspector::ExperienceInspectorPlugin;
//!
//! App::new()
//!     // After `DefaultPlugins`, and after `EguiPlugin` if the game adds it.
//!     .add_plugins((ExperiencePlugins, ExperienceInspectorPlugin::default()))
//!     .run();
//! ```
//! To configure the inspector together with the other plugins, add it to the group
//! [`ExperiencePlugins`](bevy_experience::plugin_group::ExperiencePlugins):
//!
//! ```no_run
//! # use bevy_app::prelude::*;
//! use bevy_experience::prelude::*;
//! use bevy_experience_inspector::ExperienceInspectorPlugin;
//!
//! App::new()
//!     .add_plugins(
//!         ExperiencePlugins
//!             .set(ExperiencePlugin { handle_sigterm: true, ..Default::default() })
//!             .add(ExperienceInspectorPlugin { open: true, ..Default::default() }),
//!     )
//!     .run();
//! ```
//! The inspector does not depend on the order in which it and `ExperiencePlugin` are added.
//!
//! The plugin draws a floating window, which F9 opens and closes by default. A game with its own windows or docks calls
//! [`ui_for_experience`] in any [`egui::Ui`] instead, without the plugin or with
//! [`toggle`](ExperienceInspectorPlugin::toggle) set to `None`.
//!
//! The panel reads counters and copies rows out of buffers without draining them, and its buttons take effect between
//! ticks, so it never blocks a capture. While the window is closed, only the system that reads the key runs, and no decision of a
//! policy is kept.

mod commands;
mod distributions;
mod format;
mod handover;
mod metrics;
mod player;
mod players;
mod plugin;
mod policies;
mod replays;
mod schema;
mod settings;
mod snapshot;
mod status_bar;
mod style;
mod table;

pub use plugin::ExperienceInspectorPlugin;
pub use settings::InspectorSettings;

use bevy_ecs::{
    entity::Entity,
    resource::Resource,
    world::{Mut, World},
};
use bevy_egui::egui;
use bevy_experience::{
    player::Controller,
    plugin::{Experience, SinkFailure},
};
use snapshot::RecordingSnapshot;
use std::collections::HashMap;

/// The tabs of the inspector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tab {
    /// A table of all players, which can be sorted and searched. A click on a row selects the player.
    #[default]
    Players,
    /// The selected player: its buffered transitions and images, the decisions of its policy, and plots of its rewards, returns and
    /// features.
    Player,
    /// Histograms of actions, episode lengths and returns, and the value range of each feature.
    Distributions,
    /// The entities that replay recorded episodes, with play, pause, seek and speed.
    Replays,
    /// The columns of the recording's schema.
    Schema,
    /// Export settings, buffer settings, and those of the inspector.
    Settings,
}

impl Tab {
    /// All tabs, from left to right.
    pub const ALL: [Self; 6] = [
        Self::Players,
        Self::Player,
        Self::Distributions,
        Self::Replays,
        Self::Schema,
        Self::Settings,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Players => "Players",
            Self::Player => "Player",
            Self::Distributions => "Distributions",
            Self::Replays => "Replays",
            Self::Schema => "Schema",
            Self::Settings => "Settings",
        }
    }
}

/// The state of the inspector: selection, settings and collected statistics.
#[derive(Resource, Default)]
pub struct ExperienceInspector {
    /// Whether the plugin's window is open. [`ui_for_experience`] does not read it.
    pub open: bool,
    /// The selected tab.
    pub tab: Tab,
    /// The name of the recording that is shown. If this is `None` or not the name of a recording, the first
    /// recording is shown.
    pub recording: Option<String>,
    /// The agent id of the selected player.
    pub selected: Option<i64>,
    /// Settings of the inspector itself.
    pub settings: InspectorSettings,
    players_tab: players::PlayersTab,
    player_tab: player::PlayerTab,
    /// Statistics by recording name.
    metrics: HashMap<String, metrics::RecordingMetrics>,
    /// The last failure of each failed sink that has not recovered, by recording name and sink description.
    sink_failures: HashMap<(String, String), ReportedSinkFailure>,
    /// The last failure of each policy that has not recovered, by the names of recording and policy.
    policy_failures: HashMap<(String, String), policies::ReportedPolicyFailure>,
    /// Handovers that wait for a capture.
    handovers: Vec<handover::PendingHandover>,
    /// What the component `Controller` said of players that a person took over.
    predecessors: HashMap<Entity, Controller>,
    /// The result of the last command, shown in the tab bar.
    last_result: Option<Result<String, String>>,
    was_drawn: bool,
}

/// The last [`SinkFailed`] of a sink.
struct ReportedSinkFailure {
    error: String,
    consequence: SinkFailure,
    /// Episodes that the sink had accepted when the failure was first shown. A larger count means that it has
    /// recovered.
    accepted_episodes: Option<u64>,
}

/// Draws the inspector in `ui`, for games with their own windows or docks.
///
/// Works without [`ExperienceInspectorPlugin`]: the [`ExperienceInspector`] resource is inserted on the first call, and
/// the settings are then shown read-only. Without [`ExperiencePlugin`](bevy_experience::plugin::ExperiencePlugin), a
/// recording or a player, the panel names what is missing.
pub fn ui_for_experience(world: &mut World, ui: &mut egui::Ui) {
    world.init_resource::<ExperienceInspector>();
    world.resource_scope(|world, mut inspector: Mut<ExperienceInspector>| {
        inspector.was_drawn = true;
        let visuals = ui.visuals().clone();
        style::set_contrast(ui);
        inspector.draw(world, ui);
        *ui.visuals_mut() = visuals;
    });
}

impl ExperienceInspector {
    fn draw(&mut self, world: &mut World, ui: &mut egui::Ui) {
        let Some(experience) = world.get_resource::<Experience>() else {
            style::placeholder(ui, "Not recording", "Add `ExperiencePlugin` to the app.");
            return;
        };
        let names: Vec<String> = experience.recordings().map(str::to_owned).collect();
        let Some(first) = names.first() else {
            style::placeholder(ui, "No recordings", "Add one with `App::add_recording`.");
            return;
        };
        let chosen = self.recording.clone().filter(|name| names.contains(name));
        let name = chosen.unwrap_or_else(|| first.clone());
        let metrics = self.metrics.entry(name.clone()).or_default();
        let Some(snapshot) = RecordingSnapshot::new(world, experience, &name, metrics, &self.settings) else {
            return;
        };
        self.clear_recovered_sinks(&snapshot);
        self.clear_recovered_policies(&snapshot);
        let mut commands = Vec::new();
        self.draw_status_bar(ui, &names, &snapshot, &mut commands);
        ui.separator();
        self.draw_tab_bar(ui);
        ui.separator();
        match self.tab {
            Tab::Players => self.draw_players_tab(ui, &snapshot),
            Tab::Player => self.draw_player_tab(world, ui, &snapshot, &mut commands),
            Tab::Distributions => self.draw_distributions_tab(ui, &snapshot),
            Tab::Replays => replays::draw_replays_tab(world, ui),
            Tab::Schema => schema::draw_schema_tab(ui, &snapshot.schema),
            Tab::Settings => self.draw_settings_tab(world, ui, &snapshot),
        }
        self.run_commands(world, &name, commands);
    }

    fn draw_tab_bar(&mut self, ui: &mut egui::Ui) {
        ui.horizontal(|ui| {
            for tab in Tab::ALL {
                ui.selectable_value(&mut self.tab, tab, tab.title());
            }
            match &self.last_result {
                Some(Ok(message)) => ui.weak(message),
                Some(Err(message)) => ui.colored_label(style::error_color(ui), message),
                None => return,
            };
        });
    }

    /// Removes the failure of each sink that has accepted episodes since the failure was first shown.
    fn clear_recovered_sinks(&mut self, snapshot: &RecordingSnapshot) {
        for sink in &snapshot.sinks {
            let key = (snapshot.name.clone(), sink.sink.clone());
            let Some(failure) = self.sink_failures.get_mut(&key) else {
                continue;
            };
            match failure.accepted_episodes {
                None => failure.accepted_episodes = Some(sink.episodes),
                Some(episodes) if sink.episodes > episodes && failure.consequence != SinkFailure::Retired => {
                    self.sink_failures.remove(&key);
                }
                Some(_) => {}
            }
        }
    }

    /// Selects a player and switches to its tab.
    fn select(&mut self, agent_id: i64) {
        self.selected = Some(agent_id);
        self.player_tab = player::PlayerTab::default();
        self.tab = Tab::Player;
    }

    /// The entity of the selected player, for example to show it in a world inspector. `None` if no player is selected,
    /// or it is not in the recording that is shown.
    #[must_use]
    pub fn selected_entity(&self, experience: &Experience) -> Option<Entity> {
        let chosen = self.recording.as_deref();
        let name = chosen.or_else(|| experience.recordings().next())?;
        let mut players = experience.players(name);
        players
            .find(|player| Some(player.agent_id) == self.selected)
            .map(|player| player.entity)
    }
}

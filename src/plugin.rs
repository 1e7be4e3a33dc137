//! The Bevy plugin: schedules, system sets, observers and the resource [`Experience`].

mod acting;
mod capture_check;
mod capture_point;
mod controllers;
mod decisions;
mod environment;
mod events;
mod experience;
mod exporting;
mod final_observations;
mod given_rewards;
mod live;
mod observers;
mod pause;
mod players;
mod refs;
mod restoring;
mod rewards;
mod schedules;
mod signal;
mod speculative;
mod state;
mod systems;
mod tick_clock;
mod timing;

pub(crate) use given_rewards::TeamPlan;

pub use environment::EnvironmentReset;
pub use events::{GapDetected, SinkFailed, SinkFailure};
pub use experience::{Experience, RecordingProgress, SinkProgress};
pub use live::LiveSettings;
pub use pause::PauseReason;
pub use players::{LastEnd, PlayerError, PlayerState};
pub use refs::{PlayerRef, RecordingId, RecordingRef};
pub use schedules::{ExperienceAct, ExperienceCapture, ExperienceReadActions, ExperienceSystems, ExperienceTick};
pub use speculative::SpeculativeTicks;
pub use timing::RecordingTiming;

use crate::{
    player::{AgentId, Controller, DoNotRecord, Reward},
    policy::{Policy, PolicySetupError},
    recording::{BuildContext, BuiltRecording, GivenTiming, Recording, SetupError},
};
use bevy_app::{App, Plugin};
use bevy_ecs::{
    component::{Component, RequiredComponentsError},
    world::World,
};
use bevy_platform::cell::SyncCell;
use capture_point::point_of;
use core::any::{TypeId, type_name};
use experience_core::transition::RunId;
use experience_export::ExportSettings;
use schedules::Loop;
use state::RecordingSlot;
use std::{path::Path, thread};
use timing::ChangeWatch;

/// Records the players of [recordings](Recording) as reinforcement-learning transitions.
///
/// ```
/// # use bevy_app::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # let mut app = App::new();
/// app.add_plugins(ExperiencePlugin::default());
/// ```
///
/// Add recordings with [`ExperienceAppExt::add_recording`], after the plugin. [`ExperiencePlugins`](crate::plugin_group::ExperiencePlugins) also adds
/// diagnostics.
#[derive(Clone, Debug)]
pub struct ExperiencePlugin {
    /// Whether to record. A disabled plugin has the same effect on the game as an enabled one: the same components,
    /// observers and resources, and [`EpisodeEnded`](crate::episode::EpisodeEnded) at the same moments.
    pub enabled: bool,
    /// How episodes reach the sinks.
    pub export: ExportSettings,
    /// Whether SIGTERM, with which a container or service manager ends a process, exits the app: it becomes an
    /// [`AppExit`](bevy_app::AppExit). A second SIGTERM ends the process at once. False by default; only on Unix.
    ///
    /// Without it, SIGTERM ends the process without a flush. SIGINT, the Ctrl-C of a terminal, is handled by
    /// [`TerminalCtrlCHandlerPlugin`](bevy_app::TerminalCtrlCHandlerPlugin), one of Bevy's `DefaultPlugins`.
    pub handle_sigterm: bool,
    /// The id of the run; random if `None`.
    ///
    /// Episode ids and file names are made of it, so it must be another one for each process. An id that was used in a
    /// recording of the dataset, by a process that ended or died, is refused when the recording is added.
    pub run: Option<RunId>,
    /// The memory limit of the buffers of all recordings, in bytes; 1 GiB by default.
    ///
    /// A recording whose [`expected_players`](crate::recording::PlayerScaling::expected_players) do not fit in addition
    /// to those of earlier recordings is rejected. During play, a player whose buffer would exceed the limit is not
    /// recorded until it joins again, and is counted in
    /// [`RunReport::unbuffered_agents`](experience_core::account::RunReport::unbuffered_agents).
    pub memory_budget: usize,
}

impl Default for ExperiencePlugin {
    fn default() -> Self {
        Self {
            enabled: true,
            export: ExportSettings::default(),
            handle_sigterm: false,
            run: None,
            memory_budget: 1 << 30,
        }
    }
}

impl Plugin for ExperiencePlugin {
    fn build(&self, app: &mut App) {
        // Elsewhere the exporter reports a thread that cannot be started.
        if cfg!(target_family = "wasm")
            && self.enabled
            && self.export.threads
            && thread::Builder::new().spawn(|| ()).is_err()
        {
            panic!(
                "`ExportSettings::threads` is true, and no thread can be started here: set it to false, which is the default here, and \
                 the game runs the exporter"
            );
        }
        if let Some(journal) = self.export.journal.as_ref().filter(|_| self.enabled)
            && let Err(error) = journal
                .prepare_folder()
                .and_then(|()| self.run.map_or(Ok(()), |run| journal.check_run(run)))
        {
            let folder = journal.folder.as_deref().unwrap_or(Path::new("")).display();
            let remedy = if cfg!(target_family = "wasm") {
                "there are no files here, so set it to `None`"
            } else {
                "name another folder"
            };
            panic!("no journal can be created in `{folder}` (`JournalSettings::folder`): {error}; {remedy}");
        }
        app.register_type::<AgentId>()
            .register_type::<Controller>()
            .register_type::<DoNotRecord>()
            .register_type::<Reward>()
            .register_type::<LiveSettings>()
            .insert_resource(LiveSettings::of(&self.export));
        schedules::add(app);
        app.insert_resource(Experience::new(self));
        schedules::place(app.world_mut());
        let accesses = app.world().resource::<Experience>().state().accesses.clone();
        accesses.watch_fixed_main_loop(app.world_mut());
        observers::add(app);
        controllers::add(app);
        decisions::add(app);
        given_rewards::add(app);
        if self.handle_sigterm {
            signal::handle(app);
        }
    }

    fn finish(&self, app: &mut App) {
        // Another plugin may have added schedules to a loop.
        schedules::place(app.world_mut());
    }
}

/// Methods that this crate adds to [`App`].
pub trait ExperienceAppExt {
    /// Adds a recording.
    ///
    /// # Panics
    /// When the recording cannot be set up, with the message of the [`SetupError`]. After the first capture it does not
    /// panic but logs the error, and the recording is not added.
    fn add_recording<P: Component>(&mut self, recording: Recording<P>) -> &mut Self;

    /// Adds a recording.
    ///
    /// # Errors
    /// When the recording cannot be set up: the cause and the remedy.
    fn try_add_recording<P: Component>(&mut self, recording: Recording<P>) -> Result<&mut Self, SetupError>;

    /// Adds a policy, after its recording. It acts for the players with [`PolicyControlled`](crate::policy::PolicyControlled).
    ///
    /// # Panics
    /// When the policy cannot be set up, with the message of the [`PolicySetupError`].
    fn add_policy<P: Component>(&mut self, policy: Policy<P>) -> &mut Self;

    /// Adds a policy, after its recording.
    ///
    /// # Errors
    /// When the policy cannot act for the recording: the cause and the remedy.
    fn try_add_policy<P: Component>(&mut self, policy: Policy<P>) -> Result<&mut Self, PolicySetupError>;
}

impl ExperienceAppExt for App {
    #[track_caller]
    fn add_recording<P: Component>(&mut self, recording: Recording<P>) -> &mut Self {
        match self.try_add_recording(recording) {
            Ok(_) => {}
            Err(error @ SetupError::TooLate(_)) => tracing::error!("{error}"),
            Err(error) => panic!("{error}"),
        }
        self
    }

    fn try_add_recording<P: Component>(&mut self, recording: Recording<P>) -> Result<&mut Self, SetupError> {
        let spec = recording.into_spec();
        let name = spec.name.clone();
        let Some(experience) = self.world().get_resource::<Experience>() else {
            return Err(SetupError::NoPlugin(name));
        };
        let state = experience.state();
        if state.is_frozen() {
            return Err(SetupError::TooLate(name));
        }
        if state.find(&name).is_some() {
            return Err(SetupError::DuplicateName(name));
        }
        let marker = self.world_mut().register_component::<P>();
        // Fails if the marker is already in an archetype. Rewards are then inserted on players as captures find them.
        let required = self.world_mut().try_register_required_components::<P, Reward>();
        let state = self.world().resource::<Experience>().state();
        let mut same_marker = state.slots.iter().filter(|slot| slot.recorder.marker() == marker);
        let marker_requires_reward = match required {
            Ok(()) | Err(RequiredComponentsError::DuplicateRegistration(..)) => true,
            Err(_) => same_marker.clone().any(|slot| slot.marker_requires_reward),
        };
        let is_new_marker = same_marker.next().is_none();
        let context = BuildContext {
            marker,
            marker_name: type_name::<P>(),
            enabled: state.enabled,
            episodes: state.episodes.clone(),
            run: state.run,
            budget: state.budget.clone(),
            estimates: state.slots.iter().map(|slot| slot.estimate.clone()).collect(),
        };
        let BuiltRecording {
            recorder,
            sinks,
            timing,
            team,
            estimate,
        } = spec.build(self.world_mut(), context)?;
        let point = place_recording(self.world_mut(), &name, timing)?;
        if is_new_marker {
            observers::add_leaving::<P>(self);
        }
        let teams = team.map(|team| {
            let state = self.world().resource::<Experience>().state();
            let mut known = state.slots.iter().filter_map(|slot| slot.teams.as_deref());
            let is_new = !known.any(|teams| team.is_of(teams));
            team.set_up(self, is_new)
        });
        let mut experience = self.world_mut().resource_mut::<Experience>();
        experience.state_mut().slots.push(RecordingSlot {
            watch: ChangeWatch::new(&recorder),
            taker_watch: None,
            recorder,
            marker_type: TypeId::of::<P>(),
            estimate,
            has_sinks: !sinks.is_empty(),
            sinks: SyncCell::new(sinks),
            marker_name: type_name::<P>(),
            policies: Vec::new(),
            decision_watch: None,
            point,
            read_actions_after: timing.read_actions_after,
            expected_loop: Loop::Fixed,
            given: timing,
            timing: None,
            basis: None,
            marker_requires_reward,
            teams,
            pause: None,
            export_index: None,
        });
        Ok(self)
    }

    #[track_caller]
    fn add_policy<P: Component>(&mut self, policy: Policy<P>) -> &mut Self {
        if let Err(error) = self.try_add_policy(policy) {
            panic!("{error}");
        }
        self
    }

    fn try_add_policy<P: Component>(&mut self, policy: Policy<P>) -> Result<&mut Self, PolicySetupError> {
        acting::add(self, policy)?;
        Ok(self)
    }
}

/// Places the capture of a recording, and the reading of its actions. Returns the index of its point.
fn place_recording(world: &mut World, recording: &str, given: GivenTiming) -> Result<usize, SetupError> {
    let state = world.resource_mut::<Experience>().into_inner().state_mut();
    let point = given
        .capture_after
        .map_or(point_of(Loop::Fixed), |schedule| state.point_after(schedule));
    let capture = state.points[point].after;
    schedules::place(world);
    let Some(schedule) = given.read_actions_after else {
        return Ok(point);
    };
    if !schedules::is_in_a_loop(world, schedule) {
        return Err(SetupError::Schedule {
            recording: recording.to_owned(),
            schedule: format!("{schedule:?}"),
        });
    }
    schedules::add_read_actions(world, schedule);
    if schedules::reads_after_capture(world, schedule, capture) {
        tracing::warn!(
            "recording `{recording}` reads actions after `{schedule:?}`, which follows the capture: each transition has the \
             action of the tick before; name a schedule before the capture in `read_actions_after`, or a later one in \
             `capture_after`"
        );
    }
    Ok(point)
}

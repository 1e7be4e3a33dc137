//! Wiring: schedules, sets, observers, and the resource that holds everything.

mod events;
mod experience;
mod live;
mod observers;
mod pause;
mod players;
mod schedules;
mod signal;
mod systems;
mod works;

pub use events::{GapDetected, SinkFailed, SinkFailure};
pub use experience::{Experience, RecordingProgress, SinkProgress};
pub use live::LiveSettings;
pub use pause::PauseReason;
pub use players::{LastEnd, PlayerError, PlayerState};
pub use schedules::{ExperienceAct, ExperienceCapture, ExperienceSystems, ExperienceTick};

use crate::{
    player::{AgentId, DoNotRecord, Reward},
    recording::{BuildContext, Built, Recording, SetupError},
};
use bevy_app::{App, FixedLast, Plugin};
use bevy_ecs::{
    component::{Component, RequiredComponentsError},
    schedule::{InternedScheduleLabel, ScheduleLabel},
};
use bevy_platform::cell::SyncCell;
use experience_core::transition::RunId;
use experience_export::ExportSettings;
use std::path::Path;
use works::{RecordingSlot, Works};

/// Records players' lives.
///
/// ```
/// # use bevy_app::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # let mut app = App::new();
/// app.add_plugins(ExperiencePlugin::default());
/// ```
///
/// Recordings are added with [`ExperienceAppExt::add_recording`], after the plugin.
#[derive(Clone, Debug)]
pub struct ExperiencePlugin {
    /// Whether anything is recorded. A disabled plugin leaves the game exactly as an enabled one does: the same
    /// components, observers and resources, and [`EpisodeEnded`](crate::episode::EpisodeEnded) at the same moments.
    pub enabled: bool,
    /// The schedule that captures follow at once: one of the fixed loop (`FixedLast`, if not set) or of the main loop
    /// (`Last`, for a game that does not use the fixed one). For any other, run [`ExperienceCapture`] yourself.
    pub capture_after: InternedScheduleLabel,
    /// How episodes reach the sinks.
    pub export: ExportSettings,
    /// Whether SIGTERM, with which a container or a service manager ends a process, ends the app in order: it becomes an
    /// [`AppExit`](bevy_app::AppExit). A second one ends the process at once. Off unless told; on Unix alone.
    ///
    /// Without it SIGTERM kills the process, and nothing is flushed. SIGINT, the Ctrl-C of a terminal, is handled by Bevy's own
    /// [`TerminalCtrlCHandlerPlugin`](bevy_app::TerminalCtrlCHandlerPlugin), which is one of its `DefaultPlugins`.
    pub handle_sigterm: bool,
    /// The run's identity; random if not set.
    pub run: Option<RunId>,
    /// Bytes that the buffers of all recordings may take together; 1 GiB if not set.
    ///
    /// A recording whose expected [`players`](Recording::players) do not fit beside those of the recordings before it is
    /// refused. While the game runs, players for whose buffers nothing is left are not recorded until they join again:
    /// [`RunReport::unbuffered_agents`](experience_core::account::RunReport::unbuffered_agents) counts them.
    pub memory_budget: usize,
}

impl Default for ExperiencePlugin {
    fn default() -> Self {
        Self {
            enabled: true,
            capture_after: FixedLast.intern(),
            export: ExportSettings::default(),
            handle_sigterm: false,
            run: None,
            memory_budget: 1 << 30,
        }
    }
}

impl Plugin for ExperiencePlugin {
    fn build(&self, app: &mut App) {
        if let Some(journal) = self.export.journal.as_ref().filter(|_| self.enabled)
            && let Err(error) = journal.prepare_folder()
        {
            let folder = journal.folder.as_deref().unwrap_or(Path::new("")).display();
            panic!("no journal can be created in `{folder}` (`JournalSettings::folder`): {error}; name another folder");
        }
        app.register_type::<AgentId>()
            .register_type::<DoNotRecord>()
            .register_type::<Reward>()
            .register_type::<LiveSettings>()
            .insert_resource(LiveSettings::of(&self.export));
        let fixed = schedules::add(app, self.capture_after);
        app.insert_resource(Experience::new(Works::new(self, fixed)));
        observers::add(app);
        if self.handle_sigterm {
            signal::handle(app);
        }
    }
}

/// What this crate adds to [`App`].
pub trait ExperienceAppExt {
    /// Adds a recording.
    ///
    /// # Panics
    /// When the recording cannot be set up: the message names what is wrong and the remedy. After the first capture it
    /// never panics: it logs the error, and the recording is left out.
    fn add_recording<P: Component>(&mut self, recording: Recording<P>) -> &mut Self;

    /// Adds a recording, or says why it cannot be.
    ///
    /// # Errors
    /// What is wrong with the recording, and the remedy.
    fn try_add_recording<P: Component>(&mut self, recording: Recording<P>) -> Result<&mut Self, SetupError>;
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
        let Some(mut works) = self
            .world_mut()
            .get_resource_mut::<Experience>()
            .and_then(|mut experience| experience.borrow())
        else {
            return Err(SetupError::NoPlugin(name));
        };
        let result = add_recording::<P>(self, &mut works, spec, &name);
        if let Some(mut experience) = self.world_mut().get_resource_mut::<Experience>() {
            experience.give_back(works);
        }
        result.map(|()| self)
    }
}

fn add_recording<P: Component>(
    app: &mut App,
    works: &mut Works,
    spec: crate::recording::Spec,
    name: &str,
) -> Result<(), SetupError> {
    if works.is_frozen() {
        return Err(SetupError::TooLate(name.to_owned()));
    }
    if works.recording(name).is_some() {
        return Err(SetupError::DuplicateName(name.to_owned()));
    }
    let marker = app.world_mut().register_component::<P>();
    // Where the marker stands in an archetype already it is too late; then rewards are given to players as they are met.
    let comes_with_reward = match app.world_mut().try_register_required_components::<P, Reward>() {
        Ok(()) | Err(RequiredComponentsError::DuplicateRegistration(..)) => true,
        Err(_) => {
            let mut known = works.slots().iter().filter(|slot| slot.recorder.marker() == marker);
            known.any(|slot| slot.comes_with_reward)
        }
    };
    let context = BuildContext {
        marker,
        enabled: works.is_enabled(),
        episodes: works.episodes(),
        run: works.run,
        budget: works.budget(),
        needs: works.slots().iter().map(|slot| slot.need.clone()).collect(),
    };
    let Built {
        recorder,
        sinks,
        act_in,
        need,
    } = spec.build(app.world_mut(), context)?;
    if let Some(schedule) = act_in {
        schedules::add_act(app, schedule).map_err(|schedule| SetupError::Schedule {
            recording: name.to_owned(),
            schedule,
        })?;
    }
    if works.slots().iter().all(|slot| slot.recorder.marker() != marker) {
        observers::add_leaving::<P>(app);
    }
    works.add(RecordingSlot {
        recorder,
        need,
        sinks: SyncCell::new(sinks),
        act_in,
        comes_with_reward,
        pause: None,
        exported_as: None,
    });
    Ok(())
}

//! Command queue of the inspector: widgets queue commands while the panel is drawn, and they are applied to
//! [`Experience`] and to players afterwards.

use super::{ExperienceInspector, handover::Successor};
use bevy_ecs::{entity::Entity, world::World};
use bevy_experience::plugin::{Experience, PlayerError};
use bevy_experience::transition::EndReason;
use core::time::Duration;

/// A change to the recording that a button requests. Agents are given by agent id.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum InspectorCommand {
    PauseAll,
    ResumeAll,
    PauseRecording,
    ResumeRecording,
    Flush,
    EndEpisode(i64),
    DiscardEpisode(i64),
    TagEpisode(i64, String),
    Exclude(i64),
    Include(i64),
    HandOver(Entity, Successor),
}

impl ExperienceInspector {
    /// Runs the queued commands and keeps the result of the last one for the tab bar.
    pub(super) fn run_commands(&mut self, world: &mut World, recording: &str, commands: Vec<InspectorCommand>) {
        for command in commands {
            if let InspectorCommand::HandOver(player, successor) = command {
                self.last_result = Some(Ok(format!("{} from the next tick on", successor_text(&successor))));
                self.request_handover(world, recording, player, successor);
                continue;
            }
            let Some(mut experience) = world.get_resource_mut::<Experience>() else {
                return;
            };
            self.last_result = Some(run(&mut experience, recording, command));
        }
    }
}

/// Who acts, for a message.
pub(super) fn successor_text(successor: &Successor) -> String {
    match successor {
        Successor::Person => "a person acts".to_owned(),
        Successor::Policy(name) => format!("policy `{name}` acts"),
        Successor::Controller(controller) => format!("{controller} acts"),
    }
}

/// The message for the user: what was done, or the error.
fn run(experience: &mut Experience, recording: &str, command: InspectorCommand) -> Result<String, String> {
    /// The pause reason that the recording reports.
    const PAUSE_REASON: &str = "requested in the inspector";
    let episode_message = |result: Result<i64, PlayerError>, what: &str| {
        result
            .map(|episode| format!("episode {episode} {what}"))
            .map_err(|error| error.to_string())
    };
    match command {
        InspectorCommand::PauseAll => {
            experience.pause(PAUSE_REASON);
            Ok("all recordings pause at the next capture".to_owned())
        }
        InspectorCommand::ResumeAll => {
            experience.resume();
            Ok("all recordings resume at the next capture".to_owned())
        }
        InspectorCommand::PauseRecording => {
            experience.pause_recording(recording, PAUSE_REASON);
            Ok(format!("`{recording}` pauses at the next capture"))
        }
        InspectorCommand::ResumeRecording => {
            experience.resume_recording(recording);
            Ok(format!("`{recording}` resumes at the next capture"))
        }
        InspectorCommand::Flush => {
            // A zero timeout starts the flush without blocking the frame.
            experience.flush(Duration::ZERO);
            Ok("flush requested".to_owned())
        }
        InspectorCommand::EndEpisode(agent) => episode_message(
            experience.end_episode(recording, agent, EndReason::from("inspector")),
            "ended",
        ),
        InspectorCommand::DiscardEpisode(agent) => {
            episode_message(experience.discard_episode(recording, agent), "discarded")
        }
        InspectorCommand::TagEpisode(agent, tag) => {
            let what = format!("tagged `{tag}`");
            episode_message(experience.tag_episode(recording, agent, tag), &what)
        }
        InspectorCommand::Exclude(agent) => experience
            .exclude(recording, agent)
            .map(|()| format!("agent {agent} is excluded"))
            .map_err(|error| error.to_string()),
        InspectorCommand::Include(agent) => experience
            .include(recording, agent)
            .map(|()| format!("agent {agent} is included"))
            .map_err(|error| error.to_string()),
        // It needs the world: see `run_commands`.
        InspectorCommand::HandOver(..) => Ok(String::new()),
    }
}

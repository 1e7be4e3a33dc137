//! What buttons ask for. It is done after everything was drawn.

use super::ExperienceInspector;
use bevy_ecs::world::World;
use bevy_experience::plugin::Experience;
use bevy_experience::transition::EndReason;
use core::time::Duration;

/// Something that a button asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    PauseAll,
    ResumeAll,
    Pause,
    Resume,
    Flush,
    End(i64),
    Discard(i64),
    Tag(i64, String),
    Exclude(i64),
    Include(i64),
}

impl ExperienceInspector {
    pub(super) fn act(&mut self, world: &mut World, recording: &str, actions: Vec<Action>) {
        let Some(mut experience) = world.get_resource_mut::<Experience>() else {
            return;
        };
        for action in actions {
            self.answer = Some(perform(&mut experience, recording, action));
        }
    }
}

fn perform(experience: &mut Experience, recording: &str, action: Action) -> Result<String, String> {
    /// Why a pause that is asked for here holds.
    const WHY: &str = "asked for in the inspector";
    let said = |result: Result<i64, bevy_experience::plugin::PlayerError>, what: &str| {
        result
            .map(|episode| format!("episode {episode} {what}"))
            .map_err(|error| error.to_string())
    };
    match action {
        Action::PauseAll => {
            experience.pause(WHY);
            Ok("all recordings pause at the next capture".to_owned())
        }
        Action::ResumeAll => {
            experience.resume();
            Ok("recording goes on at the next capture".to_owned())
        }
        Action::Pause => {
            experience.pause_recording(recording, WHY);
            Ok(format!("`{recording}` pauses at the next capture"))
        }
        Action::Resume => {
            experience.resume_recording(recording);
            Ok(format!("`{recording}` goes on at the next capture"))
        }
        Action::Flush => {
            // Asked for and not waited for: this is in the middle of a frame.
            experience.flush(Duration::ZERO);
            Ok("a flush was asked for".to_owned())
        }
        Action::End(agent) => said(
            experience.end_episode(recording, agent, EndReason::from("inspector")),
            "ended",
        ),
        Action::Discard(agent) => said(experience.discard_episode(recording, agent), "was thrown away"),
        Action::Tag(agent, tag) => {
            let what = format!("is tagged `{tag}`");
            said(experience.tag_episode(recording, agent, tag), &what)
        }
        Action::Exclude(agent) => experience
            .exclude(recording, agent)
            .map(|()| format!("agent {agent} is not recorded any more"))
            .map_err(|error| error.to_string()),
        Action::Include(agent) => experience
            .include(recording, agent)
            .map(|()| format!("agent {agent} is recorded again"))
            .map_err(|error| error.to_string()),
    }
}

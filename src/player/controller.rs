//! [`Controller`]: what chooses the actions of a player.

use bevy_ecs::{component::Component, reflect::ReflectComponent};
use bevy_reflect::Reflect;
use core::fmt;
use std::borrow::Cow;

/// What controls a player: it chooses the actions that are recorded.
///
/// Optional. It is in the column `controller` of each transition, so that a dataset says who acted: a trainer can imitate the best
/// bot alone, or leave out what a policy did. A player without it has no label.
///
/// ```
/// use bevy_experience::prelude::*;
///
/// assert_eq!(Controller::Person.to_string(), "person");
/// assert_eq!(Controller::script("hunter").to_string(), "script:hunter");
/// assert_eq!(Controller::policy("fighter", 3).to_string(), "policy:fighter@3");
/// assert_eq!(Controller::parse("policy:fighter@3"), Some(Controller::policy("fighter", 3)));
/// ```
///
/// # Taking over
/// The component is immutable: insert another one when something else takes over, and remove it when nothing says who acts.
/// An action is labelled with the controller that the player has when the recording reads the action: at the capture, after the
/// schedule of [`Recording::read_actions_after`](crate::recording::Recording::read_actions_after), or when an end is applied. With
/// [`decision_interval`](crate::recording::Recording::decision_interval), that is at the interval's first tick, so a decision
/// belongs to the controller that began it. With decisions on demand, it is the controller that wrote the action, also if
/// another one takes over before the next request.
///
/// While a [policy](crate::policy) acts for a player, its actions are labelled with the policy's name and version, whatever component
/// the player has.
///
/// # Versions
/// A run has at most 4,096 controllers in a recording; further ones are `other`, which is logged. So give a policy a version for
/// each model that is loaded, not for each episode.
///
/// Saved worlds contain it, and the clone of a player has it.
#[derive(Component, Clone, Debug, PartialEq, Eq, Hash, Reflect)]
#[component(immutable)]
#[reflect(Component, Debug, PartialEq, Hash, Clone)]
pub enum Controller {
    /// A person: `person` in the data.
    Person,
    /// A script, such as a bot or a behaviour tree, by its name: `script:<name>` in the data.
    Script(Cow<'static, str>),
    /// A policy that was trained: `policy:<name>@<version>` in the data.
    Policy {
        /// Its name.
        name: Cow<'static, str>,
        /// Its version, without an `@`: a number, a date, or the hash of its file.
        version: Cow<'static, str>,
    },
}

impl Controller {
    /// A script by its name.
    #[must_use]
    pub fn script(name: impl Into<Cow<'static, str>>) -> Self {
        Self::Script(name.into())
    }

    /// A policy by its name and version. The version has no `@`.
    #[must_use]
    pub fn policy(name: impl Into<Cow<'static, str>>, version: impl fmt::Display) -> Self {
        Self::Policy {
            name: name.into(),
            version: version.to_string().into(),
        }
    }

    /// The controller of a label in the data. `None` for a text that is no label of one, such as `other`.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        if label == PERSON {
            return Some(Self::Person);
        }
        if let Some(name) = label.strip_prefix(SCRIPT) {
            return Some(Self::script(name.to_owned()));
        }
        let (name, version) = label.strip_prefix(POLICY)?.rsplit_once('@')?;
        Some(Self::policy(name.to_owned(), version))
    }

    /// Whether `label` is the label of this controller. Unlike [`to_string`](ToString::to_string), it allocates nothing.
    pub(crate) fn has_label(&self, label: &str) -> bool {
        match self {
            Self::Person => label == PERSON,
            Self::Script(name) => label.strip_prefix(SCRIPT) == Some(name),
            Self::Policy { name, version } => label.strip_prefix(POLICY).is_some_and(|label| {
                let rest = label.strip_prefix(&**name).and_then(|rest| rest.strip_prefix('@'));
                rest == Some(version)
            }),
        }
    }
}

const PERSON: &str = "person";
const SCRIPT: &str = "script:";
const POLICY: &str = "policy:";

/// The label in the data.
impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person => f.write_str(PERSON),
            Self::Script(name) => write!(f, "{SCRIPT}{name}"),
            Self::Policy { name, version } => write!(f, "{POLICY}{name}@{version}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_one_controller_each() {
        let all = [
            Controller::Person,
            Controller::script("person"),
            Controller::script(""),
            Controller::script("hunter:2@home"),
            Controller::policy("fighter", 3),
            Controller::policy("fighter", 30),
            Controller::policy("a@b", "2026-11-28"),
            Controller::policy("", ""),
        ];
        for controller in &all {
            let label = controller.to_string();
            assert_eq!(Controller::parse(&label).as_ref(), Some(controller), "{label}");
            for other in &all {
                assert_eq!(other.has_label(&label), other == controller, "{other:?} {label}");
            }
        }
        for label in ["", "other", "unknown", "Person", "policy:fighter", "script"] {
            assert_eq!(Controller::parse(label), None, "{label}");
        }
    }
}

//! Restoring recorded episodes: the rows of an episode, written back to the components that they were read from.
//!
//! [`Experience::restorer`](crate::plugin::Experience::restorer) makes an [`EpisodeRestorer`] of an episode. It writes by the same
//! field plans that encode the recording, so what is recorded and what is restored cannot drift apart. The crate
//! `bevy_experience_replay` plays episodes with it.
//!
//! ```
//! # use bevy_ecs::prelude::*;
//! # use bevy_reflect::prelude::*;
//! use bevy_experience::{plugin::Experience, prelude::*, restore::Restoration, test_app::TestApp};
//!
//! #[derive(Component)]
//! struct Fighter;
//! #[derive(Component, Reflect)]
//! struct Health(f32);
//!
//! let mut test = TestApp::new();
//! test.record(Recording::<Fighter>::new("fighter").observe::<Health>());
//! test.world_mut().spawn((Fighter, Health(0.7)));
//! test.ticks(3);
//! let episode = test.finish().remove(0).into();
//!
//! let ghost = test.world_mut().spawn((DoNotRecord, Health(0.0))).id();
//! let mut restorer = test.world_mut().resource::<Experience>().restorer(episode, false)?;
//! assert_eq!(restorer.columns()[0].restoration, Restoration::Exact);
//! assert!(restorer.write(&mut test.world_mut().entity_mut(ghost), 2).is_empty());
//! assert_eq!(test.world_mut().get::<Health>(ghost).unwrap().0, 0.7);
//! # Ok::<(), bevy_experience::restore::RestoreError>(())
//! ```
//!
//! # What is restored
//! | declared with | |
//! |---|---|
//! | `observe`, `observe_fields`, and `act` on request | the fields |
//! | `observe_image` | the pixels |
//! | `observe_optional`, `observe_optional_fields`, `observe_has` | the fields, and the component is inserted and removed |
//! | all others | not: [`Unrestored`] states why |
//!
//! A component that comes and goes is the one that the entity had before, or the default of its type, which the type registry needs
//! (`register_type`, `#[reflect(Default)]`). Action masks, info, rewards and what no column was selected of are not restored.
//!
//! Observations are `f32`: [`Restoration`] says which columns were rounded on the way.

mod columns;
mod restorer;

pub use restorer::EpisodeRestorer;

use core::fmt;

/// The groups of columns that can be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ColumnGroup {
    /// The features of the observation.
    Observation,
    /// The images of the observation.
    Image,
    /// The action.
    Action,
}

/// A column of an episode, and how it is restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredColumn {
    /// The group of the schema that has the column.
    pub group: ColumnGroup,
    /// The name of the column.
    pub name: String,
    /// The type of the component that it is written to. `None` where it is written to none.
    pub component: Option<&'static str>,
    /// How it is restored.
    pub restoration: Restoration,
}

/// How a column is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restoration {
    /// Each value is the recorded one, bit by bit.
    Exact,
    /// Each value is the nearest one to the recorded one that an `f32` has, or that follows from it: `f64`, integers from 2²⁴ on,
    /// durations and timers.
    Rounded,
    /// The column is not written.
    None(Unrestored),
}

/// Why a column is not restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unrestored {
    /// A function computes it from a component.
    Function,
    /// A system computes it.
    System,
    /// It is of a resource.
    Resource,
    /// It is of another entity.
    OtherEntity,
    /// It is of a list of other entities.
    Entities,
    /// It is a number of entities.
    Count,
    /// It is the position in the world, which follows from several transforms.
    WorldPosition,
    /// The component is immutable.
    Immutable,
    /// It follows from other values of the component.
    Derived,
    /// It is within an `Option` of several values, or not all of the `Option` is recorded.
    NestedOption,
    /// So many rows have no class of a one-hot, or several.
    NoClass {
        /// The number of rows.
        rows: usize,
    },
}

impl fmt::Display for Unrestored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Function => {
                "a function computes it, which has no inverse: observe the fields of the component as well"
            }
            Self::System => "a system computes it",
            Self::Resource => "it is of a resource, which all players share",
            Self::OtherEntity => "it is of another entity",
            Self::Entities => "it is of a list of other entities",
            Self::Count => "it is a number of entities",
            Self::WorldPosition => {
                "it follows from the transforms of the player and its ancestors: observe fields of `Transform` as well"
            }
            Self::Immutable => "the component is immutable",
            Self::Derived => "it follows from other values of the component",
            Self::NestedOption => "it is within an `Option` of several values, or not all of the `Option` is recorded",
            Self::NoClass { rows } => {
                return write!(f, "{rows} of its rows have no class of the enum, or several");
            }
        })
    }
}

/// Why an episode cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The app has no recording with the name of the episode's.
    #[error(
        "an episode of the recording `{recording}` cannot be replayed: the app has {}; add the recording with `add_recording`, which \
         says what is written to which component",
        known_recordings(known)
    )]
    UnknownRecording {
        /// The name of the episode's recording.
        recording: String,
        /// The names of the app's recordings.
        known: Vec<String>,
    },
    /// The app records other columns.
    #[error(
        "an episode of the recording `{recording}` cannot be replayed, because the app (\"here\") records other columns than the \
         episode (\"there\") has: {}; use the build of the game that recorded it, or change the recording back",
        differences.join("; ")
    )]
    OtherSchema {
        /// The name of the recording.
        recording: String,
        /// What differs, one sentence each.
        differences: Vec<String>,
    },
}

fn known_recordings(known: &[String]) -> String {
    if known.is_empty() {
        return "no recordings".to_owned();
    }
    let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("the recordings {}", names.join(", "))
}

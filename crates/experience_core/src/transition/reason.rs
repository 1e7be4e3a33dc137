//! End reasons.

use core::fmt;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Why an episode ended: a short word that is stored with the data.
///
/// The list is open: any string is a reason. The constants are the reasons that the library writes itself, and common
/// ones of games.
///
/// ```
/// use experience_core::transition::EndReason;
///
/// assert_eq!(EndReason::from("death"), EndReason::DEATH);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndReason(Cow<'static, str>);

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl EndReason {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text));)*

            /// The reasons that every [`WordTable`](super::WordTable) begins with.
            pub(super) const KNOWN: &[Self] = &[$(Self::$name),*];
        }
    };
}

reasons! {
    /// The player reached its goal.
    GOAL = "goal";
    /// The player died.
    DEATH = "death";
    /// The game's time limit was reached.
    TIME_LIMIT = "time_limit";
    /// The player was despawned or lost the recording's marker component.
    LEFT = "left";
    /// Recording was paused.
    PAUSED = "paused";
    /// Rows were lost between capture and export.
    GAP = "gap";
    /// The episode reached the recording's maximum length, or the player changed matches. The next one continues it.
    SPLIT = "split";
    /// The player lost a component that the recording reads.
    COMPONENT_LOST = "component_lost";
    /// A value was NaN or infinite.
    NON_FINITE = "non_finite";
    /// The player was excluded from recording while the game ran.
    EXCLUDED = "excluded";
    /// The process shut down in an orderly way.
    SHUTDOWN = "shutdown";
    /// The process died, and the episode was recovered from its journal or ring file.
    CRASH = "crash";
}

impl EndReason {
    /// The reason as a string.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn to_word(&self) -> Cow<'static, str> {
        self.0.clone()
    }

    pub(super) fn from_word(word: Cow<'static, str>) -> Self {
        Self(word)
    }
}

impl From<&'static str> for EndReason {
    #[inline]
    fn from(reason: &'static str) -> Self {
        Self(Cow::Borrowed(reason))
    }
}

impl From<String> for EndReason {
    #[inline]
    fn from(reason: String) -> Self {
        Self(Cow::Owned(reason))
    }
}

impl fmt::Display for EndReason {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

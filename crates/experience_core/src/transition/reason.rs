//! End reasons, and the codes that represent them in rows.

use core::fmt;
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    sync::{PoisonError, RwLock},
};

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

            /// The reasons with fixed codes, in the order of the codes from 1.
            const KNOWN: &[Self] = &[$(Self::$name),*];
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

/// The mapping between end reasons and the codes in [`StepHeader::reason`](super::StepHeader::reason).
///
/// Codes from 1 are the constants of [`EndReason`]; a game's own reasons follow in the order of their first use.
/// Threads share a table.
#[derive(Debug)]
pub struct ReasonTable(RwLock<Vec<EndReason>>);

/// The largest number of reasons in a table. Further reasons share the code of `other`, which bounds the memory of a
/// game that makes a new reason for each episode.
const MAX_REASONS: usize = 4096;

impl Default for ReasonTable {
    #[inline]
    fn default() -> Self {
        Self(RwLock::new(EndReason::KNOWN.to_vec()))
    }
}

impl ReasonTable {
    /// The table of another process, from the codes in its journal. Codes between them that are missing stand for
    /// `unknown`.
    #[inline]
    pub fn from_codes(reasons: &std::collections::BTreeMap<u16, String>) -> Self {
        let last = reasons.last_key_value().map_or(0, |(code, _)| *code);
        let reason = |code| reasons.get(&code).map_or("unknown", String::as_str);
        Self(RwLock::new(
            (1..=last)
                .map(|code| EndReason::from(reason(code).to_owned()))
                .collect(),
        ))
    }

    /// The code of `reason`. A new reason gets the next free code, or that of `other` when the table is full.
    pub fn code(&self, reason: &EndReason) -> u16 {
        let position = |reasons: &[EndReason]| reasons.iter().position(|known| known == reason);
        if let Some(index) = position(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return code_of_index(index);
        }
        let mut reasons = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = position(&reasons) {
            return code_of_index(index);
        }
        match reasons.len() {
            len if len < MAX_REASONS => reasons.push(reason.clone()),
            MAX_REASONS => reasons.push(EndReason::from("other")),
            _ => {}
        }
        code_of_index(reasons.len() - 1)
    }

    /// The reason of `code`; `None` for 0 and for codes that were never assigned.
    #[must_use]
    #[inline]
    pub fn reason(&self, code: u16) -> Option<EndReason> {
        let reasons = self.0.read().unwrap_or_else(PoisonError::into_inner);
        reasons.get(usize::from(code).checked_sub(1)?).cloned()
    }
}

#[inline]
fn code_of_index(index: usize) -> u16 {
    u16::try_from(index + 1).expect("`MAX_REASONS` fits in a `u16`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_resolve_to_their_reasons() {
        let table = ReasonTable::default();
        let own = EndReason::from("fell_off");
        let code = table.code(&own);
        assert_eq!(table.code(&own), code);
        assert_eq!(table.reason(code), Some(own));
        assert_eq!(table.reason(table.code(&EndReason::CRASH)), Some(EndReason::CRASH));
        assert_eq!(table.reason(0), None);
        assert_eq!(table.reason(u16::MAX), None);
    }

    #[test]
    fn reasons_beyond_the_maximum_share_one_code() {
        let table = ReasonTable::default();
        for index in 0..2 * MAX_REASONS {
            table.code(&EndReason::from(format!("r{index}")));
        }
        let code = table.code(&EndReason::from("one more".to_owned()));
        assert_eq!(table.reason(code).unwrap().as_str(), "other");
    }
}

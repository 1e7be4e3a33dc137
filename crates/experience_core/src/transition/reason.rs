//! Why episodes end.

use core::fmt;
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    sync::{PoisonError, RwLock},
};

/// Why an episode ended: a short word, kept in the data.
///
/// The list is open. The constants are the words that this crate writes itself, and the common ones of games.
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

            /// The reasons that have a fixed code, in the order of their codes from 1.
            const KNOWN: &[Self] = &[$(Self::$name),*];
        }
    };
}

reasons! {
    /// The player reached what it was playing for.
    GOAL = "goal";
    /// The player died.
    DEATH = "death";
    /// The game's own limit of time was reached.
    TIME_LIMIT = "time_limit";
    /// The player left: it was despawned or lost the recording's marker.
    LEFT = "left";
    /// Recording was paused.
    PAUSED = "paused";
    /// Rows were lost between capture and export.
    GAP = "gap";
    /// The episode was longer than `EpisodeRules::max_steps`; the next one continues it.
    SPLIT = "split";
    /// The player lost a component that its recording reads.
    COMPONENT_LOST = "component_lost";
    /// A value was NaN or infinite.
    NON_FINITE = "non_finite";
    /// The player opted out of being recorded.
    EXCLUDED = "excluded";
    /// The process ended in order.
    SHUTDOWN = "shutdown";
    /// The process died.
    CRASH = "crash";
}

impl EndReason {
    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for EndReason {
    fn from(word: &'static str) -> Self {
        Self(Cow::Borrowed(word))
    }
}

impl From<String> for EndReason {
    fn from(word: String) -> Self {
        Self(Cow::Owned(word))
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The codes that rows hold in place of reasons: the constants of [`EndReason`] from 1, a game's own words after them.
#[derive(Debug)]
pub struct ReasonTable(RwLock<Vec<EndReason>>);

/// How many reasons a table holds. A game that makes a new word for every episode gets `other` from here on.
const MAX_REASONS: usize = 4096;

impl Default for ReasonTable {
    fn default() -> Self {
        Self(RwLock::new(EndReason::KNOWN.to_vec()))
    }
}

impl ReasonTable {
    /// The table of another process, whose codes meant these words.
    pub(crate) fn restored(words: &std::collections::BTreeMap<u16, String>) -> Self {
        let last = words.last_key_value().map_or(0, |(code, _)| *code);
        let word = |code| words.get(&code).map_or("unknown", String::as_str);
        Self(RwLock::new(
            (1..=last).map(|code| EndReason::from(word(code).to_owned())).collect(),
        ))
    }

    /// The code of `reason`, which is entered if it is new.
    pub fn code(&self, reason: &EndReason) -> u16 {
        let position = |reasons: &[EndReason]| reasons.iter().position(|known| known == reason);
        if let Some(index) = position(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return code(index);
        }
        let mut reasons = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = position(&reasons) {
            return code(index);
        }
        match reasons.len() {
            len if len < MAX_REASONS => reasons.push(reason.clone()),
            MAX_REASONS => reasons.push(EndReason::from("other")),
            _ => {}
        }
        code(reasons.len() - 1)
    }

    /// The reason that `code` stands for; `None` for 0 and for codes never given out.
    #[must_use]
    pub fn reason(&self, code: u16) -> Option<EndReason> {
        let reasons = self.0.read().unwrap_or_else(PoisonError::into_inner);
        reasons.get(usize::from(code).checked_sub(1)?).cloned()
    }
}

fn code(index: usize) -> u16 {
    u16::try_from(index + 1).expect("a table holds fewer reasons than a `u16` can count")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_come_back_as_their_reasons() {
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
    fn endless_reasons_share_one_code() {
        let table = ReasonTable::default();
        for index in 0..2 * MAX_REASONS {
            table.code(&EndReason::from(format!("r{index}")));
        }
        let code = table.code(&EndReason::from("one more".to_owned()));
        assert_eq!(table.reason(code).unwrap().as_str(), "other");
    }
}

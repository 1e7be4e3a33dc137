//! The words that rows refer to by code: end reasons and controllers.

use super::EndReason;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

/// The mapping between words and their codes in row headers: [`StepHeader::reason`](super::StepHeader::reason) and
/// [`StepHeader::controller`](super::StepHeader::controller).
///
/// The first codes, from 1, are the constants of [`EndReason`]; a game's own reasons and its controllers follow in the order of
/// their first use. Both kinds share the codes, and each has a maximum number of words. Threads share a table.
#[derive(Debug)]
pub struct WordTable(RwLock<Words>);

#[derive(Debug)]
struct Words {
    /// The word of code 1, of code 2, and so on.
    words: Vec<Cow<'static, str>>,
    /// How many of them were added as reasons.
    reasons: usize,
    /// How many of them were added as controllers.
    controllers: usize,
}

/// The largest number of reasons in a table, which bounds the memory of a game that makes a new reason for each episode.
const MAX_REASONS: usize = 4096;

/// The largest number of controllers in a table, which bounds the memory of a game that makes a new version of a policy for each
/// episode.
const MAX_CONTROLLERS: usize = 4096;

/// The word for those beyond the maximum.
const OTHER: &str = "other";

impl Default for WordTable {
    fn default() -> Self {
        let known = EndReason::KNOWN;
        Self(RwLock::new(Words {
            words: known.iter().map(EndReason::to_word).collect(),
            reasons: known.len(),
            controllers: 0,
        }))
    }
}

impl WordTable {
    /// The largest code that a table assigns.
    pub const MAX_CODE: u16 = (MAX_REASONS + MAX_CONTROLLERS + 1) as u16;

    /// The table of another process, from the codes in its journal. Codes between them that are missing stand for
    /// `unknown`.
    #[must_use]
    pub fn from_codes(words: &BTreeMap<u16, String>) -> Self {
        let last = words.last_key_value().map_or(0, |(code, _)| *code);
        let word = |code| words.get(&code).map_or("unknown", String::as_str);
        let words: Vec<_> = (1..=last).map(|code| Cow::Owned(word(code).to_owned())).collect();
        Self(RwLock::new(Words {
            reasons: words.len(),
            controllers: 0,
            words,
        }))
    }

    /// The code of `reason`. A new reason gets the next free code, or that of `other` when there are too many.
    pub fn reason_code(&self, reason: &EndReason) -> u16 {
        let is_same = |word: &str| word == reason.as_str();
        self.code(is_same).unwrap_or_else(|| {
            let mut words = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if words.reasons < MAX_REASONS {
                words.reasons += 1;
                words.insert(reason.to_word())
            } else {
                words.insert(Cow::Borrowed(OTHER))
            }
        })
    }

    /// The code of a controller: of the label that `is_same` accepts, or else of `label`, which gets the next free code. `None` when
    /// there are too many controllers.
    ///
    /// A label that is known is found without an allocation.
    pub fn controller_code(&self, is_same: impl Fn(&str) -> bool, label: impl FnOnce() -> String) -> Option<u16> {
        self.code(is_same).or_else(|| {
            let mut words = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if words.controllers == MAX_CONTROLLERS {
                return None;
            }
            words.controllers += 1;
            Some(words.insert(Cow::Owned(label())))
        })
    }

    /// The code of `other`, for controllers beyond the maximum.
    pub fn other_code(&self) -> u16 {
        let is_same = |word: &str| word == OTHER;
        self.code(is_same).unwrap_or_else(|| {
            let mut words = self.0.write().unwrap_or_else(PoisonError::into_inner);
            words.insert(Cow::Borrowed(OTHER))
        })
    }

    /// The word of `code`; `None` for 0 and for codes that were never assigned.
    #[must_use]
    pub fn word(&self, code: u16) -> Option<Cow<'static, str>> {
        let words = self.0.read().unwrap_or_else(PoisonError::into_inner);
        words.words.get(usize::from(code).checked_sub(1)?).cloned()
    }

    /// The end reason of `code`; `None` for 0 and for codes that were never assigned.
    #[must_use]
    pub fn reason(&self, code: u16) -> Option<EndReason> {
        self.word(code).map(EndReason::from_word)
    }

    fn code(&self, is_same: impl Fn(&str) -> bool) -> Option<u16> {
        let words = self.0.read().unwrap_or_else(PoisonError::into_inner);
        words.words.iter().position(|word| is_same(word)).map(code_of_index)
    }
}

impl Words {
    /// The code of `word`, which another thread may have added.
    fn insert(&mut self, word: Cow<'static, str>) -> u16 {
        let known = self.words.iter().position(|known| *known == word);
        code_of_index(known.unwrap_or_else(|| {
            self.words.push(word);
            self.words.len() - 1
        }))
    }
}

fn code_of_index(index: usize) -> u16 {
    u16::try_from(index + 1)
        .expect("the number of words is bounded by `WordTable::MAX_CODE`, or by the codes of a journal")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(table: &WordTable, label: &str) -> Option<u16> {
        table.controller_code(|known| known == label, || label.to_owned())
    }

    #[test]
    fn codes_resolve_to_their_words() {
        let table = WordTable::default();
        let own = EndReason::from("fell_off");
        let code = table.reason_code(&own);
        assert_eq!(table.reason_code(&own), code);
        assert_eq!(table.reason(code), Some(own));
        assert_eq!(
            table.reason(table.reason_code(&EndReason::CRASH)),
            Some(EndReason::CRASH)
        );
        let hunter = controller(&table, "script:hunter").unwrap();
        assert_eq!(controller(&table, "script:hunter"), Some(hunter));
        assert_eq!(table.word(hunter).as_deref(), Some("script:hunter"));
        assert_eq!((table.word(0), table.word(u16::MAX)), (None, None));
    }

    #[test]
    fn words_beyond_the_maximum_share_one_code() {
        let table = WordTable::default();
        for index in 0..2 * MAX_REASONS {
            table.reason_code(&EndReason::from(format!("r{index}")));
        }
        let code = table.reason_code(&EndReason::from("one more".to_owned()));
        assert_eq!(table.reason(code).unwrap().as_str(), "other");
        // Many reasons leave room for controllers.
        for index in 0..MAX_CONTROLLERS {
            let label = format!("policy:fighter@{index}");
            let code = controller(&table, &label).unwrap();
            assert!(code <= WordTable::MAX_CODE && table.word(code).unwrap() == label);
        }
        assert_eq!(controller(&table, "policy:fighter@x"), None);
        assert_eq!(table.other_code(), code);
    }
}

//! What a player is given for what it did.

use bevy_ecs::{component::Component, reflect::ReflectComponent};
use bevy_reflect::{Reflect, std_traits::ReflectDefault};

/// The reward that a player has been given since the last capture, by named term.
///
/// Every player has one: it comes with the recording's marker. Captures read it and set it back to zero. Rewards given
/// between two captures count to the next one, wherever they are given.
///
/// ```
/// use bevy_experience::prelude::Reward;
///
/// let mut reward = Reward::default();
/// reward.add("coin", 1.0);
/// reward.add("hit", -0.25);
/// assert_eq!(reward.total(), 0.75);
/// ```
#[derive(Component, Clone, Debug, Default, PartialEq, Reflect)]
#[reflect(Component, Debug, Default, PartialEq)]
pub struct Reward {
    /// A handful at most, so a scan beats a map. Entries stay when they are cleared: a warm tick allocates nothing.
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Reflect)]
struct Term {
    name: &'static str,
    /// The one recording that the amount is for.
    recording: Option<&'static str>,
    sum: f64,
}

impl Reward {
    /// Adds `amount` to the term `name`, in all recordings that watch the player.
    ///
    /// An amount of a term that a recording did not declare with `reward_terms` counts to the sum all the same; the
    /// recording warns once.
    pub fn add(&mut self, name: &'static str, amount: f64) {
        self.add_in(None, name, amount);
    }

    /// Adds `amount` to the term `name` in the recording called `recording` alone.
    pub fn add_to(&mut self, recording: &'static str, name: &'static str, amount: f64) {
        self.add_in(Some(recording), name, amount);
    }

    fn add_in(&mut self, recording: Option<&'static str>, name: &'static str, amount: f64) {
        for term in &mut self.terms {
            if term.name == name && term.recording == recording {
                term.sum += amount;
                return;
            }
        }
        self.terms.push(Term {
            name,
            recording,
            sum: amount,
        });
    }

    /// The sum of all terms since the last capture, those for single recordings included.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.terms.iter().map(|term| term.sum).sum()
    }

    /// What counts for the recording called `recording`, term by term; terms without any amount are left out.
    pub(crate) fn for_recording<'a>(&'a self, recording: &'a str) -> impl Iterator<Item = (&'static str, f64)> + 'a {
        self.terms
            .iter()
            .filter(move |term| term.sum != 0.0 && term.recording.is_none_or(|only| only == recording))
            .map(|term| (term.name, term.sum))
    }

    /// Whether nothing was ever added.
    #[inline]
    pub(crate) fn is_untouched(&self) -> bool {
        self.terms.is_empty()
    }

    pub(crate) fn is_clear(&self) -> bool {
        self.terms.iter().all(|term| term.sum == 0.0)
    }

    pub(crate) fn clear(&mut self) {
        for term in &mut self.terms {
            // What is not written to need not be written back.
            if term.sum != 0.0 {
                term.sum = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_for_one_recording_reaches_no_other() {
        let mut reward = Reward::default();
        reward.add("coin", 1.0);
        reward.add_to("b", "coin", 2.0);
        let sum = |name| reward.for_recording(name).map(|(_, amount)| amount).sum::<f64>();
        assert_eq!((sum("a"), sum("b")), (1.0, 3.0));
        reward.clear();
        assert!(reward.is_clear());
    }

    #[test]
    fn a_reward_that_is_not_a_number_is_not_clear() {
        let mut reward = Reward::default();
        reward.add("bug", f64::NAN);
        assert!(!reward.is_clear());
        assert_eq!(reward.for_recording("a").count(), 1);
    }
}

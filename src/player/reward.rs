//! [`Reward`]: the component that accumulates a player's reward between captures, by named term.

use bevy_ecs::{
    component::Component,
    entity::{ComponentCloneCtx, SourceComponent},
};
use bevy_reflect::{Reflect, std_traits::ReflectDefault};

/// The reward of a player since the last capture, by named term.
///
/// A required component of the marker of a recording. Each capture reads it and sets it to zero. A reward belongs to
/// the next capture, whichever system adds it.
///
/// It is no part of saved worlds, because it is not registered as a component for reflection. The clone of a player has no
/// reward; a player that is moved to another entity keeps its own.
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
#[component(clone_behavior = Custom(clone_or_move))]
#[reflect(Debug, Default, PartialEq)]
pub struct Reward {
    /// A `Vec`, because linear search over a few entries is faster than a map. Cleared entries stay, so that a tick
    /// does not allocate after warm-up.
    ///
    /// Not serialized: a reward belongs to one tick of one run, and the names cannot be deserialized.
    #[reflect(skip_serializing)]
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Reflect)]
struct Term {
    name: &'static str,
    /// The recording that the amount belongs to; all recordings if `None`.
    recording: Option<&'static str>,
    sum: f64,
}

impl Reward {
    /// Adds `amount` to the term `name`, in all recordings of the player.
    ///
    /// A term that a recording does not declare with `reward_terms` is only added to the sum, and is logged once.
    pub fn add(&mut self, name: &'static str, amount: f64) {
        self.add_in(None, name, amount);
    }

    /// Adds `amount` to the term `name`, in one recording.
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

    /// The sum of all terms since the last capture, including those for one recording.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.terms.iter().map(|term| term.sum).sum()
    }

    /// The terms that count in one recording, except those that are zero.
    pub(crate) fn for_recording<'a>(&'a self, recording: &'a str) -> impl Iterator<Item = (&'static str, f64)> + 'a {
        self.terms
            .iter()
            .filter(move |term| term.sum != 0.0 && term.recording.is_none_or(|only| only == recording))
            .map(|term| (term.name, term.sum))
    }

    /// The recording and the name of each term that was added for one recording, cleared or not.
    pub(crate) fn terms_of_recordings(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        let terms = self.terms.iter();
        terms.filter_map(|term| Some((term.recording?, term.name)))
    }

    /// Whether no term has ever been added.
    #[inline]
    pub(crate) fn has_no_terms(&self) -> bool {
        self.terms.is_empty()
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.terms.iter().all(|term| term.sum == 0.0)
    }

    pub(crate) fn clear(&mut self) {
        for term in &mut self.terms {
            // A store would dirty the cache line.
            if term.sum != 0.0 {
                term.sum = 0.0;
            }
        }
    }
}

/// The clone of a player has no reward: the game gave it to the original.
fn clone_or_move(source: &SourceComponent, ctx: &mut ComponentCloneCtx) {
    let moved = source.read::<Reward>().filter(|_| ctx.moving());
    ctx.write_target_component(moved.cloned().unwrap_or_default());
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
        assert!(reward.is_zero());
    }

    #[test]
    fn a_reward_that_is_not_a_number_is_not_clear() {
        let mut reward = Reward::default();
        reward.add("bug", f64::NAN);
        assert!(!reward.is_zero());
        assert_eq!(reward.for_recording("a").count(), 1);
    }
}

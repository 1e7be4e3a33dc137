//! Rewards as a recording counts them: a sum, and a column for each declared term.

use crate::player::Reward;

/// The terms of the reward that a recording declared, and the names that rewards were given under so far.
pub(super) struct Terms {
    recording: String,
    declared: Box<[String]>,
    /// Names that were met, with their place among the declared ones. A name is nearly always the same constant of the
    /// game's, so that comparing where it lies is enough to find it.
    met: Vec<(&'static str, Option<usize>)>,
}

impl Terms {
    pub(super) fn new(recording: &str, declared: &[String]) -> Self {
        Self {
            recording: recording.to_owned(),
            declared: declared.into(),
            met: Vec::new(),
        }
    }

    /// What counts for the recording, each amount with its term's place among the declared ones.
    #[inline]
    pub(super) fn amounts(&mut self, reward: &Reward, mut each: impl FnMut(Option<usize>, f64)) {
        let Self {
            recording,
            declared,
            met,
        } = self;
        for (index, (name, amount)) in reward.for_recording(recording).enumerate() {
            // Players are given the same terms, and nearly always in the same order.
            let place = match met.get(index) {
                Some(&(known, place)) if core::ptr::eq(known, name) => place,
                _ => meet(recording, declared, met, name),
            };
            each(place, amount);
        }
    }
}

impl Terms {
    /// The same, for several at once, who know the names that were met before. False at one that was not: what was given out
    /// until then is not all.
    #[inline]
    pub(super) fn known_amounts(&self, reward: &Reward, mut each: impl FnMut(Option<usize>, f64)) -> bool {
        for (index, (name, amount)) in reward.for_recording(&self.recording).enumerate() {
            let place = match self.met.get(index) {
                Some(&(known, place)) if core::ptr::eq(known, name) => place,
                _ => match self.met.iter().find(|(known, _)| core::ptr::eq(*known, name)) {
                    Some(&(_, place)) => place,
                    None => return false,
                },
            };
            each(place, amount);
        }
        true
    }
}

/// Looks a name up that is not the expected one. Says once that it was not declared.
#[inline(never)]
fn meet(
    recording: &str,
    declared: &[String],
    met: &mut Vec<(&'static str, Option<usize>)>,
    name: &'static str,
) -> Option<usize> {
    if let Some(&(_, place)) = met.iter().find(|(known, _)| core::ptr::eq(*known, name)) {
        return place;
    }
    let place = declared.iter().position(|term| term == name);
    if place.is_none() && !declared.is_empty() && met.iter().all(|&(known, _)| known != name) {
        tracing::warn!(
            "recording `{recording}`: the reward term `{name}` is not among {declared:?}: it counts to the sum, without a \
             column of its own; add it to `reward_terms`"
        );
    }
    met.push((name, place));
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_known_by_its_name_wherever_the_name_lies() {
        let mut terms = Terms::new("fighter", &["coin".to_owned(), "hit".to_owned()]);
        // A name at another place in memory.
        let elsewhere: &'static str = String::from("hit").leak();
        let mut reward = Reward::default();
        reward.add("hit", 1.0);
        reward.add("luck", 2.0);
        reward.add_to("other", "coin", 4.0);
        let mut amounts = |reward: &Reward| {
            let mut found = Vec::new();
            terms.amounts(reward, |term, amount| found.push((term, amount)));
            found
        };
        assert_eq!(amounts(&reward), [(Some(1), 1.0), (None, 2.0)]);
        assert_eq!(amounts(&reward), [(Some(1), 1.0), (None, 2.0)]);
        let mut same = Reward::default();
        same.add(elsewhere, 3.0);
        assert_eq!(amounts(&same), [(Some(1), 3.0)]);
    }
}

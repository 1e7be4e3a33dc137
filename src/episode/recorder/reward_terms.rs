//! Maps the named terms of a [`Reward`] to the reward columns of a recording.

use crate::{
    episode::{context::RecordingContext, player_slot::PlayerSlot},
    player::Reward,
};

/// The declared reward terms of a recording, and a cache of the term names in use.
pub(super) struct RewardTerms {
    recording: String,
    columns: TermColumns,
}

struct TermColumns {
    declared: Box<[String]>,
    /// Names in order of first use, each with its index among the declared terms. Compared by address, because a name
    /// is nearly always the same string constant.
    known: Vec<(&'static str, Option<usize>)>,
}

impl RewardTerms {
    pub(super) fn new(recording: &str, declared: &[String]) -> Self {
        Self {
            recording: recording.to_owned(),
            columns: TermColumns {
                declared: declared.into(),
                known: Vec::new(),
            },
        }
    }

    /// Adds the reward given since the last capture to the player's transition in progress. Outside an episode it
    /// counts as orphaned.
    // A call for each player costs more than the work for a player with one term.
    #[inline(always)]
    pub(super) fn credit(&mut self, reward: Option<&Reward>, slot: &mut PlayerSlot, context: &RecordingContext) {
        let Some(reward) = reward else { return };
        let accepts_rewards = slot.accepts_rewards();
        let mut is_orphaned = false;
        self.for_each_amount(reward, |term, amount| {
            if accepts_rewards {
                slot.add_reward(term, amount);
            } else {
                is_orphaned = true;
            }
        });
        if is_orphaned && slot.is_recorded() && !slot.is_excluded() && !context.was_paused {
            context.counters.orphaned_rewards.add(1);
        }
    }

    /// The declared terms for which no reward was given.
    pub(super) fn unused(&self) -> Vec<&str> {
        let TermColumns { declared, known } = &self.columns;
        let is_used = |column| known.iter().any(|&(_, used)| used == Some(column));
        let unused = declared.iter().enumerate().filter(|&(column, _)| !is_used(column));
        unused.map(|(_, name)| name.as_str()).collect()
    }

    /// Whether rewards were given for terms that are not declared.
    pub(super) fn has_undeclared(&self) -> bool {
        self.columns.known.iter().any(|(_, column)| column.is_none())
    }

    /// Calls `each` with every amount for the recording, and the index of its declared term. The index is `None`
    /// for a term that was not declared.
    // Called for every player on the slow path, whose size keeps the compiler from inlining it.
    #[inline(always)]
    pub(super) fn for_each_amount(&mut self, reward: &Reward, mut each: impl FnMut(Option<usize>, f64)) {
        let Self { recording, columns } = self;
        for (index, (name, amount)) in reward.for_recording(recording).enumerate() {
            let column = match columns.lookup(index, name) {
                Some(column) => column,
                None => columns.register(recording, name),
            };
            each(column, amount);
        }
    }

    /// As [`for_each_amount`](Self::for_each_amount), without exclusive access. Returns false if a name is not in the
    /// cache yet: `each` may then have been called for some of the amounts.
    #[inline]
    pub(super) fn try_for_each_amount(&self, reward: &Reward, mut each: impl FnMut(Option<usize>, f64)) -> bool {
        for (index, (name, amount)) in reward.for_recording(&self.recording).enumerate() {
            let Some(column) = self.columns.lookup(index, name) else {
                return false;
            };
            each(column, amount);
        }
        true
    }
}

impl TermColumns {
    /// The column of a cached name. `index` is its expected position: players usually have the same terms in the same
    /// order.
    #[inline]
    fn lookup(&self, index: usize, name: &'static str) -> Option<Option<usize>> {
        match self.known.get(index) {
            Some(&(known, column)) if core::ptr::eq(known, name) => Some(column),
            _ => self.search(name),
        }
    }

    #[inline(never)]
    fn search(&self, name: &'static str) -> Option<Option<usize>> {
        let mut known = self.known.iter();
        known
            .find(|(known, _)| core::ptr::eq(*known, name))
            .map(|&(_, column)| column)
    }

    /// Caches a name at its first use. Warns if it was not declared.
    #[cold]
    fn register(&mut self, recording: &str, name: &'static str) -> Option<usize> {
        let Self { declared, known } = self;
        let column = declared.iter().position(|term| term == name);
        if column.is_none() && !declared.is_empty() && known.iter().all(|&(known, _)| known != name) {
            tracing::warn!(
                "recording `{recording}`: the reward term `{name}` is not among {declared:?}: it is added to the sum, and has no \
                 column; add it to `reward_terms`"
            );
        }
        known.push((name, column));
        column
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_is_found_by_its_name_at_any_address() {
        let mut terms = RewardTerms::new("fighter", &["coin".to_owned(), "hit".to_owned()]);
        // The same name at another address.
        let elsewhere: &'static str = String::from("hit").leak();
        let mut reward = Reward::default();
        reward.add("hit", 1.0);
        reward.add("luck", 2.0);
        reward.add_to("other", "coin", 4.0);
        let mut amounts = |reward: &Reward| {
            let mut found = Vec::new();
            terms.for_each_amount(reward, |term, amount| found.push((term, amount)));
            found
        };
        assert_eq!(amounts(&reward), [(Some(1), 1.0), (None, 2.0)]);
        assert_eq!(amounts(&reward), [(Some(1), 1.0), (None, 2.0)]);
        let mut same = Reward::default();
        same.add(elsewhere, 3.0);
        assert_eq!(amounts(&same), [(Some(1), 3.0)]);
    }
}

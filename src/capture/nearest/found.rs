//! The few nearest of those that were looked at.

/// The nearest so far, at most `count` and at most so far away, the first the nearest.
///
/// Of two at one distance, the one with the lower `order` is the nearer. It is looked up only then: nearly always the
/// distance decides.
pub(crate) struct Found {
    count: usize,
    /// The squared distance beyond which nobody counts.
    reach: f32,
    /// Squared distance, and who it is.
    nearest: Vec<(f32, u32)>,
}

impl Found {
    /// The nearest `count` at most `within` away.
    pub(super) fn new(count: usize, within: f32) -> Self {
        Self {
            count,
            reach: within * within,
            nearest: Vec::with_capacity(count + 1),
        }
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.nearest.clear();
    }

    /// Who was found, the nearest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.nearest.iter().map(|&(_, other)| other)
    }

    /// Whoever is farther than this, in squared distance, need not be offered.
    #[inline]
    pub(super) fn bound(&self) -> f32 {
        match self.nearest.last() {
            Some(&(farthest, _)) if self.nearest.len() == self.count => farthest,
            _ => self.reach,
        }
    }

    /// Considers `other`, at the squared `distance`. Whoever was found already is not found twice.
    pub(super) fn offer<O: Ord>(&mut self, distance: f32, other: u32, order: impl Fn(u32) -> O) {
        let mut place = self.nearest.len();
        while let Some(&(before, nearer)) = place.checked_sub(1).map(|last| &self.nearest[last]) {
            if nearer == other {
                return;
            }
            if before < distance || (before == distance && order(nearer) < order(other)) {
                break;
            }
            place -= 1;
        }
        if place < self.count {
            self.nearest.truncate(self.count - 1);
            self.nearest.insert(place, (distance, other));
        }
    }
}

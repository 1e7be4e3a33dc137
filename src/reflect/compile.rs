//! From a live value to the ops that encode all values of its type.

use super::{
    FieldPlan, Target,
    op::{self, Action, Found},
    scalar::Scalar,
    survey::{Feature, Kind},
    trust,
    variants::VariantTable,
    walk::Step,
};
use bevy_reflect::Reflect;
use core::any::{Any, TypeId};

impl FieldPlan {
    /// Finds out where the leaves lie in a value of the `T` that the plan was made for; does nothing for any other.
    ///
    /// # Panics
    /// When the columns have not been placed.
    pub(crate) fn compile(&mut self, instance: &dyn Reflect) {
        assert!(
            !self.ops.is_empty(),
            "`place` the columns of `{}` before",
            self.type_path
        );
        if (instance as &dyn Any).type_id() != self.type_id {
            return;
        }
        let mut found: Vec<_> = self
            .features
            .iter()
            .flat_map(|placed| trust::find(instance, &placed.feature))
            .collect();
        // The value and the presence of an `Option` are two leaves in one place.
        let presences = self
            .features
            .iter()
            .filter(|placed| matches!(placed.feature.kind, Kind::Presence(_)));
        let shared = presences
            .map(|placed| placed.first..placed.first + placed.feature.leaves)
            .collect::<Vec<_>>();
        for leaf in trust::overlapping(&found, &shared) {
            found[leaf] = None;
        }
        self.build(&found);
        self.compiled = true;
    }

    /// Makes the ops from where each leaf was found.
    pub(super) fn build(&mut self, found: &[Option<Found>]) {
        self.ops.clear();
        for index in 0..self.features.len() {
            let placed = &self.features[index];
            let (first, target) = (placed.first, (placed.target, placed.unit));
            let found = &found[first..first + placed.feature.leaves];
            let mut action = action(&placed.feature, self.target);
            if let Kind::Variant { id, count, .. } = placed.feature.kind {
                action = Action::Variant {
                    bytes: found.iter().flatten().next().map_or(0, |found| found.bytes),
                    table: self.table(id, count),
                };
            }
            op::push(&mut self.ops, first, action, target, found);
        }
    }

    /// The number of the table for an enum.
    fn table(&mut self, id: TypeId, variants: usize) -> usize {
        let known = self.tables.iter().position(|(known, _)| *known == id);
        known.unwrap_or_else(|| {
            self.tables.push((id, VariantTable::new(variants)));
            self.tables.len() - 1
        })
    }
}

/// What happens to a feature's leaves where their offsets are known, if they are no enums.
fn action(feature: &Feature, target: Target) -> Action {
    let optional = feature.steps.last() == Some(&Step::Some);
    match (feature.kind, target) {
        (Kind::Variant { .. } | Kind::Presence(None), _) => Action::Reflect,
        (Kind::Presence(Some(scalar)), _) => Action::Presence(scalar),
        (Kind::Scalar(_), Target::Mask) => Action::Pack,
        (Kind::Scalar(scalar), Target::Observation { .. }) if optional => Action::Value(scalar),
        (Kind::Scalar(Scalar::F32), Target::Observation { .. }) => Action::Scatter(Scalar::F32),
        (Kind::Scalar(scalar), Target::Observation { .. }) => Action::Widen(scalar),
        (Kind::Scalar(scalar @ (Scalar::Bool | Scalar::Usize | Scalar::Isize)), Target::Exact) => {
            Action::Normalise(scalar)
        }
        (Kind::Scalar(scalar), Target::Exact) => Action::Scatter(scalar),
    }
}

//! Methods of [`Recording`] that describe columns of the action: their bounds, and the labels of their choices.

use super::{Recording, error::SetupError, sources::PlannedSource};
use bevy_ecs::component::Component;
use experience_core::schema::Space;

impl<P: Component> Recording<P> {
    /// Sets the bounds of the column `name` of the action, as [`bounds`](Self::bounds), also where the observation has a column of
    /// that name.
    pub fn action_bounds(self, name: impl Into<String>, low: f64, high: f64) -> Self {
        self.edit(|spec| spec.action_bounds.push((name.into(), low, high)))
    }

    /// Sets the label of each choice of a discrete column of the action, in the order of the choices. An enum that is recorded
    /// by [`act`](Self::act) has those of its variants; choices that a function computes have none before.
    ///
    /// The labels are part of the schema, and so of the dataset's description.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # #[derive(Component)] struct Fighter;
    /// # #[derive(Component)] struct Stance(u8);
    /// let recording = Recording::<Fighter>::new("fighter")
    ///     .act_discrete_with::<Stance>("stance", 3, |stance| i64::from(stance.0))
    ///     .choice_labels("stance", ["stand", "crouch", "lie"]);
    /// ```
    pub fn choice_labels(self, column: impl Into<String>, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let labels = labels.into_iter().map(Into::into).collect();
        self.edit(|spec| spec.choice_labels.push((column.into(), labels)))
    }
}

/// Sets the labels of the choices of columns by name.
pub(super) fn set_labels(
    recording: &str,
    all: Vec<(String, Vec<String>)>,
    action: &mut [PlannedSource],
) -> Result<(), SetupError> {
    for (name, new) in all {
        let refuse = |problem: String| SetupError::ChoiceLabels {
            recording: recording.to_owned(),
            column: name.clone(),
            problem,
        };
        let mut columns = action.iter_mut().flat_map(|planned| planned.columns.iter_mut());
        let Some(column) = columns.find(|column| column.name == name) else {
            return Err(refuse("which is not a column of the action".to_owned()));
        };
        let Space::Discrete { n, labels } = &mut column.space else {
            return Err(refuse(
                "which is not discrete: record it with `act_discrete_with` or a similar method".to_owned(),
            ));
        };
        if *n != new.len() as u64 {
            return Err(refuse(format!(
                "which has {n}, and there are {} labels: give one for each",
                new.len()
            )));
        }
        if let Some(twice) = new
            .iter()
            .enumerate()
            .find(|(index, label)| new[..*index].contains(label))
        {
            return Err(refuse(format!(
                "and `{}` is the label of two: give each its own",
                twice.1
            )));
        }
        *labels = new;
    }
    Ok(())
}

//! Counts of the classes of discrete actions.

use experience_core::{
    schema::{Column, Schema, Space},
    transition::Transition,
};
use serde::Serialize;

/// Alternatives beyond this number are counted together, which bounds the memory of a damaged schema.
const MAX_CLASSES: u64 = 256;

/// How often each alternative of a discrete action was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ActionClasses {
    /// The name of the action: `intent.deed`.
    pub name: String,
    /// The index of the value in the action.
    pub index: usize,
    /// The alternatives in order, of which a larger number is counted in `others`.
    pub classes: Vec<ClassCount>,
    /// Actions that are no alternative in `classes`.
    pub others: u64,
}

/// One alternative of a discrete action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// Its label, or its number where it has no label.
    pub label: String,
    /// How often it was chosen.
    pub count: u64,
}

impl ActionClasses {
    /// An entry for each value of each discrete action column.
    pub(crate) fn of_schema(schema: &Schema) -> Vec<Self> {
        let columns = schema.action().iter();
        let values = columns.flat_map(|column| column.element_names().map(move |name| (name, column)));
        let discrete = values.enumerate().filter_map(|(index, (name, column))| {
            let classes = classes(column)?;
            Some(Self {
                name,
                index,
                classes,
                others: 0,
            })
        });
        discrete.collect()
    }

    /// Counts the action of a transition. `all` are the entries of [`of_schema`](Self::of_schema).
    pub(super) fn add(all: &mut [Self], transition: Transition<'_>) {
        let mut entries = all.iter_mut().peekable();
        for (index, value) in transition.action().enumerate() {
            let Some(entry) = entries.next_if(|entry| entry.index == index) else {
                continue;
            };
            match class_of(value).and_then(|class| entry.classes.get_mut(class)) {
                Some(class) => class.count += 1,
                None => entry.others += 1,
            }
        }
    }

    /// The number of actions.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.others + self.classes.iter().map(|class| class.count).sum::<u64>()
    }
}

/// The class of a discrete action; `None` for a number that is none.
pub(crate) fn class_of(value: f64) -> Option<usize> {
    let class = value as usize;
    (class as f64 == value).then_some(class)
}

fn classes(column: &Column) -> Option<Vec<ClassCount>> {
    let Space::Discrete { n, labels } = &column.space else {
        return None;
    };
    let class = |number: u64| ClassCount {
        label: labels
            .get(number as usize)
            .cloned()
            .unwrap_or_else(|| number.to_string()),
        count: 0,
    };
    Some((0..(*n).min(MAX_CLASSES)).map(class).collect())
}

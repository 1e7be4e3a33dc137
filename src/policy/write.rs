//! [`ActionWriters`]: the values of an action, written to the components and resources of the game.

use super::error::PolicySetupError;
use crate::capture::ActionWriter;
use bevy_ecs::{
    component::{Component, Mutable},
    resource::Resource,
    world::{EntityWorldMut, World},
};
use experience_policy::PolicyLayout;
use std::collections::HashSet;

/// Writes values of columns to a player, with a function of the game. Returns false if the player lacks the component.
type WriteFn = Box<dyn Fn(&mut EntityWorldMut<'_>, &[f64]) -> bool + Send + Sync>;

/// The way back from columns to a component or a resource, which the game gives.
pub(crate) struct CustomWriter {
    columns: Vec<String>,
    write: WriteFn,
}

impl CustomWriter {
    pub(super) fn component<T: Component<Mutability = Mutable>>(
        columns: Vec<String>,
        write: impl Fn(&mut T, &[f64]) + Send + Sync + 'static,
    ) -> Self {
        Self {
            columns,
            write: Box::new(move |player, values| match player.get_mut::<T>() {
                Some(component) => {
                    write(component.into_inner(), values);
                    true
                }
                None => false,
            }),
        }
    }

    pub(super) fn resource<R: Resource + Component<Mutability = Mutable>>(
        columns: Vec<String>,
        write: impl Fn(&mut R, &[f64]) + Send + Sync + 'static,
    ) -> Self {
        Self {
            columns,
            write: Box::new(move |player, values| {
                player.world_scope(|world: &mut World| match world.get_resource_mut::<R>() {
                    Some(resource) => {
                        write(resource.into_inner(), values);
                        true
                    }
                    None => false,
                })
            }),
        }
    }
}

/// Writes the actions of a policy.
pub(super) struct ActionWriters {
    /// With the index of the first value of each.
    fields: Vec<(usize, ActionWriter)>,
    /// With the ranges of their values.
    custom: Vec<(Vec<(usize, usize)>, WriteFn)>,
    /// The values of one custom writer.
    scratch: Vec<f64>,
}

impl ActionWriters {
    /// Assigns each column of the action to the writer that writes it.
    ///
    /// # Errors
    /// When a column has no writer, or two.
    pub(super) fn new(
        policy: &str,
        layout: &PolicyLayout,
        fields: impl Iterator<Item = ActionWriter>,
        custom: Vec<CustomWriter>,
    ) -> Result<Self, PolicySetupError> {
        let recording = || layout.recording().to_owned();
        let column_error = |column: &str, problem: String| PolicySetupError::Column {
            recording: layout.recording().to_owned(),
            policy: policy.to_owned(),
            column: column.to_owned(),
            problem,
        };
        let mut written = HashSet::new();
        let mut custom_ranges = Vec::new();
        for writer in custom {
            let mut ranges = Vec::new();
            for column in &writer.columns {
                let Some(head) = layout.head(column) else {
                    let known: Vec<_> = layout.heads().iter().map(|head| format!("`{}`", head.name)).collect();
                    return Err(column_error(
                        column,
                        format!(
                            "which the recording does not have: its actions are {}",
                            known.join(", ")
                        ),
                    ));
                };
                if !written.insert(column.clone()) {
                    return Err(column_error(column, "twice: name it once".to_owned()));
                }
                let head = &layout.heads()[head];
                ranges.push((head.first_value(), head.elements));
            }
            custom_ranges.push((ranges, writer.write));
        }
        let mut placed = Vec::new();
        for writer in fields {
            let own = writer.columns();
            let taken: Vec<_> = own.iter().filter(|column| written.contains(*column)).collect();
            if taken.len() == own.len() {
                continue;
            }
            if let Some(&column) = taken.first() {
                return Err(column_error(
                    column,
                    format!(
                        "and not the others of `{}`: name all of {}",
                        writer.name(),
                        own.join(", ")
                    ),
                ));
            }
            if !writer.is_mutable() {
                return Err(PolicySetupError::Immutable {
                    recording: recording(),
                    policy: policy.to_owned(),
                    component: writer.name(),
                });
            }
            let first = own.first().and_then(|column| layout.head(column));
            let first = first.map_or(0, |head| layout.heads()[head].first_value());
            written.extend(own.iter().cloned());
            placed.push((first, writer));
        }
        let columns: Vec<_> = layout
            .heads()
            .iter()
            .filter(|head| !written.contains(&head.name))
            .map(|head| head.name.clone())
            .collect();
        if !columns.is_empty() {
            return Err(PolicySetupError::NoInverse {
                recording: recording(),
                policy: policy.to_owned(),
                columns,
            });
        }
        Ok(Self {
            fields: placed,
            custom: custom_ranges,
            scratch: Vec::with_capacity(layout.value_count()),
        })
    }

    /// Writes the values of an action to a player. Returns the name of the first component that could not be written.
    pub(super) fn write(&mut self, player: &mut EntityWorldMut<'_>, values: &[f64]) -> Result<(), &'static str> {
        let mut result = Ok(());
        for (first, writer) in &self.fields {
            // The columns of one component are neighbours in the schema.
            if !writer.write(player, &values[*first..]) {
                result = result.and(Err(writer.name()));
            }
        }
        for (ranges, write) in &self.custom {
            self.scratch.clear();
            for &(first, count) in ranges {
                self.scratch.extend_from_slice(&values[first..first + count]);
            }
            if !write(player, &self.scratch) {
                result = result.and(Err("a component or resource of `write_with`"));
            }
        }
        result
    }
}

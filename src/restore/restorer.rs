//! [`EpisodeRestorer`]: writes the rows of an episode to the components of an entity.

use super::{
    ColumnGroup, Restoration, RestoreError, RestoredColumn, Unrestored,
    columns::{self, ColumnPlace},
};
use crate::{
    capture::{ComponentAccess, SourceInverse},
    reflect::{FieldWriter, Inverse},
};
use bevy_ecs::{reflect::AppTypeRegistry, world::EntityWorldMut};
use bevy_reflect::std_traits::ReflectDefault;
use core::{any::Any, fmt, ops::Range};
use experience_core::{schema::Schema, transition::Episode};
use std::sync::Arc;

/// Writes the rows of an episode to the components of one entity. See the [module](super).
pub struct EpisodeRestorer {
    episode: Arc<Episode>,
    columns: Vec<RestoredColumn>,
    components: Vec<RestoredComponent>,
    /// The components that could not be written at the last call.
    missing: Vec<&'static str>,
}

/// A component of the entity.
struct RestoredComponent {
    access: ComponentAccess,
    fields: Option<FieldWriter>,
    /// The place of each column of the fields, and its index in `EpisodeRestorer::columns`.
    places: Vec<(ColumnPlace, usize)>,
    /// The place of its presence, if the component comes and goes.
    presence: Option<ColumnPlace>,
    /// The component, while the entity does not have it.
    removed: Option<Box<dyn Any + Send + Sync>>,
}

impl EpisodeRestorer {
    /// Restores `episode` by the inverses of the sources of a recording with the schema `here`.
    pub(crate) fn new(
        here: &Schema,
        inverses: impl Iterator<Item = (ColumnGroup, Range<usize>, SourceInverse)>,
        episode: Arc<Episode>,
        with_actions: bool,
    ) -> Result<Self, RestoreError> {
        let there = episode.schema().clone();
        let differences = columns::differences(here, &there, with_actions);
        if !differences.is_empty() {
            return Err(RestoreError::OtherSchema {
                recording: there.name().to_owned(),
                differences,
            });
        }
        let mut restorer = Self {
            columns: Vec::new(),
            components: Vec::new(),
            missing: Vec::new(),
            episode,
        };
        for (group, range, inverse) in inverses {
            if group != ColumnGroup::Action || with_actions {
                restorer.add(&there, group, range, inverse);
            }
        }
        Ok(restorer)
    }

    fn add(&mut self, schema: &Schema, group: ColumnGroup, range: Range<usize>, inverse: SourceInverse) {
        let first = self.columns.len();
        let mut push = |index: usize, component, restoration| {
            self.columns.push(RestoredColumn {
                group,
                name: columns::of_group(schema, group)[index].name.clone(),
                component,
                restoration,
            });
        };
        let (access, fields, has_presence) = match inverse {
            SourceInverse::None(reason) => {
                range.for_each(|index| push(index, None, Restoration::None(reason)));
                return;
            }
            SourceInverse::Component {
                access,
                fields,
                has_presence,
            } => (access, fields, has_presence),
        };
        let place = |index| ColumnPlace::new(schema, group, index);
        let own = range.start..range.end - usize::from(has_presence);
        let places: Vec<_> = own.clone().map(place).zip(first..).collect();
        let presence = has_presence.then(|| place(own.end));
        for (column, index) in own.clone().enumerate() {
            let restoration = fields.as_ref().map_or(Restoration::Exact, |fields| {
                restoration(&self.episode, fields, column, &places, presence)
            });
            push(index, Some(access.name()), restoration);
        }
        if has_presence {
            push(own.end, Some(access.name()), Restoration::Exact);
        }
        self.components.push(RestoredComponent {
            access,
            fields,
            places,
            presence,
            removed: None,
        });
    }

    /// The episode.
    #[must_use]
    pub fn episode(&self) -> &Arc<Episode> {
        &self.episode
    }

    /// The columns of the observation, the images and, if they are written, the action, and how each is restored.
    #[must_use]
    pub fn columns(&self) -> &[RestoredColumn] {
        &self.columns
    }

    /// Writes row `row` of the episode, 0 to T, to the components of `entity`: the observation, and the action that is taken there.
    /// The last row is the final observation, with the action that led to it. A row beyond is the last one.
    ///
    /// All of what is restored is written, so the components are the same whichever rows were written before. Returns the types of
    /// the components that could not be written: the entity lacks them, or they did not accept a value.
    pub fn write(&mut self, entity: &mut EntityWorldMut<'_>, row: usize) -> &[&'static str] {
        self.missing.clear();
        for component in &mut self.components {
            let name = component.access.name();
            if !component.write(entity, &self.episode, row, &self.columns) && !self.missing.contains(&name) {
                self.missing.push(name);
            }
        }
        &self.missing
    }
}

impl RestoredComponent {
    fn write(
        &mut self,
        entity: &mut EntityWorldMut<'_>,
        episode: &Episode,
        row: usize,
        columns: &[RestoredColumn],
    ) -> bool {
        if !self.access.is_of_world(entity) {
            return false;
        }
        if let Some(presence) = self.presence {
            if !presence.values(episode, row).is_set(0) {
                self.removed = self.access.take(entity).or_else(|| self.removed.take());
                return true;
            }
            if !self.access.is_on(entity) && !self.insert(entity) {
                return false;
            }
        }
        let Some(fields) = &self.fields else {
            return self.access.is_on(entity);
        };
        let Some(value) = self.access.get_mut(entity) else {
            return false;
        };
        fields.restore(value, |column| {
            let &(place, index) = self.places.get(column)?;
            let is_written = !matches!(columns[index].restoration, Restoration::None(_));
            is_written.then(|| place.values(episode, row))
        })
    }

    /// Inserts the component that was removed, or the default of its type.
    fn insert(&mut self, entity: &mut EntityWorldMut<'_>) -> bool {
        let value: Option<Box<dyn Any>> = match self.removed.take() {
            Some(removed) => Some(removed),
            None => entity.world().get_resource::<AppTypeRegistry>().and_then(|registry| {
                let registry = registry.read();
                let default = registry.get_type_data::<ReflectDefault>(self.access.type_id())?;
                Some(default.default().into_any())
            }),
        };
        value.is_some_and(|value| self.access.put(entity, value))
    }
}

/// How column `column` of a component is restored in all rows of the episode.
fn restoration(
    episode: &Episode,
    fields: &FieldWriter,
    column: usize,
    places: &[(ColumnPlace, usize)],
    presence: Option<ColumnPlace>,
) -> Restoration {
    let inverse = fields.inverse(column);
    let undetermined = || {
        let rows = 0..=episode.len();
        let is_absent = |row| presence.is_some_and(|presence| !presence.values(episode, row).is_set(0));
        let is_determined = |row| {
            let is_some = fields
                .is_optional(column)
                .then(|| places[column + 1].0.values(episode, row));
            is_absent(row) || fields.is_determined(column, places[column].0.values(episode, row), is_some)
        };
        rows.filter(|&row| !is_determined(row)).count()
    };
    match inverse {
        Inverse::Exact => Restoration::Exact,
        Inverse::SmallIntegers if undetermined() == 0 => Restoration::Exact,
        Inverse::Rounded | Inverse::SmallIntegers => Restoration::Rounded,
        Inverse::OneHot => match undetermined() {
            0 => Restoration::Exact,
            rows => Restoration::None(Unrestored::NoClass { rows }),
        },
        Inverse::Derived => Restoration::None(Unrestored::Derived),
        Inverse::NestedOption => Restoration::None(Unrestored::NestedOption),
    }
}

impl fmt::Debug for EpisodeRestorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpisodeRestorer")
            .field("episode", self.episode.info())
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

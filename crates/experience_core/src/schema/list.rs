//! Lists: observation columns that hold a padded list of entities.

use super::{Column, DType};
use core::ops::Range;
use serde::{Deserialize, Serialize};

/// The serialized part of a list. The rest follows from the names of the columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ListDefinition {
    pub(super) name: String,
    pub(super) capacity: usize,
}

/// Observation columns that hold a list of up to `capacity` entities: an array `[capacity, features]` with a mask.
///
/// Entity `i` of the list `units` has the columns `units[i].present`, which is the mask, and any others of that prefix, the
/// same for each entity. Places without an entity hold zeros, and follow those with one. The column `units.overflow` is the
/// number of entities that did not fit.
///
/// ```
/// use experience_core::schema::{Column, Schema};
///
/// let columns = ["health", "units[0].present", "units[0].dx", "units[1].present", "units[1].dx", "units.overflow"];
/// let schema = Schema::new("fighter").with_observation(columns.map(Column::feature)).with_list("units", 2);
/// let units = schema.list("units").unwrap();
/// assert_eq!((units.elements(), units.features()), (1..5, &["present".to_owned(), "dx".to_owned()][..]));
///
/// let observation = [0.5, 1.0, -3.0, 0.0, 0.0, 0.0];
/// assert_eq!(units.present(&observation).collect::<Vec<_>>(), [[1.0, -3.0]]);
/// assert_eq!(units.overflow(&observation), 0.0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnList {
    name: String,
    capacity: usize,
    features: Vec<String>,
    columns: Range<usize>,
    start: usize,
    overflow: usize,
}

impl ColumnList {
    /// Finds the list `name` of `capacity` entities in the columns of an observation. Returns `None` if columns of it are
    /// missing, are not next to each other, or differ between entities, and if other columns begin with `name[`.
    #[must_use]
    pub fn find(columns: &[Column], name: &str, capacity: usize) -> Option<Self> {
        let width = |columns: &[Column]| columns.iter().map(Column::width).sum::<usize>();
        let prefix = |entity: usize| format!("{name}[{entity}].");
        let first = columns
            .iter()
            .position(|column| column.name.strip_prefix(&prefix(0)) == Some("present"))?;
        let per_entity = columns[first..]
            .iter()
            .take_while(|column| column.name.starts_with(&prefix(0)))
            .count();
        let end = first.checked_add(capacity.checked_mul(per_entity)?)?;
        let is_of_list = |column: &&Column| {
            let rest = column.name.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with('['))
        };
        if columns.iter().filter(is_of_list).count() != end - first {
            return None;
        }
        let entities = columns.get(first..end)?;
        let (model, rest) = entities.split_at_checked(per_entity)?;
        for (entity, other) in (1..).zip(rest.chunks_exact(per_entity)) {
            let (from, to) = (prefix(0), prefix(entity));
            let is_equal = model.iter().zip(other).all(|(model, column)| {
                let suffix = model.name.strip_prefix(&from);
                suffix == column.name.strip_prefix(&to)
                    && (&model.dtype, &model.shape, &model.labels) == (&column.dtype, &column.shape, &column.labels)
            });
            if !is_equal {
                return None;
            }
        }
        let overflow = columns
            .iter()
            .position(|column| column.name.strip_prefix(name) == Some(".overflow"))?;
        let is_number = |column: &Column| column.dtype == DType::F32 && column.shape.is_empty();
        (is_number(&columns[first]) && is_number(&columns[overflow])).then(|| Self {
            name: name.to_owned(),
            capacity,
            features: model
                .iter()
                .flat_map(Column::element_names)
                .map(|feature| feature[prefix(0).len()..].to_owned())
                .collect(),
            columns: first..end,
            start: width(&columns[..first]),
            overflow: width(&columns[..overflow]),
        })
    }

    /// The name, which is the prefix of the columns.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Maximum number of entities.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The names of the features of an entity, without the prefix. The first is `present`.
    #[must_use]
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// The indices of its columns in the observation, without `overflow`.
    #[must_use]
    pub fn columns(&self) -> Range<usize> {
        self.columns.clone()
    }

    /// The indices of its values in an observation: `capacity` entities, each with its features. Without `overflow`.
    #[must_use]
    pub fn elements(&self) -> Range<usize> {
        self.start..self.start + self.capacity * self.features.len()
    }

    /// The index of the value `overflow` in an observation.
    #[must_use]
    pub fn overflow_index(&self) -> usize {
        self.overflow
    }

    /// The features of each place of the list, in order; zeros where there is no entity.
    ///
    /// # Panics
    /// When `observation` is not of the schema of this list.
    pub fn entities<'a>(&self, observation: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        observation[self.elements()].chunks_exact(self.features.len())
    }

    /// The features of each entity that is present, in order.
    ///
    /// # Panics
    /// When `observation` is not of the schema of this list.
    pub fn present<'a>(&self, observation: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        self.entities(observation).filter(|entity| entity[0] > 0.0)
    }

    /// The number of entities that did not fit.
    ///
    /// # Panics
    /// When `observation` is not of the schema of this list.
    #[must_use]
    pub fn overflow(&self, observation: &[f32]) -> f32 {
        observation[self.overflow]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    fn units(capacity: usize) -> Vec<Column> {
        let kind = Column {
            shape: vec![2],
            labels: vec!["soldier".to_owned(), "tower".to_owned()],
            ..Column::feature("kind")
        };
        (0..capacity)
            .flat_map(|entity| {
                [Column::feature("present"), kind.clone(), Column::feature("dx")].map(|column| Column {
                    name: format!("units[{entity}].{}", column.name),
                    ..column
                })
            })
            .chain([Column::feature("units.overflow")])
            .collect()
    }

    #[test]
    fn a_list_is_found_behind_wide_columns() {
        let mut columns = vec![Column {
            shape: vec![3, 3],
            ..Column::feature("board")
        }];
        columns.extend(units(3));
        let list = ColumnList::find(&columns, "units", 3).unwrap();
        assert_eq!(list.elements(), 9..21);
        assert_eq!(list.columns(), 1..10);
        assert_eq!(list.overflow_index(), 21);
        assert_eq!(list.features(), ["present", "kind=soldier", "kind=tower", "dx"]);
    }

    #[test]
    fn incomplete_lists_are_not_found() {
        let columns = units(2);
        assert!(ColumnList::find(&columns, "units", 2).is_some());
        for capacity in [0, 1, 3, usize::MAX] {
            assert_eq!(ColumnList::find(&columns, "units", capacity), None, "{capacity}");
        }
        for missing in 0..columns.len() {
            let mut columns = columns.clone();
            columns.remove(missing);
            assert_eq!(ColumnList::find(&columns, "units", 2), None, "without column {missing}");
        }
        let mut reordered = columns.clone();
        reordered.swap(4, 5);
        assert_eq!(ColumnList::find(&reordered, "units", 2), None);
        let mut reshaped = columns;
        reshaped[4].labels.clear();
        assert_eq!(ColumnList::find(&reshaped, "units", 2), None);
    }

    #[test]
    fn a_schema_without_lists_keeps_its_hash() {
        let schema = Schema::new("fighter").with_observation(units(2));
        let json = serde_json::to_string(&schema).unwrap();
        assert!(!json.contains("lists"), "{json}");
        let with_list = schema.clone().with_list("units", 2);
        assert_ne!(with_list.hash(), schema.hash());
        assert_eq!(
            with_list.differences(&schema),
            ["the observation columns of `units` are a list of 2 entities here and no list there"]
        );
        let json = serde_json::to_string(&with_list).unwrap();
        assert_eq!(serde_json::from_str::<Schema>(&json).unwrap(), with_list);
        let damaged = json.replace("\"capacity\":2", "\"capacity\":5");
        let error = serde_json::from_str::<Schema>(&damaged).unwrap_err().to_string();
        assert!(error.contains("`units`"), "{error}");
    }

    #[test]
    #[should_panic(expected = "`units`")]
    fn a_list_needs_its_columns() {
        let _ = Schema::new("fighter").with_observation(units(2)).with_list("units", 3);
    }
}

//! Checks of the entity lists that a recording declares.

use super::SetupError;
use crate::capture::EntityList;
use experience_core::schema::{ColumnList, Schema};

/// An entity list whose columns are planned later.
pub(super) struct ListDeclaration {
    name: String,
    capacity: usize,
    problem: Option<String>,
}

impl ListDeclaration {
    pub(super) fn new(list: &EntityList) -> Self {
        Self {
            name: list.name().to_owned(),
            capacity: list.capacity(),
            problem: list.problem(),
        }
    }

    /// Rejects lists with invalid settings, and lists of one name.
    pub(super) fn check(recording: &str, lists: &[Self]) -> Result<(), SetupError> {
        for (index, list) in lists.iter().enumerate() {
            let is_duplicate = lists[..index].iter().any(|other| other.name == list.name);
            let duplicate = is_duplicate.then(|| "exists twice: give each list a unique name".to_owned());
            if let Some(problem) = list.problem.clone().or(duplicate) {
                return Err(SetupError::EntityList {
                    recording: recording.to_owned(),
                    list: list.name.clone(),
                    problem,
                });
            }
        }
        Ok(())
    }

    /// Declares the lists in a schema that has their columns. Rejects a list whose name is that of other columns.
    pub(super) fn declare(lists: &[Self], schema: Schema) -> Result<Schema, SetupError> {
        lists.iter().try_fold(schema, |schema, list| {
            let is_taken = schema.images().iter().any(|image| image.name == list.name);
            if is_taken || ColumnList::find(schema.observation(), &list.name, list.capacity).is_none() {
                return Err(SetupError::EntityList {
                    recording: schema.name().to_owned(),
                    list: list.name.clone(),
                    problem: "has the name of other columns: give it another name".to_owned(),
                });
            }
            Ok(schema.with_list(&list.name, list.capacity))
        })
    }
}

//! The columns of an episode: their values in a row, and the check that a recording has the same ones.

use super::ColumnGroup;
use crate::reflect::ColumnValues;
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::Episode,
};

/// The columns of a group.
pub(super) fn of_group(schema: &Schema, group: ColumnGroup) -> &[Column] {
    match group {
        ColumnGroup::Observation => schema.observation(),
        ColumnGroup::Image => schema.images(),
        ColumnGroup::Action => schema.action(),
    }
}

/// The place of a column in its group.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnPlace {
    group: ColumnGroup,
    index: usize,
    /// The first of its features, if it is one of the observation.
    first: usize,
    width: usize,
}

impl ColumnPlace {
    pub(super) fn new(schema: &Schema, group: ColumnGroup, index: usize) -> Self {
        let columns = of_group(schema, group);
        Self {
            group,
            index,
            first: columns[..index].iter().map(Column::width).sum(),
            width: columns[index].width(),
        }
    }

    /// The values of the column in row `row` of an episode. The action is the one that is taken there; in the last row, the one that
    /// led to it.
    pub(super) fn values(self, episode: &Episode, row: usize) -> ColumnValues<'_> {
        let row = row.min(episode.len());
        match self.group {
            ColumnGroup::Observation => ColumnValues {
                dtype: DType::F32,
                bytes: bytemuck::cast_slice(&episode.row(row).observation()[self.first..self.first + self.width]),
            },
            ColumnGroup::Image => ColumnValues {
                dtype: DType::U8,
                bytes: episode.row(row).image(self.index),
            },
            ColumnGroup::Action => ColumnValues {
                dtype: episode.schema().action()[self.index].dtype,
                // A row holds the action that led to it.
                bytes: episode.row((row + 1).min(episode.len())).action_bytes(self.index),
            },
        }
    }
}

/// The differences between the columns that a recording restores, `here`, and those of an episode, `there`. The bounds of numbers may
/// differ, as may what is not restored.
pub(super) fn differences(here: &Schema, there: &Schema, with_actions: bool) -> Vec<String> {
    let restored = |schema: &Schema| {
        let restored = Schema::new("")
            .with_observation(schema.observation().iter().map(without_bounds))
            .with_images(schema.images().iter().map(without_bounds));
        match with_actions {
            true => restored.with_action(schema.action().iter().map(without_bounds)),
            false => restored,
        }
    };
    restored(here).differences(&restored(there))
}

fn without_bounds(column: &Column) -> Column {
    let space = match &column.space {
        Space::Box { .. } => Space::unbounded(),
        discrete @ Space::Discrete { .. } => discrete.clone(),
    };
    Column {
        space,
        ..column.clone()
    }
}

//! [`Selection`]: the rows and columns that a subscriber asks for.

use crate::Ticket;
use arrow_array::{
    BooleanArray, RecordBatch,
    cast::AsArray,
    types::{Int32Type, Int64Type},
};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use std::{collections::HashSet, sync::Arc};

/// The rows and columns that a subscriber asks for.
pub(crate) struct Selection {
    agents: Option<HashSet<i64>>,
    controllers: Option<HashSet<String>>,
    /// Indices of the columns, ascending. `None` for all.
    columns: Option<Vec<usize>>,
    schema: SchemaRef,
}

impl Selection {
    /// The selection of `ticket` among the columns of `schema`.
    ///
    /// # Errors
    /// The column that is unknown, and those that are not.
    pub(crate) fn new(ticket: &Ticket, schema: &SchemaRef) -> Result<Self, String> {
        let columns = ticket
            .columns
            .as_ref()
            .map(|names| indices(names, schema))
            .transpose()?;
        let selected = match &columns {
            Some(columns) => Arc::new(schema.project(columns).map_err(|error| error.to_string())?),
            None => schema.clone(),
        };
        Ok(Self {
            agents: ticket.agents.as_ref().map(|agents| agents.iter().copied().collect()),
            controllers: ticket
                .controllers
                .as_ref()
                .map(|labels| labels.iter().cloned().collect()),
            columns,
            schema: selected,
        })
    }

    /// The schema of the selected columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether everything is selected.
    pub(crate) fn is_all(&self) -> bool {
        self.agents.is_none() && self.controllers.is_none() && self.columns.is_none()
    }

    /// The selected rows and columns of `batch`.
    pub(crate) fn select(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let rows = match self.rows(batch)? {
            Some(rows) if rows.true_count() < batch.num_rows() => &filter_record_batch(batch, &rows)?,
            _ => batch,
        };
        match &self.columns {
            Some(columns) => rows.project(columns),
            None => Ok(rows.clone()),
        }
    }

    /// The rows that are selected. `None` for all.
    fn rows(&self, batch: &RecordBatch) -> Result<Option<BooleanArray>, ArrowError> {
        let column = |name: &str| {
            let column = batch.column_by_name(name);
            column.ok_or_else(|| ArrowError::SchemaError(format!("the batch has no column `{name}`")))
        };
        let agents = match &self.agents {
            Some(agents) => {
                let ids = column("agent_id")?.as_primitive::<Int64Type>();
                Some(
                    ids.values()
                        .iter()
                        .map(|id| Some(agents.contains(id)))
                        .collect::<BooleanArray>(),
                )
            }
            None => None,
        };
        let Some(labels) = &self.controllers else {
            return Ok(agents);
        };
        let controllers = column("controller")?.as_dictionary::<Int32Type>();
        let values = controllers.values().as_string::<i32>();
        let wanted: Vec<bool> = values
            .iter()
            .map(|label| label.is_some_and(|label| labels.contains(label) || is_any_version(labels, label)))
            .collect();
        let keys = controllers.keys().iter().enumerate();
        let rows = keys.map(|(row, key)| {
            let is_controlled = key.is_some_and(|key| wanted.get(key as usize) == Some(&true));
            Some(is_controlled && agents.as_ref().is_none_or(|agents| agents.value(row)))
        });
        Ok(Some(rows.collect()))
    }
}

/// Whether one of `wanted` is the policy of `label` with `*` as its version.
fn is_any_version(wanted: &HashSet<String>, label: &str) -> bool {
    let Some((policy, _)) = label.rsplit_once('@').filter(|_| label.starts_with("policy:")) else {
        return false;
    };
    wanted.iter().any(|wanted| wanted.strip_suffix("@*") == Some(policy))
}

fn indices(names: &[String], schema: &Schema) -> Result<Vec<usize>, String> {
    let mut indices = Vec::with_capacity(names.len().min(schema.fields().len()));
    for name in names {
        let Ok(index) = schema.index_of(name) else {
            let known: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let name: String = name.chars().take(100).collect();
            return Err(format!(
                "there is no column `{name}`; the columns are {}",
                known.join(", ")
            ));
        };
        if !indices.contains(&index) {
            indices.push(index);
        }
    }
    indices.sort_unstable();
    Ok(indices)
}

//! Value plans: how values of one type are recorded, by their fields or by a function.

use super::SourceError;
use crate::{
    capture::{RowPart, Source},
    reflect::{FieldPlan, FieldUsage, LeafEncoding, root_name},
};
use bevy_ecs::{component::Component, world::World};
use bevy_reflect::{Reflect, Typed};
use experience_core::schema::{Column, DType, Space};

/// Plans the columns of values of one component type. The flag allows lossy conversions to `f32`.
pub(in crate::recording) type ValuePlan = Box<dyn FnOnce(bool) -> Result<PlannedValue, SourceError> + Send + Sync>;

/// The columns of values, whose offsets in a row are not known yet.
pub(in crate::recording) struct PlannedValue {
    pub(super) columns: Vec<Column>,
    pub(super) mask_width: usize,
    /// Creates the source of the component type, given the offset of each column in bytes.
    pub(super) build: Box<dyn FnOnce(&mut World, &[usize]) -> Source>,
}

/// Plans all leaves of `T`, or some of its fields, in columns whose names begin with `root`.
pub(in crate::recording) fn plan_fields<T: Component + Reflect + Typed>(
    part: RowPart,
    usage: FieldUsage,
    root: String,
    fields: Option<Vec<String>>,
) -> ValuePlan {
    Box::new(move |allow_lossy| {
        let encoding = match part {
            RowPart::Observation => LeafEncoding::Observation { allow_lossy },
            RowPart::Mask => LeafEncoding::Mask,
            RowPart::Action | RowPart::Info => LeafEncoding::Exact,
        };
        let fields: Option<Vec<&str>> = fields
            .as_ref()
            .map(|fields| fields.iter().map(String::as_str).collect());
        let plan = FieldPlan::new::<T>(&root, fields.as_deref(), encoding);
        let mut plan = plan.map_err(|error| error.for_usage(usage))?;
        Ok(PlannedValue {
            columns: plan.columns().to_vec(),
            mask_width: plan.mask_width(),
            build: Box::new(move |world, offsets| {
                plan.place(offsets);
                Source::fields::<T>(world, part, plan)
            }),
        })
    })
}

/// Plans all fields of `T` as images, whose names begin with that of `T`.
pub(in crate::recording) fn plan_images<T: Component + Reflect + Typed>() -> ValuePlan {
    Box::new(|_| {
        let mut plan = FieldPlan::new::<T>(&root_name::<T>(), None, LeafEncoding::Image)?;
        Ok(PlannedValue {
            columns: plan.columns().to_vec(),
            mask_width: 0,
            build: Box::new(move |world, offsets| {
                plan.place(offsets);
                Source::fields::<T>(world, RowPart::Observation, plan)
            }),
        })
    })
}

/// Plans values that `encode` computes, one `f32` for each name. It gets `None` where there is no value of `T`.
pub(in crate::recording) fn plan_values<T: Component>(
    part: RowPart,
    names: impl IntoIterator<Item = impl Into<String>>,
    encode: impl Fn(Option<&T>, &mut [f32]) + Send + Sync + 'static,
) -> ValuePlan {
    let columns = names.into_iter().map(Column::feature).collect();
    plan_function(part, columns, move |value, bytes| {
        encode(value, bytemuck::cast_slice_mut(bytes));
    })
}

/// Plans a choice in `0..n` of the action, which `choose` computes. It gets `None` where there is no value of `T`.
pub(in crate::recording) fn plan_choice<T: Component>(
    name: impl Into<String>,
    n: u64,
    choose: impl Fn(Option<&T>) -> i64 + Send + Sync + 'static,
) -> ValuePlan {
    plan_function(RowPart::Action, vec![choice_column(name, n)], move |value, bytes| {
        bytes.copy_from_slice(&choose(value).to_ne_bytes());
    })
}

/// A function of a value that every row has.
pub(in crate::recording) fn if_present<T: Component>(
    encode: impl Fn(&T, &mut [f32]) + Send + Sync + 'static,
) -> impl Fn(Option<&T>, &mut [f32]) + Send + Sync + 'static {
    move |value, out| {
        if let Some(value) = value {
            encode(value, out);
        }
    }
}

/// The column of a choice in `0..n`.
pub(in crate::recording) fn choice_column(name: impl Into<String>, n: u64) -> Column {
    Column::scalar(name, DType::I64, Space::Discrete { n, labels: Vec::new() })
}

/// Plans columns whose bytes `encode` writes. It gets `None` where there is no value of `T`.
pub(in crate::recording) fn plan_function<T: Component>(
    part: RowPart,
    columns: Vec<Column>,
    encode: impl Fn(Option<&T>, &mut [u8]) + Send + Sync + 'static,
) -> ValuePlan {
    Box::new(move |_| {
        Ok(PlannedValue {
            columns: columns.clone(),
            mask_width: 0,
            // Not earlier: the shapes of images are checked between.
            build: Box::new(move |world, offsets| {
                let bytes: usize = columns.iter().map(|column| column.width() * column.dtype.size()).sum();
                let start = offsets.first().copied().unwrap_or(0);
                Source::custom::<T>(world, part, start..start + bytes, encode)
            }),
        })
    })
}

impl PlannedValue {
    /// Adds a column that is 1 where there is a value, and 0 where there is none.
    pub(super) fn with_presence(self, root: &str) -> Self {
        let Self {
            mut columns,
            mask_width,
            build,
        } = self;
        columns.push(presence_column(root));
        Self {
            columns,
            mask_width,
            build: Box::new(move |world, offsets| match offsets.split_last() {
                Some((&presence, offsets)) => build(world, offsets).with_presence(presence),
                None => build(world, offsets),
            }),
        }
    }
}

/// The column of the presence of values whose columns begin with `root`.
pub(super) fn presence_column(root: &str) -> Column {
    Column::scalar(format!("{root}.present"), DType::F32, Space::bounded(0.0, 1.0))
}

//! Source plans: columns of components, resources, custom encoders, entity lists and match ids, before the row
//! layout is known.

use crate::{
    capture::{EntityList, EntityListSource, MatchSource, ResourceSource, RowPart, Source},
    reflect::{FieldError, FieldPlan, FieldUsage, LeafEncoding, root_name},
};
use bevy_ecs::{component::Component, resource::Resource, world::World};
use bevy_reflect::{Reflect, Typed};
use experience_core::schema::{Column, DType};

/// Plans the columns of a source. The flag allows lossy conversions to `f32`.
pub(super) type SourcePlan = Box<dyn FnOnce(&mut World, bool) -> Result<PlannedSource, FieldError> + Send + Sync>;

/// The columns of a source, whose offsets in a row are not known yet.
pub(super) struct PlannedSource {
    pub(super) columns: Vec<Column>,
    pub(super) mask_width: usize,
    /// Creates the source, given the offset of each column in bytes.
    pub(super) build: Box<dyn FnOnce(&mut World, &[usize]) -> PlacedSource>,
}

/// A source with the offsets of its columns in a row.
pub(super) enum PlacedSource {
    Component(Source),
    Resource(ResourceSource),
    EntityList(EntityListSource),
}

/// Plans the source of match ids. The inner error is the type path of a component that does not hold one integer.
pub(super) type MatchPlan = fn(&mut World) -> Result<Result<MatchSource, &'static str>, FieldError>;

pub(super) fn fields_plan<T: Component + Reflect + Typed>(
    part: RowPart,
    root: String,
    fields: Option<Vec<String>>,
) -> SourcePlan {
    Box::new(move |_, allow_lossy| {
        let target = match part {
            RowPart::Observation => LeafEncoding::Observation { allow_lossy },
            RowPart::Mask => LeafEncoding::Mask,
            RowPart::Action | RowPart::Info => LeafEncoding::Exact,
        };
        let fields: Option<Vec<&str>> = fields
            .as_ref()
            .map(|fields| fields.iter().map(String::as_str).collect());
        let usage = match part {
            RowPart::Observation => FieldUsage::Observation,
            RowPart::Mask => FieldUsage::Mask,
            RowPart::Action => FieldUsage::Action,
            RowPart::Info => FieldUsage::Info,
        };
        let plan = FieldPlan::new::<T>(&root, fields.as_deref(), target);
        let mut plan = plan.map_err(|error| error.for_usage(usage))?;
        Ok(PlannedSource {
            columns: plan.columns().to_vec(),
            mask_width: plan.mask_width(),
            build: Box::new(move |world, offsets| {
                plan.place(offsets);
                PlacedSource::Component(Source::fields::<T>(world, part, plan))
            }),
        })
    })
}

pub(super) fn custom_plan<T: Component>(
    part: RowPart,
    columns: Vec<Column>,
    encode: impl Fn(&T, &mut [u8]) + Send + Sync + 'static,
) -> SourcePlan {
    Box::new(move |_, _| {
        let bytes: usize = columns.iter().map(|column| column.width() * column.dtype.size()).sum();
        Ok(PlannedSource {
            columns,
            mask_width: 0,
            build: Box::new(move |world, offsets| {
                let start = offsets.first().copied().unwrap_or(0);
                PlacedSource::Component(Source::custom::<T>(world, part, start..start + bytes, encode))
            }),
        })
    })
}

pub(super) fn resource_plan<R: Resource + Reflect + Typed>() -> SourcePlan {
    Box::new(|_, allow_lossy| {
        let name = root_name::<R>();
        let plan = FieldPlan::new::<R>(&name, None, LeafEncoding::Observation { allow_lossy });
        let mut plan = plan.map_err(|error| error.for_usage(FieldUsage::Resource))?;
        let columns = plan.columns().to_vec();
        Ok(PlannedSource {
            columns: columns.clone(),
            mask_width: 0,
            build: Box::new(move |world, offsets| {
                let start = offsets.first().copied().unwrap_or(0);
                let width: usize = columns.iter().map(Column::width).sum();
                let local: Vec<_> = offsets.iter().map(|offset| offset - start).collect();
                plan.place(&local);
                let bytes = start..start + width * DType::F32.size();
                PlacedSource::Resource(ResourceSource::new::<R>(world, name, plan, bytes))
            }),
        })
    })
}

pub(super) fn entity_list_plan(list: EntityList) -> SourcePlan {
    Box::new(move |world, allow_lossy| {
        let (columns, mut source) = list.build(world, allow_lossy)?;
        Ok(PlannedSource {
            columns,
            mask_width: 0,
            build: Box::new(move |_, offsets| {
                source.place(offsets.first().copied().unwrap_or(0));
                PlacedSource::EntityList(source)
            }),
        })
    })
}

pub(super) fn match_plan<T: Component + Reflect + Typed>() -> MatchPlan {
    |world| {
        let plan = FieldPlan::new::<T>(&root_name::<T>(), None, LeafEncoding::Exact);
        let mut plan = plan.map_err(|error| error.for_usage(FieldUsage::MatchId))?;
        let dtype = match plan.columns() {
            [column] if column.width() == 1 && !column.dtype.is_float() && column.dtype != DType::Bool => column.dtype,
            _ => return Ok(Err(T::type_path())),
        };
        plan.place(&[0]);
        Ok(Ok(MatchSource::new::<T>(world, plan, dtype)))
    }
}

//! Source plans: the columns that each method of [`Recording`](super::Recording) declares, and their sources, before the row
//! layout is known.
//!
//! A [`ValuePlan`] says how values of a type are recorded, a [`SourcePlan`] whose: those of the player itself, of a resource, of
//! another entity.

mod count;
mod position;
mod presence;
mod related;
mod resource;
mod single;
mod systems;
mod value;

pub(super) use value::{
    ValuePlan, choice_column, if_present, plan_choice, plan_fields, plan_function, plan_images, plan_values,
};

use super::error::SetupError;
use crate::{
    capture::{
        EntityList, EntityListSource, MatchSource, PlacedWorldSource, RowPart, Source, SystemRefusal, WorldSource,
    },
    reflect::{FieldError, FieldPlan, FieldUsage, LeafEncoding, root_name},
};
use bevy_ecs::{
    component::{Component, ComponentInfo},
    resource::IS_RESOURCE,
    world::World,
};
use bevy_reflect::{Reflect, Typed};
use experience_core::schema::{Column, DType};

/// Plans the columns of a source. The flag allows lossy conversions to `f32`.
pub(super) type SourcePlan = Box<dyn FnOnce(&mut World, bool) -> Result<PlannedSource, SourceError> + Send + Sync>;

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
    World(PlacedWorldSource),
    EntityList(EntityListSource),
}

impl PlacedSource {
    pub(super) fn world(part: RowPart, source: impl WorldSource + 'static) -> Self {
        Self::World(PlacedWorldSource {
            part,
            source: Box::new(source),
        })
    }
}

/// Why a source cannot be set up.
pub(super) enum SourceError {
    Field(FieldError),
    /// The type is a resource, and was to be read as a component.
    Resource {
        type_name: &'static str,
        remedy: &'static str,
    },
    System {
        system: &'static str,
        refusal: SystemRefusal,
    },
}

impl From<FieldError> for SourceError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

impl SourceError {
    /// The error of the recording with this name.
    pub(super) fn of_recording(self, recording: String) -> SetupError {
        match self {
            Self::Field(source) => SetupError::Field { recording, source },
            Self::Resource { type_name, remedy } => SetupError::Resource {
                recording,
                resource: type_name.to_owned(),
                remedy: remedy.to_owned(),
            },
            Self::System { system, refusal } => SetupError::System {
                recording,
                system: system.to_owned(),
                problem: match refusal {
                    SystemRefusal::Deferred => {
                        "has `Commands` or other deferred parameters, which would never be applied: remove them"
                            .to_owned()
                    }
                    SystemRefusal::NonSend => {
                        "reads data of one thread, and captures run on several: copy it to a resource".to_owned()
                    }
                },
            },
        }
    }
}

/// Plans the source of match ids. The inner error is the type path of a component that does not hold one integer.
pub(super) type MatchPlan = fn(&mut World) -> Result<Result<MatchSource, &'static str>, SourceError>;

/// Plans values of the player's own component `T`, which it must have.
pub(super) fn own_plan<T: Component>(part: RowPart, value: ValuePlan) -> SourcePlan {
    Box::new(move |world, allow_lossy| {
        refuse_resource::<T>(
            world,
            match part {
                RowPart::Observation => "use `observe_resource`, `observe_resource_fields` or `observe_resource_with`",
                RowPart::Action => "use `act_resource`, `act_resource_with` or `act_resource_discrete_with`",
                RowPart::Mask | RowPart::Info => "copy its values to a component of the players",
            },
        )?;
        let value = value(allow_lossy)?;
        Ok(PlannedSource {
            columns: value.columns,
            mask_width: value.mask_width,
            build: Box::new(move |world, offsets| PlacedSource::Component((value.build)(world, offsets))),
        })
    })
}

/// Plans values of the player's own component `T`, which it need not have.
pub(super) fn own_optional_plan<T: Component>(part: RowPart, value: ValuePlan) -> SourcePlan {
    let plan = own_plan::<T>(part, value);
    Box::new(move |world, allow_lossy| {
        let PlannedSource {
            columns,
            mask_width,
            build,
        } = plan(world, allow_lossy)?;
        Ok(PlannedSource {
            columns,
            mask_width,
            build: Box::new(move |world, offsets| match build(world, offsets) {
                PlacedSource::Component(source) => PlacedSource::Component(source.optional()),
                other => other,
            }),
        })
    })
}

/// Refuses a type that is a resource. In Bevy, resources are components too, but never those of a player.
pub(super) fn refuse_resource<T: Component>(world: &mut World, remedy: &'static str) -> Result<(), SourceError> {
    let id = world.register_component::<T>();
    let required = world.components().get_info(id).map(ComponentInfo::required_components);
    // `#[derive(Resource)]` requires the marker of resource entities.
    let is_resource = required.is_some_and(|required| required.iter_ids().any(|id| id == IS_RESOURCE));
    if is_resource {
        return Err(SourceError::Resource {
            type_name: core::any::type_name::<T>(),
            remedy,
        });
    }
    Ok(())
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
        refuse_resource::<T>(world, "`match_id` takes a component of the players")?;
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

//! From what was asked for to a recorder: columns first, then places, then what fills them.

use super::{Spec, crowd, error::SetupError, need::Need};
use crate::{
    capture::{MatchSource, Nearest, NearestSource, Part, ResourceSource, RowEncoder, Source},
    episode::{Recorder, RecorderParts},
    reflect::{FieldError, FieldPlan, Target, root_name},
};
use bevy_ecs::{
    component::{Component, ComponentId},
    resource::Resource,
    schedule::InternedScheduleLabel,
    world::World,
};
use bevy_reflect::{Reflect, TypePath, Typed};
use core::sync::atomic::AtomicU32;
use experience_buffer::{Budget, PlayerBuffers};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::RunId,
};
use experience_export::Sink;
use std::{collections::HashSet, sync::Arc};

/// Something to read, before its place in a row is known.
pub(crate) type Plan = Box<dyn FnOnce(&mut World, bool) -> Result<Planned, FieldError> + Send + Sync>;

/// Something to read, with its columns.
pub(crate) struct Planned {
    columns: Vec<Column>,
    mask_width: usize,
    /// Makes the source, given the first byte of each column.
    finish: Box<dyn FnOnce(&mut World, &[usize]) -> Reader>,
}

/// What reads it.
pub(crate) enum Reader {
    Component(Source),
    Resource(ResourceSource),
    Nearest(NearestSource),
}

/// The match component, before it is known to be one integer.
pub(crate) type MatchPlan = fn(&mut World) -> Result<Result<MatchSource, &'static str>, FieldError>;

pub(super) fn fields_plan<T: Component + Reflect + Typed>(
    part: Part,
    root: String,
    fields: Option<Vec<String>>,
) -> Plan {
    Box::new(move |_, narrow| {
        let target = match part {
            Part::Observation => Target::Observation { narrow },
            Part::Mask => Target::Mask,
            Part::Action | Part::Info => Target::Exact,
        };
        let fields: Option<Vec<&str>> = fields
            .as_ref()
            .map(|fields| fields.iter().map(String::as_str).collect());
        let mut plan = FieldPlan::new::<T>(&root, fields.as_deref(), target)?;
        Ok(Planned {
            columns: plan.columns().to_vec(),
            mask_width: plan.mask_width(),
            finish: Box::new(move |world, offsets| {
                plan.place(offsets);
                Reader::Component(Source::fields::<T>(world, part, plan))
            }),
        })
    })
}

pub(super) fn custom_plan<T: Component>(
    part: Part,
    columns: Vec<Column>,
    encode: impl Fn(&T, &mut [u8]) + Send + Sync + 'static,
) -> Plan {
    Box::new(move |_, _| {
        let bytes: usize = columns.iter().map(|column| column.width() * column.dtype.size()).sum();
        Ok(Planned {
            columns,
            mask_width: 0,
            finish: Box::new(move |world, offsets| {
                let start = offsets.first().copied().unwrap_or(0);
                Reader::Component(Source::custom::<T>(world, part, start..start + bytes, encode))
            }),
        })
    })
}

pub(super) fn resource_plan<R: Resource + Reflect + Typed>() -> Plan {
    Box::new(|_, narrow| {
        let name = root_name::<R>();
        let mut plan = FieldPlan::new::<R>(&name, None, Target::Observation { narrow })?;
        let columns = plan.columns().to_vec();
        Ok(Planned {
            columns: columns.clone(),
            mask_width: 0,
            finish: Box::new(move |world, offsets| {
                let start = offsets.first().copied().unwrap_or(0);
                let width: usize = columns.iter().map(Column::width).sum();
                let local: Vec<_> = offsets.iter().map(|offset| offset - start).collect();
                plan.place(&local);
                let bytes = start..start + width * DType::F32.size();
                Reader::Resource(ResourceSource::new::<R>(world, name, plan, bytes))
            }),
        })
    })
}

pub(super) fn nearest_plan<T: Component + TypePath>(nearest: Nearest<T>) -> Plan {
    Box::new(move |world, narrow| {
        let (columns, mut source) = nearest.build(world, narrow)?;
        Ok(Planned {
            columns,
            mask_width: 0,
            finish: Box::new(move |_, offsets| {
                source.place(offsets.first().copied().unwrap_or(0));
                Reader::Nearest(source)
            }),
        })
    })
}

pub(super) fn match_plan<T: Component + Reflect + Typed>() -> MatchPlan {
    |world| {
        let mut plan = FieldPlan::new::<T>(&root_name::<T>(), None, Target::Exact)?;
        let dtype = match plan.columns() {
            [column] if column.width() == 1 && !column.dtype.is_float() && column.dtype != DType::Bool => column.dtype,
            _ => return Ok(Err(T::type_path())),
        };
        plan.place(&[0]);
        Ok(Ok(MatchSource::new::<T>(world, plan, dtype)))
    }
}

/// What a recording is built in.
pub(crate) struct BuildContext {
    pub(crate) marker: ComponentId,
    pub(crate) enabled: bool,
    pub(crate) episodes: Arc<AtomicU32>,
    pub(crate) run: RunId,
    /// Of all recordings' buffers.
    pub(crate) budget: Arc<Budget>,
    /// What the recordings before this one need of it.
    pub(crate) needs: Vec<Need>,
}

/// A recording, ready to record.
pub(crate) struct Built {
    pub(crate) recorder: Recorder,
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    pub(crate) act_in: Option<InternedScheduleLabel>,
    pub(crate) need: Need,
}

impl Spec {
    /// Lays the columns out, makes the sources, and asks the sinks whether they can work.
    pub(crate) fn build(self, world: &mut World, context: BuildContext) -> Result<Built, SetupError> {
        let recording = self.name;
        if recording.is_empty() {
            return Err(SetupError::NoName);
        }
        let narrow = self.narrow;
        let mut plan = |plans: Vec<Plan>| -> Result<Vec<Planned>, SetupError> {
            plans
                .into_iter()
                .map(|plan| {
                    plan(world, narrow).map_err(|source| SetupError::Field {
                        recording: recording.clone(),
                        source,
                    })
                })
                .collect()
        };
        let mut observation = plan(self.observation)?;
        let mask = plan(self.mask.into_iter().collect())?;
        let mut action = plan(self.action)?;
        let info = plan(self.info)?;
        bound(&recording, &self.bounds, observation.iter_mut().chain(&mut action))?;

        let mut schema = Schema::new(recording.clone())
            .with_observation(columns(&observation))
            .with_action(columns(&action))
            .with_action_mask(mask.iter().map(|planned| planned.mask_width).sum())
            .with_info(columns(&info))
            .with_reward_terms(self.reward_terms);
        if let Some(version) = self.version {
            schema = schema.with_version(version);
        }
        check_names(&schema)?;
        if schema.observation_width() == 0 {
            return Err(SetupError::NoObservation(recording));
        }

        let layout = schema.layout().clone();
        let buffers = self.buffers;
        let refused = |source| SetupError::Buffer {
            recording: recording.clone(),
            source,
        };
        let crowd = crowd::crowd(
            &recording,
            (self.pool_above, self.players),
            self.pool,
            &buffers,
            layout.row_words(),
        )?;
        let expects_crowd = self.players > crowd.above;
        let need = Need::new(&recording, self.players, &buffers, layout.row_words(), &crowd).map_err(refused)?;
        let buffers = PlayerBuffers::new(buffers, layout.row_words())
            .map_err(refused)?
            .with_label(context.run, schema.hash())
            .with_budget(context.budget.clone());
        let first = layout.observation().start;
        let features: Vec<_> = schema
            .observation()
            .iter()
            .scan(first, |next, column| {
                let offset = *next;
                *next += column.width() * DType::F32.size();
                Some(offset)
            })
            .collect();
        let mut readers = Vec::new();
        place(world, observation, &features, &mut readers);
        for planned in mask {
            readers.push((planned.finish)(world, &[layout.mask().start]));
        }
        place(world, action, layout.action_offsets(), &mut readers);
        place(world, info, layout.info_offsets(), &mut readers);

        let match_id = match self.match_id {
            None => None,
            Some(plan) => match plan(world) {
                Ok(Ok(source)) => Some(source),
                Ok(Err(component)) => {
                    return Err(SetupError::MatchId {
                        recording,
                        component: component.to_owned(),
                    });
                }
                Err(source) => return Err(SetupError::Field { recording, source }),
            },
        };
        let (mut sources, mut resources, mut nearest) = (Vec::new(), Vec::new(), Vec::new());
        for reader in readers {
            match reader {
                Reader::Component(source) => sources.push(source),
                Reader::Resource(source) => resources.push(source),
                Reader::Nearest(source) => nearest.push(source),
            }
        }
        let parallel_above = self
            .parallel_above
            .unwrap_or_else(|| crowd::parallel_above(!nearest.is_empty()));
        let encoder = RowEncoder::new(world, context.marker, layout, sources, resources, nearest, match_id);
        let mut sinks = self.sinks;
        if context.enabled {
            need.check(&context.needs, context.budget.limit())?;
            buffers.settings().memory.prepare().map_err(refused)?;
            for sink in &mut sinks {
                sink.check(&schema).map_err(|source| SetupError::Sink {
                    recording: recording.clone(),
                    source,
                })?;
            }
        }
        let mut recorder = Recorder::new(RecorderParts {
            marker: context.marker,
            schema: schema.into_shared(),
            rules: self.rules,
            encoder,
            buffers,
            crowd,
            parallel_above,
            enabled: context.enabled,
            episodes: context.episodes,
        });
        if context.enabled && expects_crowd {
            recorder.expect_crowd().map_err(refused)?;
        }
        Ok(Built {
            recorder,
            sinks,
            act_in: self.act_in,
            need,
        })
    }
}

fn columns(planned: &[Planned]) -> Vec<Column> {
    planned
        .iter()
        .flat_map(|planned| planned.columns.iter().cloned())
        .collect()
}

/// Tells each source where its columns begin; `offsets` are those of all columns, in order.
fn place(world: &mut World, planned: Vec<Planned>, offsets: &[usize], readers: &mut Vec<Reader>) {
    let mut rest = offsets;
    for planned in planned {
        let (own, after) = rest.split_at(planned.columns.len());
        rest = after;
        readers.push((planned.finish)(world, own));
    }
}

/// Writes the stated bounds into the columns.
fn bound<'a>(
    recording: &str,
    bounds: &[(String, f64, f64)],
    planned: impl Iterator<Item = &'a mut Planned>,
) -> Result<(), SetupError> {
    let mut columns: Vec<_> = planned.flat_map(|planned| planned.columns.iter_mut()).collect();
    for (name, low, high) in bounds {
        let Some(column) = columns.iter_mut().find(|column| column.name == *name) else {
            let known: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
            return Err(SetupError::UnknownColumn {
                recording: recording.to_owned(),
                column: name.clone(),
                known: known.join(", "),
            });
        };
        column.space = Space::bounded(*low, *high);
    }
    Ok(())
}

fn check_names(schema: &Schema) -> Result<(), SetupError> {
    let terms: Vec<_> = schema.reward_terms().iter().map(String::as_str).collect();
    let names = |columns: &'_ [Column]| columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    let groups = [
        names(schema.observation()),
        names(schema.action()),
        names(schema.info()),
        terms.into_iter().map(str::to_owned).collect(),
    ];
    for group in groups {
        let mut seen = HashSet::new();
        for name in group {
            if !seen.insert(name.clone()) {
                return Err(SetupError::DuplicateColumn {
                    recording: schema.name().to_owned(),
                    column: name,
                });
            }
        }
    }
    Ok(())
}

//! From what was asked for to a recorder: columns first, then places, then what fills them.

use super::{
    Spec,
    need::{Mib, Need},
};
use crate::{
    buffer::{Budget, BufferError, BufferKind, BufferSettings, Memory, Overflow, PlayerBuffers, pool::PoolSettings},
    capture::{MatchSource, Nearest, NearestSource, Part, ResourceSource, RowEncoder, Source},
    episode::{Crowd, Recorder, RecorderParts},
    schema::{
        Column, DType, Schema, Space,
        reflect::{FieldError, FieldPlan, Target, root_name},
    },
    sink::{Sink, SinkError},
    transition::RunId,
};
use bevy_ecs::{
    component::{Component, ComponentId},
    resource::Resource,
    schedule::InternedScheduleLabel,
    world::World,
};
use bevy_reflect::{Reflect, TypePath, Typed};
use core::sync::atomic::AtomicU32;
use std::{collections::HashSet, sync::Arc};

/// Players who have buffers of their own, unless `pool_above` says otherwise. A buffer for each keeps every player's newest
/// steps, whatever the others do; a pool is faster, because neighbours are written side by side, and takes the same memory
/// for any number.
const OWN_BUFFERS: usize = 4096;

/// Players who are captured one after the other, unless `parallel_above` says otherwise: where two threads are faster than one
/// by more than the measurement's spread. See `docs/performance.md`.
const PARALLEL_ABOVE: usize = 20_000;

/// The same where players see the nearest others, which takes each so many times as long.
const PARALLEL_ABOVE_IF_SEARCHING: usize = 600;

/// Why a recording cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A pool keeps the newest steps of all players together, and nothing else.
    #[error(
        "recording `{0}` asks for a pool, which drops the oldest steps: leave `buffer` and `overflow` as they are, or do not ask \
         for a pool"
    )]
    Pool(String),
    /// There is no plugin to give the recording to.
    #[error("recording `{0}` was added before `ExperiencePlugin`: add the plugin first")]
    NoPlugin(String),
    /// Captures have begun.
    #[error("recording `{0}` was added after the first capture: add recordings while the app is being set up")]
    TooLate(String),
    /// The name is taken, or empty.
    #[error("there is a recording `{0}` already: give each recording a name of its own")]
    DuplicateName(String),
    /// The name is empty.
    #[error("a recording needs a name: it names the folder of its data")]
    NoName,
    /// Nothing is observed.
    #[error("recording `{0}` observes nothing: add `observe::<T>()` for what its players see")]
    NoObservation(String),
    /// Two columns have one name.
    #[error(
        "recording `{recording}` has two columns `{column}`: observe one of them with `observe_with`, which names its own"
    )]
    DuplicateColumn {
        /// The recording.
        recording: String,
        /// The name.
        column: String,
    },
    /// Bounds were stated for a column that does not exist.
    #[error("recording `{recording}` states bounds for `{column}`, which is none of its columns: {known}")]
    UnknownColumn {
        /// The recording.
        recording: String,
        /// The name.
        column: String,
        /// The columns that there are.
        known: String,
    },
    /// A field cannot be recorded.
    #[error("recording `{recording}`: {source}")]
    Field {
        /// The recording.
        recording: String,
        /// Which field, why, and what to do.
        source: FieldError,
    },
    /// The match is not one integer.
    #[error("recording `{recording}`: `match_id` takes a component with one integer, and `{component}` is not one")]
    MatchId {
        /// The recording.
        recording: String,
        /// The component's name.
        component: String,
    },
    /// `act_in` names a schedule that is neither of the main nor of the fixed loop.
    #[error(
        "recording `{recording}`: `act_in` takes a schedule of the main or the fixed loop, and `{schedule}` is neither"
    )]
    Schedule {
        /// The recording.
        recording: String,
        /// The schedule.
        schedule: String,
    },
    /// Buffers of this size cannot be made.
    #[error("recording `{recording}`: {source}")]
    Buffer {
        /// The recording.
        recording: String,
        /// What is wrong, and what to do.
        source: BufferError,
    },
    /// The buffers of all recordings would take more memory than they may.
    #[error(
        "recording `{recording}` does not fit the memory budget:{arithmetic}\nThat is {} together, and the budget is {}: \
         {remedy} or set `ExperiencePlugin::memory_budget` to {together} or more",
        Mib(*together),
        Mib(*budget)
    )]
    OverBudget {
        /// The recording that is too much.
        recording: String,
        /// Bytes that all recordings' buffers would take.
        together: usize,
        /// Bytes that they may take.
        budget: usize,
        /// What each recording needs, a line each.
        arithmetic: String,
        /// What else would fit.
        remedy: String,
    },
    /// A sink says that it cannot work.
    #[error("recording `{recording}`: {source}")]
    Sink {
        /// The recording.
        recording: String,
        /// What is wrong, and what to do.
        source: SinkError,
    },
}

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
        let mut buffers = self.buffers;
        if !context.enabled {
            // Nothing will be pushed, and the disk is left alone.
            buffers.overflow = Overflow::default();
        }
        let refused = |source| SetupError::Buffer {
            recording: recording.clone(),
            source,
        };
        let crowd = crowd(
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
        let parallel_above = self.parallel_above.unwrap_or(if nearest.is_empty() {
            PARALLEL_ABOVE
        } else {
            PARALLEL_ABOVE_IF_SEARCHING
        });
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

/// When players share a pool, where it can take the place of their own buffers.
fn crowd(
    recording: &str,
    (above, players): (Option<usize>, usize),
    pool: Option<PoolSettings>,
    buffers: &BufferSettings,
    row_words: usize,
) -> Result<Crowd, SetupError> {
    let can_share = buffers.kind == BufferKind::Ring && buffers.overflow == Overflow::DropOldest;
    let asked = above.is_some() || pool.is_some();
    let expected = players > above.unwrap_or(OWN_BUFFERS);
    if asked && !can_share {
        return Err(SetupError::Pool(recording.to_owned()));
    }
    let pool = pool.unwrap_or_else(|| PoolSettings {
        memory: buffers.memory.clone(),
        // Those of a pool that is made when there are so many already, the game would wait for.
        huge_pages: buffers.huge_pages || (expected && !matches!(buffers.memory, Memory::File(_))),
        ..PoolSettings::default()
    });
    let above = match pool.check(row_words) {
        Ok(()) if can_share => above.unwrap_or(OWN_BUFFERS),
        Err(source) if asked => {
            let recording = recording.to_owned();
            return Err(SetupError::Buffer { recording, source });
        }
        _ => usize::MAX,
    };
    Ok(Crowd { above, pool })
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

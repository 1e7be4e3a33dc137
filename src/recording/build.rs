//! Recording set-up: validates a recording, lays out its rows, and builds the sources and the recorder.

use super::{
    EpisodeRules, GivenTiming, PlayerScaling, RecordingSpec,
    action_columns::set_labels,
    error::SetupError,
    images::check_shapes,
    lists::ListDeclaration,
    memory_estimate::MemoryEstimate,
    sources::{PlacedSource, PlannedSource, SourcePlan},
};
use crate::{
    capture::{ColumnOrigin, OriginSource, RowEncoder},
    episode::{ActionRead, CaptureRules, DecisionTick, RecordMode, Recorder, RecorderParts},
    plugin::TeamPlan,
    restore::{ColumnGroup, Unrestored},
};
use bevy_ecs::{component::ComponentId, world::World};
use core::{ops::Range, sync::atomic::AtomicU32};
use experience_buffer::{Budget, PlayerBuffers};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::RunId,
};
use experience_export::Sink;
use std::{collections::HashSet, sync::Arc};

/// App state that the build of a recording depends on.
pub(crate) struct BuildContext {
    pub(crate) marker: ComponentId,
    pub(crate) marker_name: &'static str,
    pub(crate) enabled: bool,
    pub(crate) episodes: Arc<AtomicU32>,
    pub(crate) run: RunId,
    /// The memory budget of the buffers of all recordings.
    pub(crate) budget: Arc<Budget>,
    /// The estimates of the recordings that were added before.
    pub(crate) estimates: Vec<MemoryEstimate>,
}

/// A recorder with its sinks, before the exporter starts.
pub(crate) struct BuiltRecording {
    pub(crate) recorder: Recorder,
    pub(crate) sinks: Vec<Box<dyn Sink>>,
    pub(crate) timing: GivenTiming,
    pub(crate) team: Option<TeamPlan>,
    pub(crate) estimate: MemoryEstimate,
}

impl RecordingSpec {
    /// Builds the schema, the sources and the recorder. Each sink checks the schema.
    ///
    /// # Errors
    /// When a setting is invalid, the memory budget is exceeded, or a sink rejects the schema.
    pub(crate) fn build(self, world: &mut World, context: BuildContext) -> Result<BuiltRecording, SetupError> {
        let rules = self.rules();
        let timing = self.given_timing();
        let recording = self.name;
        if recording.is_empty() {
            return Err(SetupError::NoName);
        }
        check_on_demand(&recording, &rules)?;
        ListDeclaration::check(&recording, &self.lists)?;
        let allows_lossy = self.allows_lossy;
        let mut plan = |plans: Vec<SourcePlan>| -> Result<Vec<PlannedSource>, SetupError> {
            plans
                .into_iter()
                .map(|plan| plan(world, allows_lossy).map_err(|error| error.of_recording(recording.clone())))
                .collect()
        };
        let mut observation = plan(self.observation)?;
        let images = plan(self.images)?;
        check_shapes(&recording, &images)?;
        let mask = plan(self.mask.into_iter().collect())?;
        let mut action = plan(self.action)?;
        let info = plan(self.info)?;
        set_bounds(&recording, &self.bounds, observation.iter_mut().chain(&mut action))?;
        set_bounds(&recording, &self.action_bounds, action.iter_mut())?;
        set_labels(&recording, self.choice_labels, &mut action)?;

        let mut schema = Schema::new(recording.clone())
            .with_observation(columns(&observation))
            .with_images(columns(&images))
            .with_action(columns(&action))
            .with_action_mask(mask.iter().map(|planned| planned.mask_width).sum())
            .with_info(columns(&info))
            .with_reward_terms(self.reward_terms);
        if let Some(version) = self.version {
            schema = schema.with_version(version);
        }
        check_names(&schema)?;
        let schema = ListDeclaration::declare(&self.lists, schema)?;
        warn_mask(&schema);
        if rules.trusts_change_ticks && !rules.can_skip_reads() {
            tracing::warn!(
                "recording `{recording}`: `trust_change_ticks` has no effect: it needs `RecordMode::OnChange`, without \
                 `decision_interval` and `read_actions_after`"
            );
        }
        if !schema.has_observation() {
            return Err(SetupError::NoObservation(recording));
        }

        let layout = schema.layout().clone();
        let buffers = self.buffers;
        let refused = |source| SetupError::Buffer {
            recording: recording.clone(),
            source,
        };
        let pool_policy = self.scaling.shared_pool(&recording, &buffers, layout.row_words())?;
        let players = self.scaling.expected_players;
        let expects_pool = players > pool_policy.above;
        let estimate =
            MemoryEstimate::new(&recording, players, &buffers, layout.row_words(), &pool_policy).map_err(refused)?;
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
        let mut placed = Vec::new();
        let mut origins = Vec::new();
        let mut note = |group, range, placed: &[PlacedSource]| origins.push(origin(group, range, placed));
        place(world, observation, &features, &mut placed, |range, placed| {
            note(ColumnGroup::Observation, range, placed);
        });
        place(world, images, layout.image_offsets(), &mut placed, |range, placed| {
            note(ColumnGroup::Image, range, placed);
        });
        for planned in mask {
            placed.push((planned.build)(world, &[layout.mask().start]));
        }
        place(world, action, layout.action_offsets(), &mut placed, |range, placed| {
            note(ColumnGroup::Action, range, placed);
        });
        place(world, info, layout.info_offsets(), &mut placed, |_, _| {});

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
                Err(error) => return Err(error.of_recording(recording)),
            },
        };
        let (mut sources, mut world_sources, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        for source in placed {
            match source {
                PlacedSource::Component(source) => sources.push(source),
                PlacedSource::World(source) => world_sources.push(source),
                PlacedSource::EntityList(source) => lists.push(source),
            }
        }
        let parallel_above = self.scaling.parallel_threshold(!lists.is_empty());
        let encoder = RowEncoder::new(world, context.marker, layout, sources, world_sources, lists, match_id);
        let encoder = encoder.with_origins(origins);
        let mut sinks = self.sinks;
        if context.enabled {
            estimate.check(&context.estimates, context.budget.limit())?;
            buffers.settings().memory.prepare().map_err(refused)?;
            for sink in &mut sinks {
                let checked = sink.check(&schema).and_then(|()| sink.check_run(&schema, context.run));
                checked.map_err(|source| SetupError::Sink {
                    recording: recording.clone(),
                    source,
                })?;
            }
        }
        let mut recorder = Recorder::new(RecorderParts {
            marker: context.marker,
            marker_name: context.marker_name,
            schema: schema.into_shared(),
            rules,
            encoder,
            buffers,
            pool_policy,
            parallel_above,
            enabled: context.enabled,
            episode_counter: context.episodes,
        });
        if context.enabled && expects_pool {
            recorder.preallocate_pool().map_err(refused)?;
        }
        if context.enabled && !expects_pool && players > PlayerScaling::default().expected_players {
            recorder.preallocate_buffers(players).map_err(refused)?;
        }
        Ok(BuiltRecording {
            recorder,
            sinks,
            timing,
            team: self.team,
            estimate,
        })
    }

    fn rules(&self) -> CaptureRules {
        let EpisodeRules {
            start,
            final_observation,
            on_despawn,
            non_finite,
            reward_window,
            max_steps,
        } = self.episodes;
        CaptureRules {
            mode: self.mode,
            decision_interval: self.decision_interval,
            decision_tick: self.decision_tick,
            decides_on_demand: self.decides_on_demand,
            non_finite,
            on_despawn,
            start,
            final_observation,
            reward_window,
            max_episode_steps: max_steps,
            has_match_id: self.match_id.is_some(),
            // In which loop is known when the timing is chosen.
            action_read: match self.read_actions_after {
                Some(_) => ActionRead::InTick,
                None => ActionRead::AtCapture,
            },
            trusts_change_ticks: self.trusts_change_ticks,
        }
    }
}

/// Refuses settings that decide when a step ends, if the game decides that.
fn check_on_demand(recording: &str, rules: &CaptureRules) -> Result<(), SetupError> {
    let conflict = if !rules.decides_on_demand {
        return Ok(());
    } else if rules.decision_interval > 1 {
        ("decision_interval", "leave it at 1")
    } else if rules.decision_tick != DecisionTick::First {
        ("decision_tick", "remove it")
    } else if rules.reads_actions_early() {
        (
            "read_actions_after",
            "remove it, and trigger `DecisionMade` when the action is final",
        )
    } else if rules.mode != RecordMode::EveryTick {
        ("RecordMode::OnChange", "remove it")
    } else {
        return Ok(());
    };
    let (setting, remedy) = conflict;
    Err(SetupError::DecisionOnDemand {
        recording: recording.to_owned(),
        setting,
        remedy,
    })
}

fn columns(planned: &[PlannedSource]) -> Vec<Column> {
    planned
        .iter()
        .flat_map(|planned| planned.columns.iter().cloned())
        .collect()
}

/// Creates the sources, given the offsets of all their columns in order. `note` gets the columns of each source, and the sources up
/// to it.
fn place(
    world: &mut World,
    planned: Vec<PlannedSource>,
    offsets: &[usize],
    placed: &mut Vec<PlacedSource>,
    mut note: impl FnMut(Range<usize>, &[PlacedSource]),
) {
    let mut start = 0;
    for planned in planned {
        let end = start + planned.columns.len();
        placed.push((planned.build)(world, &offsets[start..end]));
        note(start..end, placed);
        start = end;
    }
}

/// The origin of the columns of the last source.
fn origin(group: ColumnGroup, columns: Range<usize>, placed: &[PlacedSource]) -> ColumnOrigin {
    let source = match placed.last() {
        Some(PlacedSource::World(source)) => OriginSource::Other(source.source.unrestored()),
        Some(PlacedSource::EntityList(_)) => OriginSource::Other(Unrestored::Entities),
        Some(PlacedSource::Component(_)) | None => {
            let components = placed
                .iter()
                .filter(|source| matches!(source, PlacedSource::Component(_)));
            OriginSource::Component(components.count().saturating_sub(1))
        }
    };
    ColumnOrigin { group, columns, source }
}

/// Sets the bounds of columns by name.
fn set_bounds<'a>(
    recording: &str,
    bounds: &[(String, f64, f64)],
    planned: impl Iterator<Item = &'a mut PlannedSource>,
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
        column.space = crate::reflect::ColumnBounds::new(*low, *high)
            .space()
            .ok_or_else(|| SetupError::Bounds {
                recording: recording.to_owned(),
                column: name.clone(),
                low: *low,
                high: *high,
            })?;
    }
    Ok(())
}

/// Warns if the action mask does not have one `bool` for each choice of the action.
fn warn_mask(schema: &Schema) {
    let mask = schema.action_mask_width();
    let choices: u64 = schema
        .action()
        .iter()
        .map(|column| match &column.space {
            Space::Discrete { n, .. } => n.saturating_mul(column.width() as u64),
            _ => 0,
        })
        .fold(0, u64::saturating_add);
    if mask > 0 && choices == 0 {
        tracing::warn!(
            "recording `{}`: the action has no discrete columns, so its mask says nothing: remove `action_mask`, or record the \
             choice with `act_discrete_with` or as a fieldless enum",
            schema.name()
        );
    } else if mask as u64 != choices && mask > 0 {
        tracing::warn!(
            "recording `{}`: the action mask has {mask} values, and the discrete columns of the action have {choices} choices \
             in all: give the component of `action_mask` one `bool` for each choice, in their order",
            schema.name()
        );
    }
}

fn check_names(schema: &Schema) -> Result<(), SetupError> {
    const RENAME: &str = "rename one with `#[reflect(@ColumnName(\"..\"))]`";
    let names = |columns: &[Column]| columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    let groups = [
        (
            names(schema.observation()),
            format!("{RENAME}, or observe it with `observe_with`, which takes names"),
        ),
        (
            names(schema.images()),
            format!("{RENAME}, or observe it with `observe_image_with`, which takes a name"),
        ),
        (
            names(schema.action()),
            format!("{RENAME}, or record it with `act_with` or `act_discrete_with`, which take names"),
        ),
        (
            names(schema.info()),
            format!("{RENAME}, or copy it to a component whose fields have other names"),
        ),
        (
            schema.reward_terms().to_vec(),
            "declare each reward term once in `reward_terms`".to_owned(),
        ),
    ];
    for (group, remedy) in groups {
        let mut seen = HashSet::new();
        for name in group {
            if !seen.insert(name.clone()) {
                return Err(SetupError::DuplicateColumn {
                    recording: schema.name().to_owned(),
                    column: name,
                    remedy,
                });
            }
        }
    }
    Ok(())
}

//! Source of entity lists: collects candidates once per capture, and searches them for each player.

use super::{
    super::{match_source::MatchSource, source::Source, spatial_grid::Neighbors, world_position::place_below},
    EntityOrder,
    index::{Axes, EntityIndex, EntityKind},
    match_grids::MatchView,
};
use bevy_ecs::{archetype::ArchetypeEntity, component::ComponentId, entity::Entity, storage::Table, world::World};
use bevy_math::Vec3;
use bevy_transform::components::Transform;
use core::ops::Range;
use experience_core::transition::StepHeader;

/// The parameters of an [`EntityList`](super::EntityList), as far as they concern the search.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntitySearch {
    pub(super) capacity: usize,
    pub(super) max_distance: f32,
    pub(super) axes: Axes,
    /// Values of the one-hot kind; 0 if there is one kind.
    pub(super) kind_width: usize,
    /// Values of each entity's chosen fields.
    pub(super) feature_width: usize,
    /// Whether positions are relative to the player.
    pub(super) is_relative: bool,
    pub(super) order: EntityOrder,
    /// Whether the number of entities that do not fit follows the list.
    pub(super) counts_overflow: bool,
}

impl EntitySearch {
    /// Values of each entity in a row.
    fn width(&self) -> usize {
        1 + self.kind_width + self.axes.indices().len() + self.feature_width
    }
}

/// The source of an [`EntityList`](super::EntityList)'s columns.
pub(crate) struct EntityListSource {
    search: EntitySearch,
    index: EntityIndex,
    fields: Vec<Source>,
    /// The part of a row that it fills, as a range of `f32`.
    values: Range<usize>,
    /// The chosen fields of the candidates, in the order of their indices.
    features: Vec<f32>,
}

impl EntityListSource {
    /// A source for entities of the given kinds. Each of `fields` encodes a part of a candidate's features.
    pub(super) fn new(world: &mut World, search: EntitySearch, kinds: Vec<EntityKind>, fields: Vec<Source>) -> Self {
        Self {
            index: EntityIndex::new(world, kinds, search.axes, search.max_distance),
            fields,
            values: 0..0,
            features: Vec::new(),
            search,
        }
    }

    /// The method of `Recording` that declared the list.
    pub(crate) fn method(&self) -> &'static str {
        if self.search.counts_overflow {
            "observe_entities"
        } else {
            "observe_nearest"
        }
    }

    /// The names of the component types that no entity with a position ever had.
    pub(crate) fn kinds_never_found(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.index.kinds_never_found()
    }

    /// The id and the name of each component type that it reads.
    pub(crate) fn components(&self) -> impl Iterator<Item = (ComponentId, &'static str)> + '_ {
        let fields = self.fields.iter().map(|field| (field.component(), field.name()));
        fields.chain([(self.position_component(), core::any::type_name::<Transform>())])
    }

    pub(crate) fn position_component(&self) -> ComponentId {
        self.index.positions().local().id()
    }

    /// Scratch memory for [`encode`](Self::encode).
    pub(crate) fn neighbors(&self) -> Neighbors {
        Neighbors::new(self.search.capacity, self.search.max_distance)
    }

    /// Sets the byte of a row at which this source begins.
    pub(crate) fn place(&mut self, start: usize) {
        let values = self.search.capacity * self.search.width() + usize::from(self.search.counts_overflow);
        let first = start / size_of::<f32>();
        self.values = first..first + values;
    }

    /// Collects all candidates; with `player`, which is then the only player to be encoded, those within the maximum
    /// distance from it.
    pub(crate) fn collect_candidates(
        &mut self,
        world: &World,
        match_source: Option<&MatchSource>,
        player: Option<Entity>,
    ) {
        let Self {
            search,
            index,
            fields,
            features,
            ..
        } = self;
        let width = search.feature_width;
        let within = player.and_then(|player| {
            let position = index.positions().of_entity(world, player)?;
            Some((position, search.max_distance))
        });
        loop {
            features.clear();
            let encode_fields = |table: &Table, run: &[ArchetypeEntity]| {
                if width == 0 {
                    return;
                }
                let first = features.len();
                features.resize(first + run.len() * width, 0.0);
                let rows: &mut [u8] = bytemuck::cast_slice_mut(&mut features[first..]);
                for field in &mut *fields {
                    if field.needs_compiling() {
                        field.compile(world, table, &run[0]);
                    }
                    field.encode(world, table, run, rows, width * size_of::<f32>());
                }
            };
            let is_complete = match within {
                None => index.collect(world, match_source, encode_fields),
                Some(within) => index.collect_within(world, match_source, within, encode_fields),
            };
            if is_complete {
                return;
            }
        }
    }

    /// Encodes the lists of players, which are in neighbouring rows of `table`, into rows that are `words` words apart and
    /// have the match id of each player.
    pub(crate) fn encode(
        &self,
        neighbors: &mut Neighbors,
        world: &World,
        table: &Table,
        players: &[ArchetypeEntity],
        rows: &mut [u64],
        words: usize,
    ) {
        let positions = self.index.positions();
        let transforms = positions.local().get_slice(table, players);
        let parents = positions.parents(table, players);
        let first = self.index.first_of(world, players);
        let mut last_match = None;
        let mut found_in = self.index.in_match(None);
        for ((offset, player), row) in (0..).zip(players).zip(rows.chunks_exact_mut(words)) {
            let own_match = StepHeader::of(row).match_id();
            if own_match != last_match {
                last_match = own_match;
                found_in = self.index.in_match(own_match);
            }
            let out = &mut bytemuck::cast_slice_mut::<u64, f32>(row)[self.values.clone()];
            let Some(transform) = transforms.map(|transforms| &transforms[offset as usize]) else {
                out.fill(0.0);
                continue;
            };
            let mut position = transform.translation;
            if let Some(parents) = parents {
                position = place_below(world, &parents[offset as usize], position).position;
            }
            let itself = first.and_then(|first| self.index.number_of(player.id(), first + offset));
            let itself = itself.unwrap_or(u32::MAX);
            self.encode_list(neighbors, &found_in, itself, self.search.axes.project(position), out);
        }
    }

    /// Encodes the list of a player at `center` that is the candidate `itself`.
    #[inline]
    fn encode_list(
        &self,
        neighbors: &mut Neighbors,
        candidates: &MatchView<'_>,
        itself: u32,
        center: Vec3,
        out: &mut [f32],
    ) {
        let search = &self.search;
        let width = search.width();
        let (places, overflow) = out.split_at_mut(search.capacity * width);
        neighbors.clear();
        match overflow {
            [overflow] => *overflow = self.find_all(neighbors, candidates, itself, center) as f32,
            _ => candidates.nearest(itself, center, neighbors),
        }
        if search.order == EntityOrder::Id {
            neighbors.sort_by_id();
        }
        let origin = if search.is_relative { center } else { Vec3::ZERO };
        let mut used = 0;
        for ((number, _), values) in neighbors.iter().zip(places.chunks_exact_mut(width)) {
            used += width;
            let (candidate, index) = self.index.candidate(number);
            let (flags, rest) = values.split_at_mut(1 + search.kind_width);
            flags.fill(0.0);
            flags[0] = 1.0;
            if let Some(flag) = flags.get_mut(1 + candidate.kind as usize) {
                *flag = 1.0;
            }
            let (position, features) = rest.split_at_mut(search.axes.indices().len());
            for (to, along) in position.iter_mut().zip((candidate.position - origin).to_array()) {
                *to = along;
            }
            let first = index as usize * search.feature_width;
            features.copy_from_slice(&self.features[first..][..search.feature_width]);
        }
        places[used..].fill(0.0);
    }

    /// Finds the candidates within the maximum distance of a player, without itself. The nearest are in `neighbors`; returns
    /// the number of the others.
    fn find_all(&self, neighbors: &mut Neighbors, candidates: &MatchView<'_>, itself: u32, center: Vec3) -> usize {
        let mut found = 0_usize;
        candidates.for_each_within(center, self.search.max_distance, |number, squared| {
            if squared < f32::INFINITY && number != itself {
                found += 1;
                neighbors.insert(number, squared);
            }
        });
        found.saturating_sub(self.search.capacity)
    }
}

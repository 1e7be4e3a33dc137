//! Sources of a row: component types whose values a recording reads through type-erased pointers, and their encoding.
//!
//! The value is that of the player itself, or of another entity: a resource, which Bevy stores as a component of an entity
//! of its own, a unique entity, or a related one.
#![expect(
    unsafe_code,
    reason = "columns of tables are read through erased pointers, so that one encoder serves all component types"
)]

use super::{
    origins::SourceInverse,
    writers::{ActionWriter, ComponentAccess},
};
use crate::{reflect::FieldPlan, restore::Unrestored};
use bevy_ecs::{
    archetype::ArchetypeEntity,
    change_detection::{MAX_CHANGE_AGE, Tick},
    component::{Component, ComponentId, StorageType},
    storage::Table,
    world::{EntityRef, World},
};
use bevy_reflect::Reflect;
use core::{cell::UnsafeCell, marker::PhantomData, ops::Range};
use experience_buffer::prefetch;

/// The part of a row that a source fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowPart {
    Observation,
    Mask,
    Action,
    Info,
}

/// How a source encodes a value into a row.
pub(crate) enum SourceEncoding {
    /// The leaves of a reflected type, by a field plan.
    Fields(FieldPlan),
    /// A user-defined function.
    Custom {
        /// The bytes of a row that it fills.
        bytes: Range<usize>,
        /// Takes a pointer to the component type of the source, or `None` where there is no such component.
        encode: Box<dyn Fn(Option<ErasedPtr<'_>>, &mut [u8]) + Send + Sync>,
    },
    /// Nothing but the presence of the component.
    Presence,
}

/// A pointer to a live value of the component type of a source.
#[derive(Clone, Copy)]
pub(crate) struct ErasedPtr<'a>(bevy_ecs::ptr::Ptr<'a>);

/// A component type that a recording reads.
pub(crate) struct Source {
    part: RowPart,
    component: ComponentId,
    /// Writes the component.
    access: ComponentAccess,
    storage: StorageType,
    /// Bytes from one value of a column to the next.
    size: usize,
    encoding: SourceEncoding,
    /// The byte of a row at which the presence of the component is written, as an `f32`.
    presence: Option<usize>,
    /// Players without the component are recorded.
    is_optional: bool,
    /// Restores the type of an erased value.
    reflect: Option<fn(ErasedPtr<'_>) -> &dyn Reflect>,
}

impl Source {
    fn new<T: Component>(world: &mut World, part: RowPart, encoding: SourceEncoding) -> Self {
        let access = ComponentAccess::new::<T>(world);
        Self {
            part,
            component: access.component(),
            access,
            storage: T::STORAGE_TYPE,
            size: size_of::<T>(),
            encoding,
            presence: None,
            is_optional: false,
            reflect: None,
        }
    }

    /// The leaves of the component `T`, as `plan` lays them out.
    pub(crate) fn fields<T: Component + Reflect>(world: &mut World, part: RowPart, plan: FieldPlan) -> Self {
        let source = Self::new::<T>(world, part, SourceEncoding::Fields(plan));
        Self {
            reflect: Some(reflect::<T>),
            access: source.access.reflected::<T>(),
            ..source
        }
    }

    /// A source that calls `encode` with the component `T`, or with `None` for an entity without it, and the given bytes of
    /// a row.
    pub(crate) fn custom<T: Component>(
        world: &mut World,
        part: RowPart,
        bytes: Range<usize>,
        encode: impl Fn(Option<&T>, &mut [u8]) + Send + Sync + 'static,
    ) -> Self {
        let encode = Box::new(move |value: Option<ErasedPtr<'_>>, row: &mut [u8]| {
            // SAFETY: only methods of the source that is created here pass pointers to this function. They are found by
            // the id of the component `T`.
            encode(value.map(|value| unsafe { value.0.deref::<T>() }), row);
        });
        Self::new::<T>(world, part, SourceEncoding::Custom { bytes, encode })
    }

    /// Whether an entity has the component `T`: 0 or 1 at the byte `presence` of a row.
    pub(crate) fn has_component<T: Component>(world: &mut World, presence: usize) -> Self {
        Self::new::<T>(world, RowPart::Observation, SourceEncoding::Presence)
            .with_presence(presence)
            .optional()
    }

    /// The source, with which players are recorded that lack the component.
    pub(crate) fn optional(self) -> Self {
        Self {
            is_optional: true,
            ..self
        }
    }

    /// The source, which also writes whether an entity has the component: 0 or 1 at the byte `presence` of a row.
    pub(crate) fn with_presence(self, presence: usize) -> Self {
        Self {
            presence: Some(presence),
            ..self
        }
    }

    /// The inverse of the source, if it is a part of the action that is recorded by its fields.
    pub(super) fn action_writer(&self) -> Option<ActionWriter> {
        match &self.encoding {
            SourceEncoding::Fields(plan) if self.part == RowPart::Action => {
                Some(ActionWriter::new(self.access, plan.columns(), plan.writer()?))
            }
            _ => None,
        }
    }

    /// The inverse of the source, whose last column is the presence of the component if it has one.
    pub(super) fn inverse(&self) -> SourceInverse {
        let has_presence = self.presence.is_some();
        match &self.encoding {
            SourceEncoding::Custom { .. } => SourceInverse::None(Unrestored::Function),
            SourceEncoding::Presence => SourceInverse::Component {
                access: self.access,
                fields: None,
                has_presence,
            },
            SourceEncoding::Fields(_) if !self.access.is_mutable() => SourceInverse::None(Unrestored::Immutable),
            SourceEncoding::Fields(plan) => SourceInverse::Component {
                access: self.access,
                fields: plan.writer(),
                has_presence,
            },
        }
    }

    /// Whether players without the component are recorded.
    pub(crate) fn is_optional(&self) -> bool {
        self.is_optional
    }

    pub(crate) fn part(&self) -> RowPart {
        self.part
    }

    pub(crate) fn component(&self) -> ComponentId {
        self.component
    }

    /// The name of the component type.
    pub(crate) fn name(&self) -> &'static str {
        self.access.name()
    }

    /// Prefetches the components of `players`, if they are in neighbouring rows of `table`.
    #[inline]
    pub(crate) fn prefetch(&self, table: &Table, players: &[ArchetypeEntity]) {
        prefetch(table, players, self.component, self.size);
    }

    /// Whether encoding is faster after [`compile`](Self::compile).
    pub(crate) fn needs_compiling(&self) -> bool {
        matches!(&self.encoding, SourceEncoding::Fields(plan) if !plan.is_compiled())
    }

    /// Compiles the encoding for the memory layout of the component, taken from that of `player`, which is in `table`.
    pub(crate) fn compile(&mut self, world: &World, table: &Table, player: &ArchetypeEntity) {
        if let (SourceEncoding::Fields(plan), Some(reflect)) = (&mut self.encoding, self.reflect)
            && !plan.is_compiled()
            && let Some(value) = value_of(world, table, player, self.component, self.storage)
        {
            plan.compile(reflect(value));
        }
    }

    /// Compiles the encoding if it is not compiled yet and any entity has the component.
    pub(crate) fn compile_if_found(&mut self, world: &World) {
        if !self.needs_compiling() {
            return;
        }
        let Some(archetypes) = world.archetypes().component_index().get(&self.component) else {
            return;
        };
        for &id in archetypes.keys() {
            let archetype = &world.archetypes()[id];
            let table = world.storages().tables.get(archetype.table_id());
            if let (Some(table), Some(entity)) = (table, archetype.entities().first()) {
                return self.compile(world, table, entity);
            }
        }
    }

    /// Whether `player`, which is in `table`, has the component.
    pub(super) fn has(&self, world: &World, table: &Table, player: &ArchetypeEntity) -> bool {
        value_of(world, table, player, self.component, self.storage).is_some()
    }

    /// Whether the component is stored in tables, so that all entities of a table have it or none has.
    pub(super) fn is_in_tables(&self) -> bool {
        self.storage == StorageType::Table
    }

    /// Encodes the component of `players`, which are in neighbouring rows of `table`, into rows `stride` bytes apart.
    pub(crate) fn encode(
        &self,
        world: &World,
        table: &Table,
        players: &[ArchetypeEntity],
        rows: &mut [u8],
        stride: usize,
    ) {
        match self.storage {
            StorageType::Table => match value_of(world, table, &players[0], self.component, self.storage) {
                Some(value) => self.encode_run(value, players.len(), rows, stride),
                None => self.encode_absent(players.len(), rows, stride),
            },
            StorageType::SparseSet => {
                for (player, row) in players.iter().zip(rows.chunks_exact_mut(stride)) {
                    match value_of(world, table, player, self.component, self.storage) {
                        Some(value) => self.encode_run(value, 1, row, stride),
                        None => self.encode_absent(1, row, stride),
                    }
                }
            }
        }
    }

    /// Encodes the component of `entity` into `row`. Returns false if it has none, or if there is no entity.
    pub(super) fn encode_entity(&self, entity: Option<EntityRef<'_>>, row: &mut [u8]) -> bool {
        let stride = row.len();
        match entity.and_then(|entity| entity.get_by_id(self.component).ok()) {
            Some(value) => {
                self.encode_run(ErasedPtr(value), 1, row, stride);
                true
            }
            None => {
                self.encode_absent(1, row, stride);
                false
            }
        }
    }

    /// Sets `changed` for those of `players`, which are in neighbouring rows of `table`, whose component was added or
    /// accessed mutably between the ticks `last` and `now`. A player without an optional component is left as it is: ticks do
    /// not tell when it was removed.
    pub(super) fn mark_changed(
        &self,
        world: &World,
        table: &Table,
        players: &[ArchetypeEntity],
        (last, now): (Tick, Tick),
        changed: &mut [bool],
    ) {
        if matches!(self.encoding, SourceEncoding::Presence) {
            return;
        }
        // Equivalent to `Tick::is_newer_than`, in a form that the compiler vectorizes.
        let age = now.get().wrapping_sub(last.get()).min(MAX_CHANGE_AGE);
        let is_newer = |tick: &UnsafeCell<Tick>| {
            // SAFETY: ticks are written only through access that may write to their component, which the shared borrow
            // of the world rules out.
            let tick = unsafe { *tick.get() };
            now.get().wrapping_sub(tick.get()) < age
        };
        match self.storage {
            StorageType::Table => {
                let first = players[0].table_row().index();
                let ticks = table.get_changed_ticks_slice_for(self.component);
                match ticks.and_then(|ticks| ticks.get(first..first + players.len())) {
                    Some(ticks) => {
                        for (changed, tick) in changed.iter_mut().zip(ticks) {
                            *changed |= is_newer(tick);
                        }
                    }
                    None if self.is_optional => {}
                    None => changed.fill(true),
                }
            }
            StorageType::SparseSet => {
                let set = world.storages().sparse_sets.get(self.component);
                for (changed, player) in changed.iter_mut().zip(players) {
                    let tick = set.and_then(|set| set.get_changed_tick(player.id()));
                    *changed |= tick.map_or(!self.is_optional, is_newer);
                }
            }
        }
    }

    /// Encodes `count` consecutive values of a column, starting at `first`.
    fn encode_run(&self, first: ErasedPtr<'_>, count: usize, rows: &mut [u8], stride: usize) {
        match &self.encoding {
            SourceEncoding::Fields(plan) => {
                // SAFETY: `first` points to a live value of the plan's type, which was found by the id of that component.
                // The caller passes the first of `count` entities in neighbouring rows of one table, so `count` values
                // follow each other there, `size` bytes apart, and the shared borrow of the world rules out writers.
                unsafe { plan.encode(first.0.as_ptr(), self.size, count, rows, stride) };
            }
            SourceEncoding::Custom { bytes, encode } => {
                for (index, row) in rows.chunks_exact_mut(stride).take(count).enumerate() {
                    // SAFETY: as above, the value `index` places on is live and of the same type.
                    let value = ErasedPtr(unsafe { first.0.byte_add(index * self.size) });
                    encode(Some(value), &mut row[bytes.clone()]);
                }
            }
            SourceEncoding::Presence => {}
        }
        self.write_presence(1.0, count, rows, stride);
    }

    /// Encodes `count` rows of entities without the component: zeros, or what a function makes of `None`.
    fn encode_absent(&self, count: usize, rows: &mut [u8], stride: usize) {
        for row in rows.chunks_exact_mut(stride).take(count) {
            match &self.encoding {
                SourceEncoding::Fields(plan) => plan.encode_zeros(row),
                SourceEncoding::Custom { bytes, encode } => encode(None, &mut row[bytes.clone()]),
                SourceEncoding::Presence => {}
            }
        }
        self.write_presence(0.0, count, rows, stride);
    }

    fn write_presence(&self, presence: f32, count: usize, rows: &mut [u8], stride: usize) {
        if let Some(offset) = self.presence {
            for row in rows.chunks_exact_mut(stride).take(count) {
                row[offset..][..size_of::<f32>()].copy_from_slice(&presence.to_ne_bytes());
            }
        }
    }
}

/// The component `component` of `player`, which is in `table`.
fn value_of<'w>(
    world: &'w World,
    table: &'w Table,
    player: &ArchetypeEntity,
    component: ComponentId,
    storage: StorageType,
) -> Option<ErasedPtr<'w>> {
    match storage {
        StorageType::Table => {
            let column = table.get_column(component)?;
            let row = player.table_row();
            debug_assert!(row.index_u32() < table.entity_count());
            // SAFETY: the player's row is in its table, and the shared borrow of the world rules out writers.
            Some(ErasedPtr(unsafe { column.get_data_unchecked(row) }))
        }
        StorageType::SparseSet => {
            let set = world.storages().sparse_sets.get(component)?;
            Some(ErasedPtr(set.get(player.id())?))
        }
    }
}

/// Prefetches the components of `players`, if they are in neighbouring rows of `table`. Otherwise components of other
/// entities are prefetched, which is harmless.
#[inline]
fn prefetch(table: &Table, players: &[ArchetypeEntity], component: ComponentId, size: usize) {
    /// Larger components are left to the hardware prefetcher.
    const LARGE: usize = 128;
    let (Some(player), Some(column)) = (players.first(), table.get_column(component)) else {
        return;
    };
    let row = player.table_row();
    if size <= LARGE && row.index_u32() < table.entity_count() {
        // SAFETY: the row is in the table, by the check above. Nothing is read.
        let first = unsafe { column.get_data_unchecked(row) };
        prefetch::range(first.as_ptr(), players.len() * size);
    }
}

fn reflect<T: Reflect>(value: ErasedPtr<'_>) -> &dyn Reflect {
    // SAFETY: this function is stored only together with the component id of `T`, and is called only with values of that
    // id.
    unsafe { value.0.deref::<T>() }
}

/// Reads the component `T` of entities without a query.
pub(super) struct ComponentReader<T> {
    component: ComponentId,
    marker: PhantomData<fn() -> T>,
}

impl<T: Component> ComponentReader<T> {
    pub(super) fn new(world: &mut World) -> Self {
        Self {
            component: world.register_component::<T>(),
            marker: PhantomData,
        }
    }

    pub(super) fn id(&self) -> ComponentId {
        self.component
    }

    /// The component of `entity`, which is in `table`; `None` if it has none.
    pub(super) fn get<'w>(&self, world: &'w World, table: &'w Table, entity: &ArchetypeEntity) -> Option<&'w T> {
        let value = value_of(world, table, entity, self.component, T::STORAGE_TYPE)?;
        // SAFETY: `component` is the id of `T`: `new` registered it for that type, and a recording reads only the world
        // that it was built for.
        Some(unsafe { value.0.deref::<T>() })
    }

    /// Prefetches the components of `entities`, if they are in neighbouring rows of `table`.
    #[inline]
    pub(super) fn prefetch(&self, table: &Table, entities: &[ArchetypeEntity]) {
        prefetch(table, entities, self.component, size_of::<T>());
    }

    /// The components of `entities`, which are in neighbouring rows of `table`. `None` if they have none, or if the
    /// component is not stored in tables.
    pub(super) fn get_slice<'w>(&self, table: &'w Table, entities: &[ArchetypeEntity]) -> Option<&'w [T]> {
        let (first, last) = (entities.first()?.table_row(), entities.last()?.table_row());
        debug_assert_eq!(last.index() - first.index() + 1, entities.len());
        debug_assert!(last.index_u32() < table.entity_count());
        let column = table.get_column(self.component)?;
        // SAFETY: `component` is the id of `T`, as above, so the column is an array of `T`. The caller passes
        // entities of neighbouring rows in order, so `entities.len()` values follow each other from the first one's row
        // on, and the shared borrow of the world rules out writers.
        Some(unsafe {
            let first = column.get_data_unchecked(first).as_ptr().cast::<T>();
            core::slice::from_raw_parts(first, entities.len())
        })
    }
}

//! Source of values that a read-only system computes for all players at once.

mod player_index;
mod player_values;

pub use player_values::{PlayerChoices, PlayerValues};

use super::world_source::{Players, TableRun, WorldSource};
use crate::restore::Unrestored;
use bevy_ecs::{
    component::ComponentId,
    system::{IntoSystem, ReadOnlySystem, System},
    world::World,
};
use core::ops::Range;
use player_index::PlayerIndex;
pub(crate) use player_values::PlayerRows;

/// A read-only system, which writes the values of all players of a capture.
///
/// It also runs for a single player, whose final observation is read inside of an observer.
pub(crate) struct SystemSource<I: PlayerRows> {
    system: Box<dyn ReadOnlySystem<In = I, Out = ()>>,
    /// The name of the function or of the closure's place.
    name: &'static str,
    /// The bytes of a row that it fills.
    bytes: Range<usize>,
    players: PlayerIndex,
    /// The values of the players, in the order of `players`.
    values: Vec<I::Value>,
    /// Why the system could not run at the last call.
    error: Option<String>,
}

/// Why a system cannot compute values of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SystemRefusal {
    /// It has `Commands` or other deferred parameters, which would never be applied.
    Deferred,
    /// It reads data that only one thread may access.
    NonSend,
}

/// A system that was initialized for a world.
pub(crate) struct InitializedSystem<I: PlayerRows> {
    system: Box<dyn ReadOnlySystem<In = I, Out = ()>>,
    name: &'static str,
}

impl<I: PlayerRows> InitializedSystem<I> {
    /// Initializes the system.
    ///
    /// # Errors
    /// When it cannot be run with a shared borrow of the world, or not from every thread.
    pub(crate) fn new<S, M>(world: &mut World, system: S) -> Result<Self, SystemRefusal>
    where
        S: IntoSystem<I, (), M, System: ReadOnlySystem>,
    {
        let mut system = IntoSystem::into_system(system);
        system.initialize(world);
        if system.has_deferred() {
            return Err(SystemRefusal::Deferred);
        }
        if !system.is_send() {
            return Err(SystemRefusal::NonSend);
        }
        Ok(Self {
            system: Box::new(system),
            name: core::any::type_name::<S>(),
        })
    }

    /// The source that runs the system and writes its values to the given bytes of a row.
    pub(crate) fn into_source(self, bytes: Range<usize>) -> SystemSource<I> {
        SystemSource {
            system: self.system,
            name: self.name,
            bytes,
            players: PlayerIndex::default(),
            values: Vec::new(),
            error: None,
        }
    }
}

impl<I: PlayerRows> SystemSource<I> {
    /// The number of values of a player.
    fn width(&self) -> usize {
        self.bytes.len() / size_of::<I::Value>()
    }
}

impl<I: PlayerRows> WorldSource for SystemSource<I> {
    fn prepare(&mut self, world: &World, players: Players<'_>) -> bool {
        self.players.update(world, players);
        let width = self.width();
        let entities = self.players.entities();
        self.values.clear();
        self.values.resize(entities.len() * width, I::Value::default());
        if entities.is_empty() {
            self.error = None;
            return true;
        }
        let input = I::input(entities, &mut self.values, width);
        match self.system.run_readonly(input, world) {
            Ok(()) => self.error = None,
            // Formatted once, because it may fail at each capture.
            Err(error) if self.error.is_none() => self.error = Some(error.to_string()),
            Err(_) => {}
        }
        self.error.is_none()
    }

    fn encode(&self, run: TableRun<'_>, rows: &mut [u8], stride: usize) {
        let width = self.width();
        let first = self.players.position(run.world, &run.players[0]);
        for (index, row) in rows.chunks_exact_mut(stride).take(run.players.len()).enumerate() {
            let values = &mut row[self.bytes.clone()];
            match first.map(|first| first + index).filter(|&position| {
                // The players of a run follow each other in their archetype, and so in the index.
                self.players.entities().get(position) == Some(&run.players[index].id())
            }) {
                Some(position) => {
                    values.copy_from_slice(bytemuck::cast_slice(&self.values[position * width..][..width]));
                }
                // The source was not prepared for this player.
                None => values.fill(0),
            }
        }
    }

    fn unrestored(&self) -> Unrestored {
        Unrestored::System
    }

    fn components(&self) -> Vec<(ComponentId, &'static str)> {
        Vec::new()
    }

    fn unavailable(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        let name = self.name;
        Some(format!(
            "runs the system `{name}`, which failed: {error}; no player is recorded until it runs. Insert what it reads, or \
             take the parameter as an `Option`"
        ))
    }
}

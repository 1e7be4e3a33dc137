//! Methods of [`Recording`] that record what a read-only system computes.

use super::{PlacedSource, PlannedSource, SourceError, SourcePlan, choice_column};
use crate::{
    capture::{InitializedSystem, PlayerChoices, PlayerRows, PlayerValues, RowPart},
    recording::Recording,
};
use bevy_ecs::{
    component::Component,
    system::{IntoSystem, ReadOnlySystem},
};
use experience_core::schema::Column;

impl<P: Component> Recording<P> {
    /// Observes values that a read-only system computes for all players at once, one `f32` for each name: for everything that
    /// the other methods cannot read.
    ///
    /// The system takes [`PlayerValues`] and any parameters that do not write: queries, resources, locals. It runs
    /// - once per capture, on one thread, in the world that the capture sees, with all players;
    /// - when an episode ends, with its player only, in the world at the moment when the final observation is read.
    ///
    /// So it may run several times in a tick, and should keep no state that depends on how often it runs. Values that it does
    /// not write are 0. A system that writes does not compile; one with `Commands` is rejected at set-up. If a parameter is
    /// not valid, such as a resource that does not exist, no player is recorded until it is, which is logged once.
    /// [`Experience`](crate::plugin::Experience) is not in the world during a capture.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # #[derive(Component)] struct Fighter;
    /// # #[derive(Component)] struct Team(u8);
    /// fn teammates(players: PlayerValues, teams: Query<&Team>) {
    ///     for (player, values) in players {
    ///         let Ok(own) = teams.get(player) else { continue };
    ///         values[0] = teams.iter().filter(|team| team.0 == own.0).count() as f32;
    ///     }
    /// }
    ///
    /// let recording = Recording::<Fighter>::new("fighter").observe_system(["teammates"], teammates);
    /// ```
    ///
    /// ```compile_fail
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # #[derive(Component)] struct Fighter;
    /// # #[derive(Component)] struct Team(u8);
    /// fn writes(players: PlayerValues, teams: Query<&mut Team>) {}
    ///
    /// let recording = Recording::<Fighter>::new("fighter").observe_system(["teammates"], writes);
    /// ```
    pub fn observe_system<S, M>(self, names: impl IntoIterator<Item = impl Into<String>>, system: S) -> Self
    where
        S: IntoSystem<PlayerValues<'static>, (), M, System: ReadOnlySystem> + Send + Sync + 'static,
    {
        let columns = names.into_iter().map(Column::feature).collect();
        self.observed(system_plan(RowPart::Observation, columns, system))
    }

    /// Records values that a read-only system computes for all players at once, one `f32` for each name, as a continuous part of
    /// the action. [`observe_system`](Self::observe_system) states how it runs; it is read with the rest of the action, see
    /// [`read_actions_after`](Self::read_actions_after).
    pub fn act_system<S, M>(self, names: impl IntoIterator<Item = impl Into<String>>, system: S) -> Self
    where
        S: IntoSystem<PlayerValues<'static>, (), M, System: ReadOnlySystem> + Send + Sync + 'static,
    {
        let columns = names.into_iter().map(Column::feature).collect();
        self.acted(system_plan(RowPart::Action, columns, system))
    }

    /// Records the choice that a read-only system computes for all players at once as a discrete part of the action: in `0..n`.
    /// The system takes [`PlayerChoices`]; [`observe_system`](Self::observe_system) states how it runs.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # #[derive(Component)] struct Fighter;
    /// # #[derive(Component)] struct Target(Entity);
    /// # #[derive(Component)] struct Slot(i64);
    /// /// The slot of the entity that a fighter targets; 0 for none.
    /// fn target(players: PlayerChoices, targets: Query<&Target>, slots: Query<&Slot>) {
    ///     for (player, choice) in players {
    ///         let slot = targets.get(player).and_then(|target| slots.get(target.0));
    ///         *choice = slot.map_or(0, |slot| slot.0);
    ///     }
    /// }
    ///
    /// let recording = Recording::<Fighter>::new("fighter").act_discrete_system("target", 9, target);
    /// ```
    pub fn act_discrete_system<S, M>(self, name: impl Into<String>, n: u64, system: S) -> Self
    where
        S: IntoSystem<PlayerChoices<'static>, (), M, System: ReadOnlySystem> + Send + Sync + 'static,
    {
        self.acted(system_plan(RowPart::Action, vec![choice_column(name, n)], system))
    }
}

fn system_plan<I: PlayerRows, S, M>(part: RowPart, columns: Vec<Column>, system: S) -> SourcePlan
where
    S: IntoSystem<I, (), M, System: ReadOnlySystem> + Send + Sync + 'static,
{
    Box::new(move |world, _| {
        let system = InitializedSystem::new(world, system).map_err(|refusal| SourceError::System {
            system: core::any::type_name::<S>(),
            refusal,
        })?;
        let bytes: usize = columns.iter().map(|column| column.width() * column.dtype.size()).sum();
        Ok(PlannedSource {
            columns,
            mask_width: 0,
            build: Box::new(move |_, offsets| {
                let start = offsets.first().copied().unwrap_or(0);
                PlacedSource::world(part, system.into_source(start..start + bytes))
            }),
        })
    })
}

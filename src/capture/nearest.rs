//! Observations of the k nearest entities that have a component: `Nearest`.

use super::EntityList;
use bevy_ecs::component::Component;
use bevy_reflect::{Reflect, TypePath, Typed};
use core::marker::PhantomData;

/// An observation of the nearest entities with the component `T`, for
/// [`Recording::observe_nearest_with`](crate::recording::Recording::observe_nearest_with).
///
/// It is an [`EntityList`] of one kind, named after the component, without the column `overflow`. [`EntityList`] is for
/// several kinds, for all entities within sight, and for an order by id.
///
/// A player observes up to `count` neighbours, the nearest first. Each takes `1 + D + F` values of a row, all 0 if
/// fewer neighbours are within the maximum distance:
///
/// | values | content |
/// |---|---|
/// | 1 | `present`: 1 |
/// | D | `dx`, `dy`, `dz`: the position relative to the player, in the axes and units of the world |
/// | F | the chosen fields |
///
/// Neighbours at equal distances are ordered by agent id, then by the index of the entity.
///
/// Positions are those in the world at the moment of the capture. The `Transform` of an entity with a parent
/// ([`ChildOf`](bevy_ecs::hierarchy::ChildOf)) is transformed by those of all ancestors, up to 1,024; `GlobalTransform`,
/// which Bevy computes at the end of a frame, is not used. Entities without a parent cost less.
///
/// A player never observes itself, entities with [`DoNotRecord`](crate::player::DoNotRecord) or below an ancestor that has
/// it, entities with `Disabled`, or entities with a NaN coordinate. If the recording has a `match_id`, it observes only entities of its own match; an entity or a
/// player without a match id counts as a member of all matches.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_reflect::prelude::*;
/// use bevy_experience::prelude::*;
///
/// #[derive(Component, Reflect)]
/// struct Coin { value: f32 }
///
/// // The two nearest coins in the plane: `coin[0].present`, `coin[0].dx`, `coin[0].dy`, `coin[0].value`, `coin[1]…`
/// let coins = Nearest::<Coin>::new(2, 20.0).xy().with_field::<Coin>("value");
/// ```
pub struct Nearest<T> {
    list: EntityList,
    marker: PhantomData<fn() -> T>,
}

impl<T: Component + TypePath> Nearest<T> {
    /// The `count` nearest entities at most `max_distance` units away, in three dimensions.
    #[must_use]
    pub fn new(count: usize, max_distance: f32) -> Self {
        Self {
            list: EntityList::nearest::<T>(count, max_distance),
            marker: PhantomData,
        }
    }

    /// Measures distances along x and y only, for games in two dimensions.
    #[must_use]
    pub fn xy(self) -> Self {
        self.edit(EntityList::xy)
    }

    /// Measures distances along x and z only, for games on a ground plane.
    #[must_use]
    pub fn xz(self) -> Self {
        self.edit(EntityList::xz)
    }

    /// Adds the field at `path` of a neighbour's component `C`; an empty path adds all fields. A neighbour that lacks
    /// the component has zeros.
    #[must_use]
    pub fn with_field<C: Component + Reflect + Typed>(self, path: &'static str) -> Self {
        self.edit(|list| list.with_field::<C>(path))
    }

    fn edit(self, change: impl FnOnce(EntityList) -> EntityList) -> Self {
        Self {
            list: change(self.list),
            ..self
        }
    }

    pub(crate) fn into_list(self) -> EntityList {
        self.list
    }
}

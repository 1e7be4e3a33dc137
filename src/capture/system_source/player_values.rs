//! Inputs of systems that compute values of players.

use bevy_ecs::{entity::Entity, system::SystemInput};
use bytemuck::Pod;

/// The input of a system: the players of a capture, with the values to write for each.
pub(crate) trait PlayerRows: SystemInput + 'static {
    /// A value of a player.
    type Value: Pod + Default + Send + Sync;

    /// The input for `players`, each of which has `width` neighbouring values.
    fn input<'a>(players: &'a [Entity], values: &'a mut [Self::Value], width: usize) -> Self::Inner<'a>;
}

/// The players of a capture and the values of each, which are 0 before: the input of a system that is given to
/// [`observe_system`](crate::recording::Recording::observe_system) or
/// [`act_system`](crate::recording::Recording::act_system).
///
/// Iterating over it yields each player and a slice with one `f32` for each name. A system that runs while an episode ends
/// gets that episode's player only.
///
/// ```
/// # use bevy_ecs::prelude::*;
/// # use bevy_transform::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # #[derive(Component)] struct Fighter;
/// # #[derive(Component)] struct Enemy;
/// /// How far the nearest enemy is, and in which direction.
/// fn sense(players: PlayerValues, fighters: Query<&Transform>, enemies: Query<&Transform, With<Enemy>>) {
///     for (player, values) in players {
///         let Ok(fighter) = fighters.get(player) else { continue };
///         let to = enemies.iter().map(|enemy| enemy.translation - fighter.translation);
///         if let Some(nearest) = to.min_by(|a, b| a.length_squared().total_cmp(&b.length_squared())) {
///             values[0] = nearest.length();
///             values[1] = nearest.y.atan2(nearest.x);
///         }
///     }
/// }
///
/// let recording = Recording::<Fighter>::new("fighter").observe_system(["enemy.distance", "enemy.angle"], sense);
/// ```
#[derive(Debug)]
pub struct PlayerValues<'a> {
    players: &'a [Entity],
    values: &'a mut [f32],
    width: usize,
}

/// The players of a capture and the choice of each, which is 0 before: the input of a system that is given to
/// [`act_discrete_system`](crate::recording::Recording::act_discrete_system).
///
/// Iterating over it yields each player and its choice. A system that runs while an episode ends gets that episode's player
/// only.
#[derive(Debug)]
pub struct PlayerChoices<'a> {
    players: &'a [Entity],
    choices: &'a mut [i64],
}

impl SystemInput for PlayerValues<'_> {
    type Param<'i> = PlayerValues<'i>;
    type Inner<'i> = PlayerValues<'i>;

    fn wrap(this: Self::Inner<'_>) -> Self::Param<'_> {
        this
    }
}

impl PlayerRows for PlayerValues<'static> {
    type Value = f32;

    fn input<'a>(players: &'a [Entity], values: &'a mut [f32], width: usize) -> PlayerValues<'a> {
        PlayerValues { players, values, width }
    }
}

impl<'a> IntoIterator for PlayerValues<'a> {
    type Item = (Entity, &'a mut [f32]);
    type IntoIter =
        core::iter::Zip<core::iter::Copied<core::slice::Iter<'a, Entity>>, core::slice::ChunksExactMut<'a, f32>>;

    fn into_iter(self) -> Self::IntoIter {
        // Without names, there are no values and no chunks.
        let values = self.values.chunks_exact_mut(self.width.max(1));
        self.players.iter().copied().zip(values)
    }
}

impl SystemInput for PlayerChoices<'_> {
    type Param<'i> = PlayerChoices<'i>;
    type Inner<'i> = PlayerChoices<'i>;

    fn wrap(this: Self::Inner<'_>) -> Self::Param<'_> {
        this
    }
}

impl PlayerRows for PlayerChoices<'static> {
    type Value = i64;

    fn input<'a>(players: &'a [Entity], choices: &'a mut [i64], _: usize) -> PlayerChoices<'a> {
        PlayerChoices { players, choices }
    }
}

impl<'a> IntoIterator for PlayerChoices<'a> {
    type Item = (Entity, &'a mut i64);
    type IntoIter = core::iter::Zip<core::iter::Copied<core::slice::Iter<'a, Entity>>, core::slice::IterMut<'a, i64>>;

    fn into_iter(self) -> Self::IntoIter {
        self.players.iter().copied().zip(self.choices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_player_has_its_own_values() {
        let players = [1, 2].map(|index| Entity::from_raw_u32(index).unwrap());
        let mut values = [0.0; 4];
        for (player, values) in PlayerValues::input(&players, &mut values, 2) {
            values.fill(player.index_u32() as f32);
        }
        assert_eq!(values, [1.0, 1.0, 2.0, 2.0]);
        let mut choices = [0; 2];
        for (player, choice) in PlayerChoices::input(&players, &mut choices, 1) {
            *choice = i64::from(player.index_u32());
        }
        assert_eq!(choices, [1, 2]);
    }
}

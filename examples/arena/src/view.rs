//! What a screen shows of the arena, read from the simulation without drawing anything.
//!
//! Whatever is on the floor of one match has an entity of its own beside it, a [`View`], which glides between ticks. A window
//! puts sprites on views; the simulation never meets them.

mod standings;

pub use standings::{Standing, standings};

use std::collections::HashMap;

use bevy_app::{App, FixedLast, Plugin, Update};
use bevy_ecs::prelude::*;
use bevy_math::{Vec2, Vec3Swizzles};
use bevy_time::{Fixed, Time};
use bevy_transform::prelude::Transform;

use crate::{
    ArenaSettings, MatchId,
    bullet::Bullet,
    coin::Coin,
    fighter::{Body, Fighter},
    rules::DASH_SPEED,
};

/// Keeps views of everything in the match that is [shown](Shown).
#[derive(Clone, Copy, Debug, Default)]
pub struct ViewPlugin;

/// After these, in `Update`, every view is where it is to be drawn.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ViewSystems;

impl Plugin for ViewPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Shown>()
            .add_systems(FixedLast, remember)
            .add_systems(Update, (attend, glide).chain().in_set(ViewSystems));
    }
}

/// What is looked at.
#[derive(Resource, Clone, Debug, Default)]
pub struct Shown {
    /// The match whose floor is seen.
    pub match_id: MatchId,
    /// The agent whom the eye follows; the whole floor is seen where there is none.
    pub followed: Option<i64>,
    views: HashMap<Entity, Entity>,
}

impl Shown {
    /// Goes on to the next match, and from the last one to the first.
    pub fn next_match(&mut self, settings: &ArenaSettings) {
        self.match_id = MatchId((self.match_id.0 + 1) % settings.matches.max(1));
        self.followed = None;
    }

    /// Follows the next of `agents`, which are in order, and the first after the last.
    pub fn follow_next(&mut self, agents: &[i64]) {
        let next = agents.iter().find(|&&agent| Some(agent) > self.followed);
        self.followed = next.or(agents.first()).copied();
    }
}

/// What is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A [`Fighter`], alive or dead.
    Fighter,
    /// A [`Coin`].
    Coin,
    /// A [`Bullet`].
    Bullet,
}

/// Beside something on the floor: where it is to be drawn is this entity's `Transform`.
#[derive(Component, Clone, Copy, Debug)]
pub struct View {
    /// What is seen.
    pub of: Entity,
    /// What kind of thing that is.
    pub sight: Sight,
    /// Where it was one tick ago, and where it is.
    way: [Vec2; 2],
}

/// Moves every view on by a tick.
fn remember(settings: Res<ArenaSettings>, places: Query<&Transform, Without<View>>, mut views: Query<&mut View>) {
    // What is faster than anything on the floor has been put elsewhere.
    let farthest = 2.0 * DASH_SPEED * settings.dt();
    for mut view in &mut views {
        let Ok(place) = places.get(view.of) else { continue };
        let (before, now) = (view.way[1], place.translation.xy());
        let leapt = before.distance_squared(now) > farthest * farthest;
        view.way = [if leapt { now } else { before }, now];
    }
}

/// Gives a view to whatever has come, and takes away those of what has gone.
fn attend(
    mut shown: ResMut<Shown>,
    actors: Query<
        (Entity, &MatchId, &Transform, Has<Fighter>, Has<Coin>),
        Or<(With<Fighter>, With<Coin>, With<Bullet>)>,
    >,
    mut commands: Commands,
) {
    let Shown { match_id, views, .. } = &mut *shown;
    views.retain(|&actor, &mut view| {
        let is_there = actors.get(actor).is_ok_and(|(_, its, ..)| its == match_id);
        if !is_there {
            commands.entity(view).despawn();
        }
        is_there
    });
    for (actor, its, transform, is_fighter, is_coin) in &actors {
        if its != match_id {
            continue;
        }
        views.entry(actor).or_insert_with(|| {
            let place = transform.translation.xy();
            let sight = match (is_fighter, is_coin) {
                (true, _) => Sight::Fighter,
                (_, true) => Sight::Coin,
                _ => Sight::Bullet,
            };
            let view = View {
                of: actor,
                sight,
                way: [place; 2],
            };
            commands
                .spawn((view, Transform::from_translation(place.extend(0.0))))
                .id()
        });
    }
}

/// Puts every view between its last two places, as far along as the clock is between two ticks; the dead lie below the living.
fn glide(time: Res<Time<Fixed>>, bodies: Query<&Body>, mut views: Query<(&View, &mut Transform)>) {
    let along = time.overstep_fraction().min(1.0);
    for (view, mut transform) in &mut views {
        let height = match view.sight {
            Sight::Coin => 1.0,
            Sight::Fighter if bodies.get(view.of).is_ok_and(|body| !body.is_alive()) => 2.0,
            Sight::Fighter => 3.0,
            Sight::Bullet => 4.0,
        };
        transform.translation = view.way[0].lerp(view.way[1], along).extend(height);
    }
}

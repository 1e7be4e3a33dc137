//! View entities: interpolated positions of the fighters, coins and bullets of one match, for rendering between ticks.
//!
//! Each fighter, coin and bullet (each *actor*) of the match that the [`Spectator`] watches has a separate entity with
//! an [`ActorView`], whose `Transform` is interpolated between the last two ticks. The window adds sprites to these
//! entities. The simulation does not access them.

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

/// Keeps one view entity for every actor of the match that the [`Spectator`] watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct ViewPlugin;

/// The systems that update view entities, in `Update`.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ViewSystems;

impl Plugin for ViewPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Spectator>()
            .add_systems(FixedLast, record_positions)
            .add_systems(Update, (sync_views, interpolate).chain().in_set(ViewSystems));
    }
}

/// The match and the fighter that the camera shows.
#[derive(Resource, Clone, Debug, Default)]
pub struct Spectator {
    /// The match that is watched.
    pub match_id: MatchId,
    /// The agent that the camera follows; with `None` it shows the whole floor.
    pub followed: Option<i64>,
    /// The view entity of each actor.
    views: HashMap<Entity, Entity>,
}

impl Spectator {
    /// Watches the next match, and the first after the last.
    pub fn next_match(&mut self, settings: &ArenaSettings) {
        self.match_id = MatchId((self.match_id.0 + 1) % settings.matches.max(1));
        self.followed = None;
    }

    /// Follows the next of `agents`, which are sorted, and the first after the last.
    pub fn follow_next(&mut self, agents: &[i64]) {
        let next = agents.iter().find(|&&agent| Some(agent) > self.followed);
        self.followed = next.or(agents.first()).copied();
    }
}

/// The kind of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// A [`Fighter`], alive or dead.
    Fighter,
    /// A [`Coin`].
    Coin,
    /// A [`Bullet`].
    Bullet,
}

/// Marks the view entity of an actor. The entity's `Transform` is where to draw the actor.
#[derive(Component, Clone, Copy, Debug)]
pub struct ActorView {
    /// The actor's entity in the simulation.
    pub actor: Entity,
    /// The kind of the actor.
    pub kind: ActorKind,
    /// The actor's positions one tick ago and now.
    positions: [Vec2; 2],
}

/// Records the position of every actor after a tick.
fn record_positions(
    settings: Res<ArenaSettings>,
    actors: Query<&Transform, Without<ActorView>>,
    mut views: Query<&mut ActorView>,
) {
    // An actor that moved farther than any can move in a tick was teleported, and is not interpolated.
    let max_distance = 2.0 * DASH_SPEED * settings.dt();
    for mut view in &mut views {
        let Ok(transform) = actors.get(view.actor) else {
            continue;
        };
        let (before, now) = (view.positions[1], transform.translation.xy());
        let was_teleported = before.distance_squared(now) > max_distance * max_distance;
        view.positions = [if was_teleported { now } else { before }, now];
    }
}

/// Spawns views of new actors, and despawns those of actors that are gone or belong to another match.
fn sync_views(
    mut spectator: ResMut<Spectator>,
    actors: Query<
        (Entity, &MatchId, &Transform, Has<Fighter>, Has<Coin>),
        Or<(With<Fighter>, With<Coin>, With<Bullet>)>,
    >,
    mut commands: Commands,
) {
    let Spectator { match_id, views, .. } = &mut *spectator;
    views.retain(|&actor, &mut view| {
        let is_present = actors
            .get(actor)
            .is_ok_and(|(_, actor_match, ..)| actor_match == match_id);
        if !is_present {
            commands.entity(view).despawn();
        }
        is_present
    });
    for (actor, actor_match, transform, is_fighter, is_coin) in &actors {
        if actor_match != match_id {
            continue;
        }
        views.entry(actor).or_insert_with(|| {
            let position = transform.translation.xy();
            let kind = match (is_fighter, is_coin) {
                (true, _) => ActorKind::Fighter,
                (_, true) => ActorKind::Coin,
                _ => ActorKind::Bullet,
            };
            let view = ActorView {
                actor,
                kind,
                positions: [position; 2],
            };
            commands
                .spawn((view, Transform::from_translation(position.extend(0.0))))
                .id()
        });
    }
}

/// Interpolates every view by the time since the last tick. Bullets are drawn over fighters, and living fighters over
/// dead ones.
fn interpolate(time: Res<Time<Fixed>>, bodies: Query<&Body>, mut views: Query<(&ActorView, &mut Transform)>) {
    let fraction = time.overstep_fraction().min(1.0);
    for (view, mut transform) in &mut views {
        let z = match view.kind {
            ActorKind::Coin => 1.0,
            ActorKind::Fighter if bodies.get(view.actor).is_ok_and(|body| !body.is_alive()) => 2.0,
            ActorKind::Fighter => 3.0,
            ActorKind::Bullet => 4.0,
        };
        transform.translation = view.positions[0].lerp(view.positions[1], fraction).extend(z);
    }
}

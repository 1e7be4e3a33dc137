//! Puts sprites on views, and health bars and names on those of fighters.

use bevy::prelude::*;

use super::{
    art::{Art, Drawing},
    camera::FloorCamera,
    letters::Letters,
    palette,
};
use crate::{
    bot::Bot,
    bullet::Bullet,
    fighter::{Body, Fighter},
    human::Human,
    rules::{FIGHTER_RADIUS, FULL_HEALTH},
    view::{Shown, Sight, View},
};

/// Units of a sprite's side. A body fills three quarters of its sprite, and is drawn a little larger than what bullets hit.
const FIGHTER: f32 = 3.6 * FIGHTER_RADIUS;
const COIN: f32 = 1.2;
const BULLET: f32 = 1.3;
/// Units of a health bar, and how far it is above the middle of its fighter.
const BAR: Vec2 = Vec2::new(1.5, 0.2);
const ABOVE: f32 = 1.05;
/// Seconds for which a hit is seen.
const FLASH: f32 = 0.12;

/// The parts of a fighter's view.
#[derive(Component)]
pub(super) struct Parts {
    body: Entity,
    bar: Entity,
    left: Entity,
    name: Entity,
    ring: Entity,
    /// Its health when it was drawn last, and seconds for which a hit is still to be seen.
    health: f32,
    flash: f32,
}

/// Dresses views that are new.
pub(super) fn dress(
    new: Query<(Entity, &View), Added<View>>,
    fighters: Query<(&Fighter, Option<&Bot>)>,
    bullets: Query<&Bullet>,
    art: Res<Art>,
    mut commands: Commands,
) {
    for (entity, view) in &new {
        match view.sight {
            Sight::Coin => {
                commands
                    .entity(entity)
                    .insert((art.sprite(Drawing::Coin, COIN, Color::WHITE), Visibility::default()));
            }
            Sight::Bullet => {
                let turn = bullets.get(view.of).map_or(0.0, |bullet| bullet.velocity.to_angle());
                let at = Transform::from_rotation(Quat::from_rotation_z(turn));
                let sprite = art.sprite(Drawing::Bullet, BULLET, Color::WHITE);
                commands
                    .entity(entity)
                    .insert(Visibility::default())
                    .with_child((sprite, at));
            }
            Sight::Fighter => {
                if let Ok((fighter, bot)) = fighters.get(view.of) {
                    let skill = bot.map(|bot| bot.skill);
                    let name = match skill {
                        Some(_) => fighter.agent.to_string(),
                        None => palette::name(None).to_owned(),
                    };
                    dress_fighter(entity, name, palette::of(skill), &art, &mut commands);
                }
            }
        }
    }
}

fn dress_fighter(entity: Entity, name: String, colour: Color, art: &Art, commands: &mut Commands) {
    let mut child = |part| commands.spawn((part, ChildOf(entity))).id();
    child((
        art.sprite(Drawing::Shadow, 1.15 * FIGHTER, Color::WHITE),
        Transform::from_xyz(0.1, -0.15, -0.2),
    ));
    let body = child((art.sprite(Drawing::Fighter, FIGHTER, colour), Transform::default()));
    let ring = child((
        art.sprite(Drawing::Ring, 1.6 * FIGHTER, Color::WHITE),
        Transform::from_xyz(0.0, 0.0, -0.1),
    ));
    let bar = child((
        Sprite::from_color(palette::NO_HEALTH, BAR + 0.1),
        Transform::from_xyz(0.0, ABOVE, 5.0),
    ));
    let left = child((
        Sprite::from_color(palette::HEALTH, BAR),
        Transform::from_xyz(0.0, ABOVE, 5.1),
    ));
    let name = commands
        .spawn((
            Letters::centred(name, colour),
            Transform::from_xyz(0.0, ABOVE, 5.2),
            ChildOf(entity),
        ))
        .id();
    commands.entity(entity).insert((
        Parts {
            body,
            bar,
            left,
            name,
            ring,
            health: FULL_HEALTH,
            flash: 0.0,
        },
        Visibility::default(),
    ));
}

/// Turns fighters to where they look, and shows how they are.
pub(super) fn fighters(
    shown: Res<Shown>,
    human: Option<Res<Human>>,
    time: Res<Time>,
    states: Query<(&Fighter, &Body, Option<&Bot>)>,
    mut views: Query<(&View, &mut Parts)>,
    mut sprites: Query<(&mut Sprite, &mut Transform, &mut Visibility)>,
) {
    for (view, mut parts) in &mut views {
        let Ok((fighter, body, bot)) = states.get(view.of) else {
            continue;
        };
        let colour = palette::of(bot.map(|bot| bot.skill));
        let was_hit = body.health < parts.health;
        parts.flash = if was_hit {
            FLASH
        } else {
            (parts.flash - time.delta_secs()).max(0.0)
        };
        parts.health = body.health;
        if let Ok((mut sprite, mut transform, _)) = sprites.get_mut(parts.body) {
            let drawing = if body.is_alive() {
                Drawing::Fighter
            } else {
                Drawing::Corpse
            };
            drawing.show(&mut sprite);
            sprite.color = if parts.flash > 0.0 { Color::WHITE } else { colour };
            transform.rotation = Quat::from_rotation_z(body.facing.to_angle());
        }
        let visible = |is_seen| {
            if is_seen {
                Visibility::Inherited
            } else {
                Visibility::Hidden
            }
        };
        if let Ok((mut sprite, mut transform, mut visibility)) = sprites.get_mut(parts.left) {
            let part = (body.health / FULL_HEALTH).clamp(0.0, 1.0);
            sprite.custom_size = Some(BAR * Vec2::new(part, 1.0));
            sprite.color = if part > 0.35 {
                palette::HEALTH
            } else {
                palette::LOW_HEALTH
            };
            transform.translation.x = 0.5 * BAR.x * (part - 1.0);
            visibility.set_if_neq(visible(body.is_alive()));
        }
        if let Ok((.., mut visibility)) = sprites.get_mut(parts.bar) {
            visibility.set_if_neq(visible(body.is_alive()));
        }
        if let Ok((mut sprite, _, mut visibility)) = sprites.get_mut(parts.ring) {
            let is_human = human.as_ref().is_some_and(|human| human.agent == fighter.agent);
            sprite.color = colour;
            visibility.set_if_neq(visible(is_human || shown.followed == Some(fighter.agent)));
        }
    }
}

/// Keeps names as large as they are on the panel, however near the eye is, and leaves them away where they would cover the game.
pub(super) fn name_tags(
    camera: Single<&Projection, With<FloorCamera>>,
    views: Query<&Parts>,
    mut names: Query<(&mut Transform, &mut Visibility), With<Letters>>,
) {
    /// Units that a pixel may cover where names are shown.
    const FARTHEST: f32 = 0.16;
    let Projection::Orthographic(projection) = *camera else {
        return;
    };
    for parts in &views {
        let Ok((mut transform, mut visibility)) = names.get_mut(parts.name) else {
            continue;
        };
        let pixel = projection.scale * if projection.scale < 0.06 { 2.0 } else { 1.0 };
        transform.scale = Vec3::splat(pixel);
        transform.translation.y = ABOVE + 0.5 * BAR.y + 0.1 + 9.0 * pixel;
        visibility.set_if_neq(if projection.scale < FARTHEST {
            Visibility::Inherited
        } else {
            Visibility::Hidden
        });
    }
}

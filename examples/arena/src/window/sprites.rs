//! Sprites of view entities, with a health bar and a name tag on each fighter.

use bevy::prelude::*;

use super::{
    camera::FloorCamera,
    palette,
    pixel_text::PixelText,
    textures::{SpriteId, Textures},
};
use crate::{
    bot::Bot,
    bullet::Bullet,
    fighter::{Body, Fighter},
    human::Human,
    rules::{FIGHTER_RADIUS, FULL_HEALTH},
    view::{ActorKind, ActorView, Spectator},
};

/// Side lengths of sprites, in units. A body fills three quarters of its sprite, and is slightly larger than its
/// hitbox.
const FIGHTER: f32 = 3.6 * FIGHTER_RADIUS;
const COIN: f32 = 1.2;
const BULLET: f32 = 1.3;
/// The size of a health bar, in units.
const BAR: Vec2 = Vec2::new(1.5, 0.2);
/// The height of a health bar above the centre of its fighter, in units.
const BAR_OFFSET: f32 = 1.05;
/// Seconds that a fighter flashes after a hit.
const FLASH_SECONDS: f32 = 0.12;

/// The child entities of a fighter's view, and the state of its hit flash.
#[derive(Component)]
pub(super) struct FighterSprites {
    body: Entity,
    health_bar: Entity,
    health_fill: Entity,
    name_tag: Entity,
    /// Shown around the followed fighter and the one under keyboard control.
    ring: Entity,
    /// Health in the last frame.
    last_health: f32,
    /// Seconds that the flash still lasts.
    flash: f32,
}

/// Adds sprites to new views.
pub(super) fn add_sprites(
    new: Query<(Entity, &ActorView), Added<ActorView>>,
    fighters: Query<(&Fighter, Option<&Bot>)>,
    bullets: Query<&Bullet>,
    textures: Res<Textures>,
    mut commands: Commands,
) {
    for (entity, view) in &new {
        match view.kind {
            ActorKind::Coin => {
                commands.entity(entity).insert((
                    textures.sprite(SpriteId::Coin, COIN, Color::WHITE),
                    Visibility::default(),
                ));
            }
            ActorKind::Bullet => {
                let angle = bullets.get(view.actor).map_or(0.0, |bullet| bullet.velocity.to_angle());
                let transform = Transform::from_rotation(Quat::from_rotation_z(angle));
                let sprite = textures.sprite(SpriteId::Bullet, BULLET, Color::WHITE);
                commands
                    .entity(entity)
                    .insert(Visibility::default())
                    .with_child((sprite, transform));
            }
            ActorKind::Fighter => {
                if let Ok((fighter, bot)) = fighters.get(view.actor) {
                    let skill = bot.map(|bot| bot.skill);
                    let name = match skill {
                        Some(_) => fighter.agent.to_string(),
                        None => palette::skill_name(None).to_owned(),
                    };
                    add_fighter_sprites(entity, name, palette::skill_color(skill), &textures, &mut commands);
                }
            }
        }
    }
}

fn add_fighter_sprites(entity: Entity, name: String, color: Color, textures: &Textures, commands: &mut Commands) {
    let mut child = |part| commands.spawn((part, ChildOf(entity))).id();
    child((
        textures.sprite(SpriteId::Shadow, 1.15 * FIGHTER, Color::WHITE),
        Transform::from_xyz(0.1, -0.15, -0.2),
    ));
    let body = child((textures.sprite(SpriteId::Fighter, FIGHTER, color), Transform::default()));
    let ring = child((
        textures.sprite(SpriteId::Ring, 1.6 * FIGHTER, Color::WHITE),
        Transform::from_xyz(0.0, 0.0, -0.1),
    ));
    let health_bar = child((
        Sprite::from_color(palette::HEALTH_BACKGROUND, BAR + 0.1),
        Transform::from_xyz(0.0, BAR_OFFSET, 5.0),
    ));
    let health_fill = child((
        Sprite::from_color(palette::HEALTH, BAR),
        Transform::from_xyz(0.0, BAR_OFFSET, 5.1),
    ));
    let name_tag = commands
        .spawn((
            PixelText::centred(name, color),
            Transform::from_xyz(0.0, BAR_OFFSET, 5.2),
            ChildOf(entity),
        ))
        .id();
    commands.entity(entity).insert((
        FighterSprites {
            body,
            health_bar,
            health_fill,
            name_tag,
            ring,
            last_health: FULL_HEALTH,
            flash: 0.0,
        },
        Visibility::default(),
    ));
}

/// Updates the rotation, health bar, flash and ring of all fighters.
pub(super) fn update_fighters(
    spectator: Res<Spectator>,
    human: Option<Res<Human>>,
    time: Res<Time>,
    states: Query<(&Fighter, &Body, Option<&Bot>)>,
    mut views: Query<(&ActorView, &mut FighterSprites)>,
    mut children: Query<(&mut Sprite, &mut Transform, &mut Visibility)>,
) {
    for (view, mut sprites) in &mut views {
        let Ok((fighter, body, bot)) = states.get(view.actor) else {
            continue;
        };
        let color = palette::skill_color(bot.map(|bot| bot.skill));
        let was_hit = body.health < sprites.last_health;
        sprites.flash = if was_hit {
            FLASH_SECONDS
        } else {
            (sprites.flash - time.delta_secs()).max(0.0)
        };
        sprites.last_health = body.health;
        if let Ok((mut sprite, mut transform, _)) = children.get_mut(sprites.body) {
            let id = if body.is_alive() {
                SpriteId::Fighter
            } else {
                SpriteId::Corpse
            };
            id.apply_to(&mut sprite);
            sprite.color = if sprites.flash > 0.0 { Color::WHITE } else { color };
            transform.rotation = Quat::from_rotation_z(body.facing.to_angle());
        }
        let visible = |is_visible| {
            if is_visible {
                Visibility::Inherited
            } else {
                Visibility::Hidden
            }
        };
        if let Ok((mut sprite, mut transform, mut visibility)) = children.get_mut(sprites.health_fill) {
            let fraction = (body.health / FULL_HEALTH).clamp(0.0, 1.0);
            sprite.custom_size = Some(BAR * Vec2::new(fraction, 1.0));
            sprite.color = if fraction > 0.35 {
                palette::HEALTH
            } else {
                palette::LOW_HEALTH
            };
            transform.translation.x = 0.5 * BAR.x * (fraction - 1.0);
            visibility.set_if_neq(visible(body.is_alive()));
        }
        if let Ok((.., mut visibility)) = children.get_mut(sprites.health_bar) {
            visibility.set_if_neq(visible(body.is_alive()));
        }
        if let Ok((mut sprite, _, mut visibility)) = children.get_mut(sprites.ring) {
            let is_human = human.as_ref().is_some_and(|human| human.agent == fighter.agent);
            sprite.color = color;
            visibility.set_if_neq(visible(is_human || spectator.followed == Some(fighter.agent)));
        }
    }
}

/// Scales name tags to a constant size on screen, and hides them while the camera is zoomed out far.
pub(super) fn scale_name_tags(
    camera: Single<&Projection, With<FloorCamera>>,
    views: Query<&FighterSprites>,
    mut names: Query<(&mut Transform, &mut Visibility), With<PixelText>>,
) {
    /// Units per pixel above which name tags are hidden.
    const MAX_SCALE: f32 = 0.16;
    let Projection::Orthographic(projection) = *camera else {
        return;
    };
    for sprites in &views {
        let Ok((mut transform, mut visibility)) = names.get_mut(sprites.name_tag) else {
            continue;
        };
        let pixel = projection.scale * if projection.scale < 0.06 { 2.0 } else { 1.0 };
        transform.scale = Vec3::splat(pixel);
        transform.translation.y = BAR_OFFSET + 0.5 * BAR.y + 0.1 + 9.0 * pixel;
        visibility.set_if_neq(if projection.scale < MAX_SCALE {
            Visibility::Inherited
        } else {
            Visibility::Hidden
        });
    }
}

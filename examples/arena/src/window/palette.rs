//! Colour palette: the colours of Okabe and Ito, "Color Universal Design" (2008), which are distinguishable with colour
//! blindness, lightened for a dark background.

use bevy::prelude::*;

use crate::bot::Skill;

/// The background beyond the walls.
pub(super) const BACKGROUND: Color = Color::srgb(0.055, 0.063, 0.082);
/// The walls.
pub(super) const WALL: Color = Color::srgb(0.46, 0.52, 0.62);
/// The background of the panel.
pub(super) const PANEL: Color = Color::srgb(0.086, 0.098, 0.125);
/// Text.
pub(super) const TEXT: Color = Color::srgb(0.90, 0.92, 0.95);
/// Text of less importance.
pub(super) const FAINT: Color = Color::srgb(0.56, 0.61, 0.69);
/// Text about lost data.
pub(super) const ERROR: Color = Color::srgb(1.0, 0.50, 0.25);
/// Text about a healthy state.
pub(super) const OK: Color = Color::srgb(0.24, 0.78, 0.59);
/// The filled part of a health bar.
pub(super) const HEALTH: Color = Color::srgb(0.78, 0.90, 1.0);
/// The filled part of a health bar at low health.
pub(super) const LOW_HEALTH: Color = Color::srgb(1.0, 0.50, 0.25);
/// The background of a health bar.
pub(super) const HEALTH_BACKGROUND: Color = Color::srgba(0.05, 0.06, 0.08, 0.8);

/// The colour of fighters with this skill; `None` is keyboard control.
pub(super) fn skill_color(skill: Option<Skill>) -> Color {
    match skill {
        Some(Skill::Wanderer) => Color::srgb(0.38, 0.74, 0.95),
        Some(Skill::Collector) => Color::srgb(0.20, 0.80, 0.60),
        Some(Skill::Hunter) => Color::srgb(0.96, 0.48, 0.16),
        None => Color::srgb(0.98, 0.68, 0.86),
    }
}

/// The name of a skill; `None` is keyboard control.
pub(super) fn skill_name(skill: Option<Skill>) -> &'static str {
    match skill {
        Some(Skill::Wanderer) => "wanderer",
        Some(Skill::Collector) => "collector",
        Some(Skill::Hunter) => "hunter",
        None => "you",
    }
}

//! Colours: those of Okabe and Ito, "Color Universal Design" (2008), which colour-blind people tell apart, made lighter for a
//! dark floor.

use bevy::prelude::*;

use crate::bot::Skill;

/// Beyond the walls.
pub(super) const VOID: Color = Color::srgb(0.055, 0.063, 0.082);
/// The walls.
pub(super) const WALL: Color = Color::srgb(0.46, 0.52, 0.62);
/// Behind the scoreboard.
pub(super) const PANEL: Color = Color::srgb(0.086, 0.098, 0.125);
/// Letters.
pub(super) const TEXT: Color = Color::srgb(0.90, 0.92, 0.95);
/// Letters that matter less.
pub(super) const FAINT: Color = Color::srgb(0.56, 0.61, 0.69);
/// Something is lost.
pub(super) const ALARM: Color = Color::srgb(1.0, 0.50, 0.25);
/// All is well.
pub(super) const GOOD: Color = Color::srgb(0.24, 0.78, 0.59);
/// What is left of a fighter's health, and what is left when it is little.
pub(super) const HEALTH: Color = Color::srgb(0.78, 0.90, 1.0);
/// The same, when it is little.
pub(super) const LOW_HEALTH: Color = Color::srgb(1.0, 0.50, 0.25);
/// What of it is gone.
pub(super) const NO_HEALTH: Color = Color::srgba(0.05, 0.06, 0.08, 0.8);

/// The colour of those who play so; of a human, where no bot does.
pub(super) fn of(skill: Option<Skill>) -> Color {
    match skill {
        Some(Skill::Wanderer) => Color::srgb(0.38, 0.74, 0.95),
        Some(Skill::Collector) => Color::srgb(0.20, 0.80, 0.60),
        Some(Skill::Hunter) => Color::srgb(0.96, 0.48, 0.16),
        None => Color::srgb(0.98, 0.68, 0.86),
    }
}

/// What those who play so are called.
pub(super) fn name(skill: Option<Skill>) -> &'static str {
    match skill {
        Some(Skill::Wanderer) => "wanderer",
        Some(Skill::Collector) => "collector",
        Some(Skill::Hunter) => "hunter",
        None => "you",
    }
}

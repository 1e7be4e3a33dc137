//! Keys of the window. Those of a fighter are in [`human`](crate::human).

use bevy::prelude::*;
use bevy_egui::input::EguiWantsInput;
use bevy_experience_inspector::ExperienceInspector;

use super::camera::Zoom;
use crate::{ArenaSettings, MatchId, Seats, fighter::Fighter, human::Human, view::Shown};

/// What the keys do, for the panel.
pub(super) const KEYS: [[&str; 2]; 6] = [
    ["F9", "inspector"],
    ["TAB", "follow the next"],
    ["O", "see the whole floor"],
    ["M", "next match"],
    ["+ -", "nearer, farther"],
    ["P", "stand still, go on"],
];

/// The same, for whoever plays.
pub(super) const HUMAN_KEYS: [[&str; 2]; 4] = [
    ["WASD", "run"],
    ["ARROWS", "aim and shoot"],
    ["SPACE", "shoot ahead"],
    ["SHIFT", "dash"],
];

pub(super) fn heed(
    keys: Res<ButtonInput<KeyCode>>,
    egui: Option<Res<EguiWantsInput>>,
    settings: Res<ArenaSettings>,
    fighters: Query<(&MatchId, &Fighter)>,
    mut shown: ResMut<Shown>,
    mut zoom: ResMut<Zoom>,
    mut time: ResMut<Time<Virtual>>,
) {
    if egui.is_some_and(|egui| egui.wants_any_keyboard_input()) {
        return;
    }
    if keys.just_pressed(KeyCode::Tab) {
        let here = fighters.iter().filter(|(its, _)| **its == shown.match_id);
        let mut agents: Vec<i64> = here.map(|(_, fighter)| fighter.agent).collect();
        agents.sort_unstable();
        shown.follow_next(&agents);
    }
    if keys.just_pressed(KeyCode::KeyO) {
        shown.followed = None;
    }
    if keys.just_pressed(KeyCode::KeyM) && settings.matches > 1 {
        shown.next_match(&settings);
    }
    if keys.just_pressed(KeyCode::KeyP) {
        if time.is_paused() {
            time.unpause();
        } else {
            time.pause();
        }
    }
    let nearer = keys.any_just_pressed([KeyCode::Equal, KeyCode::NumpadAdd]);
    let farther = keys.any_just_pressed([KeyCode::Minus, KeyCode::NumpadSubtract]);
    if nearer != farther {
        let factor = if nearer { 0.8 } else { 1.25 };
        zoom.around = (zoom.around * factor).clamp(8.0, 2.0 * settings.half().max(16.0));
    }
}

/// The eye follows whom the inspector has just selected.
pub(super) fn follow_selected(
    inspector: Option<Res<ExperienceInspector>>,
    seats: Res<Seats>,
    mut shown: ResMut<Shown>,
    mut last: Local<Option<i64>>,
) {
    let selected = inspector.and_then(|inspector| inspector.selected);
    if *last != selected {
        *last = selected;
        if let Some(agent) = selected.filter(|&agent| seats.entity(agent).is_some()) {
            shown.match_id = seats.match_of(agent);
            shown.followed = Some(agent);
        }
    }
}

/// What is typed into a field of text steers nobody.
pub(super) fn leave_typing_alone(egui: Option<Res<EguiWantsInput>>, human: Option<ResMut<Human>>) {
    if let (Some(egui), Some(mut human)) = (egui, human) {
        let away = egui.wants_any_keyboard_input();
        if human.away != away {
            human.away = away;
        }
    }
}

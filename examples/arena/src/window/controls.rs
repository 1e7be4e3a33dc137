//! Keys that control the camera and the clock. Those of a fighter are in [`human`](crate::human).

use bevy::prelude::*;
use bevy_egui::input::EguiWantsInput;
use bevy_experience_inspector::ExperienceInspector;

use super::camera::Zoom;
use crate::{AgentSlots, ArenaSettings, MatchId, fighter::Fighter, human::Human, view::Spectator};

/// Keys and what they do, as the panel lists them.
pub(super) const KEYS: [[&str; 2]; 6] = [
    ["F9", "inspector"],
    ["TAB", "follow next"],
    ["O", "whole floor"],
    ["M", "next match"],
    ["+ -", "zoom in, out"],
    ["P", "pause, resume"],
];

/// The keys of a fighter under keyboard control.
pub(super) const HUMAN_KEYS: [[&str; 2]; 4] = [
    ["WASD", "run"],
    ["ARROWS", "aim and shoot"],
    ["SPACE", "shoot ahead"],
    ["SHIFT", "dash"],
];

pub(super) fn handle_keys(
    keys: Res<ButtonInput<KeyCode>>,
    egui: Option<Res<EguiWantsInput>>,
    settings: Res<ArenaSettings>,
    fighters: Query<(&MatchId, &Fighter)>,
    mut spectator: ResMut<Spectator>,
    mut zoom: ResMut<Zoom>,
    mut time: ResMut<Time<Virtual>>,
) {
    if egui.is_some_and(|egui| egui.wants_any_keyboard_input()) {
        return;
    }
    if keys.just_pressed(KeyCode::Tab) {
        let in_match = fighters.iter().filter(|(match_id, _)| **match_id == spectator.match_id);
        let mut agents: Vec<i64> = in_match.map(|(_, fighter)| fighter.agent).collect();
        agents.sort_unstable();
        spectator.follow_next(&agents);
    }
    if keys.just_pressed(KeyCode::KeyO) {
        spectator.followed = None;
    }
    if keys.just_pressed(KeyCode::KeyM) && settings.matches > 1 {
        spectator.next_match(&settings);
    }
    if keys.just_pressed(KeyCode::KeyP) {
        if time.is_paused() {
            time.unpause();
        } else {
            time.pause();
        }
    }
    let zoom_in = keys.any_just_pressed([KeyCode::Equal, KeyCode::NumpadAdd]);
    let zoom_out = keys.any_just_pressed([KeyCode::Minus, KeyCode::NumpadSubtract]);
    if zoom_in != zoom_out {
        let factor = if zoom_in { 0.8 } else { 1.25 };
        zoom.span = (zoom.span * factor).clamp(8.0, 2.0 * settings.half_extent().max(16.0));
    }
}

/// Follows a player when it is selected in the inspector.
pub(super) fn follow_selected(
    inspector: Option<Res<ExperienceInspector>>,
    slots: Res<AgentSlots>,
    mut spectator: ResMut<Spectator>,
    mut last: Local<Option<i64>>,
) {
    let selected = inspector.and_then(|inspector| inspector.selected);
    if *last != selected {
        *last = selected;
        if let Some(agent) = selected.filter(|&agent| slots.entity(agent).is_some()) {
            spectator.match_id = slots.match_of(agent);
            spectator.followed = Some(agent);
        }
    }
}

/// Suspends keyboard control while egui takes keyboard input.
pub(super) fn suspend_while_typing(egui: Option<Res<EguiWantsInput>>, human: Option<ResMut<Human>>) {
    if let (Some(egui), Some(mut human)) = (egui, human) {
        let is_typing = egui.wants_any_keyboard_input();
        if human.is_suspended != is_typing {
            human.is_suspended = is_typing;
        }
    }
}

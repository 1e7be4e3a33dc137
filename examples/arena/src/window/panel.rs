//! Side panel: time left in the round, recording counters, scoreboard and keys.

use bevy::{camera::visibility::RenderLayers, prelude::*, sprite::Anchor};
use bevy_experience::prelude::Experience;

use super::{
    camera::{PANEL_LAYER, PanelCamera},
    controls::{HUMAN_KEYS, KEYS},
    palette,
    pixel_text::PixelText,
    textures::{GLYPH_SIZE, SpriteId, Textures},
};
use crate::{
    ArenaSettings, Clock, MatchId, TickLimit,
    bot::Bot,
    fighter::{Body, Fighter, Score},
    human::Human,
    record::FIGHTER,
    view::{Spectator, Standing, standings},
};

/// Characters per line.
const LINE_LENGTH: f32 = 30.0;
/// The margin around the text, in pixels of the font.
const MARGIN: f32 = 8.0;
/// The height of a line, in pixels of the font.
const LINE_HEIGHT: f32 = 11.0;
/// Lines above the scoreboard.
const STATUS_LINES: usize = 5;
/// Rows of the scoreboard that are spawned. Those that do not fit on the screen stay empty.
const SCOREBOARD_ROWS: usize = 64;

/// Screen pixels per pixel of the font.
fn magnification(screen: Vec2) -> f32 {
    (screen.y / 540.0).round().max(2.0)
}

/// The width of the panel, in screen pixels.
pub(super) fn width(screen: Vec2) -> f32 {
    (LINE_LENGTH * GLYPH_SIZE.x + 2.0 * MARGIN) * magnification(screen)
}

/// The root of the panel, at its upper left corner. Its children are in pixels of the font.
#[derive(Component)]
pub(super) struct Panel;

/// The background of the panel.
#[derive(Component)]
pub(super) struct PanelBackground;

/// The parent of the list of keys, at the bottom.
#[derive(Component)]
pub(super) struct KeyList;

/// A line above the scoreboard, by its index.
#[derive(Component)]
pub(super) struct StatusLine(usize);

/// A row of the scoreboard, by its index.
#[derive(Component)]
pub(super) struct ScoreboardRow(usize);

/// The position of a character cell.
fn cell(column: f32, line: f32) -> Transform {
    Transform::from_xyz(MARGIN + column * GLYPH_SIZE.x, -MARGIN - line * LINE_HEIGHT, 1.0)
}

pub(super) fn spawn_panel(textures: Res<Textures>, human: Option<Res<Human>>, mut commands: Commands) {
    let layer = RenderLayers::layer(PANEL_LAYER);
    let panel = commands
        .spawn((Panel, Transform::default(), Visibility::default()))
        .id();
    commands.spawn((
        PanelBackground,
        Sprite::from_color(palette::PANEL, Vec2::ONE),
        Anchor::TOP_LEFT,
        layer.clone(),
        ChildOf(panel),
    ));
    let empty = PixelText::left("", palette::TEXT);
    for index in 0..STATUS_LINES {
        let position = cell(0.0, index as f32);
        commands.spawn((
            StatusLine(index),
            empty.clone(),
            position,
            layer.clone(),
            ChildOf(panel),
        ));
    }
    for index in 0..SCOREBOARD_ROWS {
        let position = cell(0.0, (STATUS_LINES + 1 + index) as f32);
        commands.spawn((
            ScoreboardRow(index),
            empty.clone(),
            position,
            layer.clone(),
            ChildOf(panel),
        ));
    }
    spawn_scoreboard_header(panel, &textures, &layer, &mut commands);
    spawn_key_list(panel, human.is_some(), &layer, &mut commands);
}

fn spawn_scoreboard_header(panel: Entity, textures: &Textures, layer: &RenderLayers, commands: &mut Commands) {
    let icons = [
        (SpriteId::Coin, 16.5),
        (SpriteId::Crosshair, 20.5),
        (SpriteId::Skull, 24.5),
    ];
    for (icon, column) in icons {
        let mut position = cell(column, STATUS_LINES as f32);
        position.translation.y -= 4.0;
        let color = if icon == SpriteId::Coin {
            Color::WHITE
        } else {
            palette::FAINT
        };
        let sprite = textures.sprite(icon, 11.0, color);
        commands.spawn((sprite, position, layer.clone(), ChildOf(panel)));
    }
    let sum = PixelText::left("sum", palette::FAINT);
    let position = cell(LINE_LENGTH - 3.0, STATUS_LINES as f32);
    commands.spawn((sum, position, layer.clone(), ChildOf(panel)));
}

fn spawn_key_list(panel: Entity, has_human: bool, layer: &RenderLayers, commands: &mut Commands) {
    let list = commands
        .spawn((KeyList, Transform::default(), Visibility::default(), ChildOf(panel)))
        .id();
    let human_keys: &[_] = if has_human { &HUMAN_KEYS } else { &[] };
    for (line, [key, action]) in KEYS.iter().chain(human_keys).enumerate() {
        let key = PixelText::left(*key, palette::TEXT);
        commands.spawn((key, cell(0.0, line as f32), layer.clone(), ChildOf(list)));
        let action = PixelText::left(*action, palette::FAINT);
        commands.spawn((action, cell(8.0, line as f32), layer.clone(), ChildOf(list)));
    }
}

fn key_lines(human: Option<&Human>) -> usize {
    KEYS.len() + human.map_or(0, |_| HUMAN_KEYS.len())
}

/// Adapts the panel to the size of the screen.
pub(super) fn resize(
    camera: Single<&Camera, With<PanelCamera>>,
    human: Option<Res<Human>>,
    panel: Single<&mut Transform, With<Panel>>,
    key_list: Single<&mut Transform, (With<KeyList>, Without<Panel>)>,
    background: Single<&mut Sprite, With<PanelBackground>>,
) {
    let Some(screen) = camera.logical_viewport_size() else {
        return;
    };
    let pixel = magnification(screen);
    let mut panel = panel.into_inner();
    panel.translation = Vec3::new((screen.x - width(screen)).round(), 0.0, 0.0);
    panel.scale = Vec3::new(pixel, pixel, 1.0);
    let height = key_lines(human.as_deref()) as f32 * LINE_HEIGHT + 2.0 * MARGIN;
    key_list.into_inner().translation.y = -(screen.y / pixel - height).round();
    background.into_inner().custom_size = Some(Vec2::new(width(screen), screen.y + pixel) / pixel);
}

/// Updates the status lines. Only text that changed is laid out again.
pub(super) fn update_status(
    settings: Res<ArenaSettings>,
    clock: Res<Clock>,
    time: Res<Time<Virtual>>,
    limit: Option<Res<TickLimit>>,
    spectator: Res<Spectator>,
    experience: Option<Res<Experience>>,
    mut lines: Query<(&StatusLine, &mut PixelText)>,
) {
    let is_over = limit.is_some_and(|limit| limit.is_reached(&clock));
    let is_paused = time.is_paused() && !is_over;
    let texts = status_texts(&settings, &clock, &spectator, is_paused, experience.as_deref());
    for (line, mut text) in &mut lines {
        text.set_if_neq(texts[line.0].clone());
    }
}

/// Updates the scoreboard, with as many rows as fit on the screen.
pub(super) fn update_scoreboard(
    camera: Single<&Camera, With<PanelCamera>>,
    spectator: Res<Spectator>,
    human: Option<Res<Human>>,
    fighters: Query<(&MatchId, &Fighter, &Score, &Body, Option<&Bot>)>,
    mut rows: Query<(&ScoreboardRow, &mut PixelText)>,
) {
    let Some(screen) = camera.logical_viewport_size() else {
        return;
    };
    let lines = (screen.y / magnification(screen) - 3.0 * MARGIN) / LINE_HEIGHT;
    let lines = lines - key_lines(human.as_deref()) as f32 - 1.0;
    let visible_rows = (lines.max(0.0) as usize).saturating_sub(STATUS_LINES + 1);
    let mut ranked = standings(&fighters, spectator.match_id);
    let human_rank = human.and_then(|human| ranked.iter().position(|standing| standing.agent == human.agent));
    if let Some(human_rank) = human_rank
        && human_rank >= visible_rows
        && visible_rows > 0
    {
        // The human's fighter is always listed: in the last row where its rank is lower.
        ranked.swap(human_rank, visible_rows - 1);
    }
    for (row, mut text) in &mut rows {
        let standing = ranked.get(row.0).filter(|_| row.0 < visible_rows);
        text.set_if_neq(standing.map_or_else(|| PixelText::left("", palette::TEXT), scoreboard_text));
    }
}

fn status_texts(
    settings: &ArenaSettings,
    clock: &Clock,
    spectator: &Spectator,
    is_paused: bool,
    experience: Option<&Experience>,
) -> [PixelText; STATUS_LINES] {
    let round = settings.round_ticks();
    let seconds_left = (round - clock.tick % round) / u64::from(settings.hz);
    let length = LINE_LENGTH as usize;
    let title = format!(
        "{:<6}{:>pad$}",
        "ARENA",
        format!("{}:{:02}", seconds_left / 60, seconds_left % 60),
        pad = length - 6
    );
    let state = if is_paused {
        "paused".to_owned()
    } else {
        format!("match {} of {}", spectator.match_id.0 + 1, settings.matches)
    };
    let (recorded, dropped) = match experience.and_then(|experience| experience.progress(FIGHTER)) {
        None => (
            PixelText::left("not recorded", palette::FAINT),
            PixelText::left("", palette::FAINT),
        ),
        Some(progress) => {
            let recorded = format!("{:<9}{:>pad$}", "recorded", progress.recorded, pad = length - 9);
            let dropped = format!("{:<9}{:>pad$}", "dropped", progress.dropped, pad = length - 9);
            let color = if progress.dropped == 0 {
                palette::FAINT
            } else {
                palette::ERROR
            };
            (PixelText::left(recorded, palette::OK), PixelText::left(dropped, color))
        }
    };
    [
        PixelText::left(title, palette::TEXT),
        PixelText::left(state, palette::FAINT),
        recorded,
        dropped,
        PixelText::left("", palette::TEXT),
    ]
}

fn scoreboard_text(standing: &Standing) -> PixelText {
    let text = format!(
        "{:>3} {:<9}{:>4}{:>4}{:>4}{:>5.1}",
        standing.agent,
        palette::skill_name(standing.skill),
        standing.score.coins,
        standing.score.hits,
        standing.score.deaths,
        standing.points()
    );
    let color = palette::skill_color(standing.skill);
    let color = if standing.is_alive {
        color
    } else {
        color.with_alpha(0.45)
    };
    PixelText::left(text, color)
}

//! The panel at the right: the round, what is recorded, who leads, and the keys.

use bevy::{camera::visibility::RenderLayers, prelude::*, sprite::Anchor};
use bevy_experience::prelude::Experience;

use super::{
    art::{Art, Drawing, LETTER},
    camera::{PANEL_LAYER, PanelCamera},
    controls::{HUMAN_KEYS, KEYS},
    letters::Letters,
    palette,
};
use crate::{
    ArenaSettings, Clock, LastTick, MatchId,
    bot::Bot,
    fighter::{Body, Fighter, Score},
    human::Human,
    record::FIGHTER,
    view::{Shown, Standing, standings},
};

/// Letters in a line.
const LINE: f32 = 30.0;
/// Pixels of the font around the text, and from one line to the next.
const MARGIN: f32 = 8.0;
const STEP: f32 = 11.0;
/// Lines above the scoreboard.
const HEAD: usize = 5;
/// Places on the scoreboard, of which as many are used as fit.
const PLACES: usize = 64;

/// How large a pixel of the font is on a screen of this size.
fn magnification(size: Vec2) -> f32 {
    (size.y / 540.0).round().max(2.0)
}

/// Pixels that the panel takes of the width.
pub(super) fn width(size: Vec2) -> f32 {
    (LINE * LETTER.x + 2.0 * MARGIN) * magnification(size)
}

/// Its upper left corner; what stands in it is measured in pixels of the font.
#[derive(Component)]
pub(super) struct Panel;

/// What lies behind it.
#[derive(Component)]
pub(super) struct Backdrop;

/// The keys at its foot.
#[derive(Component)]
pub(super) struct Foot;

/// A line above the scoreboard.
#[derive(Component)]
pub(super) struct Head(usize);

/// A place on the scoreboard.
#[derive(Component)]
pub(super) struct Place(usize);

fn at(column: f32, line: f32) -> Transform {
    Transform::from_xyz(MARGIN + column * LETTER.x, -MARGIN - line * STEP, 1.0)
}

pub(super) fn hang(art: Res<Art>, human: Option<Res<Human>>, mut commands: Commands) {
    let layer = RenderLayers::layer(PANEL_LAYER);
    let panel = commands
        .spawn((Panel, Transform::default(), Visibility::default()))
        .id();
    let foot = commands
        .spawn((Foot, Transform::default(), Visibility::default(), ChildOf(panel)))
        .id();
    commands.spawn((
        Backdrop,
        Sprite::from_color(palette::PANEL, Vec2::ONE),
        Anchor::TOP_LEFT,
        layer.clone(),
        ChildOf(panel),
    ));
    let empty = Letters::left("", palette::TEXT);
    for line in 0..HEAD {
        commands.spawn((
            Head(line),
            empty.clone(),
            at(0.0, line as f32),
            layer.clone(),
            ChildOf(panel),
        ));
    }
    for place in 0..PLACES {
        let line = at(0.0, (HEAD + 1 + place) as f32);
        commands.spawn((Place(place), empty.clone(), line, layer.clone(), ChildOf(panel)));
    }
    let icons = [
        (Drawing::Coin, 16.5),
        (Drawing::Crosshair, 20.5),
        (Drawing::Skull, 24.5),
    ];
    for (icon, column) in icons {
        let mut place = at(column, HEAD as f32);
        place.translation.y -= 4.0;
        let colour = if icon == Drawing::Coin {
            Color::WHITE
        } else {
            palette::FAINT
        };
        commands.spawn((art.sprite(icon, 11.0, colour), place, layer.clone(), ChildOf(panel)));
    }
    let sum = Letters::left("sum", palette::FAINT);
    commands.spawn((sum, at(LINE - 3.0, HEAD as f32), layer.clone(), ChildOf(panel)));
    let keys = KEYS.iter().chain(human.iter().flat_map(|_| &HUMAN_KEYS));
    for (line, [key, what]) in keys.enumerate() {
        let key = Letters::left(*key, palette::TEXT);
        commands.spawn((key, at(0.0, line as f32), layer.clone(), ChildOf(foot)));
        let what = Letters::left(*what, palette::FAINT);
        commands.spawn((what, at(8.0, line as f32), layer.clone(), ChildOf(foot)));
    }
}

fn keys(human: Option<&Human>) -> usize {
    KEYS.len() + human.map_or(0, |_| HUMAN_KEYS.len())
}

/// Fits it to the screen.
pub(super) fn fit(
    camera: Single<&Camera, With<PanelCamera>>,
    human: Option<Res<Human>>,
    panel: Single<&mut Transform, With<Panel>>,
    foot: Single<&mut Transform, (With<Foot>, Without<Panel>)>,
    backdrop: Single<&mut Sprite, With<Backdrop>>,
) {
    let Some(size) = camera.logical_viewport_size() else {
        return;
    };
    let pixel = magnification(size);
    let mut panel = panel.into_inner();
    panel.translation = Vec3::new((size.x - width(size)).round(), 0.0, 0.0);
    panel.scale = Vec3::new(pixel, pixel, 1.0);
    let height = keys(human.as_deref()) as f32 * STEP + 2.0 * MARGIN;
    foot.into_inner().translation.y = -(size.y / pixel - height).round();
    backdrop.into_inner().custom_size = Some(Vec2::new(width(size), size.y + pixel) / pixel);
}

/// Says how the match stands. Letters are laid out anew only where they changed.
pub(super) fn tell(
    settings: Res<ArenaSettings>,
    clock: Res<Clock>,
    time: Res<Time<Virtual>>,
    last: Option<Res<LastTick>>,
    shown: Res<Shown>,
    experience: Option<Res<Experience>>,
    mut heads: Query<(&Head, &mut Letters)>,
) {
    let is_over = last.is_some_and(|last| last.is_over(&clock));
    let is_paused = time.is_paused() && !is_over;
    let lines = head(&settings, &clock, &shown, is_paused, experience.as_deref());
    for (head, mut letters) in &mut heads {
        letters.set_if_neq(lines[head.0].clone());
    }
}

/// Says who leads, as far down as there is room.
pub(super) fn rank(
    camera: Single<&Camera, With<PanelCamera>>,
    shown: Res<Shown>,
    human: Option<Res<Human>>,
    fighters: Query<(&MatchId, &Fighter, &Score, &Body, Option<&Bot>)>,
    mut places: Query<(&Place, &mut Letters)>,
) {
    let Some(size) = camera.logical_viewport_size() else {
        return;
    };
    let lines = (size.y / magnification(size) - 3.0 * MARGIN) / STEP - keys(human.as_deref()) as f32 - 1.0;
    let room = (lines.max(0.0) as usize).saturating_sub(HEAD + 1);
    let mut ranked = standings(&fighters, shown.match_id);
    let own = human.and_then(|human| ranked.iter().position(|standing| standing.agent == human.agent));
    if let Some(own) = own
        && own >= room
        && room > 0
    {
        // Who plays is there, however far behind.
        ranked.swap(own, room - 1);
    }
    for (place, mut letters) in &mut places {
        let standing = ranked.get(place.0).filter(|_| place.0 < room);
        letters.set_if_neq(standing.map_or_else(|| Letters::left("", palette::TEXT), row));
    }
}

fn head(
    settings: &ArenaSettings,
    clock: &Clock,
    shown: &Shown,
    is_paused: bool,
    experience: Option<&Experience>,
) -> [Letters; HEAD] {
    let round = settings.round_ticks();
    let left = (round - clock.tick % round) / u64::from(settings.hz);
    let width = LINE as usize;
    let title = format!(
        "{:<6}{:>pad$}",
        "ARENA",
        format!("{}:{:02}", left / 60, left % 60),
        pad = width - 6
    );
    let place = if is_paused {
        "stands still".to_owned()
    } else {
        format!("match {} of {}", shown.match_id.0 + 1, settings.matches)
    };
    let (recorded, dropped) = match experience.and_then(|experience| experience.progress(FIGHTER)) {
        None => (
            Letters::left("not recorded", palette::FAINT),
            Letters::left("", palette::FAINT),
        ),
        Some(progress) => {
            let dropped = format!("{:<9}{:>pad$}", "dropped", progress.dropped, pad = width - 9);
            let colour = if progress.dropped == 0 {
                palette::FAINT
            } else {
                palette::ALARM
            };
            let recorded = format!("{:<9}{:>pad$}", "recorded", progress.recorded, pad = width - 9);
            (Letters::left(recorded, palette::GOOD), Letters::left(dropped, colour))
        }
    };
    [
        Letters::left(title, palette::TEXT),
        Letters::left(place, palette::FAINT),
        recorded,
        dropped,
        Letters::left("", palette::TEXT),
    ]
}

fn row(standing: &Standing) -> Letters {
    let text = format!(
        "{:>3} {:<9}{:>4}{:>4}{:>4}{:>5.1}",
        standing.agent,
        palette::name(standing.skill),
        standing.score.coins,
        standing.score.hits,
        standing.score.deaths,
        standing.points()
    );
    let colour = palette::of(standing.skill);
    let colour = if standing.is_alive {
        colour
    } else {
        colour.with_alpha(0.45)
    };
    Letters::left(text, colour)
}

//! Panels of named bars: action classes, mean returns by controller and by agent, and mean reward by term.

use super::{BARS, GRID, INK, MAX_TITLE, MAX_VALUE, Panel, PlotResult, empty, text};
use crate::output::{count, number};
use experience_dataset::Profile;
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use std::collections::BTreeMap;

/// Bars in a panel. Those of the largest magnitude are shown, in the order of the profile.
const MAX_BARS: usize = 16;
/// Characters of a name.
const MAX_NAME: usize = 26;
/// Width of the names, and of the notes, in pixels.
const NAME_WIDTH: i32 = 210;
const NOTE_WIDTH: i32 = 150;

struct Bar {
    name: String,
    value: f64,
    note: String,
}

impl Bar {
    fn new(name: impl Into<String>, value: f64, note: String) -> Self {
        Self {
            name: name.into(),
            value,
            note,
        }
    }
}

pub(super) fn draw(area: &Panel<'_>, profile: &Profile) -> PlotResult<()> {
    let panels = area.split_evenly((2, 2));
    bars(&panels[0], "actions by class", classes(profile), by_size)?;
    bars(&panels[1], "mean return by controller", controllers(profile), by_size)?;
    bars(&panels[2], "mean return by agent", agents(profile), |_| 0.0)?;
    bars(
        &panels[3],
        "mean reward of a transition by term",
        terms(profile),
        by_size,
    )
}

fn by_size(bar: &Bar) -> f64 {
    bar.value.abs()
}

fn classes(profile: &Profile) -> Vec<Bar> {
    let mut bars = Vec::new();
    for action in &profile.action_classes {
        let others = (action.others > 0).then_some(("other values", action.others));
        let classes = action.classes.iter().map(|class| (class.label.as_str(), class.count));
        for (label, chosen) in classes.chain(others) {
            let share = chosen as f64 / action.total().max(1) as f64;
            let name = match profile.action_classes.len() {
                1 => label.to_owned(),
                _ => format!("{} = {label}", action.name),
            };
            bars.push(Bar::new(name, share, format!("{:.2} %", 100.0 * share)));
        }
    }
    bars
}

fn controllers(profile: &Profile) -> Vec<Bar> {
    let bars = profile.controllers.iter().filter_map(|controller| {
        let name = controller.controller.as_deref().unwrap_or("no label");
        Some(mean(name.to_owned(), controller.mean_return?, controller.episodes))
    });
    bars.collect()
}

/// The agents with the most episodes.
fn agents(profile: &Profile) -> Vec<Bar> {
    let mut totals = BTreeMap::<i64, (f64, u64)>::new();
    for (agent, value) in profile.agents.iter().zip(&profile.returns) {
        if value.is_finite() {
            let (mean, episodes) = totals.entry(*agent).or_default();
            *episodes += 1;
            *mean += (value.clamp(-MAX_VALUE, MAX_VALUE) - *mean) / *episodes as f64;
        }
    }
    let mut agents: Vec<_> = totals.into_iter().collect();
    agents.sort_by_key(|(_, (_, episodes))| core::cmp::Reverse(*episodes));
    agents.truncate(MAX_BARS);
    agents.sort_by_key(|(agent, _)| *agent);
    let bars = agents
        .into_iter()
        .map(|(agent, (value, episodes))| mean(format!("agent {agent}"), value, episodes));
    bars.collect()
}

fn terms(profile: &Profile) -> Vec<Bar> {
    let terms = profile
        .reward_terms
        .iter()
        .chain([&profile.reward])
        .filter(|term| term.count > 0);
    let bars = terms.map(|term| Bar::new(term.name.clone(), term.mean, number(term.mean)));
    bars.collect()
}

fn mean(name: String, value: f64, episodes: u64) -> Bar {
    let note = format!("{}, {} ep.", number(value), count(episodes));
    Bar::new(name, value, note)
}

/// Draws `bars` from 0 to their values, each with its name and note. `priority` says which are shown if there are too many.
fn bars(panel: &Panel<'_>, caption: &str, mut bars: Vec<Bar>, priority: fn(&Bar) -> f64) -> PlotResult<()> {
    bars.retain(|bar| bar.value.is_finite());
    if bars.is_empty() {
        return empty(panel, caption);
    }
    let left_out = bars.len().saturating_sub(MAX_BARS);
    if left_out > 0 {
        let mut order: Vec<_> = bars.iter().map(priority).enumerate().collect();
        order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let mut is_shown = vec![false; bars.len()];
        for (index, _) in order.into_iter().take(MAX_BARS) {
            is_shown[index] = true;
        }
        let mut shown = is_shown.into_iter();
        bars.retain(|_| shown.next().unwrap_or(false));
    }
    let caption = match left_out {
        0 => caption.to_owned(),
        _ => format!("{caption}: {MAX_BARS} of {}", MAX_BARS + left_out),
    };
    let panel = panel.margin(14, 14, 14, 14).titled(&caption, text(19))?;
    let (width, height) = panel.dim_in_pixel();
    let (width, height) = (width as i32, height as i32);
    let values = bars.iter().map(|bar| bar.value.clamp(-MAX_VALUE, MAX_VALUE));
    let (low, high) = values.clone().fold((0.0_f64, 0.0_f64), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    // Halved before the difference, which could overflow.
    let span = (high / 2.0 - low / 2.0).max(f64::MIN_POSITIVE);
    let room = f64::from((width - NAME_WIDTH - NOTE_WIDTH).max(1));
    let x = |value: f64| NAME_WIDTH + ((value / 2.0 - low / 2.0) / span * room) as i32;
    let step = (height / bars.len() as i32).clamp(1, 40);
    let label = |anchor| text(15).pos(Pos::new(anchor, VPos::Center));
    for (index, (bar, value)) in bars.iter().zip(values).enumerate() {
        let (top, middle) = (index as i32 * step, index as i32 * step + step / 2);
        let (from, to) = (x(value.min(0.0)), x(value.max(0.0)).max(x(value.min(0.0)) + 1));
        panel.draw(&Rectangle::new([(from, top + 2), (to, top + step - 3)], BARS.filled()))?;
        let name = Text::new(shortened(&bar.name), (NAME_WIDTH - 8, middle), label(HPos::Right));
        panel.draw(&name)?;
        panel.draw(&Text::new(shortened(&bar.note), (to + 8, middle), label(HPos::Left)))?;
    }
    let bottom = step * bars.len() as i32;
    panel.draw(&PathElement::new([(x(0.0), 0), (x(0.0), bottom)], INK))?;
    panel.draw(&PathElement::new([(NAME_WIDTH, bottom), (x(high), bottom)], GRID))?;
    Ok(())
}

/// A name without control characters, cut in its middle.
pub(super) fn shortened(name: &str) -> String {
    let chars: Vec<char> = name
        .chars()
        .filter(|char| !char.is_control())
        .take(4 * MAX_TITLE)
        .collect();
    if chars.len() <= MAX_NAME {
        return chars.into_iter().collect();
    }
    let half = MAX_NAME / 2;
    let (head, tail) = (&chars[..half - 1], &chars[chars.len() - half..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_in_their_middle() {
        assert_eq!(shortened("script:hunter"), "script:hunter");
        let name = shortened(&format!("policy:{}@3", "x".repeat(100)));
        assert!(name.starts_with("policy:") && name.ends_with("@3") && name.chars().count() == MAX_NAME);
    }
}

//! Check of final observations: finds components that are written after the final observation was read.
//!
//! Such a component has the value of the last capture in a final observation. It is found by change ticks: it was written in the
//! tick before, not in this tick until the final observation was read, and after that.

use super::Recorder;
use bevy_ecs::{change_detection::Tick, component::ComponentId, entity::Entity, world::World};

/// State of the check.
#[derive(Default)]
pub(super) struct LateComponents {
    /// The world's change ticks before and after the tick before this one.
    last_tick: Option<(Tick, Tick)>,
    /// Final observations that were read in this tick, and the components that were not written in it until then.
    suspects: Vec<Suspect>,
    /// The number of final observations that were checked.
    ends: u32,
    /// How many of them had each component late.
    counts: Vec<(ComponentId, u32)>,
    has_warned: bool,
}

/// A component that may be written later in the tick.
struct Suspect {
    player: Entity,
    component: ComponentId,
    /// The world's change tick when the final observation was read.
    read: Tick,
}

/// Final observations after which the check is decided.
const ENDS: u32 = 8;

impl Recorder {
    /// Checks the components in a final observation that was read now. `is_leaving` is set if no system can write them later.
    pub(super) fn check_final_row(&mut self, world: &World, player: Entity, is_leaving: bool) {
        let Self {
            late_components: late,
            encoder,
            ..
        } = self;
        let Some((before, after)) = late.last_tick.filter(|_| !late.has_warned) else {
            return;
        };
        let Ok(found) = world.get_entity(player) else { return };
        late.ends += 1;
        let now = world.read_change_tick();
        for component in encoder.observed_components() {
            let Some(ticks) = found.get_change_ticks_by_id(component) else {
                continue;
            };
            if ticks.is_changed(after, now) || !ticks.is_changed(before, now) {
                continue;
            }
            if is_leaving {
                late.count(component);
            } else {
                late.suspects.push(Suspect {
                    player,
                    component,
                    read: before_now(now),
                });
            }
        }
    }

    /// Finds which of the components were written since, at the end of the tick.
    pub(super) fn check_late_components(&mut self, world: &World) {
        let now = world.read_change_tick();
        let late = &mut self.late_components;
        let mut suspects = core::mem::take(&mut late.suspects);
        for suspect in suspects.drain(..) {
            let found = world.get_entity(suspect.player).ok();
            let ticks = found.and_then(|found| found.get_change_ticks_by_id(suspect.component));
            if ticks.is_some_and(|ticks| ticks.is_changed(suspect.read, now)) {
                late.count(suspect.component);
            }
        }
        late.suspects = suspects;
        let after = late.last_tick.map_or(before_now(now), |(_, after)| after);
        late.last_tick = Some((after, before_now(now)));
        self.warn_late_components();
    }

    fn warn_late_components(&mut self) {
        let late = &mut self.late_components;
        if late.has_warned || late.ends < ENDS {
            return;
        }
        let is_late = |&&(_, count): &&(ComponentId, u32)| count >= late.ends - late.ends / 4;
        let components: Vec<_> = late.counts.iter().filter(is_late).map(|&(id, _)| id).collect();
        if components.is_empty() {
            // Judged anew, because the game may be in another phase later.
            late.ends = 0;
            late.counts.clear();
            return;
        }
        late.has_warned = true;
        let names: Vec<_> = components
            .into_iter()
            .filter_map(|component| self.encoder.component_name(component))
            .map(|name| format!("`{name}`"))
            .collect();
        let names = names.join(", ");
        tracing::warn!(
            "recording `{}`: final observations have the {names} of the tick before, which is written after `EndEpisode` is \
             applied, or after the player was despawned: set `EpisodeRules::final_observation` to `AtCapture` and reset players \
             in an observer of `EpisodeEnded`, or trigger `EndEpisode`, and despawn, after the systems that write it",
            self.name()
        );
    }
}

impl LateComponents {
    fn count(&mut self, component: ComponentId) {
        match self.counts.iter_mut().find(|(known, _)| *known == component) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((component, 1)),
        }
    }
}

/// The change tick before those of systems that run from now on.
fn before_now(now: Tick) -> Tick {
    Tick::new(now.get().wrapping_sub(1))
}

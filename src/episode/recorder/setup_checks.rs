//! Checks of a recording's set-up against the players that the game spawns. Each result is logged once, when it is known.
//!
//! A component that no player ever had is known from the world's archetypes, which are never removed. So players that join
//! late, or get their components after the marker, cause no warning.

use super::{Recorder, log_warnings::WarnOnce};
use crate::episode::EpisodeStart;
use bevy_ecs::{archetype::ArchetypeEntity, component::ComponentId, entity::Entity, hierarchy::ChildOf, world::World};

/// State of the checks that captures make.
#[derive(Default)]
pub(super) struct SetupChecks {
    /// Number of captures that found players which lack a component.
    incomplete_captures: u32,
    /// Maximum number of these players at one capture.
    incomplete_players: usize,
    /// Shared by all warnings about missing components.
    pub(super) missing_component: WarnOnce,
    /// A [`BeginEpisode`](crate::episode::BeginEpisode) was triggered on a player.
    pub(super) has_begin_event: bool,
}

/// Captures until a component that no player has is reported: about two seconds. Players may be spawned in several steps.
const CAPTURES: u32 = 120;

impl Recorder {
    /// Checks whether players lack components that the recording reads.
    pub(super) fn check_components(&mut self, world: &World) {
        if !self.enabled || self.setup_checks.missing_component.has_warned() {
            return;
        }
        let players = self.encoder.incomplete_players(world);
        if players > 0 {
            let checks = &mut self.setup_checks;
            checks.incomplete_players = checks.incomplete_players.max(players);
            checks.incomplete_captures += 1;
            if checks.incomplete_captures >= CAPTURES {
                // Counted over all players, so that players with short lives are reported, too.
                self.warn_never_found(Some(world));
            }
        }
        if self.capture_count.is_multiple_of(CAPTURES)
            && let Some(missing) = self.encoder.missing_components(world)
            && self.setup_checks.missing_component.first_time()
        {
            tracing::warn!(
                "recording `{}`: {players} players are not recorded now, because they lack {}: insert these components, \
                 or do not record them; `observe_optional` is for those that come and go",
                self.name(),
                missing.join(", ")
            );
        }
    }

    /// Warns about the components that no player ever had.
    fn warn_never_found(&mut self, world: Option<&World>) {
        let never_found: Vec<_> = self.encoder.components_never_found().collect();
        if never_found.is_empty() || !self.setup_checks.missing_component.first_time() {
            return;
        }
        let players = self.setup_checks.incomplete_players;
        for (component, name) in never_found {
            let place = world.map_or("insert it on the players", |world| {
                self.place_of(world, component)
                    .unwrap_or("insert it on the players: no entity has it")
            });
            tracing::warn!(
                "recording `{}`: no player ever had `{name}`, which the recording reads, so none is recorded (up to \
                 {players} at one time): {place}, or do not record it",
                self.name()
            );
        }
    }

    /// Checks, when recording ends, what players and systems never did.
    pub(super) fn check_at_end(&mut self, world: Option<&World>) {
        if !self.enabled || self.capture_count == 0 {
            return;
        }
        let name = self.name();
        if !self.encoder.has_found_marker() {
            tracing::warn!(
                "recording `{name}`: no entity ever had its marker `{}`, so nothing was recorded: insert it on players",
                self.marker_name
            );
            return;
        }
        if let Some(world) = world
            && let Some(component) = self.encoder.match_id_never_found(world)
        {
            tracing::warn!(
                "recording `{name}`: no player ever had `{component}`, so no row has a match id: insert it on the players, or \
                 remove `match_id`"
            );
        }
        for (target, method) in self.encoder.kinds_never_found() {
            tracing::warn!(
                "recording `{name}`: no entity ever had both `{target}` and a `Transform`, so `{method}` found none of them: \
                 insert both on the same entities"
            );
        }
        for (component, type_name) in world
            .into_iter()
            .flat_map(|world| self.encoder.optional_never_found(world))
        {
            match world.and_then(|world| self.place_of(world, component)) {
                Some(place) => tracing::warn!("recording `{name}`: no player ever had `{type_name}`: {place}"),
                // A state that did not occur in a short run is probably no mistake.
                None => tracing::info!("recording `{name}`: no player ever had `{type_name}`"),
            }
        }
        for reason in self.encoder.sources_never_found() {
            tracing::warn!("recording `{name}`: {reason}");
        }
        let waits = self.context.rules.start == EpisodeStart::OnEvent && self.context.published_ends.get() > 0;
        if waits && !self.setup_checks.has_begin_event {
            tracing::warn!(
                "recording `{name}`: `BeginEpisode` was never triggered on a player, so each was recorded for one episode: \
                 trigger it, or set `EpisodeRules::start` to `AtOnce`"
            );
        }
        let unused = self.reward_terms.unused();
        if !unused.is_empty() && self.context.counters.recorded.get() > 0 {
            // A rare event may not have happened in a short run. With an unknown name beside it, it is probably misspelt.
            if self.reward_terms.has_undeclared() {
                tracing::warn!(
                    "recording `{name}`: no reward was given for {unused:?}, and rewards were given for terms that are not \
                     declared: use the same names in `reward_terms` and `Reward::add`"
                );
            } else {
                tracing::info!("recording `{name}`: no reward was given for {unused:?} of `reward_terms`");
            }
        }
        if self.setup_checks.incomplete_captures > 0 {
            self.warn_never_found(world);
        }
    }
    /// Where a component is that players lack, as a remedy. `None` if no entity has it.
    fn place_of(&self, world: &World, component: ComponentId) -> Option<&'static str> {
        let is_player = |entity: Entity| {
            let entity = world.get_entity(entity);
            entity.is_ok_and(|entity| entity.contains_id(self.marker))
        };
        let archetypes = world.archetypes().iter();
        let with_component = archetypes.filter(|archetype| archetype.contains(component));
        let entities = with_component.flat_map(|archetype| archetype.entities().iter().map(ArchetypeEntity::id));
        let mut place = None;
        for entity in entities {
            let parents = core::iter::successors(world.get::<ChildOf>(entity), |child| {
                world.get::<ChildOf>(child.parent())
            });
            // Limited, in case the relationships form a cycle.
            if parents.take(32).any(|child| is_player(child.parent())) {
                return Some(
                    "it is on a child of a player: use `observe_related` or `act_related`, or insert it on the player itself",
                );
            }
            place = Some("insert it on the players: other entities have it");
        }
        place
    }
}

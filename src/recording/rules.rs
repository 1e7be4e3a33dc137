//! Methods of [`Recording`] that declare rewards, matches, the rules of episodes and the settings of buffers.

use super::{EpisodeRules, PlayerScaling, Recording, sources::match_plan};
use crate::{episode::RecordMode, plugin::TeamPlan};
use bevy_ecs::component::Component;
use bevy_reflect::{Reflect, Typed};
use experience_buffer::BufferSettings;

impl<P: Component> Recording<P> {
    /// Records the match that a player is in: the one integer in the component `T`.
    ///
    /// An episode is of one match. When the id of a player changes, or it gets or loses the component, its episode is split:
    /// it ends `truncated` with the reason `split`, and the next one
    /// [`continues`](experience_core::transition::EpisodeInfo::continues) it.
    pub fn match_id<T: Component + Reflect + Typed>(self) -> Self {
        self.edit(|spec| spec.match_id = Some(match_plan::<T>()))
    }

    /// Declares terms of the reward. Each gets a column in addition to the column of the sum.
    pub fn reward_terms(self, terms: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.edit(|spec| spec.reward_terms.extend(terms.into_iter().map(Into::into)))
    }

    /// Names the component of a player's team, for [`GiveTeamReward`](crate::player::GiveTeamReward). Players of one team have
    /// equal values.
    ///
    /// ```
    /// # use bevy_ecs::prelude::*;
    /// # use bevy_experience::prelude::*;
    /// # #[derive(Component)] struct Fighter;
    /// # #[derive(Component, Clone, PartialEq)] struct Team(u8);
    /// let recording = Recording::<Fighter>::new("fighter").team::<Team>();
    ///
    /// fn win(mut commands: Commands) {
    ///     commands.trigger(GiveTeamReward::new(Team(1), "win", 1.0));
    /// }
    /// ```
    pub fn team<T: Component + Clone + PartialEq>(self) -> Self {
        self.edit(|spec| spec.team = Some(TeamPlan::new::<T>()))
    }

    /// Sets which captures write a row.
    pub fn mode(self, mode: RecordMode) -> Self {
        self.edit(|spec| spec.mode = mode)
    }

    /// The game requests each decision with [`RequestDecision`](crate::episode::RequestDecision): for turn-based games.
    ///
    /// A step of a player begins when the game requests its decision, and ends at the player's next request, or with its
    /// episode. It has the observation of the request, the action that the player took, and the sum of the rewards until its
    /// end. Turns of other players write no row. [`DecisionMade`](crate::episode::DecisionMade) reads the action earlier, for
    /// games that clear it.
    ///
    /// Excludes [`decision_interval`](Self::decision_interval), [`decision_tick`](Self::decision_tick),
    /// [`read_actions_after`](Self::read_actions_after) and [`RecordMode::OnChange`].
    pub fn decision_on_demand(self) -> Self {
        self.edit(|spec| spec.decides_on_demand = true)
    }

    /// Skips reading a player when no component of it was accessed mutably since the last capture, by Bevy's change
    /// ticks. The player counts as unchanged. Applies if [`mode`](Self::mode) is [`OnChange`](RecordMode::OnChange).
    ///
    /// Rows are the same as without it as long as change ticks report every change. They do not report
    ///
    /// - writes through
    ///   [`bypass_change_detection`](bevy_ecs::change_detection::DetectChangesMut::bypass_change_detection), and unsafe
    ///   code that does not set ticks;
    /// - writes through a shared reference: atomics, cells, locks;
    /// - inputs of a function given to [`observe_with`](Self::observe_with) or similar other than the component.
    ///
    /// Such a change is recorded late, with the next change that ticks report.
    ///
    /// A player that was missing at the last capture is always read. All players are read when a
    /// [resource](Self::observe_resource), a [unique entity](Self::observe_single) or a [count](Self::observe_count) has
    /// changed, and always with [`observe_nearest`](Self::observe_nearest), [`observe_entities`](Self::observe_entities),
    /// [`observe_related`](Self::observe_related), [`observe_world_position`](Self::observe_world_position) and
    /// [`observe_system`](Self::observe_system). Has no effect with [`decision_interval`](Self::decision_interval),
    /// with [`read_actions_after`](Self::read_actions_after), or if every tick writes a row.
    pub fn trust_change_ticks(self) -> Self {
        self.edit(|spec| spec.trusts_change_ticks = true)
    }

    /// Sets when episodes start, end and are split.
    ///
    /// # Panics
    /// When `max_steps` is 0.
    #[track_caller]
    pub fn episodes(self, rules: EpisodeRules) -> Self {
        assert!(
            rules.max_steps > 0,
            "an episode has at least one step: set `EpisodeRules::max_steps` to 1 or more"
        );
        self.edit(|spec| spec.episodes = rules)
    }

    /// Sets the kind, capacity, memory and overflow policy of each player's buffer.
    ///
    /// # Panics
    /// When `capacity` is 0.
    #[track_caller]
    pub fn buffers(self, settings: BufferSettings) -> Self {
        assert!(
            settings.capacity > 0,
            "a buffer holds at least one step: set `BufferSettings::capacity` to 1 or more"
        );
        self.edit(|spec| spec.buffers = settings)
    }

    /// Sets the expected number of players, and the numbers above which they share a pool and are captured in parallel.
    ///
    /// # Panics
    /// When `expected_players` is 0.
    #[track_caller]
    pub fn scaling(self, scaling: PlayerScaling) -> Self {
        assert!(
            scaling.expected_players > 0,
            "a recording has at least one player: set `PlayerScaling::expected_players` to 1 or more"
        );
        self.edit(|spec| spec.scaling = scaling)
    }

    /// Sets the version of the columns' semantics, which is part of the schema's hash. Change it when the same columns
    /// get a new meaning.
    pub fn version(self, version: impl Into<String>) -> Self {
        self.edit(|spec| spec.version = Some(version.into()))
    }
}

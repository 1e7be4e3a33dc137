//! [`AgentId`] and [`DoNotRecord`]: identity and consent of a player.

use bevy_ecs::{
    component::Component,
    entity::{ComponentCloneCtx, SourceComponent},
    reflect::ReflectComponent,
};
use bevy_reflect::{Reflect, std_traits::ReflectDefault};
use core::hash::Hasher;
use siphasher::sip::SipHasher24;

/// The agent id of a player in the data, stable across despawn and rejoin.
///
/// Optional, and never negative. A player without one gets a number each time it joins, which is negative in the data: -1 for
/// the first such player of a recording in a run, -2 for the second, and so on. So ids of the game and numbers never meet.
///
/// A player that has an id when it joins is recorded with it. An id that is inserted, changed or removed later applies from
/// the player's next episode on.
///
/// A player is not recorded, and is counted in
/// [`RunReport::refused_agents`](experience_core::account::RunReport::refused_agents), while its id is negative or is the id
/// of another living player of the recording.
///
/// Saved worlds contain it. The clone of a player has none, because an id identifies one player.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Reflect)]
#[component(clone_behavior = Custom(move_only))]
#[reflect(Component, Debug, PartialEq, Hash)]
pub struct AgentId(pub i64);

impl AgentId {
    /// The id for an account of a platform: a keyed hash (SipHash-2-4), never negative, that cannot be turned back into
    /// the account without `key`.
    ///
    /// Keep `key` secret. Ids stay the same as long as it does.
    ///
    /// ```
    /// use bevy_experience::prelude::AgentId;
    ///
    /// let id = AgentId::from_account("steam:76561198000000000", b"sixteen byte key");
    /// assert_eq!(id, AgentId::from_account("steam:76561198000000000", b"sixteen byte key"));
    /// assert_ne!(id, AgentId::from_account("steam:76561198000000000", b"another, 16 byte"));
    /// ```
    #[must_use]
    pub fn from_account(account: &str, key: &[u8; 16]) -> Self {
        let mut hasher = SipHasher24::new_with_key(key);
        hasher.write(account.as_bytes());
        Self((hasher.finish() >> 1).cast_signed())
    }
}

/// Two players cannot have one id, so it is moved with a player and not cloned.
fn move_only(source: &SourceComponent, ctx: &mut ComponentCloneCtx) {
    if let Some(agent) = source.read::<AgentId>().filter(|_| ctx.moving()) {
        ctx.write_target_component(*agent);
    }
}

/// Excludes a player from all recorded data.
///
/// A player with this component has no rows, and does not appear in the rows of others through `observe_nearest`,
/// `observe_entities`, `observe_single`, `observe_related` and `observe_count`.
/// Inserting it during an episode discards the episode at once: no sink, no recovery after a crash, and no reader or sampler
/// of live buffers returns its rows from then on. Episodes that had ended stay in the data. It does not affect values that the
/// game computes about the player and writes to components of others.
///
/// Saved worlds contain it, and the clone of a player has it.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
#[reflect(Component, Debug, Default, PartialEq)]
pub struct DoNotRecord;

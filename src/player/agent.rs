//! [`AgentId`] and [`DoNotRecord`]: identity and consent of a player.

use bevy_ecs::{component::Component, reflect::ReflectComponent};
use bevy_reflect::{Reflect, std_traits::ReflectDefault};
use core::hash::Hasher;
use siphasher::sip::SipHasher24;

/// The agent id of a player in the data, stable across despawn and rejoin.
///
/// Optional: a player without one gets the next free number of its recording each time it joins. Two living players of
/// one recording cannot have the same id: the second is not recorded until the first has left, and is counted.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Reflect)]
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

/// Excludes a player from all recorded data.
///
/// A player with this component has no rows, and does not appear in the rows of others through `observe_nearest`.
/// Inserting it during an episode discards the episode. It does not affect values that the game computes about the
/// player and writes to components of others.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
#[reflect(Component, Debug, Default, PartialEq)]
pub struct DoNotRecord;

//! Who a player is.

use bevy_ecs::{component::Component, reflect::ReflectComponent};
use bevy_reflect::{Reflect, std_traits::ReflectDefault};
use core::hash::Hasher;
use siphasher::sip::SipHasher24;

/// The player's id in the data, stable across despawn and rejoin.
///
/// Optional: a player without one gets the next free number of its recording when it joins, and another when it comes
/// back. Two living players of one recording cannot share an id: the second is refused and counted, and joins when the
/// first is gone.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Reflect)]
#[reflect(Component, Debug, PartialEq, Hash)]
pub struct AgentId(pub i64);

impl AgentId {
    /// An id for a platform's account: a keyed hash (SipHash-2-4), never negative, that cannot be turned back into the
    /// account without `key`.
    ///
    /// Keep `key` secret and the same for as long as the ids must stay the same.
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

/// Keeps a player out of all data.
///
/// A player with this component leaves no row of its own, and is not seen by `observe_nearest` in the rows of others.
/// Inserting it in mid-episode discards the open episode. Values that the game itself computes about others and puts
/// into components are beyond its reach.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
#[reflect(Component, Debug, Default, PartialEq)]
pub struct DoNotRecord;

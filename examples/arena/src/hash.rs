//! Hash of the complete simulation state, to test determinism.

use bevy_ecs::prelude::*;
use bevy_math::{Vec2, Vec3Swizzles};
use bevy_transform::prelude::Transform;

use crate::{
    Clock, MatchId,
    bot::Bot,
    bullet::Bullet,
    coin::Coin,
    fighter::{Body, Deed, Fighter, Gear, Intent, RespawnState, Score},
    slots::AgentSlots,
};

/// A 64-bit hash of the simulation state. Equal states have equal hashes on every machine; different states have
/// different hashes, except for collisions.
///
/// Items are hashed in the order of their own ids, not of entities. Components and resources that other plugins add to
/// the world do not change the hash.
#[must_use]
pub fn world_hash(world: &mut World) -> u64 {
    let mut hash = Fnv1a::default();
    hash.word(world.resource::<Clock>().tick);
    hash_slots(world, &mut hash);
    hash_fighters(world, &mut hash);
    hash_bullets(world, &mut hash);
    hash_coins(world, &mut hash);
    hash.0
}

fn hash_slots(world: &World, hash: &mut Fnv1a) {
    for slot in &world.resource::<AgentSlots>().all {
        hash.word(u64::from(slot.fighter.is_some()));
        hash.word(u64::from(slot.sessions));
        hash.word(slot.next_churn);
    }
}

fn hash_fighters(world: &mut World, hash: &mut Fnv1a) {
    let mut query = world.query::<(
        &MatchId,
        &Fighter,
        &Transform,
        &Body,
        &Gear,
        &RespawnState,
        &Score,
        &Intent,
        Option<&Bot>,
    )>();
    let mut fighters: Vec<_> = query.iter(world).collect();
    fighters.sort_unstable_by_key(|(match_id, fighter, ..)| (match_id.0, fighter.agent));
    for (match_id, fighter, transform, body, gear, respawn, score, intent, bot) in fighters {
        hash.word(u64::from(match_id.0));
        hash.word(fighter.agent.cast_unsigned());
        hash.word(u64::from(fighter.session));
        hash.vector(transform.translation.xy());
        hash.vector(body.velocity);
        hash.vector(body.facing);
        for value in [body.health, gear.shot_in, gear.dash_in, respawn.respawn_in] {
            hash.number(value);
        }
        for count in [
            gear.shots,
            respawn.respawns,
            score.coins,
            score.hits,
            score.kills,
            score.deaths,
        ] {
            hash.word(u64::from(count));
        }
        hash.vector(intent.steer);
        hash.vector(intent.aim);
        hash.word(match intent.deed {
            Deed::Hold => 0,
            Deed::Shoot => 1,
            Deed::Dash => 2,
        });
        if let Some(bot) = bot {
            hash.vector(bot.route.goal);
            hash.number(bot.route.time_left);
            hash.word(bot.rng.get_word_pos() as u64);
        }
    }
}

fn hash_bullets(world: &mut World, hash: &mut Fnv1a) {
    let mut query = world.query::<(&MatchId, &Bullet, &Transform)>();
    let mut bullets: Vec<_> = query.iter(world).collect();
    bullets.sort_unstable_by_key(|(match_id, bullet, _)| (match_id.0, bullet.owner, bullet.number));
    for (match_id, bullet, transform) in bullets {
        hash.word(u64::from(match_id.0));
        hash.word(bullet.owner.cast_unsigned());
        hash.word(bullet.number);
        hash.vector(transform.translation.xy());
        hash.vector(bullet.velocity);
        hash.number(bullet.time_left);
    }
}

fn hash_coins(world: &mut World, hash: &mut Fnv1a) {
    let mut query = world.query::<(&MatchId, &Coin, &Transform)>();
    let mut coins: Vec<_> = query.iter(world).collect();
    coins.sort_unstable_by_key(|(match_id, coin, _)| (match_id.0, coin.number));
    for (match_id, coin, transform) in coins {
        hash.word(u64::from(match_id.0));
        hash.word(u64::from(coin.number) << 32 | u64::from(coin.relocations));
        hash.vector(transform.translation.xy());
    }
}

/// FNV-1a. Unlike the hasher of the standard library, its result is the same on every machine and in every Rust
/// release.
struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv1a {
    fn word(&mut self, word: u64) {
        for byte in word.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn number(&mut self, number: f32) {
        self.word(u64::from(number.to_bits()));
    }

    fn vector(&mut self, vector: Vec2) {
        self.number(vector.x);
        self.number(vector.y);
    }
}

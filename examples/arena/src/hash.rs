//! One number for the whole state of the game.

use bevy_ecs::prelude::*;
use bevy_math::{Vec2, Vec3Swizzles};
use bevy_transform::prelude::Transform;

use crate::{
    Clock, MatchId,
    bot::Bot,
    bullet::Bullet,
    coin::Coin,
    fighter::{Body, Deed, Fighter, Gear, Intent, Life, Score},
    seat::Seats,
};

/// The state of the game in one number: equal for worlds in which everything is equal, and different, for all one will
/// ever see, when anything differs.
///
/// Everything is hashed in an order of its own ids, never in that of entities. Only the game counts: other plugins, and a
/// recording, may add to the world what they like.
#[must_use]
pub fn world_hash(world: &mut World) -> u64 {
    let mut hash = Hash::default();
    hash.word(world.resource::<Clock>().tick);
    hash_seats(world, &mut hash);
    hash_fighters(world, &mut hash);
    hash_bullets(world, &mut hash);
    hash_coins(world, &mut hash);
    hash.0
}

fn hash_seats(world: &World, hash: &mut Hash) {
    for seat in &world.resource::<Seats>().all {
        hash.word(u64::from(seat.fighter.is_some()));
        hash.word(u64::from(seat.visits));
        hash.word(seat.next_move);
    }
}

fn hash_fighters(world: &mut World, hash: &mut Hash) {
    let mut query = world.query::<(
        &MatchId,
        &Fighter,
        &Transform,
        &Body,
        &Gear,
        &Life,
        &Score,
        &Intent,
        Option<&Bot>,
    )>();
    let mut fighters: Vec<_> = query.iter(world).collect();
    fighters.sort_unstable_by_key(|(match_id, fighter, ..)| (match_id.0, fighter.agent));
    for (match_id, fighter, transform, body, gear, life, score, intent, bot) in fighters {
        hash.word(u64::from(match_id.0));
        hash.word(fighter.agent.cast_unsigned());
        hash.word(u64::from(fighter.visit));
        hash.vector(transform.translation.xy());
        hash.vector(body.velocity);
        hash.vector(body.facing);
        for value in [body.health, gear.shot_in, gear.dash_in, life.respawn_in] {
            hash.number(value);
        }
        for count in [gear.shots, life.number, score.coins, score.hits, score.deaths] {
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
            hash.number(bot.route.patience);
            hash.word(bot.rng.get_word_pos() as u64);
        }
    }
}

fn hash_bullets(world: &mut World, hash: &mut Hash) {
    let mut query = world.query::<(&MatchId, &Bullet, &Transform)>();
    let mut bullets: Vec<_> = query.iter(world).collect();
    bullets.sort_unstable_by_key(|(match_id, bullet, _)| (match_id.0, bullet.owner, bullet.number));
    for (match_id, bullet, transform) in bullets {
        hash.word(u64::from(match_id.0));
        hash.word(bullet.owner.cast_unsigned());
        hash.word(bullet.number);
        hash.vector(transform.translation.xy());
        hash.vector(bullet.velocity);
        hash.number(bullet.life);
    }
}

fn hash_coins(world: &mut World, hash: &mut Hash) {
    let mut query = world.query::<(&MatchId, &Coin, &Transform)>();
    let mut coins: Vec<_> = query.iter(world).collect();
    coins.sort_unstable_by_key(|(match_id, coin, _)| (match_id.0, coin.number));
    for (match_id, coin, transform) in coins {
        hash.word(u64::from(match_id.0));
        hash.word(u64::from(coin.number) << 32 | u64::from(coin.moves));
        hash.vector(transform.translation.xy());
    }
}

/// FNV-1a over 64-bit words: the same on every machine and in every release, which the standard library's hasher does not
/// promise.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
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

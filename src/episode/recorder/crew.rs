//! A crowd is captured by several threads at once.
//!
//! Everything that a thread writes to is its own: the lives of its players, shards of the pool, and what it puts rows together
//! in. So nothing is shared but what is read, and the counts. A thread does what [`Steady`] does, and no more: whoever begins,
//! ends, joins or stands where it is not expected is left over, with its row, and these come afterwards, one after the other, in
//! the order in which one thread would have met them. So episodes have the same numbers, and rows are the same.

use super::{
    Context,
    settling::Settling,
    steady::{AHEAD, Hand, Lives, Shards, Steady},
    terms::Terms,
};
use crate::{
    capture::{Block, Captured, EncodeScratch, Group, Parts, RowEncoder},
    episode::{
        life::{Life, Output},
        roster::Roster,
    },
    player::Reward,
};
use bevy_ecs::{entity::Entity, world::World};
use bevy_tasks::{ComputeTaskPool, available_parallelism};
use experience_buffer::{
    pool::{PoolHandle, PoolPart, Run},
    prefetch,
};
use experience_core::account::Counters;
use std::sync::LazyLock;

/// So many neighbours are one thread's. Those who join together share a shard, as many of them.
pub(super) const NEIGHBOURS: usize = 64;

/// Fewer players than this are not worth another thread.
const SHARE: usize = 4096;

/// Who captures a crowd.
#[derive(Default)]
pub(super) struct Crew {
    /// More players than this are captured in parallel.
    above: usize,
    mates: Vec<Mate>,
    /// Who does what, in the order in which one thread would meet the players.
    plan: Vec<Planned>,
    /// What is left over: the player's place in that order, which mate left it, and its place there.
    left: Vec<(usize, usize, usize)>,
    /// Players who stood elsewhere than their lives at the last capture, or came or went since.
    strays: usize,
}

/// What one thread needs for itself.
struct Mate {
    scratch: EncodeScratch,
    hand: Hand,
    /// For how many players it wrote a step.
    steps: usize,
    left: Vec<Left>,
    /// The row of each of those.
    rows: Vec<u64>,
}

/// A player who is left over.
struct Left {
    /// Its place in the order of all.
    place: usize,
    entity: Entity,
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Its life is not where it was looked for.
    Stray,
    /// Something happens to it that is out of the ordinary.
    Eventful,
    /// Its step is taken, and its row belongs to another thread's shard.
    Foreign,
}

/// A group of players.
struct Planned {
    group: Group,
    /// The place of the first of them in the order of all.
    first: usize,
    /// The same among the lives, if it is where it should be.
    life: usize,
    /// Whose they are.
    mate: usize,
}

/// A group of players, and their lives.
struct Piece<'a> {
    group: &'a Group,
    first: usize,
    lives: &'a mut [Life],
}

/// What one thread does.
struct Share<'a> {
    mate: &'a mut Mate,
    part: PoolPart<'a>,
    pieces: Vec<Piece<'a>>,
}

/// What all of them look at.
#[derive(Clone, Copy)]
struct Scene<'a> {
    world: &'a World,
    parts: Parts,
    encoder: &'a RowEncoder,
    steady: &'a Steady,
    context: &'a Context,
    terms: &'a Terms,
    captures: u32,
}

impl Crew {
    pub(super) fn new(above: usize) -> Self {
        Self {
            above,
            ..Self::default()
        }
    }

    /// How many threads are to capture so many players; one where it is not worth more, or there are no more.
    pub(super) fn threads(&self, players: usize) -> usize {
        // In a crowd that is out of order, one thread puts it in order again.
        if players <= self.above || self.strays > players / 32 {
            return 1;
        }
        // Where there is one processor, or no threads at all, tasks only take turns.
        static PROCESSORS: LazyLock<usize> = LazyLock::new(available_parallelism);
        let Some(pool) = ComputeTaskPool::try_get().filter(|_| *PROCESSORS > 1) else {
            return 1;
        };
        // The thread that waits for the others is one of them.
        let threads = pool.thread_num() + 1;
        threads.min(players / (self.above / 4).clamp(NEIGHBOURS, SHARE)).max(1)
    }

    /// One thread captured everybody, and put all lives in order.
    pub(super) fn is_in_order(&mut self) {
        self.strays = 0;
    }

    /// So many players came or went.
    pub(super) fn moved(&mut self, players: usize) {
        self.strays += players;
    }
}

/// Writes a step for each player for whom that is all there is to do, with so many threads, and everybody else's row after that.
/// How many players have been seen.
pub(super) fn capture(
    threads: usize,
    crew: &mut Crew,
    encoder: &RowEncoder,
    steady: &Steady,
    (world, parts): (&World, Parts),
    roster: &mut Roster,
    settling: &mut Settling<'_>,
) -> usize {
    let context = settling.context;
    while crew.mates.len() < threads {
        crew.mates.push(Mate {
            scratch: encoder.scratch(),
            hand: steady.hand(),
            steps: 0,
            left: Vec::new(),
            rows: Vec::new(),
        });
    }
    let Crew {
        mates,
        plan,
        left,
        strays,
        ..
    } = crew;
    let mates = &mut mates[..threads];
    let mut pool = context.pool();
    let mut shares: Vec<_> = mates
        .iter_mut()
        .zip(pool.parts(threads))
        .map(|(mate, part)| Share {
            mate,
            part,
            pieces: Vec::new(),
        })
        .collect();
    plan_groups(plan, encoder, world, roster, &shares);
    hand_out(plan, roster, &mut shares);
    let scene = Scene {
        world,
        parts,
        encoder,
        steady,
        context,
        terms: settling.terms,
        captures: settling.captures,
    };
    let own = shares.pop();
    ComputeTaskPool::get().scope(|scope| {
        for share in shares {
            scope.spawn(async move { share.work(scene) });
        }
        if let Some(own) = own {
            own.work(scene);
        }
    });
    drop(pool);
    left.clear();
    let mut seen = 0;
    for (whose, mate) in mates.iter().enumerate() {
        seen += mate.steps;
        left.extend(mate.left.iter().enumerate().map(|(at, left)| (left.place, whose, at)));
    }
    left.sort_unstable();
    *strays = 0;
    let words = context.schema.layout().row_words();
    for &(_, whose, at) in left.iter() {
        let Mate { left, rows, .. } = &mut mates[whose];
        let (left, row) = (&left[at], &mut rows[at * words..][..words]);
        match left.why {
            Why::Foreign => {
                if let Some(life) = roster.get_mut(left.entity) {
                    life.push_step(context, row);
                    seen += 1;
                }
            }
            why => {
                let entity = left.entity;
                let reward = world.get::<Reward>(entity);
                let settled = settling.settle(roster, Captured { entity, row, reward });
                seen += usize::from(settled);
                *strays += usize::from(settled && why == Why::Stray);
            }
        }
    }
    seen
}

/// Divides all players into groups, and says whose each is.
fn plan_groups(plan: &mut Vec<Planned>, encoder: &RowEncoder, world: &World, roster: &Roster, shares: &[Share<'_>]) {
    plan.clear();
    let all = roster.lives().len();
    let (mut first, mut life) = (0, 0);
    for group in encoder.groups(world, NEIGHBOURS) {
        let players = group.players(world);
        // Where there are some without a life, lives and players do not stand at the same places.
        if let Some(found) = players.first().and_then(|player| roster.place(player.id()))
            && (life.max(players.len()) - players.len()..life + NEIGHBOURS).contains(&found)
        {
            life = found.max(plan.last().map_or(0, |before: &Planned| before.life));
        }
        let shard = match roster.lives().get(life).and_then(Life::output) {
            Some(Output::Shared { handle, .. }) => shares.iter().position(|share| share.part.has(handle)),
            _ => None,
        };
        let players = players.len();
        plan.push(Planned {
            group,
            first,
            life,
            // Those who write to no shard are shared out in as many runs.
            mate: shard.unwrap_or((first * shares.len() / all.max(1)).min(shares.len() - 1)),
        });
        first += players;
        life += players;
    }
}

/// Gives each its players' lives.
fn hand_out<'a>(plan: &'a [Planned], roster: &'a mut Roster, shares: &mut [Share<'a>]) {
    for share in shares.iter_mut() {
        share.pieces.reserve_exact(plan.len());
    }
    let mut rest = roster.lives_mut();
    let mut taken = 0;
    for (index, planned) in plan.iter().enumerate() {
        let end = plan.get(index + 1).map_or(usize::MAX, |next| next.life);
        let before = planned.life.saturating_sub(taken).min(rest.len());
        rest = &mut rest[before..];
        taken += before;
        let (lives, after) = rest.split_at_mut(end.saturating_sub(taken).min(rest.len()));
        taken += lives.len();
        rest = after;
        shares[planned.mate].pieces.push(Piece {
            group: &planned.group,
            first: planned.first,
            lives,
        });
    }
}

impl Share<'_> {
    fn work(self, scene: Scene<'_>) {
        let Scene {
            world,
            encoder,
            steady,
            context,
            terms,
            captures,
            ..
        } = scene;
        let Self { mate, mut part, pieces } = self;
        let Mate {
            scratch,
            hand,
            steps,
            left,
            rows,
        } = mate;
        *steps = 0;
        left.clear();
        rows.clear();
        let mut pieces = pieces.into_iter().peekable();
        while let Some(piece) = pieces.next() {
            let next = pieces.peek();
            let mut first = piece.first;
            let mut lives = Near {
                lives: piece.lives,
                met: 0,
                after: next.map_or(&[], |next| &*next.lives),
            };
            let next = next.map(|next| next.group);
            encoder.encode_group(world, scene.parts, scratch, piece.group, next, |mut block| {
                *steps += steady.take(&mut block, hand, (context, captures), terms, &mut lives, &mut part);
                leave(&mut block, hand, first, left, rows);
                first += block.len();
            });
        }
    }
}

/// Notes who is left over of a block, the first of whom is at place `first` in the order of all.
fn leave(block: &mut Block<'_>, hand: &Hand, first: usize, left: &mut Vec<Left>, rows: &mut Vec<u64>) {
    let mut leave = |index: usize, why| {
        left.push(Left {
            place: first + index,
            entity: block.entity(index),
            why,
        });
        rows.extend_from_slice(block.row_mut(index));
    };
    hand.foreign.iter().for_each(|&index| leave(index, Why::Foreign));
    hand.strays.iter().for_each(|&index| leave(index, Why::Stray));
    hand.others.iter().for_each(|&index| leave(index, Why::Eventful));
}

/// The lives of one thread's players, where they are expected.
struct Near<'a> {
    lives: &'a mut [Life],
    /// How many were met.
    met: usize,
    /// Those of the next piece.
    after: &'a [Life],
}

impl Near<'_> {
    /// Where somebody stands who is not the next. A few may be missing before it: they left, or somebody took their place.
    #[cold]
    fn find(&self, entity: Entity) -> Option<usize> {
        /// So many may be.
        const MISSING: usize = 8;
        let ahead = self.lives[self.met.min(self.lives.len())..].iter().take(MISSING);
        let found = ahead.map(|life| life.entity).position(|other| other == entity)?;
        Some(self.met + found)
    }
}

impl Lives for Near<'_> {
    #[inline(always)]
    fn prefetch(&self) {
        // Beyond these are somebody else's, whom that would disturb.
        if let Some(life) = self.lives.get(self.met + AHEAD) {
            prefetch::line(core::ptr::from_ref(life).cast());
        }
    }

    #[inline(always)]
    fn meet(&mut self, entity: Entity) -> Option<(usize, &mut Life)> {
        let place = match self.lives.get(self.met) {
            Some(life) if life.entity == entity => self.met,
            _ => self.find(entity)?,
        };
        self.met = place + 1;
        Some((place, &mut self.lives[place]))
    }

    #[inline(always)]
    fn at(&mut self, place: usize) -> Option<&mut Life> {
        self.lives.get_mut(place)
    }

    #[inline(always)]
    fn next(&mut self, players: usize) -> (&mut [Life], &[Life]) {
        let met = self.met.min(self.lives.len());
        let rest = &mut self.lives[met..];
        let (now, after) = rest.split_at_mut(players.min(rest.len()));
        (now, if after.is_empty() { self.after } else { after })
    }

    #[inline(always)]
    fn pass(&mut self, players: usize) {
        self.met += players;
    }
}

impl Shards for PoolPart<'_> {
    #[inline(always)]
    fn has(&self, player: &PoolHandle) -> bool {
        self.has(player)
    }

    #[inline(always)]
    fn begin_run(&self, player: &PoolHandle, cell: usize) -> Run {
        self.begin_run(player, cell)
    }

    #[inline(always)]
    fn push_run(&mut self, run: &Run, cells: &[u64]) {
        // Only `close_buffer` closes, and it takes the output away.
        let _ = self.push_run(run, cells);
    }

    #[inline(always)]
    fn count(&self, counters: &Counters, transitions: usize) {
        counters.recorded.add_shared(transitions as u64);
    }
}

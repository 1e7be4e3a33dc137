//! One recording at work: who plays, what each capture makes of it, and what observers have noted since the last.

mod alike;
mod asked;
mod complaints;
mod crew;
mod floats;
mod looking;
mod members;
mod seeing;
mod settling;
mod steady;
mod terms;

pub(crate) use asked::{PlayerView, Refusal};

use super::{
    life::{Clock, Context, Life, Rules},
    roster::Roster,
};
use crate::{
    capture::{Parts, RowEncoder},
    player::Reward,
};
use bevy_ecs::{change_detection::Tick, component::ComponentId, entity::Entity, world::World};
use complaints::Said;
use core::sync::atomic::AtomicU32;
use crew::Crew;
use crossbeam_queue::SegQueue;
use experience_buffer::{
    BufferPool, BufferSettings, Memory, PlayerBuffers, TransitionBuffer,
    pool::{PoolSettings, Stream},
};
use experience_core::{
    account::{Count, Counters},
    schema::Schema,
    transition::{EndReason, Outcome, ReasonTable},
};
use settling::take_reward;
use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, Mutex},
};
use steady::{Hand, Steady};
use terms::Terms;

/// What a recorder is made of.
pub(crate) struct RecorderParts {
    pub(crate) marker: ComponentId,
    pub(crate) schema: Arc<Schema>,
    pub(crate) rules: Rules,
    pub(crate) encoder: RowEncoder,
    pub(crate) buffers: PlayerBuffers,
    pub(crate) crowd: Crowd,
    /// More players than this are captured in parallel.
    pub(crate) parallel_above: usize,
    pub(crate) enabled: bool,
    /// The run's counter of episodes.
    pub(crate) episodes: Arc<AtomicU32>,
}

/// When players share a pool, and which.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    /// So many players have buffers of their own. Those who join when they are that many already share.
    pub(crate) above: usize,
    pub(crate) pool: PoolSettings,
}

/// An end that somebody asked for.
#[derive(Clone, Debug)]
pub(crate) struct EndRequest {
    pub(crate) entity: Entity,
    pub(crate) outcome: Outcome,
    pub(crate) reason: EndReason,
    /// No tick has begun since the last capture.
    pub(crate) between_ticks: bool,
}

/// What became of an [`EndRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Staged {
    /// It ended the player's life.
    Ended,
    /// An end was noted before; this one counts if it is the stronger word.
    Again,
    /// The player is between episodes.
    Ignored,
    /// A player that is not, or not yet, recorded.
    NotRecorded,
    /// Not a player of this recording.
    NotAPlayer,
}

/// A buffer that the exporter does not know of yet.
pub(crate) struct NewBuffer {
    pub(crate) agent_id: i64,
    pub(crate) buffer: Arc<dyn TransitionBuffer>,
    /// How many transitions were pushed, once it is closed.
    pub(crate) transitions: Arc<AtomicU32>,
}

/// One recording at work.
pub(crate) struct Recorder {
    marker: ComponentId,
    context: Context,
    encoder: RowEncoder,
    steady: Steady,
    hand: Hand,
    crew: Crew,
    terms: Terms,
    roster: Roster,
    players: Arc<PlayerBuffers>,
    crowd: Crowd,
    /// How many streams there have been in the pool.
    streams: u32,
    new_buffers: Vec<NewBuffer>,
    new_pool: Option<Arc<BufferPool>>,
    ended_streams: Vec<Stream>,
    enabled: bool,
    /// Recording is paused from the next capture on.
    pause_next: bool,
    /// Captures so far, modulo 2³².
    captures: u32,
    /// The world's change tick at the last capture that read players.
    last_read: Option<Tick>,
    /// An end was noted since the last capture, and no tick had begun.
    ended_between_ticks: bool,
    /// Players found by a capture that nobody knows yet.
    joining: Vec<Entity>,
    /// Agents of whom nothing is to be recorded.
    excluded: HashSet<i64>,
    row: Vec<u64>,
    said: Said,
}

impl Recorder {
    pub(crate) fn new(parts: RecorderParts) -> Self {
        let features = parts.schema.observation_width();
        let context = Context {
            rules: parts.rules,
            counters: Arc::default(),
            reasons: Arc::default(),
            episodes: parts.episodes,
            discarded: Arc::default(),
            non_finite_features: (0..features).map(|_| Count::default()).collect(),
            ends: Count::default(),
            despawn_ends: Count::default(),
            clock: Clock::default(),
            paused: false,
            was_paused: false,
            pool: Mutex::default(),
            schema: parts.schema,
        };
        let steady = Steady::new(&context, parts.enabled);
        Self {
            marker: parts.marker,
            row: vec![0; context.schema.layout().row_words()],
            hand: steady.hand(),
            steady,
            crew: Crew::new(parts.parallel_above),
            terms: Terms::new(context.schema.name(), context.schema.reward_terms()),
            context,
            encoder: parts.encoder,
            roster: Roster::default(),
            players: Arc::new(parts.buffers),
            crowd: parts.crowd,
            streams: 0,
            new_buffers: Vec::new(),
            new_pool: None,
            ended_streams: Vec::new(),
            enabled: parts.enabled,
            pause_next: false,
            captures: 0,
            last_read: None,
            ended_between_ticks: false,
            joining: Vec::new(),
            excluded: HashSet::new(),
            said: Said::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.context.schema.name()
    }

    pub(crate) fn marker(&self) -> ComponentId {
        self.marker
    }

    pub(crate) fn schema(&self) -> &Arc<Schema> {
        &self.context.schema
    }

    pub(crate) fn players(&self) -> &Arc<PlayerBuffers> {
        &self.players
    }

    pub(crate) fn counters(&self) -> &Arc<Counters> {
        &self.context.counters
    }

    pub(crate) fn reasons(&self) -> &Arc<ReasonTable> {
        &self.context.reasons
    }

    pub(crate) fn discarded(&self) -> &Arc<SegQueue<u32>> {
        &self.context.discarded
    }

    pub(crate) fn take_new_buffers(&mut self) -> impl Iterator<Item = NewBuffer> + '_ {
        self.new_buffers.drain(..)
    }

    pub(crate) fn take_new_pool(&mut self) -> Option<Arc<BufferPool>> {
        self.new_pool.take()
    }

    pub(crate) fn take_ended_streams(&mut self) -> impl Iterator<Item = Stream> + '_ {
        self.ended_streams.drain(..)
    }

    /// After how many captures a buffer could be full, if nobody drains it.
    pub(crate) fn captures_ahead(&self) -> usize {
        let shared = self.players.pool().map_or(usize::MAX, |pool| {
            pool.stats().capacity / self.roster.lives().len().max(1)
        });
        shared.min(self.settings().capacity)
    }

    /// Whether it looks at change ticks.
    pub(crate) fn trusts_ticks(&self) -> bool {
        self.context.rules.trusts_ticks
    }

    pub(crate) fn settings(&self) -> &BufferSettings {
        self.players.settings()
    }

    /// The folder of the buffers' files, where they lie in files.
    pub(crate) fn rings(&self) -> Option<&Path> {
        match &self.settings().memory {
            Memory::File(folder) => Some(folder),
            _ => None,
        }
    }

    /// Whether every player's buffer takes `rows` more without losing one that the exporter has not seen.
    pub(crate) fn has_room(&self, rows: usize) -> bool {
        self.roster.lives().iter().all(|life| life.free() >= rows)
    }

    /// Pauses recording at the next capture, or goes on.
    pub(crate) fn set_paused(&mut self, paused: bool) {
        self.pause_next = paused;
    }

    /// Whether anything is recorded now.
    fn is_watching(&self) -> bool {
        self.enabled && !self.context.paused
    }

    /// Looks at every player.
    pub(crate) fn capture(&mut self, world: &World, clock: Clock) {
        let _span = tracing::debug_span!("experience_capture", recording = self.name()).entered();
        self.context.clock = clock;
        self.context.was_paused = core::mem::replace(&mut self.context.paused, self.pause_next);
        self.captures = self.captures.wrapping_add(1);
        self.ended_between_ticks = false;
        let mut seen = 0;
        // The capture that pauses still looks: open episodes end at what it sees.
        let looks = self.enabled && !(self.context.paused && self.context.was_paused);
        let parts = Parts {
            seen: looks,
            acted: looks && !self.context.rules.acts_early,
        };
        if self.encoder.prepare(world, parts) {
            seen = self.see(world, parts);
        } else if let Some(name) = self.encoder.missing_resource()
            && !core::mem::replace(&mut self.said.missing_resource, true)
        {
            let recording = self.name();
            tracing::warn!(
                "recording `{recording}` reads the resource `{name}`, which does not exist: nobody is recorded until it is inserted"
            );
        }
        self.context.pool().publish();
        if seen < self.roster.lives().len() {
            self.sweep(world);
        }
        self.join(world);
        self.context.was_paused = self.context.paused;
        self.complain(world);
    }

    /// Reads the action of every player, for the capture to come.
    pub(crate) fn read_actions(&mut self, world: &World) {
        if !self.is_watching() || !self.encoder.prepare(world, Parts::ACTED) {
            return;
        }
        let Self {
            encoder,
            roster,
            context,
            ..
        } = self;
        encoder.encode_all(world, Parts::ACTED, |mut block| {
            for player in block.iter_mut() {
                if let Some(slot) = roster
                    .get_mut(player.entity)
                    .and_then(|life| life.action_slot(&context.rules))
                {
                    crate::capture::diff::copy_action(context.schema.layout(), player.row, slot);
                }
            }
        });
    }

    /// Notes an end, and what the player sees at this moment.
    pub(crate) fn stage_end(&mut self, world: &World, request: &EndRequest) -> Staged {
        let entity = request.entity;
        let Some(life) = self.roster.get_mut(entity) else {
            let is_player = world
                .get_entity(entity)
                .is_ok_and(|found| found.contains_id(self.marker));
            return if is_player {
                Staged::NotRecorded
            } else {
                Staged::NotAPlayer
            };
        };
        self.ended_between_ticks |= request.between_ticks;
        if life.stage(request.outcome, &request.reason, false, request.between_ticks) {
            self.snapshot(world, entity);
            Staged::Ended
        } else if life.is_staged() {
            Staged::Again
        } else {
            self.context.counters.ignored_ends.add(1);
            Staged::Ignored
        }
    }

    /// Notes that a player leaves: it is being despawned, or loses the marker. Its components can still be read.
    pub(crate) fn stage_left(&mut self, world: &World, entity: Entity, between_ticks: bool) {
        let Some(life) = self.roster.get_mut(entity).filter(|life| !life.leaves()) else {
            return;
        };
        // The component may be gone at the capture.
        take_reward(life, world.get::<Reward>(entity), &self.context, &mut self.terms);
        let (outcome, reason) = left(&self.context.rules);
        life.stage(outcome, &reason, true, between_ticks);
        self.ended_between_ticks |= between_ticks;
        self.snapshot(world, entity);
    }

    /// Reads the final observation, and the action that led to it.
    fn snapshot(&mut self, world: &World, entity: Entity) {
        let Self {
            roster,
            encoder,
            context,
            ..
        } = self;
        let Some(life) = roster.get_mut(entity) else { return };
        let Some((row, seen, acted)) = life.snapshot_slot(&context.rules) else {
            return;
        };
        let parts = Parts { seen, acted };
        if encoder.prepare_one(world, parts, entity) && encoder.encode_one(world, entity, parts, row) {
            life.snapshot_taken(&context.rules, context.schema.layout(), seen, acted);
        }
    }

    /// Notes that a player's next episode may begin. False when it is in one.
    pub(crate) fn stage_begin(&mut self, entity: Entity) -> bool {
        self.roster.get_mut(entity).is_none_or(Life::ask_begin)
    }

    /// The players whose episodes ended since the last capture, before a tick began.
    pub(crate) fn ended_between_ticks(&self) -> impl Iterator<Item = Entity> + '_ {
        // In a crowd it takes long to ask everybody, and nearly always there is nobody.
        let lives = if self.ended_between_ticks {
            self.roster.lives()
        } else {
            &[]
        };
        lives
            .iter()
            .filter(|life| life.ended_between_ticks())
            .map(|life| life.entity)
    }

    /// A tick begins: `entity`'s rewards until now are taken, and if its episode ended before the tick, rewards from
    /// now on are not that episode's.
    pub(crate) fn seal(&mut self, world: &World, entity: Entity) {
        if let Some(life) = self.roster.get_mut(entity) {
            take_reward(life, world.get::<Reward>(entity), &self.context, &mut self.terms);
            life.seal();
        }
    }

    /// Ends everything in order: the process is about to end. Without a world, what only the world knows is lost.
    pub(crate) fn shut_down(&mut self, world: Option<&World>) {
        let ready = world.is_some_and(|world| self.encoder.prepare(world, Parts::ALL));
        for place in (0..self.roster.lives().len()).rev() {
            let mut life = self.roster.remove(place);
            let row = world.filter(|_| ready && life.is_open()).is_some_and(|world| {
                let entity = life.entity;
                take_reward(&mut life, world.get::<Reward>(entity), &self.context, &mut self.terms);
                self.encoder.encode_one(world, entity, Parts::ALL, &mut self.row)
            });
            life.shut_down(&self.context, row.then_some(self.row.as_mut_slice()));
            self.ended_streams.extend(life.close_buffer());
        }
        self.enabled = false;
    }
}

fn left(rules: &Rules) -> (Outcome, EndReason) {
    match rules.on_despawn {
        Outcome::Truncated => (Outcome::Truncated, EndReason::LEFT),
        Outcome::Terminated => (Outcome::Terminated, EndReason::from("despawned")),
    }
}

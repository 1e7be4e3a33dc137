//! Where the exporter leaves what a sink's thread picks up.

use crate::exporter::ledger::Receipt;
use crossbeam_channel::Sender;
use experience_core::transition::Episode;
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::Thread,
    time::{Duration, Instant},
};

/// Episodes that are handed over together, to every sink of a recording.
pub(in crate::exporter) struct Parcel {
    pub(super) episodes: Vec<Episode>,
    pub(super) transitions: u64,
    bytes: usize,
    pub(super) packed: Instant,
    /// Whoever has taken the episodes, and not for good, holds on to it.
    pub(super) receipt: Arc<Receipt>,
}

impl Parcel {
    pub(in crate::exporter) fn new(episodes: Vec<Episode>, receipt: Arc<Receipt>) -> Self {
        Self {
            transitions: episodes.iter().map(|episode| episode.len() as u64).sum(),
            bytes: episodes.iter().map(|episode| size_of_val(episode.rows())).sum(),
            packed: Instant::now(),
            receipt,
            episodes,
        }
    }
}

/// Answers when the last of those who were asked has let go of it.
pub(in crate::exporter) struct Answer(pub(in crate::exporter) Sender<()>);

impl Drop for Answer {
    fn drop(&mut self) {
        // Whoever asked may have given up.
        let _ = self.0.send(());
    }
}

/// What a sink is to do.
pub(super) enum Order {
    Write(Arc<Parcel>),
    /// `None` for one that nobody waits for.
    Flush(Option<Arc<Answer>>),
    /// The last order.
    Close(Option<Arc<Answer>>),
}

/// What became of a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Taken,
    /// There is no room for it.
    Full,
    /// Nobody will pick up anything any more.
    Shut,
}

#[derive(Default)]
struct State {
    orders: VecDeque<Order>,
    /// Of the parcels that wait and of the one that is being written.
    bytes: usize,
    /// When the parcel that is being written was packed.
    under_way: Option<Instant>,
    shut: bool,
    /// Once it is closing: when to give up.
    deadline: Option<Instant>,
}

/// A queue of orders, bounded by the bytes of their parcels. One exporter puts in, one sink's thread takes out.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// There is an order, or a deadline.
    changed: Condvar,
    /// Woken when there is room.
    exporter: OnceLock<Thread>,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here leaves half-done work behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody will pick up anything any more.
    pub(super) fn is_shut(&self) -> bool {
        self.state().shut
    }

    /// Whom to wake when there is room.
    pub(super) fn wake_for_room(&self, exporter: Thread) {
        let _ = self.exporter.set(exporter);
    }

    /// Leaves a parcel, if it fits in `bound` bytes with all that is there, or is alone.
    pub(super) fn offer(&self, parcel: &Arc<Parcel>, bound: usize) -> Offer {
        let mut state = self.state();
        if state.shut {
            return Offer::Shut;
        }
        if state.bytes > 0 && state.bytes.saturating_add(parcel.bytes) > bound {
            return Offer::Full;
        }
        state.bytes += parcel.bytes;
        state.orders.push_back(Order::Write(parcel.clone()));
        self.changed.notify_one();
        Offer::Taken
    }

    /// Asks for a flush, once: one that waits already does for another that nobody waits for.
    pub(super) fn flush(&self, answer: Option<Arc<Answer>>) {
        let mut state = self.state();
        let waits = matches!(state.orders.back(), Some(Order::Flush(_)));
        if state.shut || (answer.is_none() && waits) {
            return;
        }
        state.orders.push_back(Order::Flush(answer));
        self.changed.notify_one();
    }

    /// Gives the last order. What fails from `deadline` on is not tried again.
    pub(super) fn close(&self, deadline: Instant, answer: Option<Arc<Answer>>) {
        let mut state = self.state();
        if state.shut || state.deadline.is_some() {
            return;
        }
        state.deadline = Some(deadline);
        state.orders.push_back(Order::Close(answer));
        self.changed.notify_one();
    }

    /// The next order, when there is one.
    pub(super) fn take(&self) -> Order {
        let mut state = self.state();
        loop {
            if let Some(order) = state.orders.pop_front() {
                if let Order::Write(parcel) = &order {
                    state.under_way = Some(parcel.packed);
                }
                return order;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A parcel is written, or given up.
    pub(super) fn done(&self, parcel: &Parcel) {
        let mut state = self.state();
        state.under_way = None;
        state.bytes -= parcel.bytes;
        drop(state);
        if let Some(exporter) = self.exporter.get() {
            exporter.unpark();
        }
    }

    /// Nothing will be picked up any more.
    pub(super) fn shut(&self) {
        let mut state = self.state();
        state.shut = true;
        // Dropped without the lock: an answer wakes somebody.
        let orders = core::mem::take(&mut state.orders);
        state.bytes = 0;
        drop(state);
        drop(orders);
        if let Some(exporter) = self.exporter.get() {
            // At the end it waits for this.
            exporter.unpark();
        }
    }

    /// Waits before another attempt; not longer than until the deadline, nor for all of `wait` when one is set meanwhile.
    pub(super) fn nap(&self, wait: Duration) {
        let state = self.state();
        if let Some(deadline) = state.deadline {
            drop(state);
            std::thread::sleep(wait.min(deadline.saturating_duration_since(Instant::now())));
        } else {
            let closing = |state: &mut State| state.deadline.is_none();
            let _ = self.changed.wait_timeout_while(state, wait, closing);
        }
    }

    pub(super) fn is_past_deadline(&self) -> bool {
        self.state().deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// How long the oldest parcel has been here.
    pub(super) fn age(&self) -> Duration {
        let state = self.state();
        let waiting = state.orders.iter().find_map(|order| match order {
            Order::Write(parcel) => Some(parcel.packed),
            Order::Flush(_) | Order::Close(_) => None,
        });
        let oldest = state.under_way.or(waiting);
        oldest.map_or(Duration::ZERO, |packed| packed.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_core::{
        schema::{Column, Schema},
        transition::{EndReason, EpisodeInfo, Outcome, RunId},
    };

    fn parcel(number: i64, transitions: usize) -> Arc<Parcel> {
        let schema = Schema::new("x").with_observation([Column::feature("x")]).into_shared();
        let rows = vec![0; (transitions + 1) * schema.layout().row_words()];
        let info = EpisodeInfo {
            episode_id: number,
            agent_id: 0,
            run: RunId::from_bits(1),
            continues: None,
        };
        let episode = Episode::new(schema, info, rows, Outcome::Truncated, EndReason::GAP);
        Arc::new(Parcel::new(vec![episode], Arc::new(Receipt)))
    }

    #[test]
    fn what_is_there_is_bounded_and_one_parcel_always_fits() {
        let desk = Desk::default();
        let large = parcel(0, 1000);
        assert_eq!(desk.offer(&large, 1), Offer::Taken);
        assert_eq!(desk.offer(&parcel(1, 1), 1), Offer::Full);
        let Order::Write(taken) = desk.take() else {
            panic!("it was the only order")
        };
        // It is with the sink now, and still takes room.
        assert_eq!(desk.offer(&parcel(1, 1), 1), Offer::Full);
        desk.done(&taken);
        assert_eq!(desk.offer(&parcel(1, 1), 1), Offer::Taken);
        desk.shut();
        assert_eq!(desk.offer(&parcel(1, 1), usize::MAX), Offer::Shut);
    }

    #[test]
    fn flushes_do_not_pile_up_and_answers_come_even_from_a_desk_that_is_shut() {
        let desk = Desk::default();
        for _ in 0..10 {
            desk.flush(None);
        }
        assert_eq!(desk.state().orders.len(), 1);
        let (sender, answers) = crossbeam_channel::unbounded();
        desk.flush(Some(Arc::new(Answer(sender.clone()))));
        desk.shut();
        desk.flush(Some(Arc::new(Answer(sender))));
        assert_eq!(answers.try_iter().count(), 2);
    }

    #[test]
    fn everything_arrives_in_order_under_pressure() {
        let desk = Arc::new(Desk::default());
        let sent = 2000;
        let bound = parcel(0, 4).bytes * 4;
        let taker = desk.clone();
        let thread = std::thread::spawn(move || {
            let (mut next, mut flushes) = (0, 0);
            loop {
                match taker.take() {
                    Order::Write(parcel) => {
                        assert_eq!(parcel.episodes[0].info().episode_id, next);
                        next += 1;
                        assert!(taker.state().bytes <= bound);
                        taker.done(&parcel);
                    }
                    Order::Flush(_) => flushes += 1,
                    Order::Close(_) => return (next, flushes),
                }
            }
        });
        desk.wake_for_room(std::thread::current());
        for number in 0..sent {
            let parcel = parcel(number, 1 + number as usize % 4);
            while desk.offer(&parcel, bound) == Offer::Full {
                // A wake-up that was lost would make this the time of the test.
                std::thread::park_timeout(Duration::from_secs(60));
            }
            if number % 7 == 0 {
                desk.flush(None);
            }
        }
        desk.close(Instant::now(), None);
        let (arrived, flushes) = thread.join().unwrap();
        assert_eq!(arrived, sent);
        assert!(flushes > 0);
    }
}

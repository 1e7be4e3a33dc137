//! Clock of the ticks: how long a tick of the fixed loop lasts, and when the game changed that.

use super::{schedules::Loop, state::RecorderState};
use bevy_ecs::world::World;
use bevy_time::{Fixed, Time};
use core::time::Duration;
use experience_core::account::{MAX_TICK_RATES, TickRate};

/// The durations of the ticks so far.
#[derive(Default)]
pub(super) struct TickClock {
    /// The duration of the last tick.
    last: Option<Duration>,
    /// The tick rates in the order of their ticks, at most one more than the account lists.
    rates: Vec<TickRate>,
}

impl TickClock {
    /// The rate of the first captured tick.
    pub(super) fn first_rate(&self) -> Option<f64> {
        Some(self.rates.first()?.ticks_per_second)
    }

    /// The rates so far.
    pub(super) fn rates(&self) -> &[TickRate] {
        &self.rates
    }

    /// Notes that the tick before the capture of `tick` lasted for `duration`. Returns whether that is a change.
    fn note(&mut self, tick: i64, duration: Duration) -> bool {
        if self.last == Some(duration) {
            return false;
        }
        let is_change = self.last.replace(duration).is_some();
        if self.rates.len() < MAX_TICK_RATES {
            self.rates.push(TickRate {
                from_tick: (tick - 1).max(0),
                // The timestep is rounded to nanoseconds, so 60 Hz reads as 59.9999988.
                ticks_per_second: (1e4 / duration.as_secs_f64()).round() / 1e4,
            });
        }
        is_change
    }
}

impl RecorderState {
    /// Notes how long the tick of a capture at `point` lasted, if the point belongs to the fixed loop.
    pub(super) fn note_tick_duration(&mut self, world: &World, index: usize) {
        let point = &mut self.points[index];
        let is_fixed = point.parent_loop == Some(Loop::Fixed);
        let Some(time) = world.get_resource::<Time<Fixed>>().filter(|_| is_fixed) else {
            return;
        };
        // The delta is that of this tick, though a system of the tick may have set the timestep of the next.
        let delta = Some(time.delta()).filter(|delta| !delta.is_zero());
        let duration = delta.unwrap_or_else(|| time.timestep());
        if !point.tick_clock.note(point.next_tick, duration) {
            return;
        }
        let rates = &point.tick_clock.rates;
        if let [.., before, after] = &rates[..]
            && rates.len() == 2
        {
            tracing::warn!(
                "the timestep of `Time<Fixed>` changed from {} to {} ticks per second at tick {}: timestamps stay true, the \
                 accounts of the run have no `tick_rate` and list its `tick_rates` instead",
                before.ticks_per_second,
                after.ticks_per_second,
                after.from_tick
            );
        }
        for slot in self.slots.iter().filter(|slot| slot.point == index) {
            slot.recorder.counters().set_tick_rates(rates);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_noted_up_to_a_bound() {
        let mut clock = TickClock::default();
        assert!(!clock.note(0, Duration::from_millis(20)));
        assert!(!clock.note(1, Duration::from_millis(20)));
        assert!(clock.note(2, Duration::from_millis(10)));
        let rate = |from_tick, ticks_per_second| TickRate {
            from_tick,
            ticks_per_second,
        };
        assert_eq!(clock.rates, [rate(0, 50.0), rate(1, 100.0)]);
        for tick in 3..1000 {
            assert!(clock.note(tick, Duration::from_millis(10 + tick as u64 % 2)));
        }
        assert_eq!((clock.rates.len(), clock.first_rate()), (MAX_TICK_RATES, Some(50.0)));
    }
}

//! How episodes are handed to sinks.

use crate::journal::JournalSettings;
use core::time::Duration;

/// How episodes are handed to sinks.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportSettings {
    /// Longest time from the end of an episode until sinks have it.
    pub flush_interval: Duration,
    /// So many finished transitions of one recording are handed over before that.
    pub batch: usize,
    /// And so many bytes of their rows, whichever comes first.
    pub batch_bytes: usize,
    /// Bytes of rows that may wait for a sink, or be with it, while more are drained from the buffers. A batch that is larger
    /// waits alone. Sinks of one recording share what waits for all of them.
    pub queue_bytes: usize,
    /// How long a sink whose queue is full may hold up its recording. Until then nothing is drained, and
    /// [`Overflow`](experience_buffer::Overflow) rules; afterwards the sink is stalled: what does not fit in its queue is counted
    /// as dropped by it alone, and the recording's other sinks go on.
    pub patience: Duration,
    /// What to do when a sink fails.
    pub retry: RetrySettings,
    /// How the [journal](crate::journal) is written, where a sink has a place for one. `None` for no journal: what is in memory,
    /// and in shards that are not finished, dies with the process.
    pub journal: Option<JournalSettings>,
    /// How long the thread sleeps when it found nothing to do.
    pub poll_interval: Duration,
    /// How long the end of the app waits for everything to be written. Afterwards the threads are left to themselves.
    pub close_timeout: Duration,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            flush_interval: Duration::from_secs(1),
            batch: 8192,
            batch_bytes: 16 << 20,
            queue_bytes: 32 << 20,
            patience: Duration::from_secs(5),
            retry: RetrySettings::default(),
            journal: Some(JournalSettings::default()),
            poll_interval: Duration::from_millis(5),
            close_timeout: Duration::from_secs(10),
        }
    }
}

/// How often a sink that fails is tried again: waits double from the first to the longest, each shortened at random by up to
/// half, so that many servers do not come back to one disk at one moment.
///
/// A sink that waits for room on its disk is tried for as long as it takes; see
/// [`SinkError::is_storage_full`](crate::sink::SinkError::is_storage_full).
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySettings {
    /// The wait after the first failure.
    pub first_wait: Duration,
    /// The longest wait between two attempts.
    pub longest_wait: Duration,
    /// After so long what the sink refuses is counted as dropped. Until it works again, everything is tried only once.
    pub patience: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(50),
            longest_wait: Duration::from_secs(2),
            patience: Duration::from_secs(5),
        }
    }
}

/// The waits between attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(super) fn new(settings: &RetrySettings) -> Self {
        Self {
            next: settings.first_wait,
            longest: settings.longest_wait,
        }
    }

    /// How long to wait before the next attempt.
    pub(super) fn wait(&mut self) -> Duration {
        let wait = self.next.min(self.longest);
        self.next = wait.saturating_mul(2);
        wait.mul_f64(1.0 - 0.5 * rand::random::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_are_shortened_by_half_at_most() {
        let settings = RetrySettings {
            first_wait: Duration::from_millis(10),
            longest_wait: Duration::from_millis(100),
            ..RetrySettings::default()
        };
        let mut backoff = Backoff::new(&settings);
        for full in [10, 20, 40, 80, 100, 100] {
            let wait = backoff.wait();
            let full = Duration::from_millis(full);
            assert!(full / 2 <= wait && wait <= full, "{wait:?}, {full:?}");
        }
    }
}

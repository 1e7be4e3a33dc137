//! Settings of the exporter: batches, queues, retries and intervals.

use crate::journal::JournalSettings;
use core::time::Duration;

/// Settings of the exporter.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportSettings {
    /// Longest time from the end of an episode until it is dispatched to the sinks.
    pub flush_interval: Duration,
    /// Number of finished transitions of one recording that are dispatched before that interval ends.
    pub batch: usize,
    /// Bytes of rows of finished transitions that are dispatched before that interval ends.
    pub batch_bytes: usize,
    /// Most bytes of rows in memory that a sink has not taken. A batch that is larger waits alone. Sinks of one recording share
    /// the batches that wait for all of them. Further batches wait in the journal, up to
    /// [`JournalSettings::backlog_bytes`].
    pub queue_bytes: usize,
    /// How long a sink may hold up its recording without taking a batch. A sink holds up its recording while its backlog is
    /// over its limit, or, where the recording has no journal or cannot write it, while its queue is full. The recording is not
    /// drained meanwhile, and [`Overflow`](experience_buffer::Overflow) decides what is lost. Afterwards the sink has stalled:
    /// what fits neither in its queue nor in its backlog is counted as dropped for this sink, and the recording's other sinks
    /// go on.
    pub patience: Duration,
    /// Retries of a sink that fails.
    pub retry: RetrySettings,
    /// How the [journal](crate::journal) is written, where a sink has a folder for it or the settings name one. `None` for no
    /// journal: rows in memory and in unfinished shards die with the process, and no sink has a backlog.
    pub journal: Option<JournalSettings>,
    /// Whether the exporter and each sink have a thread of their own. True by default, except on WebAssembly, where no
    /// thread can be started.
    ///
    /// Without threads, the program calls [`Exporter::run_pass`](crate::Exporter::run_pass), as `ExperiencePlugin` does once
    /// per update. A sink is then called on the thread of the program: it must not block, and its failures are not retried. A
    /// `MemorySink` and a `ChannelSink` qualify.
    pub threads: bool,
    /// How long the exporter thread is parked after a pass without rows.
    pub poll_interval: Duration,
    /// How long a close waits for everything to be written. After that the threads continue until the process ends.
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
            threads: cfg!(not(target_family = "wasm")),
            poll_interval: Duration::from_millis(5),
            close_timeout: Duration::from_secs(10),
        }
    }
}

/// Retries of a sink that fails, with exponential backoff and jitter: waits double from the first to the longest, each
/// shortened at random by up to half, so that many servers do not return to one disk at the same moment.
///
/// A sink whose disk is full is retried until the disk has space; see
/// [`SinkError::is_storage_full`](crate::SinkError::is_storage_full).
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySettings {
    /// Wait after the first failure.
    pub first_wait: Duration,
    /// Longest wait between two attempts.
    pub longest_wait: Duration,
    /// How long a call is retried before its episodes are counted as dropped. Until a call succeeds again, each call is tried
    /// once.
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

/// Iterator of the waits between attempts.
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

    /// The wait before the next attempt.
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

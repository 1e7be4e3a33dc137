//! CPU time of a thread: measurements that do not count other processes.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

/// CPU time of the calling thread, or wall-clock time on systems without `/proc/thread-self/schedstat`.
pub fn thread_cpu_time() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let spent = schedstat.and_then(|line| line.split(' ').next()?.parse().ok());
    spent.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

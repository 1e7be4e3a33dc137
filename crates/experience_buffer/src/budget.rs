//! A memory budget shared by many buffers.

use super::BufferError;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A limit for the memory of many buffers. A buffer takes its bytes when it is created, and returns them when its memory is
/// freed.
///
/// ```
/// use experience_buffer::{Budget, BufferSettings, PlayerBuffers};
///
/// let settings = BufferSettings::default();
/// let budget = Budget::new(settings.bytes(8)?);
/// let players = PlayerBuffers::new(settings, 8)?.with_budget(budget.clone());
/// let first = players.open(1)?;
/// assert!(players.open(2).is_err());
/// assert_eq!(budget.left(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    taken: AtomicUsize,
}

impl Budget {
    /// A budget of `bytes` bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: bytes,
            taken: AtomicUsize::new(0),
        })
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes that no buffer has taken.
    #[must_use]
    pub fn left(&self) -> usize {
        self.limit - self.taken.load(Ordering::Relaxed)
    }

    /// Takes bytes for a buffer.
    ///
    /// # Errors
    /// When fewer are left.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Result<Share, BufferError> {
        let fits = |taken: usize| taken.checked_add(bytes).filter(|&taken| taken <= self.limit);
        // Relaxed: the count orders no other memory.
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map(|_| Share {
                budget: self.clone(),
                bytes,
            })
            .map_err(|taken| BufferError::OverBudget {
                bytes,
                left: self.limit - taken,
                limit: self.limit,
            })
    }
}

/// A buffer's bytes of a [`Budget`], returned when this is dropped. The owner of the buffer's memory keeps it.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_exceeded_and_all_bytes_are_returned() {
        let budget = Budget::new(100);
        let first = budget.take(60).unwrap();
        let refused = BufferError::OverBudget {
            bytes: 41,
            left: 40,
            limit: 100,
        };
        assert_eq!(budget.take(41).unwrap_err(), refused);
        assert!(budget.take(usize::MAX).is_err());
        let second = budget.take(40).unwrap();
        assert_eq!(budget.left(), 0);
        drop(first);
        assert_eq!(budget.left(), 60);
        drop(second);
        assert_eq!(budget.left(), 100);
    }

    #[test]
    fn threads_together_never_exceed_the_budget() {
        let budget = Budget::new(1000);
        let taken = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        if let Ok(share) = budget.take(300) {
                            assert!(taken.fetch_add(300, Ordering::SeqCst) <= 600);
                            taken.fetch_sub(300, Ordering::SeqCst);
                            drop(share);
                        }
                    }
                });
            }
        });
        assert_eq!(budget.left(), 1000);
    }
}

//! Progress of long operations on datasets.

/// Progress of a long operation, in transitions.
///
/// Operations call their `watch` closure with it after each episode or batch. `&mut |_| {}` ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Transitions that are done.
    pub done: u64,
    /// All transitions of the operation.
    pub total: u64,
}

/// Counts the transitions that are done, and reports the progress to a closure.
pub(super) struct ProgressMeter<'a> {
    progress: Progress,
    watch: &'a mut dyn FnMut(Progress),
}

impl<'a> ProgressMeter<'a> {
    pub(super) fn new(total: u64, watch: &'a mut dyn FnMut(Progress)) -> Self {
        let progress = Progress { done: 0, total };
        watch(progress);
        Self { progress, watch }
    }

    /// Whether there is no transition to process.
    pub(super) fn is_empty(&self) -> bool {
        self.progress.total == 0
    }

    pub(super) fn add(&mut self, transitions: usize) {
        self.progress.done += transitions as u64;
        (self.watch)(self.progress);
    }
}

//! How far a long piece of work is.

/// How far a long piece of work is, in transitions.
///
/// Whatever reads or writes whole datasets tells it a few times a second at most to the closure that it is given;
/// `&mut |_| {}` does not care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Transitions that are done.
    pub done: u64,
    /// How many there are.
    pub of: u64,
}

/// Counts what is done of a known number of transitions.
pub(super) struct Meter<'a> {
    progress: Progress,
    watch: &'a mut dyn FnMut(Progress),
}

impl<'a> Meter<'a> {
    pub(super) fn new(of: u64, watch: &'a mut dyn FnMut(Progress)) -> Self {
        let progress = Progress { done: 0, of };
        watch(progress);
        Self { progress, watch }
    }

    /// Whether there is nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.progress.of == 0
    }

    /// Some more transitions are done.
    pub(super) fn add(&mut self, transitions: usize) {
        self.progress.done += transitions as u64;
        (self.watch)(self.progress);
    }
}

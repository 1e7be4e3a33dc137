//! Collects the log lines of one thread.

use core::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, Once};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

/// The lines that were logged so far, each as `LEVEL message`.
#[derive(Clone, Default)]
pub struct LogLines(Arc<Mutex<Vec<String>>>);

impl LogLines {
    /// Runs `f`, and collects the lines that this thread logs meanwhile.
    pub fn collect<R>(&self, f: impl FnOnce() -> R) -> R {
        static GLOBAL: Once = Once::new();
        GLOBAL.call_once(|| {
            let _ = tracing::subscriber::set_global_default(Undecided);
        });
        tracing::subscriber::with_default(self.clone(), f)
    }

    /// All lines.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// The lines with the level WARN or ERROR.
    pub fn warnings(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let is_warning = |line: &&String| line.starts_with("WARN") || line.starts_with("ERROR");
        lines.iter().filter(is_warning).cloned().collect()
    }

    /// The only warning. Panics if there is another number of them.
    #[track_caller]
    pub fn warning(&self) -> String {
        match &*self.warnings() {
            [line] => line.clone(),
            lines => panic!("not one warning: {lines:#?}"),
        }
    }
}

/// The subscriber of threads that collect nothing. It leaves each line undecided, because `tracing` asks once, and only the thread that
/// is first at a line while there is one other subscriber: its `never` would hold for the threads that collect, too.
struct Undecided;

impl Subscriber for Undecided {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Subscriber for LogLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                if field.name() == "message" {
                    let _ = write!(self.0, "{value:?}");
                }
            }
        }
        let mut message = Message(format!("{} ", event.metadata().level()));
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

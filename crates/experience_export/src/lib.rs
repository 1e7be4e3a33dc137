//! Exports recorded experience from buffers to sinks, on threads that the game never waits for.
//!
//! The game pushes rows to [buffers](experience_buffer). The [`Exporter`] drains them on its own thread, assembles the rows
//! into whole [episodes](experience_core::transition::Episode), and dispatches those in batches to each [`Sink`]. Each sink has
//! a worker thread and a queue. No lock that the game takes is held while a sink works: a sink that is slow, fails or panics
//! costs the game at most rows, which are counted.
//!
//! The game hands over each new buffer with [`Exporter::attach`], and otherwise only unparks the exporter thread.
//! [`bevy_experience`](https://docs.rs/bevy_experience) does this for a Bevy app, and `experience_dataset` has the sink that
//! writes Parquet datasets.
//!
//! | item | what it is |
//! |---|---|
//! | [`Sink`], [`SinkError`], [`RecordingInfo`] | destination of episodes; implement it to send them anywhere |
//! | [`MemorySink`] | sink that stores episodes in memory, for tests and small tools |
//! | [`Exporter`], [`RecordingExport`], [`ExportSettings`], [`RetrySettings`] | the exporter thread and its inputs |
//! | [`Notice`], [`SinkFailure`], [`SinkPace`] | failures, and how far each sink is behind |
//! | [`journal`] | write-ahead journal: crash recovery, and the backlog of slow sinks |
//! | [`assembly`], [`disk`] | internal; shared with the other crates of `bevy_experience` |
//!
//! # A sink and its exporter
//! ```
//! use experience_buffer::{BufferSettings, PlayerBuffers};
//! use experience_core::{
//!     account::RunReport,
//!     schema::{Column, Schema},
//!     transition::{Episode, Outcome, RunId, StepHeader, StepKind},
//! };
//! use experience_export::{ExportSettings, Exporter, RecordingExport, RecordingInfo, Sink, SinkError};
//! use std::{borrow::Cow, sync::{Arc, atomic::{AtomicU32, Ordering}}, time::{Duration, SystemTime}};
//!
//! /// Prints the length of each episode.
//! struct PrintSink;
//!
//! impl Sink for PrintSink {
//!     fn describe(&self) -> Cow<'_, str> {
//!         "standard output".into()
//!     }
//!     fn open(&mut self, recording: &RecordingInfo) -> Result<(), SinkError> {
//!         println!("recording {}", recording.schema.name());
//!         Ok(())
//!     }
//!     fn write(&mut self, episodes: &[Episode]) -> Result<(), SinkError> {
//!         for episode in episodes {
//!             println!("{} transitions, {}", episode.len(), episode.reason().as_str());
//!         }
//!         Ok(())
//!     }
//!     fn flush(&mut self, _: &RunReport) -> Result<(), SinkError> {
//!         Ok(())
//!     }
//!     fn close(&mut self, report: &RunReport) -> Result<(), SinkError> {
//!         println!("{} of {} transitions", report.exported, report.recorded);
//!         Ok(())
//!     }
//! }
//!
//! let schema = Schema::new("walker").with_observation([Column::feature("x")]).into_shared();
//! let mut row = vec![0; schema.layout().row_words()];
//! let players = Arc::new(PlayerBuffers::new(BufferSettings::default(), row.len())?);
//! let recording = RecordingExport {
//!     info: RecordingInfo { schema, run: RunId::from_bits(1), tick_rate: None, started: SystemTime::now(), buffers: None },
//!     counters: Arc::default(),
//!     words: Arc::default(),
//!     episodes: Arc::default(),
//!     discarded: Arc::default(),
//!     players: players.clone(),
//!     sinks: vec![Box::new(PrintSink)],
//! };
//! let counters = recording.counters.clone();
//! let death = recording.words.reason_code(&"death".into());
//! let mut exporter = Exporter::spawn(ExportSettings::default(), vec![recording])?;
//!
//! // One player with an episode of 10 transitions.
//! let (mut writer, buffer) = players.open(7)?;
//! let pushed = Arc::new(AtomicU32::new(0));
//! exporter.attach(0, 7, buffer, pushed.clone());
//! for step in 0..=10 {
//!     let header = StepHeader::of_mut(&mut row);
//!     *header = StepHeader::new(if step == 0 { StepKind::Begin } else { StepKind::Transition });
//!     header.agent_id = 7;
//!     header.ordinal = step;
//!     header.set_outcome((step == 10).then_some(Outcome::Terminated), death);
//!     counters.recorded.add(u64::from(step > 0));
//!     pushed.store(step, Ordering::Release);
//!     writer.push(&row)?;
//! }
//!
//! assert!(exporter.close(Duration::from_secs(10)));
//! assert_eq!(exporter.reports(0)[0].exported, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Slow sinks
//! A batch that does not fit in a sink's queue is added to the sink's **backlog**: its rows stay in the journal, memory holds
//! their location, and the exporter reads them back, in order, as the queue is emptied. So a slow sink delays neither
//! the draining nor the other sinks.
//!
//! A sink *holds up* its recording while its backlog exceeds
//! [`JournalSettings::backlog_bytes`](journal::JournalSettings::backlog_bytes), or while a batch waits in memory for
//! its queue because the recording has no journal, or the journal cannot be written. The recording is not drained then:
//! the buffers fill, and [`Overflow`](experience_buffer::Overflow) decides what is lost.
//!
//! A sink has *stalled* when it has held up its recording for [`ExportSettings::patience`] without taking a batch. From then
//! on it does not hold up its recording: batches that fit neither in its queue nor in its backlog are counted as dropped, for
//! this sink only. The next batch that it takes ends the stall.
//!
//! # Failing sinks
//! A call that returns an error is retried as configured by [`RetrySettings`], and its episodes are then counted as dropped. A
//! sink that panics is retired. A sink whose disk is full ([`SinkError::is_storage_full`]) is retried until the disk has space.
//! Until then [`Exporter::is_storage_full`] is true, and the game pauses recording. Each failure is logged once, and
//! [`Exporter::take_notice`] returns it.
//!
//! # Memory
//! For each recording the exporter thread holds:
//! - the open episodes, each at most `max_episode_steps` long; with a journal, only what was drained since its last flush;
//! - finished episodes of up to [`ExportSettings::batch`] transitions or [`ExportSettings::batch_bytes`], and one turn of one
//!   buffer more;
//! - [`ExportSettings::queue_bytes`] in the queues of the sinks, or one such batch where that is more; sinks share a batch
//!   that is in several queues;
//! - about 150 bytes for each episode in a backlog.
//!
//! At the close everything that the buffers hold is dispatched, whatever its size.
//!
//! # The journal
//! Where a sink has a [folder for it](Sink::journal_folder), or [`JournalSettings::folder`](journal::JournalSettings::folder)
//! names one, drained rows are written to a [`journal`] at each of its flushes, and a batch before it is dispatched. A process
//! that is killed loses at most one flush interval, and memory holds no more of an open episode than that. Episodes that every
//! sink has made durable, or counted lost, are deleted from the journal. [`ExportSettings::journal`] configures it.
//!
//! # The account
//! For each sink of each recording, at any moment, in transitions:
//! `recorded = exported + dropped + discarded + pending`. A [`RunReport`](experience_core::account::RunReport) holds one such
//! account. Transitions in a backlog are pending.
//!
//! # Features
//! - `fault_injection`: `disk::faults`, which makes disk operations fail in tests. For tests only.

pub mod assembly;
pub mod disk;
mod exporter;
pub mod journal;
mod sink;

pub use exporter::{ExportSettings, Exporter, Notice, RecordingExport, RetrySettings, SinkFailure, SinkPace};
pub use sink::{MemorySink, MissingEpisodes, PartBatch, RecordingInfo, RunLabel, Sink, SinkError};

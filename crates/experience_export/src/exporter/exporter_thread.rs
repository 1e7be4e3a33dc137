//! The exporter thread: runs the pipelines of all recordings, and executes the game's commands. Without threads, the game
//! runs its passes.

use super::{
    Command, ExportSettings, PassCounter,
    drain::{PlayerDrain, ShardDrain},
    episode_batch::Completion,
    pipeline::RecordingPipeline,
    sink_handle::SinkHandle,
};
use crate::assembly::Assembly;
use crossbeam_channel::{Receiver, TryRecvError};
use std::sync::Arc;
use web_time::Instant;

/// State of the thread.
pub(super) struct ExporterThread {
    settings: ExportSettings,
    recordings: Vec<RecordingPipeline>,
    commands: Receiver<Command>,
    passes: Arc<PassCounter>,
    /// When the last periodic flush was.
    flushed: Instant,
    /// Flushes that begin when the buffers are drained.
    flushes: Vec<Arc<Completion>>,
}

/// The last command.
struct Close {
    deadline: Instant,
    completion: Option<Arc<Completion>>,
}

impl ExporterThread {
    pub(super) fn new(
        settings: ExportSettings,
        recordings: Vec<RecordingPipeline>,
        commands: Receiver<Command>,
        passes: Arc<PassCounter>,
    ) -> Self {
        Self {
            settings,
            recordings,
            commands,
            passes,
            flushed: Instant::now(),
            flushes: Vec::new(),
        }
    }

    pub(super) fn run(mut self) {
        for sink in self.recordings.iter().flat_map(|recording| &recording.sinks) {
            sink.unpark_on_room(std::thread::current());
        }
        while let Some(taken) = self.run_pass() {
            if taken == 0 {
                std::thread::park_timeout(self.settings.poll_interval);
            }
        }
    }

    /// Executes all commands, drains at most one turn from each buffer, and flushes where that is due. Returns the number
    /// of rows; `None` after a close, which is the last pass.
    pub(super) fn run_pass(&mut self) -> Option<usize> {
        if let Some(close) = self.execute_commands() {
            self.close(&close);
            return None;
        }
        let taken = self.drain();
        let is_drained = taken == 0 && !self.recordings.iter().any(RecordingPipeline::is_held_up);
        if is_drained && !self.flushes.is_empty() {
            let completions = core::mem::take(&mut self.flushes);
            for recording in &mut self.recordings {
                recording.flush(&completions);
            }
        }
        if self.flushed.elapsed() >= self.settings.flush_interval {
            self.recordings
                .iter_mut()
                .for_each(RecordingPipeline::flush_periodically);
            self.flushed = Instant::now();
        }
        self.recordings.iter_mut().for_each(RecordingPipeline::call_sinks);
        Some(taken)
    }

    /// Dispatches everything to the sinks, and closes them. What the buffers hold is bounded, so no sink holds it up.
    fn close(&mut self, close: &Close) {
        self.recordings.iter_mut().for_each(RecordingPipeline::begin_close);
        // Writers may still push. What they push after the buffers were once empty came after the close.
        while self.drain() > 0 {}
        for recording in &mut self.recordings {
            recording.close(close.deadline, close.completion.as_ref());
        }
        // A sink that never returns keeps this thread too. The game waits for neither beyond its deadline.
        loop {
            self.recordings.iter_mut().for_each(RecordingPipeline::feed);
            self.recordings.iter_mut().for_each(RecordingPipeline::call_sinks);
            if self.recordings.iter().all(RecordingPipeline::is_shut) {
                break;
            }
            self.recordings.iter_mut().for_each(RecordingPipeline::keep_journal);
            if self.settings.threads {
                std::thread::park_timeout(self.settings.poll_interval);
            }
        }
        self.recordings.iter_mut().for_each(RecordingPipeline::finish);
    }

    /// Executes all commands that were sent. `Some` when the thread is to end.
    fn execute_commands(&mut self) -> Option<Close> {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Attach {
                    recording,
                    agent_id,
                    buffer,
                    transitions,
                }) => {
                    if let Some(recording) = self.recordings.get_mut(recording) {
                        recording.player_drains.push(PlayerDrain {
                            agent_id,
                            buffer,
                            transitions,
                            assembly: Assembly::default(),
                        });
                    }
                }
                Ok(Command::AttachPool { recording, pool }) => {
                    if let Some(recording) = self.recordings.get_mut(recording) {
                        recording.shard_drains = pool.shards().iter().cloned().map(ShardDrain::new).collect();
                    }
                }
                Ok(Command::Leave { recording, stream }) => {
                    let recording = self.recordings.get_mut(recording);
                    let shard = recording.and_then(|recording| recording.shard_drains.get_mut(stream.shard));
                    if let Some(shard) = shard {
                        shard.end_stream(stream);
                    }
                }
                Ok(Command::Set(settings)) => self.set(*settings),
                Ok(Command::Flush(done)) => self.flushes.push(Arc::new(Completion(done))),
                Ok(Command::Close(done, deadline)) => {
                    return Some(Close {
                        deadline,
                        completion: Some(Arc::new(Completion(done))),
                    });
                }
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => {
                    return Some(Close {
                        deadline: Instant::now() + self.settings.close_timeout,
                        completion: None,
                    });
                }
            }
        }
    }

    fn set(&mut self, settings: ExportSettings) {
        let sinks = self.recordings.iter_mut().flat_map(|recording| &mut recording.sinks);
        sinks.for_each(|sink: &mut SinkHandle| sink.set(&settings));
        self.settings = ExportSettings {
            journal: self.settings.journal.take(),
            retry: self.settings.retry.clone(),
            poll_interval: self.settings.poll_interval,
            threads: self.settings.threads,
            ..settings
        };
    }

    fn drain(&mut self) -> usize {
        let settings = &self.settings;
        let taken = self
            .recordings
            .iter_mut()
            .map(|recording| recording.drain(settings))
            .sum();
        self.passes.advance();
        self.recordings.iter_mut().for_each(RecordingPipeline::keep_journal);
        taken
    }
}

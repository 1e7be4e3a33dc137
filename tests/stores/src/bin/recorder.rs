//! `recorder ADDRESS STAGING RUN SHARDS [--columns N] [--steps N] [--keep BYTES] [--limit BYTES] [--wait SECONDS] [--pause]`:
//! records to an address as a game does, for tests that kill it.
//!
//! Each shard has two episodes of five transitions, or of `--steps`; with more than two columns their values do not compress. Prints
//! `flushed N` after each shard that the sink has committed to the disk, and `closed`, or what went wrong. With `--pause` it waits for a line
//! of its input before the close.

#![expect(clippy::print_stdout, reason = "a command prints")]

use core::time::Duration;
use experience_core::{
    account::RunReport,
    schema::{Column, Schema},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind},
};
use experience_dataset::DatasetSink;
use experience_export::{RecordingInfo, Sink, SinkError};
use std::{env, process::ExitCode, sync::Arc, thread, time::SystemTime};

fn episode(schema: &Arc<Schema>, run: RunId, number: u32, steps: usize, noise: bool) -> Episode {
    let words = schema.layout().row_words();
    let header_words = size_of::<StepHeader>() / 8;
    let mut rows = vec![0_u64; (steps + 1) * words];
    let mut state = u64::from(number) + 1;
    for (step, row) in rows.chunks_exact_mut(words).enumerate() {
        let kind = if step == 0 {
            StepKind::Begin
        } else {
            StepKind::Transition
        };
        if noise {
            // Finite floats that do not compress.
            for word in &mut row[header_words..] {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *word = (state & 0x3fff_ffff_3fff_ffff) | 0x3f00_0000_3f00_0000;
            }
        }
        let header = StepHeader::of_mut(row);
        *header = StepHeader::new(kind);
        header.tick = i64::from(number) * steps as i64 + step as i64;
        header.agent_id = i64::from(number % 3);
        header.ticks = u32::from(step > 0);
    }
    let info = EpisodeInfo {
        episode_id: run.episode_id(number),
        agent_id: i64::from(number % 3),
        run,
        continues: None,
    };
    Episode::new(schema.clone(), info, rows, Outcome::Terminated, EndReason::GOAL)
}

/// Repeats a call while the disk counts as full, as a worker of the exporter does.
fn retry(mut call: impl FnMut() -> Result<(), SinkError>) -> Result<(), SinkError> {
    let mut is_full = false;
    loop {
        match call() {
            Err(error) if error.is_storage_full() => {
                if !core::mem::replace(&mut is_full, true) {
                    println!("full {error}");
                }
                thread::sleep(Duration::from_millis(50));
            }
            done => return done,
        }
    }
}

fn option(arguments: &[String], name: &str) -> Option<u64> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1)?.parse().ok()
}

fn record(arguments: &[String]) -> Result<(), SinkError> {
    let [address, staging, run, shards, ..] = arguments else {
        return Err(SinkError::Other(
            "usage: recorder ADDRESS STAGING RUN SHARDS".to_owned(),
        ));
    };
    let run = RunId::from_bits(run.parse().unwrap_or(1));
    let columns = option(arguments, "--columns").unwrap_or(2) as usize;
    let steps = option(arguments, "--steps").unwrap_or(5) as usize;
    let schema = Schema::new("player")
        .with_observation((0..columns).map(|column| Column::feature(format!("x{column}"))))
        .into_shared();
    let mut sink = DatasetSink::new(address)
        .with_staging(staging)
        .with_shard_age(Duration::ZERO)
        .with_heartbeat(Duration::from_millis(500))
        .with_upload_wait(Duration::from_secs(option(arguments, "--wait").unwrap_or(20)));
    if let Some(bytes) = option(arguments, "--keep") {
        sink = sink.with_keep_bytes(bytes);
    }
    if let Some(bytes) = option(arguments, "--limit") {
        sink = sink.with_staging_bytes(bytes);
    }
    sink.check(&schema)?;
    sink.check_run(&schema, run)?;
    sink.open(&RecordingInfo {
        schema: schema.clone(),
        run,
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    })?;
    let mut report = RunReport::default();
    for shard in 0..shards.parse().unwrap_or(1_u32) {
        let episodes = [2 * shard, 2 * shard + 1].map(|number| episode(&schema, run, number, steps, columns > 2));
        retry(|| sink.write(&episodes))?;
        report.recorded += 2 * steps as u64;
        report.exported += 2 * steps as u64;
        report.episodes += 2;
        sink.flush(&report)?;
        println!("flushed {}", shard + 1);
    }
    if arguments.iter().any(|argument| argument == "--pause") {
        println!("paused");
        let _ = std::io::stdin().read_line(&mut String::new());
    }
    sink.close(&report)?;
    println!("closed");
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match record(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error {error}");
            ExitCode::FAILURE
        }
    }
}

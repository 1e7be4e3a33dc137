//! Tests that inject every fault while an episode is compacted in the journal.

use super::{Acknowledged, assert_valid, at_every_point, new_run, old, open, schema};
use crate::{Dataset, RecoverSettings, sink::DatasetSink};
use experience_core::{
    schema::Schema,
    transition::{Episode, StepHeader, StepKind, Transition},
};
use experience_export::{
    RecordingInfo, RunLabel, Sink,
    assembly::EpisodeBuilder,
    disk::faults::Fault,
    journal::{Fsync, Journal, JournalSettings, Owner},
};
use std::{io, path::Path, sync::Arc, time::SystemTime};

const STEPS: u32 = 6;

fn row(schema: &Schema, ordinal: u32) -> Vec<u64> {
    let mut row = vec![0; schema.layout().row_words()];
    let header = StepHeader::of_mut(&mut row);
    *header = StepHeader::new(if ordinal == 0 {
        StepKind::Begin
    } else {
        StepKind::Transition
    });
    header.ordinal = ordinal;
    header.tick = ordinal.into();
    header.agent_id = 7;
    header.ticks = ordinal.min(1);
    row
}

/// Writes the builder and syncs the journal.
fn write(journal: &mut Journal, builder: &mut EpisodeBuilder, schema: &Schema) -> io::Result<()> {
    journal.begin()?;
    assert!(builder.write(schema.layout(), journal));
    let committed = journal.commit();
    builder.confirm_write(committed.is_ok());
    committed?;
    journal.sync_if_due()
}

/// Writes steps, compacts them in several frames, and writes another step; each frame has a segment of its own. `durable`
/// counts the steps that are durable.
fn record(folder: &Path, durable: &mut u64) -> io::Result<()> {
    let schema = schema();
    let owner = Owner {
        run: new_run(),
        schema: schema.clone(),
        tick_rate: Some(60.0),
        started: 0.0,
        rings: None,
        label: RunLabel::default(),
    };
    let settings = JournalSettings {
        segment_bytes: 1,
        frame_bytes: 4 * schema.layout().row_bytes(),
        fsync: Fsync::EveryFlush,
        ..JournalSettings::default()
    };
    let mut journal = Journal::create(folder, owner, Arc::default(), settings)?;
    let mut builder = EpisodeBuilder::begin(new_run().episode_id(0), None, &row(&schema, 0));
    for step in 1..=STEPS {
        builder.push(&row(&schema, step));
        write(&mut journal, &mut builder, &schema)?;
        *durable = step.into();
    }
    let mut segments = journal.segments();
    let before = builder.segment();
    builder.rewrite(&mut journal, &mut segments)?;
    assert!(builder.segment() > before);
    journal.secure()?;
    journal.release(builder.segment().expect("it was written"))?;
    builder.push(&row(&schema, STEPS + 1));
    write(&mut journal, &mut builder, &schema)?;
    *durable = (STEPS + 1).into();
    Ok(())
}

#[test]
fn compaction_neither_loses_nor_duplicates_steps() {
    let (_folder, left) = old();
    let mut sink = DatasetSink::new(&left);
    let info = RecordingInfo {
        schema: schema(),
        run: new_run(),
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    };
    sink.open(&info).unwrap();
    let journal = sink.journal_folder().unwrap();
    // The process dies without dropping the sink.
    core::mem::forget(sink);
    at_every_point(
        &left,
        &Fault::ALL,
        |root, _| {
            let mut acknowledged = Acknowledged::default();
            let _ = record(
                &root.join(journal.strip_prefix(&left).unwrap()),
                &mut acknowledged.report.recorded,
            );
            acknowledged
        },
        |root, _, acknowledged, when| {
            let dataset = Dataset::open(root).unwrap();
            let found = dataset.recover(&RecoverSettings::default()).unwrap().remove(0).recovery;
            assert!(found.failed.is_empty(), "{when}: {found:?}");
            assert_eq!(found.recovered[0].lost, 0, "{when}");
            assert_valid(root, when);
            let episodes: Vec<Episode> = open(root).episodes().map(Result::unwrap).collect();
            let mut recovered = episodes.iter().filter(|episode| episode.info().run == new_run());
            let ticks: Vec<i64> = recovered.next().map_or_else(Vec::new, |episode| {
                episode.transitions().map(Transition::tick).collect()
            });
            assert!(recovered.next().is_none(), "{when}");
            let last = ticks.len() as u64;
            assert!(
                (acknowledged.report.recorded..=acknowledged.report.recorded + 1).contains(&last),
                "{when}: {last}"
            );
            assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "{when}: {ticks:?}");
        },
    );
}

//! A long episode that the journal is told again, and a process that dies meanwhile.

use super::{Told, assert_valid, at_every_point, new_run, old, open, schema};
use crate::{Dataset, RecoverSettings, sink::DatasetSink};
use experience_core::{
    schema::Schema,
    transition::{Episode, StepHeader, StepKind, Transition},
};
use experience_export::{
    RecordingInfo, Sink,
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

/// Writes the draft, and waits for the disk.
fn write(journal: &mut Journal, draft: &mut EpisodeBuilder, schema: &Schema) -> io::Result<()> {
    journal.begin()?;
    assert!(draft.write(schema.layout(), journal));
    let committed = journal.commit();
    draft.confirm_write(committed.is_ok());
    committed?;
    journal.sync_if_due()
}

/// Steps, all of them once more in several frames, and steps again; a segment for every frame. `kept` is how many there are for
/// good.
fn live(place: &Path, kept: &mut u64) -> io::Result<()> {
    let schema = schema();
    let owner = Owner {
        run: new_run(),
        schema: schema.clone(),
        tick_rate: Some(60.0),
        started: 0.0,
        rings: None,
    };
    let settings = JournalSettings {
        segment_bytes: 1,
        frame_bytes: 4 * schema.layout().row_bytes(),
        fsync: Fsync::EveryFlush,
        ..JournalSettings::default()
    };
    let mut journal = Journal::create(place, owner, Arc::default(), settings)?;
    let mut draft = EpisodeBuilder::begin(new_run().episode_id(0), None, &row(&schema, 0));
    for step in 1..=STEPS {
        draft.push(&row(&schema, step));
        write(&mut journal, &mut draft, &schema)?;
        *kept = step.into();
    }
    let mut segments = journal.segments();
    let before = draft.segment();
    draft.rewrite(&mut journal, &mut segments)?;
    assert!(draft.segment() > before);
    journal.secure()?;
    journal.release(draft.segment().expect("it was written"))?;
    draft.push(&row(&schema, STEPS + 1));
    write(&mut journal, &mut draft, &schema)?;
    *kept = (STEPS + 1).into();
    Ok(())
}

#[test]
fn nothing_of_an_episode_that_is_told_again_is_lost_or_doubled() {
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
    let place = sink.journal_folder().unwrap();
    // It does not end in order.
    core::mem::forget(sink);
    at_every_point(
        &left,
        &Fault::ALL,
        |root, _| {
            let mut told = Told::default();
            let _ = live(
                &root.join(place.strip_prefix(&left).unwrap()),
                &mut told.report.recorded,
            );
            told
        },
        |root, _, told, when| {
            let dataset = Dataset::open(root).unwrap();
            let found = dataset.recover(&RecoverSettings::default()).unwrap().remove(0).recovery;
            assert!(found.failed.is_empty(), "{when}: {found:?}");
            assert_eq!(found.recovered[0].lost, 0, "{when}");
            assert_valid(root, when);
            let episodes: Vec<Episode> = open(root).episodes().map(Result::unwrap).collect();
            let mut lives = episodes.iter().filter(|episode| episode.info().run == new_run());
            let ticks: Vec<i64> = lives.next().map_or_else(Vec::new, |episode| {
                episode.transitions().map(Transition::tick).collect()
            });
            assert!(lives.next().is_none(), "{when}");
            let last = ticks.len() as u64;
            assert!(
                (told.report.recorded..=told.report.recorded + 1).contains(&last),
                "{when}: {last}"
            );
            assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "{when}: {ticks:?}");
        },
    );
}

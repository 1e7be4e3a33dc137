//! What the files of a dead process's buffers hold beyond its journal.

use super::remains::{Last, Remains};
use experience_buffer::ring::{MappedRing, OpenError};
use experience_core::{
    schema::Schema,
    transition::{RunId, StepHeader, StepKind},
};
use experience_export::assembly::{Assembly, AssemblyContext, EpisodeBuilder, LossCounts};
use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU32},
};

/// A buffer's file of the run.
pub(super) struct RingOfRun {
    pub(super) path: PathBuf,
    ring: MappedRing,
}

/// The files of the run's buffers in `folder`.
pub(super) fn open(folder: &Path, schema: &Schema, run: RunId, unread: &mut Vec<String>) -> Vec<RingOfRun> {
    let words = schema.layout().row_words();
    let mut rings = Vec::new();
    for path in list(folder, run) {
        match MappedRing::open(&path, schema.hash(), words) {
            Ok(ring) if ring.label().run == run => rings.push(RingOfRun { path, ring }),
            // Another recording's.
            Ok(_) | Err(OpenError::Schema { .. }) => {}
            Err(error) => unread.push(error.to_string()),
        }
    }
    rings
}

/// Adds to `remains` what the files hold beyond it.
///
/// The journal has a row or it has not; rows of one buffer are in order, and the journal's are the first of them. So whatever
/// comes behind an agent's last row in the journal is what the journal lacks.
pub(super) fn read(rings: &mut [RingOfRun], schema: &Arc<Schema>, remains: &mut Remains) {
    let mut next_episode = remains.next_episode;
    for RingOfRun { ring, .. } in &mut *rings {
        ring.seek_oldest();
        ring.read_undrained(usize::MAX, |row| {
            next_episode = next_episode.max(StepHeader::of(row).episode.saturating_add(1));
        });
        ring.seek_oldest();
    }
    let context = AssemblyContext {
        schema: schema.clone(),
        run: remains.run,
        reasons: Arc::new(remains.reasons()),
        episodes: Arc::new(AtomicU32::new(next_episode)),
    };
    // An agent who left and came back has two files, until the first is drained.
    rings.sort_by_cached_key(|found| first_episode(&found.ring));
    for found in rings {
        go_on(&mut found.ring, &context, remains);
    }
}

/// Files that a buffer of the run may have made: their names begin with the run's.
fn list(folder: &Path, run: RunId) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let run = format!("{run}-");
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(OsStr::to_str);
        name.is_some_and(|name| name.starts_with(&run) && name.ends_with(".ring"))
    };
    let mut paths: Vec<_> = paths.filter(is_ours).collect();
    paths.sort();
    paths
}

fn first_episode(ring: &MappedRing) -> u32 {
    let mut first = u32::MAX;
    ring.reader().read(1, |row| first = StepHeader::of(row).episode);
    first
}

/// Takes the rows of one file that come behind what the journal has.
fn go_on(ring: &mut MappedRing, context: &AssemblyContext, remains: &mut Remains) {
    let mut assemblies: HashMap<i64, Assembly> = HashMap::new();
    let (mut finished, mut losses) = (Vec::new(), LossCounts::default());
    ring.read_undrained(usize::MAX, |row| {
        let header = StepHeader::of(row);
        let agent = header.agent_id;
        let last = remains.last.get(&agent).copied();
        if last.is_some_and(|last| !last.is_before(header)) {
            return;
        }
        let assembly = assemblies.entry(agent).or_insert_with(|| {
            let is_new = header.kind() == StepKind::Begin && header.ordinal == 0;
            let ordinal = last.filter(|_| !is_new).map_or(0, |last| last.ordinal);
            let is_open = |draft: &EpisodeBuilder| draft.agent_id() == agent && !draft.is_closed();
            let open = remains.drafts.iter().rposition(is_open);
            Assembly::resume(open.map(|open| remains.drafts.remove(open)), ordinal)
        });
        assembly.push_row(context, row, &mut finished, &mut losses);
        remains.last.insert(agent, Last::of(header));
    });
    remains.drafts.append(&mut finished);
    for assembly in assemblies.into_values() {
        remains.drafts.extend(assembly.into_open());
    }
    remains.lost += losses.lost;
    remains.discarded += losses.discarded;
}

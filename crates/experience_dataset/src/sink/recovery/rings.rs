//! Reads the rows of a dead process's ring buffer files that its journal lacks.

use super::recovered_state::{LastRow, RecoveredState};
use crate::sink::files::io_error;
use experience_buffer::ring::{MappedRing, OpenError};
use experience_core::{
    schema::Schema,
    transition::{RunId, StepHeader, StepKind},
};
use experience_export::{
    SinkError,
    assembly::{Assembly, AssemblyContext, EpisodeBuilder, LossCounts},
};
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU32},
};

/// An open ring buffer file of the run.
pub(super) struct RunRing {
    pub(super) path: PathBuf,
    ring: MappedRing,
}

/// Opens the ring buffer files of the run in `folder`.
///
/// # Errors
/// When the file system refuses. Damaged files are no error.
pub(super) fn open(
    folder: &Path,
    schema: &Schema,
    run: RunId,
    unread: &mut Vec<String>,
) -> Result<Vec<RunRing>, SinkError> {
    let words = schema.layout().row_words();
    let mut rings = Vec::new();
    for path in list(folder, run).map_err(io_error("list", folder))? {
        match MappedRing::open(&path, schema.hash(), words) {
            Ok(ring) if ring.label().run == run => rings.push(RunRing { path, ring }),
            // The file belongs to another recording.
            Ok(_) | Err(OpenError::Schema { .. }) => {}
            Err(OpenError::Io { path, source }) => return Err(io_error("open", &path)(source)),
            Err(error) => unread.push(error.to_string()),
        }
    }
    Ok(rings)
}

/// Adds to `state` the rows that the journal lacks.
///
/// The rows of a buffer are in order, and the journal holds a prefix of them. So the rows after an agent's last row in the
/// journal are the missing ones.
pub(super) fn read(rings: &mut [RunRing], schema: &Arc<Schema>, state: &mut RecoveredState) {
    for RunRing { ring, .. } in &mut *rings {
        ring.seek_oldest();
    }
    let context = AssemblyContext {
        schema: schema.clone(),
        run: state.run,
        words: Arc::new(state.word_table()),
        episodes: Arc::new(AtomicU32::new(state.next_episode)),
        gives_parts: false,
    };
    // An agent that left and joined again has two files until the first is drained.
    rings.sort_by_cached_key(|found| first_episode(&found.ring));
    for found in rings {
        read_ring(&mut found.ring, &context, state);
    }
}

/// The paths of the run's ring buffer files: their names begin with the run.
fn list(folder: &Path, run: RunId) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && entry.file_name().to_str().is_some_and(|name| is_ring_name(name, run)) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether `name` is that of a ring buffer file of `run`: `<run>-<counter>-<agent>.ring`, in hexadecimal.
fn is_ring_name(name: &str, run: RunId) -> bool {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let numbers = name
        .strip_suffix(".ring")
        .and_then(|name| name.strip_prefix(&format!("{run}-")))
        .and_then(|numbers| numbers.split_once('-'));
    numbers.is_some_and(|(counter, agent)| is_hex(counter) && is_hex(agent))
}

fn first_episode(ring: &MappedRing) -> u32 {
    let mut first = u32::MAX;
    ring.reader().read(1, |row| first = StepHeader::of(row).episode);
    first
}

/// Adds the rows of one file that come after the journal's.
fn read_ring(ring: &mut MappedRing, context: &AssemblyContext, state: &mut RecoveredState) {
    let mut assemblies: HashMap<i64, Assembly> = HashMap::new();
    let (mut finished, mut losses) = (Vec::new(), LossCounts::default());
    let mut push = |row: &[u64], assemblies: &mut HashMap<i64, Assembly>, state: &mut RecoveredState| {
        let header = StepHeader::of(row);
        let agent = header.agent_id;
        if header.kind() == StepKind::Discard {
            // The assembly discards an open episode. A gap may have divided this one, and the journal may hold all of its rows.
            state.discarded_episodes.insert(header.episode);
        }
        let last = state.last_rows.get(&agent).copied();
        if last.is_some_and(|last| !last.is_before(header)) {
            return;
        }
        let assembly = assemblies.entry(agent).or_insert_with(|| {
            let is_new = header.kind() == StepKind::Begin && header.ordinal == 0;
            let ordinal = last.filter(|_| !is_new).map_or(0, |last| last.ordinal);
            let is_open = |builder: &EpisodeBuilder| builder.agent_id() == agent && !builder.is_closed();
            let open = state.builders.iter().rposition(is_open);
            Assembly::resume(open.map(|open| state.builders.remove(open)), ordinal)
        });
        assembly.push_row(context, row, &mut finished, &mut losses);
        state.last_rows.insert(agent, LastRow::of(header));
        state.last_tick = state.last_tick.max(Some(header.tick));
    };
    // A full ring can refuse the `Discard` row of a player that opted out. The rows before the end of the hidden ones are read
    // first, because an episode that is open there was discarded.
    let hidden_before = ring.hidden_before();
    while ring.position() < hidden_before {
        if ring.read_undrained(1, |row| push(row, &mut assemblies, state)).steps == 0 {
            break;
        }
    }
    if hidden_before > 0 {
        let open = assemblies.values().filter_map(Assembly::open_captured_as);
        state.discarded_episodes.extend(open);
    }
    ring.read_undrained(usize::MAX, |row| push(row, &mut assemblies, state));
    state.builders.append(&mut finished);
    for assembly in assemblies.into_values() {
        state.builders.extend(assembly.into_open());
    }
    state.lost += losses.lost;
    state.discarded += losses.discarded;
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_buffer::{BufferSettings, Label, Memory, Overflow, Writer, create_for};
    use experience_core::schema::Column;

    /// The agents of the episodes that are recovered from a ring of eight rows, which `play` writes.
    fn recovered(overflow: Overflow, play: impl FnOnce(&mut PlayerWriter)) -> Vec<u32> {
        let schema = Arc::new(Schema::new("player").with_observation([Column::feature("x")]));
        let folder = tempfile::tempdir().unwrap();
        let run = RunId::from_bits(7);
        let settings = BufferSettings {
            capacity: 8,
            overflow,
            memory: Memory::File(folder.path().to_owned()),
            ..BufferSettings::default()
        };
        let label = Label {
            run,
            schema_hash: schema.hash(),
            agent_id: 1,
        };
        let words = schema.layout().row_words();
        let (writer, _buffer) = create_for(&settings, words, label).unwrap();
        let mut player = PlayerWriter {
            writer,
            row: vec![0; words],
            ordinal: 0,
        };
        play(&mut player);
        let mut unread = Vec::new();
        let mut rings = open(folder.path(), &schema, run, &mut unread).unwrap();
        assert_eq!((rings.len(), unread.len()), (1, 0));
        let journal = folder.path().join("journal");
        fs::create_dir(&journal).unwrap();
        let mut state = RecoveredState::read(&journal, &schema, run).unwrap();
        read(&mut rings, &schema, &mut state);
        let builders = state.builders.iter().filter(|builder| builder.transitions() > 0);
        let mut episodes: Vec<_> = builders.map(EpisodeBuilder::captured_as).collect();
        episodes.retain(|episode| !state.discarded_episodes.contains(episode));
        episodes
    }

    struct PlayerWriter {
        writer: Writer,
        row: Vec<u64>,
        ordinal: u32,
    }

    impl PlayerWriter {
        fn push(&mut self, kind: StepKind, episode: u32) {
            self.ordinal += u32::from(kind == StepKind::Transition);
            let header = StepHeader::of_mut(&mut self.row);
            *header = StepHeader::new(kind);
            header.agent_id = 1;
            header.episode = episode;
            header.ordinal = self.ordinal;
            self.writer.push(&self.row).unwrap();
        }

        fn episode(&mut self, episode: u32, transitions: u32) {
            self.push(StepKind::Begin, episode);
            for _ in 0..transitions {
                self.push(StepKind::Transition, episode);
            }
        }

        fn discard(&mut self, episode: u32) {
            self.push(StepKind::Discard, episode);
            self.writer.hide();
        }
    }

    #[test]
    fn a_discarded_episode_is_not_recovered_when_a_full_ring_refused_its_discard_row() {
        let found = recovered(Overflow::DropNewest, |player| {
            player.episode(1, 3);
            player.push(StepKind::End, 1);
            player.episode(2, 20);
            player.discard(2);
        });
        assert_eq!(found, [1], "episode 1 had ended");
    }

    #[test]
    fn a_discarded_episode_is_not_recovered_when_its_beginning_was_overwritten() {
        let found = recovered(Overflow::DropOldest, |player| {
            player.episode(1, 20);
            player.discard(1);
            player.episode(2, 2);
        });
        assert_eq!(found, [2]);
    }
}

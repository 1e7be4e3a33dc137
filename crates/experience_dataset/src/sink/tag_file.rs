//! The tags of a run's episodes, `runs/<run>.tags.jsonl`: one change a line, appended at each flush.
//!
//! Tags are not in the account, because their number has no bound and the account is rewritten at each flush.

use super::{files::io_error, layout};
use crate::store::source;
use experience_core::{
    account::{EpisodeTag, TagChange, remaining_tags},
    transition::RunId,
};
use experience_export::{SinkError, disk};
use std::{
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

/// Appends tag changes to the file of one run.
#[derive(Debug)]
pub(super) struct TagFile {
    path: PathBuf,
    /// Length in bytes after the last successful write.
    len: u64,
}

impl TagFile {
    /// The file of `run` in the folder `recording`. It is created by the first [`append`](Self::append).
    pub(super) fn new(recording: &Path, run: RunId) -> Self {
        Self {
            path: path(recording, run),
            len: 0,
        }
    }

    /// The same file, whose present content stays.
    pub(super) fn at_end(recording: &Path, run: RunId) -> Self {
        Self {
            len: u64::MAX,
            ..Self::new(recording, run)
        }
    }

    /// Appends `changes`. May be called again after an error.
    pub(super) fn append(&mut self, changes: &[TagChange]) -> Result<(), SinkError> {
        let lines = to_lines(changes);
        self.len = disk::append(&self.path, self.len, &lines).map_err(io_error("write to", &self.path))?;
        Ok(())
    }
}

/// The file of the tags of a run in the folder `recording`.
pub(crate) fn path(recording: &Path, run: RunId) -> PathBuf {
    recording.join(layout::RUNS).join(layout::tags_name(run))
}

/// Reads the tags in the file at `path`; none if it does not exist. A last line without an end was being written when its
/// process died, and is ignored.
pub(crate) fn read(path: &Path) -> io::Result<Vec<EpisodeTag>> {
    let mut file = match source::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut changes = Vec::new();
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        let change: TagChange = serde_json::from_slice(&line).map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {}: {error}", changes.len() + 1),
            )
        })?;
        changes.push(change);
        line.clear();
    }
    Ok(remaining_tags(changes))
}

/// Replaces the file at `path` by one with `tags`. Without tags it is removed.
pub(crate) fn replace(path: &Path, tags: Vec<EpisodeTag>) -> io::Result<()> {
    if tags.is_empty() {
        return source::remove(path);
    }
    let changes: Vec<_> = tags.into_iter().map(TagChange::Added).collect();
    source::replace(path, &to_lines(&changes))
}

fn to_lines(changes: &[TagChange]) -> Vec<u8> {
    let mut lines = Vec::new();
    for change in changes {
        serde_json::to_writer(&mut lines, change).expect("a tag holds only strings and numbers");
        lines.push(b'\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_export::disk::faults::{Fault, Faults};

    fn tag(episode_id: i64) -> TagChange {
        TagChange::Added(EpisodeTag {
            episode_id,
            agent_id: 1,
            tag: "a\nb".to_owned(),
        })
    }

    fn ids(path: &Path) -> Vec<i64> {
        read(path).unwrap().iter().map(|tag| tag.episode_id).collect()
    }

    #[test]
    fn changes_are_appended_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(layout::RUNS)).unwrap();
        let run = RunId::from_bits(7);
        let path = path(folder.path(), run);
        let mut file = TagFile::new(folder.path(), run);
        assert_eq!(read(&path).unwrap(), []);
        file.append(&[tag(1), tag(2)]).unwrap();
        file.append(&[TagChange::Removed { removed: 1 }, tag(3)]).unwrap();
        assert_eq!(ids(&path), [2, 3]);
        replace(&path, read(&path).unwrap()).unwrap();
        file.append(&[tag(4)]).unwrap();
        assert_eq!(ids(&path), [2, 3, 4]);
        // The process dies during a write.
        let mut content = std::fs::read(&path).unwrap();
        content.truncate(content.len() - 3);
        std::fs::write(&path, content).unwrap();
        assert_eq!(ids(&path), [2, 3]);
        replace(&path, Vec::new()).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_write_that_was_refused_can_be_repeated() {
        for at in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join(layout::RUNS)).unwrap();
            let run = RunId::from_bits(7);
            let mut file = TagFile::new(folder.path(), run);
            let faults = Faults::plan(at, Fault::Refused);
            for change in [tag(1), tag(2)] {
                if file.append(core::slice::from_ref(&change)).is_err() {
                    file.append(&[change]).unwrap();
                }
            }
            drop(faults);
            assert_eq!(ids(&path(folder.path(), run)), [1, 2], "operation {at}");
        }
    }
}

//! Names of the folders and files of a dataset.
//!
//! ```text
//! data/arena/
//!   README.md                        the dataset card
//!   fighter/                         a recording; `fighter@<schema hash>/` if `fighter/` has another schema
//!     experience.json
//!     data/<run>-00000.parquet
//!     partial/<run>-00001.parquet.tmp  while a process writes it, or after it died
//!     runs/<run>.json
//!     runs/<run>.tags.jsonl            if an episode was tagged
//!     journal/<run>/00000.journal      until the run is closed or recovered
//!     segments/<run>/00000.journal     episodes of a `JournalSink`, until a recovery writes them to shards
//!     damaged/<run>/00000.journal      segments that a recovery could not read completely
//!     compaction.json                  if shards were compacted
//! ```

use core::hash::Hasher;
use experience_core::transition::RunId;
use siphasher::sip::SipHasher24;
use std::{
    ffi::OsStr,
    fmt::Write,
    path::{Path, PathBuf},
};

/// The description of a recording, in its folder.
pub(crate) const EXPERIENCE: &str = "experience.json";
/// The folder of a recording's complete shards. Loaders open every file in it.
pub(crate) const DATA: &str = "data";
/// The folder of files that will be in [`DATA`] and are not complete; see [`partial`](super::partial).
pub(crate) const PARTIAL: &str = "partial";
/// The folder of a recording's accounts.
pub(crate) const RUNS: &str = "runs";
/// The folder of a recording's journals, one for each run that is neither closed nor recovered.
pub(crate) const JOURNALS: &str = "journal";
/// The folder of the segments of finished episodes, with a folder for each run of a `JournalSink`.
pub(crate) const SEGMENTS: &str = "segments";
/// The folder of segments that recoveries could not read completely.
pub(crate) const DAMAGED: &str = "damaged";
/// Which shards of a recording were compacted; see [`compaction`](super::compaction).
pub(crate) const COMPACTION: &str = "compaction.json";
/// The dataset card, in the dataset's folder.
pub(crate) const CARD: &str = "README.md";
/// The file extension of committed shards.
pub(crate) const SHARD: &str = ".parquet";
/// The file extension of accounts.
pub(crate) const ACCOUNT: &str = ".json";
/// The file extension of the tags of a run's episodes.
pub(crate) const TAGS: &str = ".tags.jsonl";

/// What the file name of an unfinished shard has after that of the committed one.
pub(crate) const UNFINISHED: &str = ".tmp";

/// The maximum length of a folder name, so that paths stay within the limits of every system.
const MAX_NAME: usize = 64;

/// The folder name of the recording `name`, which may be any string.
///
/// Letters, digits, `_` and `-` are kept; every other byte becomes `%` and two hexadecimal digits. So the result is never a
/// path, and different names have different folders. A long name is truncated and gets its hash appended.
pub(crate) fn folder_name(name: &str) -> String {
    if name.is_empty() {
        // Escaped bytes are upper case, so no other name has this folder.
        return "%empty".to_owned();
    }
    let mut folder = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if plain && !(index == 0 && is_device(name)) {
            folder.push(char::from(byte));
        } else {
            write!(folder, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
    if folder.len() > MAX_NAME {
        let mut hasher = SipHasher24::new();
        hasher.write(name.as_bytes());
        let hash = format!("%-{:016x}", hasher.finish());
        folder.truncate(MAX_NAME - hash.len());
        folder.push_str(&hash);
    }
    folder
}

/// Whether Windows opens a device for a file of this name.
fn is_device(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let numbered = |device| matches!(upper.strip_prefix(device).map(str::as_bytes), Some([b'0'..=b'9']));
    matches!(upper.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

/// The folder name of a recording whose own folder holds another schema.
pub(crate) fn sibling_name(name: &str, hash: u64) -> String {
    format!("{}@{hash:016x}", folder_name(name))
}

/// Parses a run from the name of its folder or the stem of its file.
pub(crate) fn run(name: &str) -> Option<RunId> {
    let run = RunId::from_bits(u32::from_str_radix(name, 16).ok()?);
    (run.to_string() == name).then_some(run)
}

/// The file name of a run's account.
pub(crate) fn account_name(run: RunId) -> String {
    format!("{run}{ACCOUNT}")
}

/// Parses a run from the file name of its account.
pub(crate) fn account_run(name: &OsStr) -> Option<RunId> {
    run(name.to_str()?.strip_suffix(ACCOUNT)?)
}

/// The file name of the tags of a run's episodes.
pub(crate) fn tags_name(run: RunId) -> String {
    format!("{run}{TAGS}")
}

/// Parses a run from the file name of its tags.
pub(crate) fn tags_run(name: &OsStr) -> Option<RunId> {
    run(name.to_str()?.strip_suffix(TAGS)?)
}

/// The folder of a run's journal in the folder `recording`.
pub(crate) fn journal_folder(recording: &Path, run: RunId) -> PathBuf {
    recording.join(JOURNALS).join(run.to_string())
}

/// The folder of a run's segments in the folder `recording`.
pub(crate) fn segments_folder(recording: &Path, run: RunId) -> PathBuf {
    recording.join(SEGMENTS).join(run.to_string())
}

/// The file of a run's lock in the folder `recording`.
pub(crate) fn lock_path(recording: &Path, run: RunId) -> PathBuf {
    recording.join(RUNS).join(format!(".{run}.lock"))
}

/// The file that a process locks while it deletes shards of other runs or recovers one.
pub(crate) fn retention_lock_path(recording: &Path) -> PathBuf {
    recording.join(RUNS).join(".cleaning.lock")
}

/// Checks that the folders of a recording are in it, and no links to other folders. Returns the first that is not, and where it
/// leads.
///
/// A copy of a dataset can share a linked folder with its original, whose run may be alive.
pub(crate) fn check_links(recording: &Path) -> Result<(), (PathBuf, PathBuf)> {
    let Ok(recording) = recording.canonicalize() else {
        return Ok(());
    };
    for part in [DATA, RUNS, JOURNALS, SEGMENTS] {
        let part = recording.join(part);
        match part.canonicalize() {
            Ok(target) if target != part => return Err((part, target)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, path::Component};

    #[test]
    fn hostile_names_are_plain_folders_and_differ() {
        let long = "x".repeat(10_000);
        let longer = format!("{long}y");
        let names = [
            "fighter",
            "Fighter",
            "..",
            ".",
            "../x",
            "a/b",
            "a\\b",
            "a%2Fb",
            "",
            "%empty",
            "CON",
            "con",
            "con0",
            "com1",
            "a\0b",
            "🦀",
            "fighter@0000000000000000",
            "README.md",
            "~",
            "-rf",
            "a b",
            "c:",
            &long,
            &longer,
        ];
        let mut folders = HashSet::new();
        for name in names {
            let folder = folder_name(name);
            assert!(folder.len() <= MAX_NAME, "{folder}");
            assert!(
                folder
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-%".contains(&byte)),
                "{folder}"
            );
            assert!(!is_device(&folder), "{folder}");
            let components: Vec<_> = Path::new(&folder).components().collect();
            assert!(matches!(components.as_slice(), [Component::Normal(_)]), "{folder}");
            assert!(folders.insert(folder), "{name}");
        }
        assert_eq!(folder_name("fighter"), "fighter");
        assert_eq!(folder_name("a/b"), "a%2Fb");
        assert_eq!(folder_name("CON"), "%43ON");
        assert_eq!(sibling_name("fighter", 10), "fighter@000000000000000a");
    }
}

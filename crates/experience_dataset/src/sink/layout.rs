//! The names of a dataset's folders and files.
//!
//! ```text
//! data/arena/
//!   README.md                        the dataset card
//!   fighter/                         a recording; `fighter@<schema hash>/` where the columns are others
//!     experience.json
//!     data/<run>-00000.parquet
//!     runs/<run>.json
//!     journal/<run>/00000.journal      while the run goes on, or after its process died
//! ```

use core::hash::Hasher;
use experience_core::transition::RunId;
use siphasher::sip::SipHasher24;
use std::fmt::Write;

/// The description of a recording, in its folder.
pub(crate) const EXPERIENCE: &str = "experience.json";
/// The folder of a recording's shards.
pub(crate) const DATA: &str = "data";
/// The folder of a recording's accounts.
pub(crate) const RUNS: &str = "runs";
/// The folder of a recording's journals, one for each run that is alive or whose process died.
pub(crate) const JOURNALS: &str = "journal";
/// The dataset card, in the dataset's folder.
pub(crate) const CARD: &str = "README.md";
/// How the names of whole shards end.
pub(crate) const SHARD: &str = ".parquet";

/// Folder names are at most this long, so that a path stays within what every system takes.
const MAX_NAME: usize = 64;

/// The folder of the recording called `name`, whatever the name is.
///
/// Letters, digits, `_` and `-` stand for themselves; every other byte becomes `%` and two hexadecimal digits. So no name
/// is a path, and different names have different folders. A name that would be too long is cut, and its hash tells it
/// from others that begin alike.
pub(crate) fn folder_name(name: &str) -> String {
    if name.is_empty() {
        // No byte is written in lower case, so this is the folder of no other name.
        return "%empty".to_owned();
    }
    let mut folder = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if plain && !(index == 0 && is_device(name)) {
            folder.push(char::from(byte));
        } else {
            write!(folder, "%{byte:02X}").expect("a string takes everything");
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

/// Windows opens a device in place of a file of one of these names.
fn is_device(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let numbered = |device| matches!(upper.strip_prefix(device).map(str::as_bytes), Some([b'0'..=b'9']));
    matches!(upper.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

/// The folder of a recording whose own folder holds other columns.
pub(crate) fn sibling_name(name: &str, hash: u64) -> String {
    format!("{}@{hash:016x}", folder_name(name))
}

/// The `index`-th shard of a run.
pub(crate) fn shard_name(run: RunId, index: u32) -> String {
    format!("{run}-{index:05}{SHARD}")
}

/// Which shard of `run` the file of this name is.
pub(crate) fn shard_index(run: RunId, name: &str) -> Option<u32> {
    let index = name
        .strip_suffix(SHARD)?
        .strip_prefix(&format!("{run}-"))?
        .parse()
        .ok()?;
    (shard_name(run, index) == name).then_some(index)
}

/// The run that something of this name belongs to.
pub(crate) fn run(name: &str) -> Option<RunId> {
    let run = RunId::from_bits(u32::from_str_radix(name, 16).ok()?);
    (run.to_string() == name).then_some(run)
}

/// The account of a run.
pub(crate) fn account_name(run: RunId) -> String {
    format!("{run}.json")
}

/// The file that a run holds a lock on while it is alive.
pub(crate) fn lock_name(run: RunId) -> String {
    format!(".{run}.lock")
}

/// The file that whoever removes shards of a recording holds a lock on.
pub(crate) const CLEANING: &str = ".cleaning.lock";

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        collections::HashSet,
        path::{Component, Path},
    };

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

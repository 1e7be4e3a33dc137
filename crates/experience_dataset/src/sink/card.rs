//! The dataset card: a `README.md` whose front matter lists each recording's shards for Hugging Face `datasets`.
//!
//! Only the generated entries of `configs:` in the front matter are replaced. Everything else in the card is the user's, and
//! kept.

use super::{
    files::{self, io_error},
    layout,
};
use crate::store::source;
use core::fmt::Write;
use experience_export::SinkError;
use std::{fs, io, path::Path};

/// How often a card is rewritten because another process added a recording since it was read.
const ATTEMPTS: usize = 8;

/// Updates the card of the dataset at `root` with the recordings in it.
pub(crate) fn update(root: &Path) -> Result<(), SinkError> {
    let path = root.join(layout::CARD);
    for _ in 0..ATTEMPTS {
        let recordings = recordings(root).map_err(io_error("list", root))?;
        let old = match fs::read_to_string(&path) {
            Ok(old) => old,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        let new = with_configs(&old, &recordings);
        // Another process may replace the card between this read and this write. The process that writes last reads again, and
        // finds its own card or a recording that is missing in it.
        if new == old {
            return Ok(());
        }
        files::replace(&path, new.as_bytes())?;
    }
    Ok(())
}

/// The folder names of all recordings, sorted.
pub(crate) fn recordings(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for name in source::list(root)? {
        // Folders of recordings have ASCII names; others are not recordings.
        if let Ok(name) = name.into_string()
            && !name.starts_with('.')
            && name != layout::CARD
            && source::is_file(&root.join(&name).join(layout::EXPERIENCE))
        {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the card `old` with the recording in the folder `recording` beside those that it names; `None` if it names it.
#[cfg(feature = "object_store")]
pub(crate) fn with_recording(old: &str, recording: &str) -> Option<String> {
    let mut names: Vec<String> = split(old).0.lines().filter_map(config_name).collect();
    if names.iter().any(|name| name == recording) {
        return None;
    }
    names.push(recording.to_owned());
    // Those that a user wrote stay as they are.
    names.retain(|name| name == recording || old.contains(&quote(&data_files(name))));
    names.sort();
    Some(with_configs(old, &names))
}

#[cfg(feature = "object_store")]
fn config_name(line: &str) -> Option<String> {
    let name = line.trim_start_matches([' ', '-']).strip_prefix("config_name:")?;
    Some(unquote(name.trim()))
}

/// Returns the card `old` with the configs of `recordings`.
fn with_configs(old: &str, recordings: &[String]) -> String {
    let (front, body) = split(old);
    let mut before = Vec::new();
    let mut items: Vec<Vec<&str>> = Vec::new();
    let mut after = Vec::new();
    let mut lines = front.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.starts_with("configs:") {
            // The block keeps its place in the front matter.
            if items.is_empty() {
                before.push(line);
            } else {
                after.push(line);
            }
            continue;
        }
        items.push(Vec::new());
        let indent = |line: &str| line.len() - line.trim_start().len();
        // Lists inside an item are indented more than the items.
        let first = lines.peek().map_or(0, |line| indent(line));
        while let Some(line) = lines.next_if(|line| line.is_empty() || line.starts_with([' ', '-', '#'])) {
            if line.trim_start().starts_with("- ") && indent(line) <= first {
                items.push(Vec::new());
            }
            items.last_mut().expect("an item was pushed above").push(line);
        }
    }
    let mut card = String::from("---\n");
    let mut push = |line: &str| {
        card.push_str(line);
        card.push('\n');
    };
    before.into_iter().for_each(&mut push);
    push("configs:");
    for recording in recordings {
        config(recording).iter().for_each(|line| push(line));
    }
    items
        .into_iter()
        .filter(|item| is_user_config(item, recordings))
        .flatten()
        .for_each(&mut push);
    after.into_iter().for_each(&mut push);
    push("---");
    if old.is_empty() { card + BODY } else { card + body }
}

/// Splits a card into its front matter and the body.
fn split(card: &str) -> (&str, &str) {
    let Some(rest) = card.strip_prefix("---\n").or_else(|| card.strip_prefix("---\r\n")) else {
        return ("", card);
    };
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return (&rest[..end], &rest[end + line.len()..]);
        }
        end += line.len();
    }
    // Without an end it is not front matter.
    ("", card)
}

/// The config of a recording.
fn config(recording: &str) -> [String; 2] {
    [
        format!("- config_name: {}", quote(recording)),
        format!("  data_files: {}", quote(&data_files(recording))),
    ]
}

/// The glob of a recording's shards. A folder may have been renamed to any name, and characters of globs in it are escaped.
fn data_files(recording: &str) -> String {
    let mut glob = String::with_capacity(recording.len());
    for letter in recording.chars() {
        match letter {
            '*' | '?' | '[' => glob.extend(['[', letter, ']']),
            _ => glob.push(letter),
        }
    }
    format!("{glob}/{}/*{}", layout::DATA, layout::SHARD)
}

/// A double-quoted scalar of YAML, which reads a plain `123` as a number and a plain `null` as no value. JSON's strings are such
/// scalars.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    for letter in serde_json::Value::from(text).to_string().chars() {
        // Control characters, and those that older versions of YAML read as the end of a line.
        if matches!(letter, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}') {
            write!(quoted, "\\u{:04x}", u32::from(letter)).expect("writing to a string does not fail");
        } else {
            quoted.push(letter);
        }
    }
    quoted
}

/// The text of a scalar that [`quote`] or a user wrote.
fn unquote(scalar: &str) -> String {
    match serde_json::from_str(scalar) {
        Ok(serde_json::Value::String(text)) => text,
        _ => scalar.trim_matches(['"', '\'']).to_owned(),
    }
}

/// Whether a user wrote this config. Generated ones are replaced, or belong to a recording that was removed.
fn is_user_config(item: &[&str], recordings: &[String]) -> bool {
    let value = |key: &str| {
        let line = item
            .iter()
            .find_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(key))?;
        Some(unquote(line.trim()))
    };
    let Some(name) = value("config_name:") else {
        return item.iter().any(|line| !line.trim().is_empty());
    };
    !recordings.contains(&name) && value("data_files:") != Some(data_files(&name))
}

const BODY: &str = "
# Recorded play

Reinforcement-learning transitions, recorded by [bevy_experience](https://crates.io/crates/bevy_experience). Each folder is a
recording, and each row of its Parquet files is one transition: `observation`, `action`, `reward`, `next_observation`,
`terminated`, `truncated`. The recording's `experience.json` describes the values of an observation, and its `runs/` list what
each run recorded and lost.

```python
from datasets import load_dataset

transitions = load_dataset(\"path/to/this/folder\", \"name of a recording\", split=\"train\")
```
";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_new_card_names_every_recording() {
        let card = with_configs("", &names(&["a%2Fb", "fighter"]));
        assert!(card.starts_with(
            "---\nconfigs:\n- config_name: \"a%2Fb\"\n  data_files: \"a%2Fb/data/*.parquet\"\n\
             - config_name: \"fighter\"\n  data_files: \"fighter/data/*.parquet\"\n---\n"
        ));
        assert_eq!(with_configs(&card, &names(&["a%2Fb", "fighter"])), card);
    }

    #[test]
    fn names_of_folders_are_quoted() {
        let hostile = names(&[
            "a\"\n- config_name: x",
            "a'b",
            "a: b #c",
            "a\\b",
            "a*[b]?",
            "null",
            "\u{85}\u{2028}",
        ]);
        let card = with_configs("", &hostile);
        let (front, _) = split(&card);
        assert_eq!(front.lines().count(), 1 + 2 * hostile.len(), "{card}");
        assert!(card.contains("- config_name: \"a\\\"\\n- config_name: x\"\n"), "{card}");
        assert!(card.contains("- config_name: \"a\\\\b\"\n"), "{card}");
        assert!(
            card.contains("  data_files: \"a[*][[]b][?]/data/*.parquet\"\n"),
            "{card}"
        );
        assert_eq!(with_configs(&card, &hostile), card);
        assert_eq!(split(&with_configs(&card, &names(&["b"]))).0.lines().count(), 3);
    }

    #[test]
    fn user_content_is_kept() {
        let old = "---\nlicense: mit\nconfigs:\n- config_name: \"gone\"\n  data_files: \"gone/data/*.parquet\"\n\
                   - config_name: mine\n  data_files:\n  - split: train\n    path: mine/*.csv\ntags: [games]\n---\nMy words.\n---\nMore.";
        let card = with_configs(old, &names(&["fighter"]));
        assert_eq!(
            card,
            "---\nlicense: mit\nconfigs:\n- config_name: \"fighter\"\n  data_files: \"fighter/data/*.parquet\"\n\
             - config_name: mine\n  data_files:\n  - split: train\n    path: mine/*.csv\ntags: [games]\n---\nMy words.\n---\nMore."
        );
        assert_eq!(with_configs(&card, &names(&["fighter"])), card);
    }

    #[test]
    fn a_card_without_front_matter_gets_one() {
        for old in ["My words.\n", "---\nnever ended", "--- no"] {
            let card = with_configs(old, &names(&["fighter"]));
            assert!(card.starts_with("---\nconfigs:\n"), "{card}");
            assert!(card.ends_with(old), "{card}");
            assert_eq!(with_configs(&card, &names(&["fighter"])), card);
        }
    }
}

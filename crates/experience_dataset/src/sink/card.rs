//! The dataset card: `README.md`, whose front matter tells Hugging Face `datasets` where each recording's shards are.
//!
//! Only the `configs:` of the front matter are ours. Whatever else a user writes into the card stays.

use super::{files, layout};
use experience_export::SinkError;
use std::{fs, io, path::Path};

/// How often a card is written again because another process added a recording meanwhile.
const ATTEMPTS: usize = 8;

/// Brings the card of the dataset at `root` up to date with the recordings in it.
pub(crate) fn update(root: &Path) -> Result<(), SinkError> {
    let path = root.join(layout::CARD);
    for _ in 0..ATTEMPTS {
        let recordings = recordings(root).map_err(files::failed("list", root))?;
        let old = match fs::read_to_string(&path) {
            Ok(old) => old,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(files::failed("read", &path)(error)),
        };
        let new = with_configs(&old, &recordings);
        // Another process may replace the card between our reading and our writing. Whoever writes last looks again,
        // and finds the card that it wrote or a recording that is missing in it.
        if new == old {
            return Ok(());
        }
        files::replace(&path, new.as_bytes())?;
    }
    Ok(())
}

/// The names of the folders of all recordings, in order.
pub(crate) fn recordings(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        // The names that this crate gives are ASCII; other folders are none of its recordings.
        if let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
            && entry.path().join(layout::EXPERIENCE).is_file()
        {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// The card `old` with the configs of `recordings`.
fn with_configs(old: &str, recordings: &[String]) -> String {
    let (front, body) = split(old);
    let mut before = Vec::new();
    let mut items: Vec<Vec<&str>> = Vec::new();
    let mut after = Vec::new();
    let mut lines = front.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.starts_with("configs:") {
            // The place of the block in the front matter stays what it was.
            if items.is_empty() {
                before.push(line);
            } else {
                after.push(line);
            }
            continue;
        }
        items.push(Vec::new());
        let indent = |line: &str| line.len() - line.trim_start().len();
        // Lists inside an item are indented further than the items.
        let first = lines.peek().map_or(0, |line| indent(line));
        while let Some(line) = lines.next_if(|line| line.is_empty() || line.starts_with([' ', '-', '#'])) {
            if line.trim_start().starts_with("- ") && indent(line) <= first {
                items.push(Vec::new());
            }
            items.last_mut().expect("the block has begun").push(line);
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
        .filter(|item| is_foreign(item, recordings))
        .flatten()
        .for_each(&mut push);
    after.into_iter().for_each(&mut push);
    push("---");
    if old.is_empty() { card + BODY } else { card + body }
}

/// The front matter and what follows it.
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
    // It was no front matter: nothing ends it.
    ("", card)
}

/// Names are quoted: YAML would take `123` for a number and `null` for nothing.
fn config(recording: &str) -> [String; 2] {
    [
        format!("- config_name: \"{recording}\""),
        format!("  data_files: \"{recording}/{}/*{}\"", layout::DATA, layout::SHARD),
    ]
}

/// Whether a user wrote this config. Ours are written anew, or belong to a recording that is gone.
fn is_foreign(item: &[&str], recordings: &[String]) -> bool {
    let value = |key: &str| {
        let line = item
            .iter()
            .find_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(key))?;
        Some(line.trim().trim_matches(['"', '\'']))
    };
    let Some(name) = value("config_name:") else {
        return item.iter().any(|line| !line.trim().is_empty());
    };
    let ours = format!("{name}/{}/*{}", layout::DATA, layout::SHARD);
    !recordings.iter().any(|recording| recording == name) && value("data_files:") != Some(&ours)
}

const BODY: &str = "
# Recorded play

Reinforcement-learning transitions, recorded by [bevy_experience](https://crates.io/crates/bevy_experience). Each folder is a
recording, and each row of its Parquet files is one transition: `observation`, `action`, `reward`, `next_observation`,
`terminated`, `truncated`. What the values of an observation are is in the recording's `experience.json`; what was recorded and
what was lost, run by run, in its `runs/`.

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
    fn what_a_user_wrote_stays() {
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

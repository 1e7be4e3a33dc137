//! `experience convert`.

use crate::{
    Verdict,
    args::{Convert, Format},
    output::{Failure, Output},
};
use experience_dataset::{
    RecordingData,
    convert::{to_bincode, to_jsonl, to_lerobot, to_minari},
};
use serde_json::json;
use std::path::Path;

pub fn run(convert: &Convert, output: &mut Output) -> Result<Verdict, Failure> {
    let recordings = convert.what.recordings()?;
    let [recording] = recordings.as_slice() else {
        let names: Vec<_> = recordings.iter().map(RecordingData::folder_name).collect();
        return Err(Failure::Arguments(format!(
            "`{}` has {} recordings; name one of them with `--recording`: {}",
            convert.what.dataset.display(),
            names.len(),
            names.join(", ")
        )));
    };
    let to = convert.output.as_path();
    let name = recording.folder_name();
    let made = match convert.to {
        Format::Bincode => output
            .watched(name, |watch| to_bincode(recording, to, watch))
            .map(|()| to.to_owned()),
        Format::Jsonl => output
            .watched(name, |watch| to_jsonl(recording, to, watch))
            .map(|()| to.to_owned()),
        Format::Lerobot => {
            let task = convert.task.as_deref().unwrap_or(recording.name());
            let made = output.watched(name, |watch| to_lerobot(recording, to, task, convert.fps, watch));
            made.map(|()| to.to_owned())
        }
        Format::Minari => {
            let id = convert
                .id
                .clone()
                .unwrap_or_else(|| minari_id(&convert.what.dataset, name));
            output.watched(name, |watch| to_minari(recording, to, &id, watch))
        }
    }?;
    if output.is_json() {
        output.json(&json!({ "recording": name, "output": made }))?;
    } else {
        output.line(format!("`{name}` is in `{}`", made.display()))?;
    }
    Ok(Verdict::Fine)
}

/// `arena/fighter-v0`, with `_` for every sign that Minari does not take.
fn minari_id(dataset: &Path, recording: &str) -> String {
    let plain = |name: &str| -> String {
        let signs = name.chars().map(|sign| {
            if sign.is_ascii_alphanumeric() || sign == '-' {
                sign
            } else {
                '_'
            }
        });
        signs.collect()
    };
    let recording = plain(recording);
    // `.` and `..` are folders without names, until the system tells them.
    let folder = dataset.canonicalize().ok();
    match folder.as_deref().and_then(Path::file_name) {
        Some(folder) => format!("{}/{recording}-v0", plain(&folder.to_string_lossy())),
        None => format!("{recording}-v0"),
    }
}

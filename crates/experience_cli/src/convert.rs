//! The command `experience convert`.

use crate::{
    Verdict,
    args::{ConvertArgs, OutputFormat},
    output::{CommandError, Printer},
    output_place::OutputPlace,
};
use experience_dataset::convert::{MinariObservations, to_bincode, to_jsonl, to_lerobot, to_minari};
use serde_json::json;
use std::path::Path;

pub fn run(convert: &ConvertArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    let recording = &convert.source.recording()?;
    let place = OutputPlace::new(&convert.output)?;
    let local = place.path();
    let to = local.as_path();
    for (option, format, is_given) in [
        ("--id", OutputFormat::Minari, convert.id.is_some()),
        ("--flat", OutputFormat::Minari, convert.flat),
        ("--task", OutputFormat::Lerobot, convert.task.is_some()),
        ("--fps", OutputFormat::Lerobot, convert.fps.is_some()),
    ] {
        if is_given && convert.to != format {
            output.remark(&format!("`{option}` has no effect on this format"));
        }
    }
    let name = recording.folder_name();
    let written = match convert.to {
        OutputFormat::Bincode => output
            .with_progress(name, |watch| to_bincode(recording, to, watch))
            .map(|()| to.to_owned()),
        OutputFormat::Jsonl => output
            .with_progress(name, |watch| to_jsonl(recording, to, watch))
            .map(|()| to.to_owned()),
        OutputFormat::Lerobot => {
            let task = convert.task.as_deref().unwrap_or(recording.name());
            let written = output.with_progress(name, |watch| to_lerobot(recording, to, task, convert.fps, watch));
            written.map(|()| to.to_owned())
        }
        OutputFormat::Minari => {
            let id = convert
                .id
                .clone()
                .unwrap_or_else(|| minari_id(&convert.source.dataset, name));
            let observations = if convert.flat {
                MinariObservations::Flat
            } else {
                MinariObservations::Lists
            };
            output.with_progress(name, |watch| to_minari(recording, to, &id, observations, watch))
        }
    }?;
    // A dataset of Minari is in a folder of the output.
    let below = written.strip_prefix(to).map(Path::to_owned).unwrap_or_default();
    let shown = place.finish()?;
    let written = if below.as_os_str().is_empty() {
        shown
    } else {
        shown.join(below)
    };
    if output.is_json() {
        output.json(&json!({ "recording": name, "output": written }))?;
    } else {
        output.line(format!("`{name}` was written to `{}`", written.display()))?;
    }
    Ok(Verdict::Clean)
}

/// The default Minari id, like `arena/fighter-v0`, with `_` for every character that Minari does not allow.
fn minari_id(dataset: &Path, recording: &str) -> String {
    let plain = |name: &str| -> String {
        let chars = name.chars().map(|char| {
            if char.is_ascii_alphanumeric() || char == '-' {
                char
            } else {
                '_'
            }
        });
        chars.collect()
    };
    let recording = plain(recording);
    // `.` and `..` have no file name before they are resolved.
    let folder = dataset.canonicalize().ok();
    match folder.as_deref().and_then(Path::file_name) {
        Some(folder) => format!("{}/{recording}-v0", plain(&folder.to_string_lossy())),
        None => format!("{recording}-v0"),
    }
}

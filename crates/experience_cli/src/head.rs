//! The command `experience head`.

use crate::{
    Verdict,
    args::HeadArgs,
    output::{CommandError, Printer, counted, number},
};
use experience_core::{
    schema::Column,
    transition::{Episode, Outcome, Transition},
};
use experience_dataset::{RecordingData, convert::JsonLine};

/// The maximum number of transitions side by side in a table, and of features.
const MAX_COLUMNS: usize = 8;
const MAX_FEATURES: usize = 64;

pub fn run(head: &HeadArgs, output: &mut Printer) -> Result<Verdict, CommandError> {
    for recording in head.source.recordings()? {
        let mut left = head.transitions;
        if !output.is_json() {
            output.line(format!("`{}`", recording.folder_name()))?;
        }
        if !output.is_json() && recording.transitions()? == 0 {
            output.line("  no transition is in a shard; `experience info` shows what its runs recorded")?;
        }
        for episode in recording.episodes() {
            if left == 0 || output.is_closed() {
                break;
            }
            let episode = episode?;
            let shown = episode.len().min(left);
            left -= shown;
            if output.is_json() {
                for step in 0..shown {
                    output.json(&JsonLine(episode.transition(step)))?;
                }
            } else {
                print(&recording, &episode, shown, output)?;
            }
        }
    }
    Ok(Verdict::Clean)
}

/// Prints transitions side by side, with a line for each value, because the values of one transition do not fit into one line.
fn print(recording: &RecordingData, episode: &Episode, shown: usize, output: &mut Printer) -> Result<(), CommandError> {
    let info = episode.info();
    output.line(format!(
        "episode {} of agent {}, run {}: {}, {}, {}",
        info.episode_id,
        info.agent_id,
        info.run,
        counted(episode.len() as u64, "transition"),
        match episode.outcome() {
            Outcome::Terminated => "terminated",
            Outcome::Truncated => "truncated",
        },
        episode.reason()
    ))?;
    let schema = recording.schema();
    let features = schema.feature_names();
    let actions: Vec<String> = schema.action().iter().flat_map(Column::element_names).collect();
    for start in (0..shown).step_by(MAX_COLUMNS) {
        let transitions: Vec<_> = (start..shown.min(start + MAX_COLUMNS))
            .map(|step| episode.transition(step))
            .collect();
        let line = |name: &str, value: &dyn Fn(&Transition<'_>) -> String| {
            [name.to_owned()]
                .into_iter()
                .chain(transitions.iter().map(value))
                .collect::<Vec<_>>()
        };
        let mut rows = vec![line("tick", &|transition| transition.tick().to_string())];
        for (index, name) in features.iter().enumerate().take(MAX_FEATURES) {
            rows.push(line(name, &|transition| {
                number(f64::from(transition.observation()[index]))
            }));
        }
        for (index, name) in actions.iter().enumerate().take(MAX_FEATURES) {
            rows.push(line(&format!("→ {name}"), &|transition| {
                transition.action().nth(index).map_or_else(String::new, number)
            }));
        }
        rows.push(line("reward", &|transition| number(transition.reward())));
        let head: Vec<String> = ["step".to_owned()]
            .into_iter()
            .chain(transitions.iter().map(|transition| transition.step().to_string()))
            .collect();
        output.table(&head.iter().map(String::as_str).collect::<Vec<_>>(), rows)?;
    }
    for image in schema.images() {
        output.line(format!(
            "and the image `{}` of shape {:?}: `--json` has its bytes",
            image.name, image.shape
        ))?;
    }
    if features.len() > MAX_FEATURES {
        output.line(format!(
            "and {} more features: `--json` shows all",
            features.len() - MAX_FEATURES
        ))?;
    }
    Ok(())
}

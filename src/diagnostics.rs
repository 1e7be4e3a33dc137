//! [`ExperienceDiagnosticsPlugin`]: diagnostics of recordings for `bevy_diagnostic`.

use crate::plugin::Experience;
use bevy_app::{App, Plugin, PostUpdate};
use bevy_diagnostic::{Diagnostic, DiagnosticMeasurement, DiagnosticPath, DiagnosticsStore};
use bevy_ecs::system::{Local, Res, ResMut};
use bevy_platform::time::Instant;

/// Measures every recording once per update, under the paths `experience/<recording>/<name>`:
///
/// | name | |
/// |---|---|
/// | `recorded` | transitions closed by captures |
/// | `exported` | transitions written by every sink |
/// | `dropped` | transitions lost by at least one sink |
/// | `pending` | transitions not yet written by at least one sink |
/// | `flush_ms` | duration of the last flush of a sink in milliseconds, including retries |
/// | `lag` | age in seconds of the oldest episode that a sink has received and not written |
///
/// With several sinks, each number is that of the worst sink.
///
/// Each policy of a recording has, under the paths `experience/<recording>/<policy>/<name>`:
///
/// | name | |
/// |---|---|
/// | `call_ms` | duration of the last call of its model in milliseconds |
/// | `actions` | actions that it has written |
/// | `failures` | decisions that failed or were late, and players without an action |
///
/// ```
/// # use bevy_app::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # let mut app = App::new();
/// app.add_plugins(ExperiencePlugins); // or `ExperienceDiagnosticsPlugin`, after `ExperiencePlugin`
/// // Bevy's `LogDiagnosticsPlugin` writes them to the log.
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ExperienceDiagnosticsPlugin;

impl ExperienceDiagnosticsPlugin {
    /// The path of a diagnostic: `ExperienceDiagnosticsPlugin::path("fighter", "lag")`.
    #[must_use]
    pub fn path(recording: &str, name: &str) -> DiagnosticPath {
        DiagnosticPath::new(format!("experience/{}/{name}", path_component(recording)))
    }
}

impl Plugin for ExperienceDiagnosticsPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<DiagnosticsStore>().add_systems(PostUpdate, measure);
    }
}

/// The name of a recording as exactly one component of a path.
fn path_component(recording: &str) -> String {
    if recording.is_empty() {
        return "_".to_owned();
    }
    recording.replace('/', "_")
}

/// The diagnostics of a recording: name and unit.
const DIAGNOSTICS: [(&str, &str); 6] = [
    ("recorded", ""),
    ("exported", ""),
    ("dropped", ""),
    ("pending", ""),
    ("flush_ms", " ms"),
    ("lag", " s"),
];

/// The diagnostics of a policy: name and unit.
const POLICY_DIAGNOSTICS: [(&str, &str); 3] = [("call_ms", " ms"), ("actions", ""), ("failures", "")];

/// Adds a diagnostic to the store, and returns its path.
fn register(store: &mut DiagnosticsStore, path: DiagnosticPath, unit: &'static str) -> DiagnosticPath {
    store.add(
        Diagnostic::new(path.clone())
            .with_suffix(unit)
            .with_smoothing_factor(0.0),
    );
    path
}

fn add_measurements(store: &mut DiagnosticsStore, paths: &[DiagnosticPath], values: &[f64]) {
    let time = Instant::now();
    for (path, &value) in paths.iter().zip(values) {
        let enabled = store.get_mut(path).filter(|diagnostic| diagnostic.is_enabled);
        if let Some(diagnostic) = enabled {
            diagnostic.add_measurement(DiagnosticMeasurement { time, value });
        }
    }
}

fn measure(
    experience: Option<Res<Experience>>,
    mut store: ResMut<DiagnosticsStore>,
    mut paths: Local<Vec<[DiagnosticPath; DIAGNOSTICS.len()]>>,
    mut policy_paths: Local<Vec<Vec<[DiagnosticPath; POLICY_DIAGNOSTICS.len()]>>>,
) {
    let Some(experience) = experience else { return };
    for (index, recording) in experience.recordings().enumerate() {
        if index == paths.len() {
            // Recordings are never removed, so an index always refers to the same recording.
            paths
                .push(DIAGNOSTICS.map(|(name, unit)| {
                    register(&mut store, ExperienceDiagnosticsPlugin::path(recording, name), unit)
                }));
            policy_paths.push(Vec::new());
        }
        for (policy, status) in experience.policies(recording).enumerate() {
            if policy == policy_paths[index].len() {
                policy_paths[index].push(POLICY_DIAGNOSTICS.map(|(name, unit)| {
                    let name = format!("{}/{name}", path_component(&status.name));
                    register(&mut store, ExperienceDiagnosticsPlugin::path(recording, &name), unit)
                }));
            }
            let values = [
                status.last_call.as_secs_f64() * 1e3,
                status.actions as f64,
                (status.failed + status.late + status.undecided + status.not_written) as f64,
            ];
            add_measurements(&mut store, &policy_paths[index][policy], &values);
        }
        let Some(progress) = experience.progress(recording) else {
            continue;
        };
        let values = [
            progress.recorded as f64,
            progress.exported as f64,
            progress.dropped as f64,
            progress.pending as f64,
            progress.flush.as_secs_f64() * 1e3,
            progress.lag.as_secs_f64(),
        ];
        add_measurements(&mut store, &paths[index], &values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_one_part_of_a_path() {
        for name in ["fighter", "", "../..", "a/b", "🦀", "a\0b"] {
            let path = ExperienceDiagnosticsPlugin::path(name, "lag");
            assert_eq!(path.components().count(), 3, "{name}");
            assert_eq!(path.components().last(), Some("lag"), "{name}");
        }
    }
}

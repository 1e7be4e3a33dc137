//! What recordings are doing, as diagnostics of Bevy: in its log, in an overlay, wherever a game shows such things.

use crate::plugin::Experience;
use bevy_app::{App, Plugin, PostUpdate};
use bevy_diagnostic::{Diagnostic, DiagnosticMeasurement, DiagnosticPath, DiagnosticsStore};
use bevy_ecs::system::{Local, Res, ResMut};
use bevy_platform::time::Instant;

/// Measures every recording once an update, under `experience/<recording>/<what>`:
///
/// | what | |
/// |---|---|
/// | `recorded` | transitions that capture closed |
/// | `exported` | transitions that all of its sinks took |
/// | `dropped` | transitions that were lost to one of its sinks, or to all |
/// | `pending` | transitions that are on the way to one of its sinks |
/// | `flush_ms` | milliseconds that the last flush of a sink took, with all attempts |
/// | `lag` | seconds that the oldest episode which a sink was handed has waited for it |
///
/// Where a recording has several sinks it is the worst of them that counts.
///
/// ```
/// # use bevy_app::prelude::*;
/// use bevy_experience::prelude::*;
///
/// # let mut app = App::new();
/// app.add_plugins((ExperiencePlugin::default(), ExperienceDiagnosticsPlugin));
/// // Bevy's `LogDiagnosticsPlugin` writes them into the log.
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ExperienceDiagnosticsPlugin;

impl ExperienceDiagnosticsPlugin {
    /// The path of a diagnostic: `ExperienceDiagnosticsPlugin::path("fighter", "lag")`.
    #[must_use]
    pub fn path(recording: &str, what: &str) -> DiagnosticPath {
        DiagnosticPath::new(format!("experience/{}/{what}", component(recording)))
    }
}

impl Plugin for ExperienceDiagnosticsPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<DiagnosticsStore>().add_systems(PostUpdate, measure);
    }
}

/// A recording's name as a part of a path: whatever it is, it is one, and not empty.
fn component(recording: &str) -> String {
    if recording.is_empty() {
        return "_".to_owned();
    }
    recording.replace('/', "_")
}

/// What is measured of a recording, and in which unit.
const MEASURED: [(&str, &str); 6] = [
    ("recorded", ""),
    ("exported", ""),
    ("dropped", ""),
    ("pending", ""),
    ("flush_ms", " ms"),
    ("lag", " s"),
];

fn measure(
    experience: Option<Res<Experience>>,
    mut store: ResMut<DiagnosticsStore>,
    mut known: Local<Vec<[DiagnosticPath; MEASURED.len()]>>,
) {
    let Some(experience) = experience else { return };
    let now = Instant::now();
    for (place, recording) in experience.recordings().enumerate() {
        if place == known.len() {
            // Recordings are never removed, so each is met once.
            known.push(MEASURED.map(|(what, unit)| {
                let path = ExperienceDiagnosticsPlugin::path(recording, what);
                store.add(
                    Diagnostic::new(path.clone())
                        .with_suffix(unit)
                        .with_smoothing_factor(0.0),
                );
                path
            }));
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
        for (path, value) in known[place].iter().zip(values) {
            let enabled = store.get_mut(path).filter(|diagnostic| diagnostic.is_enabled);
            if let Some(diagnostic) = enabled {
                diagnostic.add_measurement(DiagnosticMeasurement { time: now, value });
            }
        }
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

//! Apps and assertions that several modules of the export tests share.

use bevy_experience::{account::RunReport, export::ExportSettings, prelude::*, test_app::TestApp};
use core::time::Duration;

/// An app whose exporter does not poll: it drains when the game wakes it before a buffer fills, on a flush, and on close.
pub fn app_with_idle_exporter() -> TestApp {
    TestApp::with_plugin(ExperiencePlugin {
        export: ExportSettings {
            poll_interval: Duration::from_secs(3600),
            flush_interval: Duration::from_secs(3600),
            ..Default::default()
        },
        ..Default::default()
    })
}

/// Asserts that each recorded transition is exported, dropped, discarded or pending.
#[track_caller]
pub fn assert_balanced(report: &RunReport) {
    assert_eq!(
        report.recorded,
        report.exported + report.dropped + report.discarded + report.pending,
        "{report:?}"
    );
}

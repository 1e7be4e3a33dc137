//! Windowed run of the `arena` command: in a window, or offscreen for a screenshot.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use arena::{
    ArenaPlugin, Clock, TickLimit,
    window::{ArenaWindowPlugin, RenderOutput, ScreenshotFile, check_screenshot_path, create_app},
};
use bevy::{prelude::*, window::ExitSystems};

use crate::{
    cli::Args,
    policies,
    run::{CompletedRun, add_recording, exit_code, finish},
    summary::Summary,
};

/// Ticks to play before a screenshot by default.
const DEFAULT_SCREENSHOT_TICKS: u64 = 1200;

/// The summary, once the app exits.
type SharedSummary = Arc<Mutex<Option<Result<Summary, String>>>>;

/// Plays the arena in a window until it is closed, or until the screenshot is taken.
///
/// # Errors
/// A message for the user when no window can be opened, no screenshot taken, or the dataset cannot be created or
/// finished.
pub fn run(args: &Args) -> Result<CompletedRun, String> {
    let output = render_output(args)?;
    let mut app = create_app(&output)?;
    app.add_plugins((
        ArenaPlugin {
            settings: args.settings(),
        },
        ArenaWindowPlugin {
            human: args.human.then_some(0),
            follow: args.follow,
            inspector: args.inspector,
        },
    ));
    let ticks = match output {
        RenderOutput::Window => args.ticks,
        RenderOutput::Screenshot(_) => args.ticks.or(Some(DEFAULT_SCREENSHOT_TICKS)),
    };
    if let Some(ticks) = ticks {
        app.insert_resource(TickLimit(ticks));
    }
    if matches!(output, RenderOutput::Window) {
        app.add_systems(PostUpdate, exit_at_limit.run_if(resource_exists::<TickLimit>));
    }
    if args.no_record {
        policies::add_unrecorded(&mut app, args)?;
    } else {
        add_recording(&mut app, args)?;
    }
    // `App::run` may not return the world, so the run is summarized in the last schedule before it exits.
    let shared = SharedSummary::default();
    let (summary, args_copy) = (shared.clone(), args.clone());
    let started = Instant::now();
    let summarize = move |world: &mut World| {
        if world.resource::<Messages<AppExit>>().is_empty() {
            return;
        }
        let finished = finish(world, &args_copy, started);
        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        summary.get_or_insert(finished);
    };
    app.add_systems(Last, summarize.after(ExitSystems));
    let before = SystemTime::now();
    let exit = app.run();
    if let RenderOutput::Screenshot(ScreenshotFile { path, .. }) = &output {
        let written = fs::metadata(path).and_then(|file| file.modified());
        if exit.is_success() && !written.is_ok_and(|written| written >= before) {
            return Err(format!(
                "`{}` was not written: see the log for the reason",
                path.display()
            ));
        }
    }
    let summary = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(CompletedRun {
        summary: summary.ok_or("the window closed before the run could be summarized")??,
        exit_code: exit_code(&exit),
    })
}

fn render_output(args: &Args) -> Result<RenderOutput, String> {
    let Some(path) = &args.screenshot else {
        return Ok(RenderOutput::Window);
    };
    check_screenshot_path(path).map_err(|error| format!("no screenshot can be saved: {error}"))?;
    Ok(RenderOutput::Screenshot(ScreenshotFile {
        path: path.clone(),
        size: args.size,
    }))
}

/// Closes the window after the last tick.
fn exit_at_limit(limit: Res<TickLimit>, clock: Res<Clock>, mut exit: MessageWriter<AppExit>) {
    if limit.is_reached(&clock) {
        exit.write(AppExit::Success);
    }
}

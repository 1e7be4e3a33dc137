//! The same in a window, or for a picture of it.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use arena::{
    ArenaPlugin, Clock, LastTick,
    window::{ArenaWindowPlugin, Picture, Screen, open, refuse_file},
};
use bevy::{prelude::*, window::ExitSystems};

use crate::{
    cli::Args,
    run::{Played, conclude, exit_code, record},
    summary::Summary,
};

/// Ticks to play before a picture, unless told.
const TICKS_TO_PICTURE: u64 = 1200;

/// What came of the game, once it is over.
type Outcome = Arc<Mutex<Option<Result<Summary, String>>>>;

/// Plays what was asked for in a window, until it is closed.
///
/// # Errors
/// When no window can be opened, no picture taken, or the dataset cannot go where it should, in words for the user.
pub fn run(args: &Args) -> Result<Played, String> {
    let screen = screen(args)?;
    let mut app = open(&screen)?;
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
    let ticks = match screen {
        Screen::Window => args.ticks,
        Screen::Picture(_) => args.ticks.or(Some(TICKS_TO_PICTURE)),
    };
    if let Some(ticks) = ticks {
        app.insert_resource(LastTick(ticks));
    }
    if matches!(screen, Screen::Window) {
        app.add_systems(PostUpdate, leave.run_if(resource_exists::<LastTick>));
    }
    if !args.no_record {
        record(&mut app, args)?;
    }
    // The app does not come back from its event loop: what there is to say is said before it is gone.
    let outcome = Outcome::default();
    let (told, asked) = (outcome.clone(), args.clone());
    let started = Instant::now();
    let sum_up = move |world: &mut World| {
        if world.resource::<Messages<AppExit>>().is_empty() {
            return;
        }
        let concluded = conclude(world, &asked, started);
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get_or_insert(concluded);
    };
    app.add_systems(Last, sum_up.after(ExitSystems));
    let before = SystemTime::now();
    let exit = app.run();
    if let Screen::Picture(Picture { file, .. }) = &screen {
        let written = fs::metadata(file).and_then(|file| file.modified());
        if exit.is_success() && !written.is_ok_and(|written| written >= before) {
            return Err(format!("`{}` was not written: the log says why", file.display()));
        }
    }
    let summary = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(Played {
        summary: summary.ok_or("the window closed before the game was over, and nothing can be said of it")??,
        exit_code: exit_code(&exit),
    })
}

fn screen(args: &Args) -> Result<Screen, String> {
    let Some(file) = &args.screenshot else {
        return Ok(Screen::Window);
    };
    match refuse_file(file) {
        Some(wrong) => Err(format!("no picture can be taken: {wrong}")),
        None => Ok(Screen::Picture(Picture {
            file: file.clone(),
            size: args.size,
        })),
    }
}

/// Closes the window after the last tick.
fn leave(last: Res<LastTick>, clock: Res<Clock>, mut exit: MessageWriter<AppExit>) {
    if last.is_over(&clock) {
        exit.write(AppExit::Success);
    }
}

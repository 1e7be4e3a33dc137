//! An app that plays the arena without a window.

use bevy_app::{App, First, FixedFirst, FixedLast, FixedPostUpdate, FixedPreUpdate, FixedUpdate, Last, PostUpdate};
use bevy_app::{PreUpdate, RunFixedMainLoop, TaskPoolOptions, Update};
use bevy_ecs::schedule::{ScheduleLabel, SingleThreadedExecutor};
use bevy_time::{TimePlugin, TimeUpdateStrategy};

use crate::{ArenaPlugin, ArenaSettings};

/// An app without a window, in which every update after the first plays exactly one tick, as fast as it can.
///
/// The first update starts the app and plays none. Whoever wants game time to follow the clock on the wall waits between
/// updates.
pub fn headless(settings: ArenaSettings) -> App {
    // Other plugins may count on these pools. `TaskPoolPlugin` would also look for tasks of the main thread in every
    // update, of which there are none, and take a quarter of a small arena's time for it.
    TaskPoolOptions::default().create_default_pools();
    let mut app = App::new();
    app.add_plugins((TimePlugin, ArenaPlugin { settings }))
        .insert_resource(TimeUpdateStrategy::FixedTimesteps(1));
    // A tick of a small arena takes less time than waking another thread.
    single_threaded(&mut app, First);
    single_threaded(&mut app, PreUpdate);
    single_threaded(&mut app, RunFixedMainLoop);
    single_threaded(&mut app, FixedFirst);
    single_threaded(&mut app, FixedPreUpdate);
    single_threaded(&mut app, FixedUpdate);
    single_threaded(&mut app, FixedPostUpdate);
    single_threaded(&mut app, FixedLast);
    single_threaded(&mut app, Update);
    single_threaded(&mut app, PostUpdate);
    single_threaded(&mut app, Last);
    app
}

fn single_threaded(app: &mut App, schedule: impl ScheduleLabel) {
    app.edit_schedule(schedule, |schedule| {
        schedule.set_executor(SingleThreadedExecutor::new());
    });
}

//! Headless app: runs the arena without a window.

use bevy_app::{App, First, FixedFirst, FixedLast, FixedPostUpdate, FixedPreUpdate, FixedUpdate, Last, PostUpdate};
use bevy_app::{PreUpdate, RunFixedMainLoop, TaskPoolOptions, Update};
use bevy_ecs::schedule::{ScheduleLabel, SingleThreadedExecutor};
use bevy_time::{TimePlugin, TimeUpdateStrategy};

use crate::{ArenaPlugin, ArenaSettings};

/// An app without a window, in which every update after the first runs exactly one fixed tick.
///
/// The first update runs `Startup` and no tick. Updates do not sleep: to follow wall-clock time, sleep between them.
pub fn headless(settings: ArenaSettings) -> App {
    // Other plugins may use these pools. `TaskPoolPlugin` would also tick main-thread tasks in every update. There are
    // none, and ticking takes a quarter of the time of a small arena's update.
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

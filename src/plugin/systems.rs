//! The systems. Each takes the works out of their resource, which they are part of the world with, and puts them back.

use super::{LiveSettings, events, experience::Experience, works::Works};
use bevy_app::AppExit;
use bevy_ecs::{message::Messages, schedule::InternedScheduleLabel, world::World};

/// Does something with the works and the world that they are part of.
fn with_works(world: &mut World, work: impl FnOnce(&mut Works, &mut World)) {
    let Some(mut works) = world
        .get_resource_mut::<Experience>()
        .and_then(|mut experience| experience.borrow())
    else {
        return;
    };
    work(&mut works, world);
    if let Some(mut experience) = world.get_resource_mut::<Experience>() {
        experience.give_back(works);
    }
}

pub(super) fn begin_tick(world: &mut World) {
    with_works(world, Works::begin_tick);
}

pub(super) fn capture(world: &mut World) {
    with_works(world, Works::capture);
}

pub(super) fn export(world: &mut World) {
    with_works(world, |works, world| {
        if let Some(live) = world.get_resource::<LiveSettings>() {
            works.heed(live);
        }
        works.export();
    });
    events::tell(world);
}

/// The system that reads actions at the end of `schedule`.
pub(super) fn read_actions(schedule: InternedScheduleLabel) -> impl FnMut(&mut World) + Send + Sync + 'static {
    move |world| {
        with_works(world, |works, world| {
            for slot in works.slots.iter_mut().filter(|slot| slot.act_in == Some(schedule)) {
                slot.recorder.read_actions(world);
            }
        });
    }
}

pub(super) fn close_at_exit(world: &mut World) {
    let leaving = world
        .get_resource::<Messages<AppExit>>()
        .is_some_and(|exits| !exits.is_empty());
    if leaving {
        with_works(world, |works, world| {
            let timeout = works.settings.close_timeout;
            works.close(Some(world), timeout);
        });
    }
}

//! Replays recorded episodes of [`bevy_experience`] in the game: the components that a recording reads are written to a ghost entity,
//! step by step, with play, pause, seek and speed.
//!
//! ```no_run
//! use bevy_app::prelude::*;
//! use bevy_ecs::prelude::*;
//! use bevy_transform::prelude::*;
//! use bevy_experience::{dataset::{Dataset, EpisodeQuery}, prelude::*};
//! use bevy_experience_replay::{Replay, ReplayEnded, ReplayPlugin};
//!
//! #[derive(Component)]
//! struct Fighter;
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let dataset = Dataset::open("data/my_game")?;
//! let episode = dataset.recording("fighter")?.episode(&EpisodeQuery::new().agent(3))?;
//!
//! let mut app = App::new();
//! app.add_plugins((ExperiencePlugin { enabled: false, ..Default::default() }, ReplayPlugin))
//!     // The recording says which column is which field of which component.
//!     .add_recording(Recording::<Fighter>::new("fighter").observe_fields::<Transform>(["translation.x", "translation.y"]))
//!     .add_observer(|ended: On<ReplayEnded>, mut replays: Query<&mut Replay>| {
//!         if let Ok(mut replay) = replays.get_mut(ended.entity) {
//!             replay.play(); // from the beginning
//!         }
//!     });
//! app.world_mut().spawn((Replay::new(episode), Transform::default()));
//! app.run();
//! # Ok(())
//! # }
//! ```
//!
//! # Ghosts
//! A ghost is an entity that the game spawns for the replay, with the components that are restored and a look of its own. [`Replay`]
//! requires [`DoNotRecord`](bevy_experience::player::DoNotRecord), so a ghost is never recorded, and does not appear in what other
//! players observe. The component is inserted again if it is removed before the replay. Do not insert [`Replay`] on a player: its
//! open episode would be discarded.
//!
//! Systems of the game that move players would move a ghost as well, if it has their components: leave it out with
//! `Without<Replay>`, or do not give it the marker.
//!
//! # What is restored
//! What [`EpisodeRestorer`](bevy_experience::restore::EpisodeRestorer) writes: fields that were recorded by reflection, through the
//! plan of the app's recording with the same name, run backwards. [`Replay::report`] lists every column, and why it is not restored;
//! it is logged once. An episode whose columns differ from those of the app's recording is refused: [`Replay::error`] says what differs,
//! and the game goes on.
//!
//! # Time
//! Row k of an episode is shown when the replay has played for as long as it took in the game that recorded it: from the timestamps
//! of the rows, which are seconds of game time. [`Replay::with_tick_rate`] counts ticks in their place. Replays advance with
//! [`Time<Virtual>`](bevy_time::Virtual) in [`PreUpdate`](bevy_app::PreUpdate), in the set [`ReplaySystems`], so they pause and slow
//! down with the game. All systems of a frame's fixed ticks and of `Update` see the same row. A row stays until the next one: nothing
//! is interpolated. Components are written when another row is shown, so change detection sees each row once.

mod plugin;
mod replay;
mod report;
mod timeline;

pub use plugin::{ReplayEnded, ReplayPlugin, ReplaySystems};
pub use replay::Replay;
pub use report::ReplayReport;

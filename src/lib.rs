//! Record training data from any Bevy game.
//!
//! Add one plugin, name the components that matter, and play: every player's life comes out as reinforcement-learning
//! transitions that trainers load without a converter of their own. The game is not rewritten as an environment. Its
//! players join, die, leave and come back as they do, people or bots, and what is lost on the way is counted.
//!
//! # Quick start
//! ```no_run
//! use bevy_app::prelude::*; // `use bevy::prelude::*;` in place of these, with the whole of Bevy
//! use bevy_ecs::prelude::*;
//! use bevy_reflect::Reflect;
//! use bevy_transform::prelude::*;
//!
//! use bevy_experience::prelude::*;
//!
//! #[derive(Component)]
//! struct Fighter;
//!
//! #[derive(Component, Reflect)]
//! struct Health(f32);
//!
//! /// What a keyboard, or a bot, wants a fighter to do.
//! #[derive(Component, Reflect)]
//! struct Intent {
//!     turn: f32,
//!     shoot: bool,
//! }
//!
//! App::new()
//!     .add_plugins(ExperiencePlugin::default()) // after `DefaultPlugins`, or on a server without them
//!     .add_recording(
//!         Recording::<Fighter>::new("fighter")
//!             .observe_fields::<Transform>(["translation.x", "translation.y"])
//!             .observe::<Health>()
//!             .act::<Intent>()
//!             .reward_terms(["alive"])
//!             .sink(DatasetSink::new("data/my_game")),
//!     )
//!     .add_systems(FixedUpdate, score)
//!     .add_observer(respawn)
//!     .run();
//!
//! fn score(mut fighters: Query<(Entity, &Health, &mut Reward)>, mut commands: Commands) {
//!     for (fighter, health, mut reward) in &mut fighters {
//!         reward.add("alive", 0.01);
//!         if health.0 <= 0.0 {
//!             commands.trigger(EndEpisode::terminated(fighter, "death"));
//!         }
//!     }
//! }
//!
//! // The final observation is taken: now restore the fighter.
//! fn respawn(ended: On<EpisodeEnded>, mut fighters: Query<(&mut Transform, &mut Health)>) {
//!     if let Ok((mut transform, mut health)) = fighters.get_mut(ended.entity) {
//!         *transform = Transform::IDENTITY;
//!         health.0 = 100.0;
//!     }
//! }
//! ```
//!
//! The folder holds Parquet files, one row a transition, and a description of their columns; see [`sink::arrow`] for
//! the columns and [`dataset`] for reading them back in Rust.
//!
//! # Concepts
//! - A **player** is an entity with the marker component of a recording, `Fighter` above. Nothing else about it is the
//!   recording's: players are spawned and despawned as the game likes.
//! - A **recording** ([`Recording`](recording::Recording)) says what is read of its players: one stream of alike
//!   players with one schema. An app may have several, also of the same players.
//! - A **capture** is the moment at which players are looked at: once a fixed tick, right after `FixedLast`, unless
//!   [`ExperiencePlugin::capture_after`](plugin::ExperiencePlugin::capture_after) says otherwise. A frame with 0, 1 or
//!   3 fixed ticks has as many captures.
//! - A **transition** is an observation, the action taken in it, the reward that came of that, and the next
//!   observation. An **episode** is a life: T transitions, T + 1 observations, and how and why it ended. [`transition`]
//!   states the rules.
//! - An **agent id** ([`AgentId`](player::AgentId)) says who a player is when it comes back as another entity. Without
//!   one, players are numbered as they join.
//! - A **run** is one process's life. Several runs, also at the same time, may write one dataset.
//!
//! # What can be recorded
//! Components and resources need only `Reflect`, and become named columns: `Health(f32)` is `health`, the x of a
//! `Transform`'s translation is `transform.translation.x`. Numbers, `bool`s, enums without data, arrays, tuples and
//! structs of these, vectors and quaternions, and `Option`s of single values can be recorded. In an observation
//! everything is `f32`: an enum is one-hot, an `Option` is its value (0 for `None`) and whether there is one. Actions
//! and info keep their types. `f64` and 64-bit integers do not fit in an observation without loss, and need
//! [`narrow`](recording::Recording::narrow).
//!
//! What has no fixed width (strings, lists, maps, enums with data) or no meaning outside of the process (entities,
//! handles) is refused when the recording is added, by path and with the remedy. The way out is
//! [`observe_with`](recording::Recording::observe_with), a function of your own.
//!
//! # Where to reset
//! An episode's last observation is the state that the player ended in, not the one it was reset to. It is read when
//! [`EndEpisode`](episode::EndEpisode) is *applied*: `Commands::trigger` applies it at the next sync point,
//! `World::trigger` at once. Right places to reset a player are
//! - an observer of [`EpisodeEnded`](episode::EpisodeEnded), which is triggered right after the observation is taken.
//!   It works for players who are not recorded, and with the plugin disabled, too;
//! - a system that is ordered after the one that triggers, by `chain` or `after`;
//! - commands that are queued after the trigger.
//!
//! The wrong place is the triggering system itself: what it writes through a query is there before its commands are.
//! ```
//! # use bevy_app::prelude::*;
//! # use bevy_ecs::prelude::*;
//! # use bevy_experience::{prelude::*, test_app::TestApp};
//! # use bevy_reflect::Reflect;
//! # #[derive(Component)]
//! # struct Fighter;
//! # #[derive(Component, Reflect)]
//! # struct Health(f32);
//! # fn hurt(mut fighters: Query<&mut Health>) {
//! #     for mut health in &mut fighters {
//! #         health.0 -= 1.0;
//! #     }
//! # }
//! fn wrong(mut fighters: Query<(Entity, &mut Health)>, mut commands: Commands) {
//!     for (fighter, mut health) in &mut fighters {
//!         if health.0 <= 0.0 {
//!             commands.trigger(EndEpisode::terminated(fighter, "death"));
//!             health.0 = 3.0; // too early: the final observation will be 3
//!         }
//!     }
//! }
//!
//! fn right(fighters: Query<(Entity, &Health)>, mut commands: Commands) {
//!     for (fighter, health) in &fighters {
//!         if health.0 <= 0.0 {
//!             commands.trigger(EndEpisode::terminated(fighter, "death"));
//!         }
//!     }
//! }
//!
//! fn respawn(ended: On<EpisodeEnded>, mut fighters: Query<&mut Health>) {
//!     if let Ok(mut health) = fighters.get_mut(ended.entity) {
//!         health.0 = 3.0;
//!     }
//! }
//! # fn final_observation(set_up: impl FnOnce(&mut App)) -> f32 {
//! #     let mut test = TestApp::new();
//! #     test.record(Recording::<Fighter>::new("fighter").observe::<Health>());
//! #     set_up(&mut test);
//! #     test.world_mut().spawn((Fighter, Health(3.0)));
//! #     test.ticks(5);
//! #     let episodes = test.finish();
//! #     episodes[0].transition(episodes[0].len() - 1).next_observation()[0]
//! # }
//! # let last = final_observation(|app| { app.add_systems(FixedUpdate, (hurt, wrong).chain()); });
//! # assert_eq!(last, 3.0);
//! # let last = final_observation(|app| { app.add_systems(FixedUpdate, (hurt, right).chain()).add_observer(respawn); });
//! # assert_eq!(last, 0.0);
//! ```
//! The next episode begins at the capture of the same tick, where the reset left the player. Where a corpse waits to
//! respawn, [`EpisodeStart::OnEvent`](episode::EpisodeStart::OnEvent) leaves the wait out until a
//! [`BeginEpisode`](episode::BeginEpisode). For games that compute their sensors late in the tick, and reset in a later
//! one, there is [`FinalObservation::AtCapture`](episode::FinalObservation::AtCapture).
//!
//! `terminated` means that the world ended the episode; `truncated`, that watching stopped though it would have gone
//! on. The difference decides whether a trainer bootstraps, so say which it is. A despawn in mid-episode truncates
//! (`left`), and so does the end of the app (`shutdown`).
//!
//! # System sets and ordering
//! Captures have a schedule of their own, [`ExperienceCapture`](plugin::ExperienceCapture), so no system of the game is
//! ambiguous with them. Within it stand [`ExperienceSystems`](plugin::ExperienceSystems), in this order:
//!
//! | set | |
//! |---|---|
//! | `Stage` | for systems of yours that compute something at the last moment |
//! | `Capture` | ends are published, transitions close, players join |
//! | `Export` | what is new is handed to the exporter, which never waits |
//!
//! ```
//! # use bevy_app::prelude::*;
//! # use bevy_ecs::prelude::*;
//! # use bevy_experience::prelude::*;
//! # fn sense() {}
//! # let mut app = App::new();
//! # app.add_plugins(ExperiencePlugin::default());
//! app.add_systems(ExperienceCapture, sense.in_set(ExperienceSystems::Stage));
//! ```
//! The **action** of a transition is the one that its tick consumed. It is read at capture, which is right for a game
//! that leaves the intent where it was until the next tick. A game that clears it on use, or already writes the next
//! one, names the schedule after which it is to be read: `.act_in(FixedPreUpdate)`. **Rewards** count to the capture
//! that comes next, wherever they are given; a frame's `Update` comes after its fixed ticks.
//!
//! Recording never changes the game: nothing is inserted on players in mid-life, change detection is not touched, and
//! the same seed gives the same world with `ExperiencePlugin { enabled: false, .. }`.
//!
//! # Pausing
//! [`Experience::pause`](plugin::Experience::pause) stops recording, and says why; open episodes end at the next capture,
//! truncated with the reason `paused`. The game does not notice: players stay known, resets come when they would have.
//! [`resume`](plugin::Experience::resume) begins new episodes at the next capture. For one recording there are
//! [`pause_recording`](plugin::Experience::pause_recording) and
//! [`resume_recording`](plugin::Experience::resume_recording).
//!
//! # Backpressure
//! Each player has a buffer of fixed size ([`capacity`](recording::Recording::capacity), 512 steps unless told). A
//! thread of its own drains them, puts whole episodes together and hands those to the sinks, each of which has a thread and a
//! bounded queue ([`queue_bytes`](export::ExportSettings::queue_bytes)). A sink that is slow, fails or panics never holds up
//! a tick.
//!
//! Episodes that do not fit in a sink's queue wait in the [`journal`], on disk, and reach the sink in order: its **backlog**.
//! Meanwhile draining goes on, and the recording's other sinks get everything. A dataset has a journal; for recordings whose
//! sinks have none, such as a [`ChannelSink`](sink::ChannelSink) alone, [`JournalSettings::folder`](journal::JournalSettings::folder)
//! names a folder for one. When the backlog reaches
//! [`backlog_bytes`](journal::JournalSettings::backlog_bytes) (a gibibyte unless told), or there is no journal, the recording is
//! not drained while the sink's queue is full; the buffers fill, and [`Overflow`](buffer::Overflow) says what then happens:
//! - `DropOldest`, the default: the oldest step makes room, and is counted. For games that people play.
//! - `DropNewest`: the new step is not taken, and is counted.
//! - `Block(patience)`: the capture waits for the exporter, at most so long a tick. For games that run without a screen
//!   as fast as they can, and would rather be slow than lose; give a slow sink as much
//!   [`patience`](export::ExportSettings::patience).
//!
//! Memory is bounded: by [`memory_budget`](plugin::ExperiencePlugin::memory_budget) for all buffers, and on the
//! exporter's side by the episodes that are still open, each at most
//! [`max_episode_steps`](recording::Recording::max_episode_steps) long, longer ones being split; where there is a journal, it
//! holds no more of them than what was drained since the journal's last flush. A
//! [`ChannelSink`](sink::ChannelSink) whose reader is slower than the game refuses what does not fit, and counts it.
//!
//! Buffers lie on the heap unless [`memory`](recording::Recording::memory) says otherwise: near the processors of a large
//! server, or in files, which outlive a process that is killed; see [`buffer::memory`].
//!
//! A sink that has held up its recording for [`patience`](export::ExportSettings::patience) without taking anything has stalled,
//! and loses what fits neither in its queue nor in its backlog, alone. One that answers with an error is tried again as [`RetrySettings`](export::RetrySettings) say, and then what
//! it refuses is dropped. One that panics is retired. One whose disk is full pauses the recording, and is tried until there
//! is room; [`pause_reason`](plugin::Experience::pause_reason) says so meanwhile, and nothing that was taken is lost. Each
//! triggers a [`SinkFailed`](plugin::SinkFailed), and buffers that overflowed a [`GapDetected`](plugin::GapDetected), for
//! observers.
//!
//! # What is honest about loss
//! For each sink of each recording, in transitions, at any moment: `recorded = exported + dropped + discarded +
//! pending`. [`Experience::reports`](plugin::Experience::reports) has these counts while the game runs, and a dataset
//! keeps them in `runs/<run>.json`. Where steps were lost the episode ends at its last transition with a real
//! successor, `truncated` with the reason `gap`: no transition ever joins two observations that were not neighbours.
//!
//! When the app ends, by `AppExit` (a closed window and Ctrl-C are that, too) or by being dropped, also while a panic
//! unwinds, everything is written, within [`close_timeout`](export::ExportSettings::close_timeout). On Unix, SIGTERM kills a
//! process unless it is handled: [`handle_sigterm`](plugin::ExperiencePlugin::handle_sigterm), for a server in a container,
//! makes it an `AppExit`.
//!
//! What is not in the shards of a dataset yet is in a [`journal`] beside them. A process that is killed loses what was recorded
//! since the journal's last flush, a second before at most unless [`JournalSettings`](journal::JournalSettings) say otherwise;
//! and with [`Memory::File`](buffer::Memory::File) not even that. The next start, `experience recover` or
//! [`Dataset::recover`](dataset::Dataset::recover) brings the rest into shards. Episodes that had not ended are truncated there,
//! reason `crash`.
//!
//! # Watching it
//! [`ExperienceDiagnosticsPlugin`](diagnostics::ExperienceDiagnosticsPlugin) measures each recording as diagnostics of Bevy:
//! `experience/<recording>/recorded`, `exported`, `dropped`, `pending`, `flush_ms` and `lag`.
//! [`Experience::progress`](plugin::Experience::progress) has the same numbers. With the level `debug`, `tracing` tells when
//! captures, drains and sinks begin and end: the spans `experience_capture`, `experience_drain`, `experience_write`,
//! `experience_flush` and `experience_close`.
//!
//! [`Experience::players`](plugin::Experience::players) says what each player does at this moment, and
//! [`sinks`](plugin::Experience::sinks) how each sink gets on. An episode can be [ended](plugin::Experience::end_episode),
//! [thrown away](plugin::Experience::discard_episode) or [tagged](plugin::Experience::tag_episode), and a player
//! [excluded](plugin::Experience::exclude), without the game noticing.
//!
//! The feature `inspector` shows all that in a window over the game. How soon and how much is handed over can be changed while the
//! game runs: [`LiveSettings`](plugin::LiveSettings).
//!
//! # Consent
//! A player with [`DoNotRecord`](player::DoNotRecord) leaves no row, and is not seen by `observe_nearest` in the rows
//! of others. Inserted in mid-episode, it discards the open episode.
//! [`AgentId::from_account`](player::AgentId::from_account) makes ids from a platform's accounts that cannot be turned
//! back into them.
//!
//! # Cargo features
//! | feature | default | |
//! |---|---|---|
//! | `bevy` | yes | the plugin, on Bevy's sub-crates; without it, the rooms that need no engine |
//! | `arrow` | by `dataset` | Arrow record batches and [`ChannelSink`](sink::ChannelSink) |
//! | `dataset` | yes | [`DatasetSink`](sink::DatasetSink) and [`Dataset`](dataset::Dataset), on Parquet |
//! | `minari` | no | recordings as Minari's own files |
//! | `cli` | no | the command `experience`, which looks after datasets |
//! | `inspector` | no | the module `inspector`: a window of egui that shows what is recorded; builds Bevy's renderer |
//! | `inspector_ui` | no | the same, for an app that brings what draws egui itself |
//!
//! # Troubleshooting
//! Problems after start-up never panic: they are logged once each with `tracing`, so look at the log first (an app
//! without Bevy's `LogPlugin` or another subscriber shows none), then at the account.
//!
//! - **Nothing is recorded.** Players need the marker and *every* component that the recording reads; what is missing
//!   is logged. Captures follow fixed ticks, so `Time` must run: add `TimePlugin`, or capture after `Last`.
//! - **The dataset stays empty while the game runs.** A shard appears when it is whole: when it is large or old enough,
//!   and at the close. `DatasetSink::with_shard_age` makes it sooner.
//! - **Every episode ends with `shutdown`.** Nobody triggers `EndEpisode`.
//! - **Final observations look like first ones.** The player is reset too early: see [where to reset](#where-to-reset).
//! - **Actions are zero, or one tick late or early.** The intent is cleared on use, or written early: see `act_in`.
//! - **Nothing is recorded any more.** [`pause_reason`](plugin::Experience::pause_reason) may know why: a disk is full.
//! - **`failures` is not 0.** A sink answered with an error, which the log names; if `dropped` is 0, another attempt made it
//!   good.
//! - **`dropped` is not 0.** The disk or the channel's reader is slower than the game; in a run without a screen use
//!   `Overflow::Block`, in a game that people play a larger [`backlog_bytes`](journal::JournalSettings::backlog_bytes), with a
//!   [`folder`](journal::JournalSettings::folder) where the recording writes no dataset. If `non_finite` is not 0 either, a value was NaN or
//!   infinite; the log names the feature.
//! - **`unbuffered_agents` is not 0.** More players joined than the memory budget has buffers for, or a file could not be
//!   made; the log says which. Raise [`memory_budget`](plugin::ExperiencePlugin::memory_budget), or lower `capacity`.
//! - **`orphaned_rewards` is not 0.** Rewards were given to a player between episodes, or before its first capture:
//!   players join at the end of a tick, so what they earn in the very first one came of no recorded observation.
//! - **There is a folder `fighter@…`.** The columns are others than those in `fighter`, so the run went to a folder of
//!   its own; the log names the columns that differ.
//! - **A test needs all that without a game.** [`test_app`] plays exactly one tick an update and hands out the
//!   episodes.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod account;
mod assembly;
pub mod buffer;
mod cache;
#[cfg(feature = "bevy")]
pub mod capture;
#[cfg(feature = "dataset")]
pub mod dataset;
#[cfg(feature = "bevy")]
pub mod diagnostics;
#[cfg_attr(not(feature = "dataset"), expect(dead_code, reason = "only datasets need all of it"))]
mod disk;
#[cfg(feature = "bevy")]
pub mod episode;
pub mod export;
#[cfg(feature = "inspector_ui")]
pub mod inspector;
pub mod journal;
#[cfg(feature = "bevy")]
pub mod player;
#[doc = include_str!("../docs/performance.md")]
pub mod performance {}
#[cfg(feature = "bevy")]
pub mod plugin;
#[cfg(feature = "bevy")]
pub mod recording;
pub mod schema;
pub mod sink;
#[cfg(feature = "bevy")]
pub mod test_app;
pub mod transition;

/// The code of the read-me, which must compile.
#[cfg(all(doctest, feature = "bevy", feature = "dataset"))]
#[doc = include_str!("../README.md")]
struct ReadMe;

/// What a game needs to name.
pub mod prelude {
    #[cfg(feature = "arrow")]
    pub use crate::sink::ChannelSink;
    #[cfg(feature = "dataset")]
    pub use crate::sink::DatasetSink;
    pub use crate::{
        buffer::{BufferKind, Memory, Overflow},
        sink::MemorySink,
        transition::{EndReason, Outcome},
    };
    #[cfg(feature = "bevy")]
    pub use crate::{
        capture::Nearest,
        diagnostics::ExperienceDiagnosticsPlugin,
        episode::{
            BeginEpisode, DecisionTick, EndEpisode, EpisodeEnded, EpisodeStart, FinalObservation, NonFinite, RecordMode,
        },
        player::{AgentId, DoNotRecord, Reward},
        plugin::{
            Experience, ExperienceAppExt, ExperienceCapture, ExperiencePlugin, ExperienceSystems, GapDetected,
            PauseReason, SinkFailed,
        },
        recording::Recording,
    };
}

//! Records reinforcement-learning transitions from any Bevy game.
//!
//! Add one plugin and declare which components are observations and actions. Every episode of every player is then written
//! as transitions that trainers load without a converter. The game is not rewritten as an environment: its players, people
//! or bots, join, die, leave and come back as before. Transitions that are lost on the way to a sink are counted.
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
//! /// The input of a fighter, from a keyboard or a bot.
//! #[derive(Component, Reflect)]
//! struct Intent {
//!     turn: f32,
//!     shoot: bool,
//! }
//!
//! App::new()
//!     .add_plugins(ExperiencePlugins) // after `DefaultPlugins`, or on a server without them
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
//! // The final observation has been read, so the fighter can be reset.
//! fn respawn(ended: On<EpisodeEnded>, mut fighters: Query<(&mut Transform, &mut Health)>) {
//!     if let Ok((mut transform, mut health)) = fighters.get_mut(ended.entity) {
//!         *transform = Transform::IDENTITY;
//!         health.0 = 100.0;
//!     }
//! }
//! ```
//!
//! The folder holds Parquet files with one row per transition, and a description of their columns. [`sink::arrow`]
//! documents the columns, [`dataset`] reads them back in Rust.
//!
//! # Concepts
//! - A **player** is an entity with the marker component of a recording, `Fighter` above. The game spawns and despawns
//!   players as it likes.
//! - A **recording** ([`Recording`](recording::Recording)) declares what is read from its players: one stream of
//!   transitions with one schema. An app can have several, also of the same players.
//! - A **capture** reads all players: after each fixed tick if the game moves them in fixed ticks, after each frame if it moves
//!   them in `Update`. The plugin finds out which ([`Experience::timing`](plugin::Experience::timing)), unless
//!   [`Recording::capture_after`](recording::Recording::capture_after) names a schedule.
//! - A **transition** is an observation, the action taken in it, the reward that followed, and the next observation. An
//!   **episode** has T transitions, T + 1 observations, and an outcome with a reason. [`transition`] states the rules.
//! - An **agent id** ([`AgentId`](player::AgentId)) identifies a player across entities. Players without one are numbered
//!   -1, -2 and so on, in the order in which they join.
//! - A **run** is the lifetime of one process. Several runs can write to one dataset, also at the same time.
//!
//! # Supported types
//! Components and resources need only `Reflect`. Their leaves become named columns: `Health(f32)` is `health`, the x of a
//! `Transform`'s translation is `transform.translation.x`. Supported leaves are numbers, `bool`s, enums without data,
//! vectors, quaternions, durations and `Option`s of single values, in structs, tuples and arrays. In an observation every value
//! is `f32`: an enum is one-hot, an `Option` is its value (0 for `None`) and a flag. Actions and info keep their types. `f64`
//! and 64-bit integers do not fit into an observation without loss, and need
//! [`allow_lossy`](recording::Recording::allow_lossy).
//!
//! Types without a fixed width (strings, lists, maps, enums with data) or without a meaning outside of the process
//! (entities, handles) are refused when the recording is added, with the path of the field and the remedy. For these,
//! [`observe_with`](recording::Recording::observe_with) takes a function.
//!
//! # What else can be recorded
//! | method | reads |
//! |---|---|
//! | [`observe_resource`](recording::Recording::observe_resource), [`act_resource`](recording::Recording::act_resource) | a resource |
//! | [`observe_single`](recording::Recording::observe_single) | the only entity with a marker, such as a ball |
//! | [`observe_related`](recording::Recording::observe_related), [`act_related`](recording::Recording::act_related) | a related entity: the parent, a weapon |
//! | [`observe_nearest`](recording::Recording::observe_nearest), [`observe_count`](recording::Recording::observe_count) | the nearest entities with a component, and how many there are |
//! | [`observe_has`](recording::Recording::observe_has), [`observe_optional`](recording::Recording::observe_optional) | components that come and go |
//! | [`observe_world_position`](recording::Recording::observe_world_position) | where a player is, also below a parent |
//! | [`observe_system`](recording::Recording::observe_system), [`act_system`](recording::Recording::act_system) | what a read-only system computes |
//!
//! Attributes of `Reflect` name columns ([`ColumnName`](recording::ColumnName)) and state the bounds of their values
//! ([`ColumnBounds`](recording::ColumnBounds)), which become the spaces of a dataset:
//! ```
//! # use bevy_ecs::prelude::*;
//! # use bevy_experience::prelude::*;
//! # use bevy_reflect::Reflect;
//! #[derive(Component, Reflect)]
//! struct Steering {
//!     #[reflect(@ColumnName("turn"), @ColumnBounds::new(-1.0, 1.0))]
//!     wheel_angle: f32,
//! }
//! ```
//!
//! # Settings of a recording
//! | method | settings |
//! |---|---|
//! | [`episodes`](recording::Recording::episodes) | [`EpisodeRules`](recording::EpisodeRules): when episodes start, end and are split |
//! | [`buffers`](recording::Recording::buffers) | [`BufferSettings`](buffer::BufferSettings): kind, capacity, overflow and memory of each player's buffer |
//! | [`scaling`](recording::Recording::scaling) | [`PlayerScaling`](recording::PlayerScaling): expected players, the shared pool, parallel capture |
//!
//! ```
//! # use bevy_ecs::prelude::*;
//! # use bevy_experience::prelude::*;
//! # #[derive(Component)]
//! # struct Fighter;
//! let recording = Recording::<Fighter>::new("fighter")
//!     .episodes(EpisodeRules { start: EpisodeStart::OnEvent, ..Default::default() })
//!     .buffers(BufferSettings { capacity: 1024, overflow: Overflow::DropNewest, ..Default::default() })
//!     .scaling(PlayerScaling { expected_players: 200, ..Default::default() });
//! ```
//!
//! # Where to reset
//! The last observation of an episode is the state that the player ended in, not the state after its reset. It is read when
//! [`EndEpisode`](episode::EndEpisode) is *applied*: at the next sync point with `Commands::trigger`, at once with
//! `World::trigger`. A player can be reset in
//! - an observer of [`EpisodeEnded`](episode::EpisodeEnded), which is triggered right after the observation is read, also
//!   for players that are not recorded, and with the plugin disabled;
//! - a system that is ordered after the triggering system, by `chain` or `after`;
//! - commands that are queued after the trigger.
//!
//! The triggering system itself is the wrong place: its writes through a query take effect before its commands.
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
//! The next episode starts at the capture of the same tick, with the state after the reset. Where a dead player waits to
//! respawn, [`EpisodeStart::OnEvent`](episode::EpisodeStart::OnEvent) starts it at a
//! [`BeginEpisode`](episode::BeginEpisode) instead. For games that end an episode before physics moves the player, or compute
//! observations late in the tick, there is [`FinalObservation::AtCapture`](episode::FinalObservation::AtCapture), with the reset
//! in an observer of `EpisodeEnded`.
//!
//! `terminated` means that the world ended the episode; `truncated` means that recording stopped while the world would have
//! gone on. Trainers bootstrap only in the second case. A despawn during an episode truncates it (reason `left`), and so
//! does the end of the app (`shutdown`).
//!
//! # System sets and ordering
//! Captures run in a schedule of their own, [`ExperienceCapture`](plugin::ExperienceCapture), so no system of the game is
//! ambiguous with them. Its sets, [`ExperienceSystems`](plugin::ExperienceSystems), run in this order:
//!
//! | set | |
//! |---|---|
//! | `Stage` | systems of the game that compute observations at the last moment |
//! | `Capture` | publishes episodes that ended, closes transitions, adds players that joined |
//! | `Export` | hands new buffers to the exporter thread, without waiting |
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
//! The **action** of a transition is the one that its tick consumed. It is read at capture, which is right for a game that
//! keeps the intent until the next tick. A game that clears the intent when it consumes it, or writes the next one before
//! the capture, names the schedule after which to read it: `.read_actions_after(FixedPreUpdate)`. A **reward** belongs to
//! the next capture, whichever system adds it; `Update` of a frame runs after its fixed ticks.
//!
//! Recording never changes the game: no component is inserted on players during play, change detection is not triggered, and
//! the same seed produces the same world as with `ExperiencePlugin { enabled: false, .. }`.
//!
//! # Recordings and players at run time
//! The resource [`Experience`](plugin::Experience) has reports, schemas, live buffers and the state of
//! [players](plugin::Experience::players) and [sinks](plugin::Experience::sinks). Its methods accept a recording by name or
//! by [`RecordingId`](plugin::RecordingId), and a player by `Entity` or [`AgentId`](player::AgentId):
//! ```
//! # use bevy_ecs::prelude::*;
//! # use bevy_experience::prelude::*;
//! # #[derive(Component)]
//! # struct Fighter;
//! fn exclude(fighter: Entity, experience: &mut Experience) {
//!     if let Some(fighters) = experience.recording::<Fighter>() {
//!         experience.exclude(fighters, fighter).ok();
//!     }
//! }
//! ```
//! An episode can be [ended](plugin::Experience::end_episode), [discarded](plugin::Experience::discard_episode) or
//! [tagged](plugin::Experience::tag_episode), and a player [excluded](plugin::Experience::exclude). The game does not
//! notice.
//!
//! # Pausing
//! [`Experience::pause`](plugin::Experience::pause) pauses recording with a reason. The next capture ends open episodes:
//! truncated, with the reason `paused`. The game does not notice: players stay known, and resets are requested at the same
//! moments. After [`resume`](plugin::Experience::resume) the next capture starts new episodes.
//! [`pause_recording`](plugin::Experience::pause_recording) and
//! [`resume_recording`](plugin::Experience::resume_recording) do the same for one recording.
//!
//! # Backpressure
//! Each player has a buffer of fixed size ([`capacity`](buffer::BufferSettings::capacity), 512 steps by default). The
//! exporter thread drains the buffers, assembles complete episodes and hands them to the sinks. Each sink has a thread and a
//! bounded queue ([`queue_bytes`](export::ExportSettings::queue_bytes)), so a sink that is slow, fails or panics never stalls
//! a tick.
//!
//! Episodes that do not fit in a sink's queue wait in the [`journal`], on disk, and reach the sink in order: its **backlog**.
//! Draining goes on meanwhile, and the other sinks of the recording receive everything. A dataset has a journal. For
//! recordings whose sinks have none, such as a [`ChannelSink`](sink::ChannelSink) alone,
//! [`JournalSettings::folder`](journal::JournalSettings::folder) names a folder for one. When the backlog reaches
//! [`backlog_bytes`](journal::JournalSettings::backlog_bytes) (1 GiB by default), or where there is no journal, the recording
//! is not drained while the sink's queue is full. Then the buffers fill up, and [`Overflow`](buffer::Overflow) selects what
//! happens when one is full:
//! - `DropOldest`, the default: the oldest step is overwritten, and counted. For games that people play.
//! - `DropNewest`: the new step is dropped, and counted.
//! - `Block(patience)`: the capture waits for the exporter thread, at most this long per tick. For headless runs that
//!   should lose nothing; set [`patience`](export::ExportSettings::patience) to the same for slow sinks.
//!
//! Memory is bounded by [`memory_budget`](plugin::ExperiencePlugin::memory_budget) for all buffers, and in the exporter by the
//! open episodes, each at most [`max_steps`](recording::EpisodeRules::max_steps) long; longer ones are split. With a
//! journal, the exporter holds only what was drained since the last flush of the journal.
//!
//! Buffers are on the heap unless [`BufferSettings::memory`](buffer::BufferSettings::memory) selects NUMA-bound memory, or
//! files that outlive a process that is killed: see [`buffer::memory`].
//!
//! | a sink that | consequence |
//! |---|---|
//! | takes nothing for [`patience`](export::ExportSettings::patience) while its queue and its backlog are full | has stalled: what fits in neither is counted as dropped for this sink |
//! | returns an error | is retried as [`RetrySettings`](export::RetrySettings) state; then the batch is counted as dropped for this sink |
//! | is a [`ChannelSink`](sink::ChannelSink) with a full channel | the batch is counted as dropped at once: the reader decides how much waits |
//! | panics | is retired |
//! | has a full disk | pauses the recording, and is retried until there is space; no captured step is lost, and [`pause_reason`](plugin::Experience::pause_reason) reports it |
//!
//! Each of these triggers a [`SinkFailed`](plugin::SinkFailed), and a buffer that overflowed a
//! [`GapDetected`](plugin::GapDetected).
//!
//! # Accounting of losses
//! For each sink of each recording, in transitions, at any moment: `recorded = exported + dropped + discarded + pending`.
//! [`Experience::reports`](plugin::Experience::reports) has these counts during play, and a dataset keeps them in
//! `runs/<run>.json`. Where steps were lost, the episode ends at its last transition with a real successor: `truncated`,
//! with the reason `gap`. No transition ever joins two observations that were not consecutive.
//!
//! When the app ends by `AppExit`, which includes a closed window and Ctrl-C, or is dropped, also while a panic unwinds,
//! everything is written within [`close_timeout`](export::ExportSettings::close_timeout). On Unix, SIGTERM kills a process
//! that does not handle it: [`handle_sigterm`](plugin::ExperiencePlugin::handle_sigterm), for servers in containers, makes it
//! an `AppExit`.
//!
//! Steps that are not in the shards of a dataset yet are in a [`journal`] beside them. A process that is killed loses the
//! steps since the last flush of the journal, at most a second before unless
//! [`JournalSettings`](journal::JournalSettings) state otherwise; with [`Memory::File`](buffer::Memory::File) it loses none.
//! The next start, `experience recover` or [`Dataset::recover`](dataset::Dataset::recover) moves the rest into shards. Episodes
//! that had not ended are truncated, with the reason `crash`.
//!
//! # Playing a policy
//! A [`Policy`](policy::Policy) acts for the players of a recording that have [`PolicyControlled`](policy::PolicyControlled): it sees
//! what the recording observes, and writes the components that it records as the action. See [`policy`].
//!
//! # Replaying an episode
//! An [`EpisodeRestorer`](restore::EpisodeRestorer) writes the rows of a recorded episode back to the components that they were read
//! from. The crate `bevy_experience_replay` plays episodes with it, on entities of the game's own. See [`restore`].
//!
//! # Monitoring
//! [`ExperienceDiagnosticsPlugin`](diagnostics::ExperienceDiagnosticsPlugin) publishes diagnostics of each recording:
//! `experience/<recording>/recorded`, `exported`, `dropped`, `pending`, `flush_ms` and `lag`.
//! [`Experience::progress`](plugin::Experience::progress) returns the same numbers. At level `debug`, `tracing` has the spans
//! `experience_capture`, `experience_drain`, `experience_journal`, `experience_write`, `experience_flush` and
//! `experience_close`.
//!
//! The crate `bevy_experience_inspector` shows recordings, players and sinks in a window over the game.
//! [`LiveSettings`](plugin::LiveSettings) changes when and in which portions data is exported, during play.
//!
//! # Consent
//! A player with [`DoNotRecord`](player::DoNotRecord) leaves no row, and does not appear in `observe_nearest`,
//! `observe_entities`, `observe_single`, `observe_related` and `observe_count` of others.
//! Inserting it during an episode discards the episode. [`AgentId::from_account`](player::AgentId::from_account) derives ids
//! from accounts of a platform that cannot be turned back into them.
//!
//! # Cargo features
//! | feature | default | |
//! |---|---|---|
//! | `arrow` | by `dataset` | Arrow record batches and [`ChannelSink`](sink::ChannelSink) |
//! | none | always | [`JournalSink`](sink::JournalSink): datasets without Parquet, which `experience recover` completes |
//! | `policy_onnx` | no | [`Policy::onnx`](policy::Policy), on `tract` |
//! | `remote` | no | `Policy::remote`: decisions of another process over Arrow Flight, and environments for trainers |
//! | `remote_tls` | no | the same over TLS |
//! | `dataset` | yes | [`DatasetSink`](sink::DatasetSink) and [`Dataset`](dataset::Dataset), on Parquet |
//! | `stream` | no | [`StreamSink`](sink::StreamSink), which serves recordings to trainers while the game runs, on `arrow-flight` |
//! | `foreign` | | [`Dataset`](dataset::Dataset) also reads files that pandas, polars or `DuckDB` have rewritten with other types |
//!
//! # Troubleshooting
//! Problems after set-up never panic. Each is logged once with `tracing`, so read the log first (an app without Bevy's
//! `LogPlugin` or another subscriber has none), then the account.
//!
//! - **Nothing is recorded.** Players need the marker and *every* component that the recording reads; missing components
//!   are logged. Captures follow fixed ticks, so `Time` must advance: add `TimePlugin`, or capture after `Last`.
//! - **The dataset stays empty during play.** A shard appears when it is complete: when it is large or old enough, and at
//!   the close. `DatasetSink::with_shard_age` makes that sooner.
//! - **Every episode ends with `shutdown`.** No system triggers `EndEpisode`.
//! - **Final observations repeat the ones before.** The episode is ended before the player moves, which the log says: set
//!   [`FinalObservation::AtCapture`](episode::FinalObservation::AtCapture).
//! - **Final observations look like first ones.** The player is reset too early: see [where to reset](#where-to-reset).
//! - **Actions are zero, or one tick late or early.** The intent is cleared when it is consumed, or written early: see
//!   [`read_actions_after`](recording::Recording::read_actions_after).
//! - **Recording has stopped.** [`pause_reason`](plugin::Experience::pause_reason) reports whether a disk is full.
//! - **`failures` is not 0.** A sink returned an error, which the log names; where `dropped` is 0, a retry succeeded.
//! - **`dropped` is not 0.** The disk or the reader of the channel is slower than the game. Use `Overflow::Block` in headless
//!   runs, and a larger [`backlog_bytes`](journal::JournalSettings::backlog_bytes) in games that people play, with a
//!   [`folder`](journal::JournalSettings::folder) where the recording writes no dataset. Where `non_finite` is not 0 either,
//!   a value was NaN or infinite; the log names the feature.
//! - **`unbuffered_agents` is not 0.** More players joined than the memory budget has buffers for, or a file could not be
//!   created; the log says which. Raise [`memory_budget`](plugin::ExperiencePlugin::memory_budget), or lower
//!   [`capacity`](buffer::BufferSettings::capacity).
//! - **`orphaned_rewards` is not 0.** Rewards were added to a player between episodes, or before its first capture: players
//!   join at the end of a tick, so rewards of the first tick follow no recorded observation.
//!   [`reward_window`](recording::EpisodeRules::reward_window) counts rewards after the end of an episode to its last step.
//! - **There is a folder `fighter@…`.** The columns differ from those in `fighter`, so the run has a folder of its own; the
//!   log names the columns.
//! - **Tests without a game.** [`test_app`] runs exactly one tick per update and returns the episodes.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(doctest, feature = "dataset"))]
mod book;
pub mod capture;
pub mod diagnostics;
pub mod episode;
#[doc = include_str!("../docs/src/performance.md")]
pub mod performance {}
pub mod player;
pub mod plugin;
pub mod plugin_group;
pub mod policy;
pub mod recording;
mod reflect;
pub mod restore;
pub mod test_app;

#[doc(inline)]
pub use experience_buffer as buffer;
#[doc(inline)]
pub use experience_core::{account, schema, transition};
#[doc(inline)]
#[cfg(feature = "dataset")]
pub use experience_dataset as dataset;
#[doc(inline)]
pub use experience_export::{self as export, journal};

/// Destinations of episodes.
pub mod sink {
    #[cfg(feature = "arrow")]
    pub use experience_arrow::{self as arrow, ChannelSink};
    pub use experience_core::account::RunReport;
    #[cfg(feature = "dataset")]
    pub use experience_dataset::DatasetSink;
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub use experience_dataset::JournalSink;
    pub use experience_export::{MemorySink, RecordingInfo, Sink, SinkError};
    #[cfg(all(feature = "stream", not(all(target_family = "wasm", target_os = "unknown"))))]
    pub use experience_stream::{self as stream, StreamMonitor, StreamSink};
}

/// The types that games use.
pub mod prelude {
    #[cfg(feature = "arrow")]
    pub use crate::sink::ChannelSink;
    #[cfg(feature = "dataset")]
    pub use crate::sink::DatasetSink;
    #[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
    pub use crate::sink::JournalSink;
    pub use crate::{
        buffer::{BufferKind, BufferSettings, Memory, Overflow},
        capture::{EntityList, EntityOrder, Nearest, PlayerChoices, PlayerValues},
        diagnostics::ExperienceDiagnosticsPlugin,
        episode::{
            BeginEpisode, DecisionMade, DecisionTick, DiscardEpisode, DiscardedEpisode, EndEpisode, EpisodeEnded,
            EpisodeStart, FinalObservation, NonFinite, RecordMode, RequestDecision,
        },
        player::{AgentId, Controller, DoNotRecord, GiveReward, GiveTeamReward, Reward},
        plugin::{
            EnvironmentReset, Experience, ExperienceAct, ExperienceAppExt, ExperienceCapture, ExperiencePlugin,
            ExperienceSystems, GapDetected, PauseReason, PlayerRef, RecordingId, SinkFailed, SpeculativeTicks,
        },
        plugin_group::ExperiencePlugins,
        policy::{Policy, PolicyControlled, PolicyFailed, Sampling},
        recording::{ColumnBounds, ColumnName, EpisodeRules, PlayerScaling, Recording},
        schema::ImageShape,
        sink::MemorySink,
        transition::{EndReason, Outcome},
    };
}

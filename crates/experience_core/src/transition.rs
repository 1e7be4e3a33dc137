//! The transition contract: what the rows of an episode mean, and the types that read and write them.
//!
//! This page is the specification that capture, buffers, the exporter, sinks, datasets and trainers share. Rules are
//! numbered; a test that checks a rule is named after it.
//!
//! # Terms
//! | term | meaning |
//! |---|---|
//! | player | an entity that carries the marker component of a recording |
//! | agent | the identity behind a player, `agent_id`; the game can keep it across despawn and rejoin |
//! | recording | a stream of players with one [`Schema`](crate::schema::Schema) and one set of sinks |
//! | tick | one run of the schedule that captures follow, fixed or per frame; the authority on time, over `timestamp` |
//! | capture | the moment of a tick at which all players of a recording are read |
//! | step | what one capture adds to an episode; encoded as one row |
//! | transition | observation, action, reward, next observation |
//! | episode | T ≥ 1 consecutive transitions of one agent, ended with an [`Outcome`] and an [`EndReason`] |
//! | run | the lifetime of one process, identified by a [`RunId`] |
//! | controller | what chose an action: `person`, `script:<name>` or `policy:<name>@<version>` |
//!
//! # Rows
//! An episode of T transitions is T + 1 rows. The first has the kind [`StepKind::Begin`] and holds the first
//! observation. Each further row has the kind [`StepKind::Transition`] and holds the action that led to its
//! observation:
//!
//! ```text
//! row      Begin       Transition          Transition              Transition
//! holds    o₀ m₀       a₀ r₀ → o₁ m₁       a₁ r₁ → o₂ m₂           a₂ r₂ → o₃ m₃, terminated, "death"
//! ```
//!
//! Transition *t* is the observation and mask of row *t*, and everything in row *t* + 1. So no observation is stored
//! twice, a transition is complete when its row is written, and end flags are in the row of the observation that they
//! describe.
//!
//! Two further kinds add no observation. [`StepKind::End`] ends the episode at its last row. [`StepKind::Discard`]
//! withdraws the episode. In a buffer that several players share, [`StepHeader::stream`] separates their rows.
//!
//! # Rules
//!
//! ## 1. Alignment
//! - `reward[t]` is the result of `action[t]`, taken in `observation[t]`.
//! - `terminated[t]` and `truncated[t]` describe `next_observation[t]`. They are set on the last transition only, and
//!   exactly one of them is.
//! - An action mask belongs to the observation of its row, so an episode has T + 1 masks.
//! - Info columns belong to the action of their row.
//! - The controller belongs to the action of its row: it is what controlled the player when the action was read. So with a
//!   decision interval a transition is labelled with the controller that began the decision, also if another takes over within
//!   it. Where the controller changes, on-change mode writes a row.
//! - `next_observation[t]` and `observation[t + 1]` are the same row.
//!
//! ## 2. Timing
//! - Within a tick the game consumes the action and advances the world. Then capture closes the open transition with
//!   the action, the reward and the observation that it reads, and opens the next one at that observation.
//! - The action is the one that the tick consumed. It is read at capture, or at the end of a schedule that the
//!   recording names.
//! - A reward counts to the first capture after it was given.
//! - A frame with 0, 1 or 3 ticks has 0, 1 or 3 captures.
//! - With a decision interval of n ticks a transition has the action of the interval's first tick, or of its last on
//!   request, and the sum of the interval's rewards. [`StepHeader::ticks`] is the number of ticks that it lasted, less
//!   than n when the episode ends within the interval.
//! - With decisions on demand a transition lasts from one request of the game for a decision of the player to the next one.
//!   Its observation is read at the request, and its action at the next one, at the end of the episode, or when the game
//!   says that the decision is made. Its controller is the one that wrote the action. `ticks` is the number of captures between the two, which can be 0.
//!
//! ## 3. Final observation
//! - The last observation of an episode is the state in which the player ended, not the state after its reset.
//! - It is read when the game's end event is applied, or at the capture of that tick on request: then the game is told
//!   that the episode has ended between that and the first observation of the next one. A reset must run after that. State that the triggering system itself resets, before its commands are applied, is recorded as reset.
//! - The end is staged when it is applied, and published by the capture of the same tick with all reward given until
//!   then.
//! - On request an end stays staged for some captures, and rewards until then count to the last transition, which has the
//!   observation, the action and the time of the end. The player's next episode publishes it before.
//! - Of several ends in one tick the strongest counts: terminated over truncated over `left`.
//! - An end without a tick since the last capture makes the last captured row the final one ([`StepKind::End`]). No
//!   transition is added, and flags that were published before do not change. Reward given since then is added to the
//!   last transition.
//!
//! ## 4. Beginnings
//! - Players join at capture, in ascending order of `agent_id`.
//! - After an end, the next episode begins at the capture that publishes the end, or when the game asks for it if the
//!   recording says so.
//! - Between episodes no row is written. Further ends are counted and ignored. Rewards are counted as orphaned.
//! - An episode without a transition is counted, and not exported.
//!
//! ## 5. Termination and truncation
//! - [`Outcome::Terminated`]: the world ended the episode. A trainer does not bootstrap.
//! - [`Outcome::Truncated`]: recording stopped, and the world would have continued. A trainer bootstraps from the final
//!   observation.
//! - The reason is kept as an [`EndReason`], an open list of words.
//! - A despawn or a removed marker truncates with [`EndReason::LEFT`], unless the recording says that a despawn
//!   terminates.
//! - A pause ([`PAUSED`](EndReason::PAUSED)), a lost component ([`COMPONENT_LOST`](EndReason::COMPONENT_LOST)), a value
//!   that is not finite ([`NON_FINITE`](EndReason::NON_FINITE)), the maximum length ([`SPLIT`](EndReason::SPLIT)) and
//!   an orderly shutdown ([`SHUTDOWN`](EndReason::SHUTDOWN)) truncate. So does the death of the process
//!   ([`CRASH`](EndReason::CRASH)), on recovery.
//! - Excluding an agent while the game runs truncates its open episode ([`EXCLUDED`](EndReason::EXCLUDED)).
//! - The episode after a split names the one that it continues ([`EpisodeInfo::continues`]).
//!
//! ## 6. Changes
//! - A feature changed if its encoded bits differ between `observation[t]` and `next_observation[t]`
//!   ([`Transition::changed`]). Change detection of the engine plays no part in it, unless a recording
//!   opts in to skip reads by it. Images have no bit of their own.
//! - A recording in on-change mode writes a row when the observation, an image, the action or the mask changed or the episode
//!   ended. Skipped ticks add to `ticks` and their rewards are summed. A skipped tick is not a gap.
//!
//! ## 7. Loss
//! - The rows of an episode are consecutive in their stream, and [`StepHeader::ordinal`] counts transitions. A reader
//!   that missed rows knows from the next one how many transitions it missed.
//! - No transition joins two observations that were not neighbours. A missing row ends the episode at its last
//!   transition with a real successor: truncated, reason [`EndReason::GAP`]. What follows the gap is an episode of its
//!   own, which continues the one before.
//! - `recorded = exported + dropped + discarded + pending` holds at any moment, in transitions, for each sink of each
//!   recording; see [`account`](crate::account).
//!
//! ## 8. Non-interference
//! - Recording never changes the simulation: the same seed yields the same world with recording enabled and disabled.
//! - Recording does not panic after start-up, and blocks a tick only if the recording's overflow policy says so.
//!
//! ## 9. Consent
//! - A player that opts out leaves no row, and no sensor of this library reports it to other players.
//! - Opting out within an episode writes a [`StepKind::Discard`] row. The whole open episode is discarded, and no
//!   reader or sampler returns its rows.

mod episode;
mod header;
mod part;
mod reason;
mod run_id;
mod step;
mod words;

pub use {
    episode::{Episode, EpisodeInfo, Transition},
    header::{Outcome, StepHeader, StepKind},
    part::EpisodePart,
    reason::EndReason,
    run_id::RunId,
    step::StepBytes,
    words::WordTable,
};
pub use {header::header_words, step::values};

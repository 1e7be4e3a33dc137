//! Schema, transitions, ids, end reasons and loss accounts of recorded reinforcement-learning experience.
//!
//! All crates of [`bevy_experience`](https://docs.rs/bevy_experience) share these types. They depend on neither an engine nor
//! Arrow.
//!
//! - [`schema`]: what a row means. Named, typed columns, their layout in a row, and the hash that identifies a schema.
//! - [`transition`]: episodes and their transitions, the header of an encoded row, and the rules that every row follows.
//! - [`account`]: how many transitions were recorded, exported, dropped and discarded.
//!
//! An episode of T transitions is T + 1 rows, each with a header and the columns of its schema:
//!
//! ```
//! use experience_core::{
//!     schema::{Column, Schema},
//!     transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind},
//! };
//!
//! let schema = Schema::new("walker").with_observation([Column::feature("x")]).into_shared();
//! let layout = schema.layout();
//! let mut rows = vec![0_u64; 3 * layout.row_words()];
//! for (step, row) in rows.chunks_exact_mut(layout.row_words()).enumerate() {
//!     let header = StepHeader::of_mut(row);
//!     *header = StepHeader::new(if step == 0 { StepKind::Begin } else { StepKind::Transition });
//!     header.reward = step as f64;
//!     let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
//!     bytes[layout.observation()].copy_from_slice(&(step as f32).to_ne_bytes());
//! }
//!
//! let run = RunId::from_bits(1);
//! let info = EpisodeInfo { episode_id: run.episode_id(0), agent_id: 7, run, continues: None };
//! let episode = Episode::new(schema.clone(), info, rows, Outcome::Terminated, EndReason::DEATH);
//! assert_eq!(episode.len(), 2);
//! let last = episode.transition(1);
//! assert_eq!((last.observation(), last.next_observation()), (&[1.0][..], &[2.0][..]));
//! assert!(last.reward() == 2.0 && last.terminated());
//! ```

pub mod account;
pub mod schema;
pub mod transition;

//! Episodes in bites.

use crate::arrow::Part;
use experience_core::transition::Episode;

/// A batch has at most about this many bytes of rows: little memory is held twice, and every column finds the rows in the
/// processor's cache.
const BATCH_BYTES: usize = 512 << 10;

/// All of `episodes`, in order: short ones together, and long ones in pieces of their own.
pub(super) fn batches(episodes: &[Episode]) -> impl Iterator<Item = Vec<Part<'_>>> {
    let (mut rest, mut step) = (episodes, 0);
    core::iter::from_fn(move || {
        let (episode, later) = rest.split_first()?;
        let fitting = fitting(rest);
        if fitting > 0 {
            let (now, later) = rest.split_at(fitting);
            rest = later;
            return Some(now.iter().map(Part::whole).collect());
        }
        let steps = (BATCH_BYTES / episode.schema().layout().row_bytes()).max(1);
        let end = episode.len().min(step + steps);
        let part = Part {
            episode,
            steps: step..end,
        };
        step = end;
        if end == episode.len() {
            (rest, step) = (later, 0);
        }
        Some(vec![part])
    })
}

/// How many of `episodes` make a batch; 0 where the first is too long for one.
fn fitting(episodes: &[Episode]) -> usize {
    let mut bytes = 0;
    let fitting = episodes.iter().take_while(|episode| {
        bytes += size_of_val(episode.rows());
        bytes <= BATCH_BYTES
    });
    fitting.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use experience_core::{
        schema::{Column, Schema},
        transition::{EndReason, EpisodeInfo, Outcome, RunId},
    };
    use std::sync::Arc;

    fn episode(schema: &Arc<Schema>, len: usize) -> Episode {
        let info = EpisodeInfo {
            episode_id: 1,
            agent_id: 2,
            run: RunId::from_bits(3),
            continues: None,
        };
        let rows = vec![0; (len + 1) * schema.layout().row_words()];
        Episode::new(schema.clone(), info, rows, Outcome::Truncated, EndReason::SPLIT)
    }

    #[test]
    fn every_step_is_in_one_batch_and_no_batch_is_large() {
        let schema = Schema::new("wide")
            .with_observation((0..1000).map(|index| Column::feature(format!("{index}"))))
            .into_shared();
        let row_bytes = schema.layout().row_bytes();
        let lengths = [1, 40, 1000, 3, 5, 129, 128, 127, 400];
        let episodes: Vec<_> = lengths.into_iter().map(|len| episode(&schema, len)).collect();
        let parts: Vec<_> = batches(&episodes)
            .inspect(|batch| {
                let steps: usize = batch.iter().map(|part| part.steps.len()).sum();
                assert!(steps * row_bytes <= BATCH_BYTES, "{steps} steps");
                assert!(batch.len() == 1 || batch.iter().all(|part| part.steps.len() == part.episode.len()));
            })
            .flatten()
            .collect();
        let mut parts = parts.iter();
        for episode in &episodes {
            let mut step = 0;
            while step < episode.len() {
                let part = parts.next().unwrap();
                assert!(core::ptr::eq(part.episode, episode));
                assert_eq!(part.steps.start, step);
                step = part.steps.end;
            }
        }
        assert!(parts.next().is_none());
    }

    #[test]
    fn a_row_larger_than_a_batch_is_a_batch() {
        let schema = Schema::new("huge")
            .with_observation([Column {
                shape: vec![BATCH_BYTES],
                ..Column::feature("image")
            }])
            .into_shared();
        let episodes = [episode(&schema, 3)];
        assert_eq!(batches(&episodes).count(), 3);
    }
}

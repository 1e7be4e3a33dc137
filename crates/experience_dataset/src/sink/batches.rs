//! Divides episodes into batches of bounded size.

use experience_arrow::EpisodeSlice;
use experience_core::transition::Episode;

/// The maximum size of a batch, in bytes of rows: the rows stay in the CPU cache while each column is encoded, and little
/// memory is held twice.
const BATCH_BYTES: usize = 512 << 10;

/// Divides `episodes` into batches, in order. Short episodes share a batch, and long ones are divided.
pub(super) fn batches(episodes: &[Episode]) -> impl Iterator<Item = Vec<EpisodeSlice<'_>>> {
    let (mut rest, mut step) = (episodes, 0);
    core::iter::from_fn(move || {
        let (episode, later) = rest.split_first()?;
        let fitting = fitting(rest);
        if fitting > 0 {
            let (batch, later) = rest.split_at(fitting);
            rest = later;
            return Some(batch.iter().map(EpisodeSlice::whole).collect());
        }
        let steps = (BATCH_BYTES / episode.schema().layout().row_bytes()).max(1);
        let end = episode.len().min(step + steps);
        let slice = EpisodeSlice::new(episode, step..end);
        step = end;
        if end == episode.len() {
            (rest, step) = (later, 0);
        }
        Some(vec![slice])
    })
}

/// The number of leading `episodes` that fit into one batch; 0 if the first does not.
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
        let slices: Vec<_> = batches(&episodes)
            .inspect(|batch| {
                let steps: usize = batch.iter().map(|slice| slice.steps.len()).sum();
                assert!(steps * row_bytes <= BATCH_BYTES, "{steps} steps");
                assert!(batch.len() == 1 || batch.iter().all(|slice| slice.steps.len() == slice.episode.len()));
            })
            .flatten()
            .collect();
        let mut slices = slices.iter();
        for episode in &episodes {
            let mut step = 0;
            while step < episode.len() {
                let slice = slices.next().unwrap();
                assert!(core::ptr::eq(slice.episode, episode));
                assert_eq!(slice.steps.start, step);
                step = slice.steps.end;
            }
        }
        assert!(slices.next().is_none());
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

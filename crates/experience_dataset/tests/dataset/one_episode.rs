//! One episode, or a part of it.

use crate::episodes::{assert_same, episodes, fighter, tensor, write};
use experience_core::{
    schema::{Column, DType, ImageShape, Schema},
    transition::{EndReason, Episode, RunId, Transition},
};
use experience_dataset::{Dataset, DatasetError, EpisodeQuery, RecordingData};
use std::path::Path;
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(1);

fn only(root: &Path) -> RecordingData {
    Dataset::open(root).unwrap().recordings()[0].clone()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn assert_same_transition(a: Transition<'_>, b: Transition<'_>) {
    assert_eq!(
        (a.tick(), a.ticks(), a.timestamp()),
        (b.tick(), b.ticks(), b.timestamp())
    );
    assert_eq!((a.reward(), a.match_id()), (b.reward(), b.match_id()));
    assert_eq!(bits(a.observation()), bits(b.observation()));
    assert_eq!(bits(a.next_observation()), bits(b.next_observation()));
    assert!(a.action().eq(b.action()));
    assert_eq!(a.after().mask_bits(), b.after().mask_bits());
    for image in 0..a.episode().schema().images().len() {
        assert_eq!(
            (a.image(image), a.next_image(image)),
            (b.image(image), b.next_image(image))
        );
    }
}

#[test]
fn parts_of_an_episode_are_its_transitions() {
    let shape = ImageShape {
        height: 5,
        width: 7,
        channels: 3,
    };
    let wide = Schema::new("fighter").with_observation([tensor("board", DType::F32, &[300])]);
    let images = fighter().with_images([Column::image("eye", shape)]);
    for schema in [fighter(), images, wide] {
        let root = tempdir().unwrap();
        let all = episodes(&schema.into_shared(), RUN, 5);
        write(root.path(), &all);
        let (recording, whole) = (only(root.path()), &all[3]);
        let query = EpisodeQuery::new().episode(whole.info().episode_id);
        assert_same(&recording.episode(&query).unwrap(), whole);
        for len in [1, 3, 5, 9, 10, 11, usize::MAX] {
            let (mut first, mut parts) = (0, Vec::new());
            while first < whole.len() {
                let steps = first..first.saturating_add(len);
                let part = recording.episode(&query.clone().steps(steps)).unwrap();
                first += part.len();
                parts.push(part);
            }
            assert_eq!(first, whole.len());
            let found = parts.iter().flat_map(Episode::transitions);
            for (found, expected) in found.zip(whole.transitions()) {
                assert_same_transition(found, expected);
            }
            let (last, others) = parts.split_last().unwrap();
            assert_eq!((last.outcome(), last.reason()), (whole.outcome(), whole.reason()));
            assert!(
                others
                    .iter()
                    .all(|part| *part.reason() == EndReason::SPLIT && part.len() == len)
            );
        }
    }
}

#[test]
fn an_episode_that_is_too_large_is_refused_with_what_to_do() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RUN, 3);
    write(root.path(), &all);
    let recording = only(root.path());
    let row = all[0].schema().layout().row_bytes() as u64;
    let query = EpisodeQuery::new().agent(1).max_bytes(11 * row);
    assert_same(&recording.episode(&query).unwrap(), &all[1]);
    let error = recording.episode(&query.clone().max_bytes(11 * row - 1)).unwrap_err();
    assert!(matches!(error, DatasetError::EpisodeTooLarge { transitions: 10, .. }));
    let text = error.to_string();
    let expected = format!(
        "10 transitions, of which the selected ones take {} bytes of memory, more than {}",
        11 * row,
        11 * row - 1
    );
    assert!(
        text.contains(&expected) && text.contains("`EpisodeQuery::steps`"),
        "{text}"
    );
    // A part of it is not too large.
    let part = recording
        .episode(&query.clone().max_bytes(4 * row).steps(2..5))
        .unwrap();
    assert_eq!(
        (part.len(), part.transition(0).tick()),
        (3, all[1].transition(2).tick())
    );
    let error = recording.episode(&query.steps(10..12)).unwrap_err();
    assert!(
        matches!(
            error,
            DatasetError::NoSuchStep {
                transitions: 10,
                step: 10,
                ..
            }
        ),
        "{error}"
    );
}

//! The memory of ends that a slow server has not been told.

use super::*;
use experience_core::schema::ImageShape;
use experience_policy::OutcomeBatch;

#[test]
fn ends_are_bounded_by_their_memory_and_missed_ones_are_counted_until_they_are_cleared() {
    let shape = ImageShape {
        height: 1024,
        width: 1024,
        channels: 3,
    };
    let schema = Schema::new("walker").with_images([Column::image("eye", shape)]);
    let mut batch = OutcomeBatch::new(Arc::new(PolicyLayout::of(&schema)));
    let end = EpisodeOutcome {
        agent_id: 1,
        progress: Progress::default(),
        outcome: Outcome::Terminated,
        reason: "goal".into(),
        has_observation: false,
    };
    for _ in 0..30 {
        batch.push(end.clone(), &[], &[], &[]);
    }
    // An image has 3 MiB.
    assert_eq!((batch.len(), batch.missed()), (21, 9));
    batch.clear();
    assert_eq!((batch.len(), batch.missed()), (0, 0));
}

//! Overflow of the buffers behind a slow sink.

use super::*;
use bevy_experience::dataset::Dataset;

#[test]
fn overflow_behind_a_slow_sink_is_counted_in_the_dataset() {
    for overflow in [
        Overflow::DropOldest,
        Overflow::DropNewest,
        Overflow::Block(Duration::from_micros(100)),
    ] {
        overflow_into_dataset(overflow);
    }
}

fn overflow_into_dataset(overflow: Overflow) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    // A write lasts as many ticks as three episodes, and one tick more than the write before. So the last row in the buffer
    // is not always the last of an episode, after which a gap would cut nothing short.
    let played = Arc::new(AtomicUsize::new(0));
    let now = played.clone();
    let mut write_ticks = 64;
    let sink = FaultySink(
        move || {
            write_ticks += 1;
            let until = now.load(Ordering::Relaxed).saturating_add(write_ticks);
            while now.load(Ordering::Relaxed) < until {
                std::thread::sleep(Duration::from_micros(100));
            }
            Ok(())
        },
        DatasetSink::new(&root),
    );
    let export = ExportSettings {
        queue_bytes: 1,
        ..settings()
    };
    let recording = Recording::new("player")
        .buffers(BufferSettings {
            capacity: 16,
            overflow,
            ..Default::default()
        })
        .sink(sink);
    let mut test = play_episodes_of(20, export, recording);
    play_until(&mut test, |test| {
        played.fetch_add(1, Ordering::Relaxed);
        let report = &reports(test)[0];
        report.dropped > 400 && report.exported > 200
    });
    played.store(usize::MAX, Ordering::Relaxed);
    assert!(close(&mut test));
    test.ticks(1);
    let report = reports(&test).remove(0);
    assert_eq!(report.pending, 0);
    assert!(report.exported > 0);
    assert_eq!(failures(&test), []);
    assert_eq!(test.world().resource::<Events>().lost, report.dropped);
    let dataset = Dataset::open(&root).unwrap();
    let player = dataset.recording("player").unwrap();
    let validation = player.validate(&mut |_| {}).unwrap();
    assert!(validation.is_valid(), "{validation:?}");
    assert_eq!(player.runs().unwrap()[0].account, report);
    let episodes: Vec<_> = player.episodes().map(Result::unwrap).collect();
    let gaps = episodes.iter().filter(|episode| episode.reason() == &EndReason::GAP);
    assert!(gaps.count() > 0);
    for pair in episodes.windows(2) {
        let (end, begin) = (pair[0].row(pair[0].len()), pair[1].row(0));
        assert!(pair[0].reason() != &EndReason::GAP || end.observation() != begin.observation());
    }
    for step in episodes.iter().flat_map(Episode::transitions) {
        assert_eq!(step.observation()[0] + 1.0, step.next_observation()[0]);
    }
}

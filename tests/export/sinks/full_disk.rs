//! Sinks whose disk is full.

use super::*;

#[test]
fn a_full_disk_pauses_recording_until_space_is_freed() {
    let kept = MemorySink::default();
    let full = Arc::new(AtomicBool::new(false));
    let is_full = full.clone();
    let sink = FaultySink(
        move || match is_full.load(Ordering::Relaxed) {
            true => Err(storage_full()),
            false => Ok(()),
        },
        kept.clone(),
    );
    let mut test = play(settings(), Recording::new("player").sink(sink));
    let reason = |test: &TestApp| test.world().resource::<Experience>().pause_reason("player");
    play_until(&mut test, |test| reports(test)[0].exported > 32);
    assert_eq!(reason(&test), None);
    full.store(true, Ordering::Relaxed);
    play_until(&mut test, |test| reason(test).is_some());
    assert_eq!(reason(&test), Some(PauseReason::StorageFull("faulty".to_owned())));
    assert_eq!(reason(&test).unwrap().to_string(), "the disk of `faulty` is full");
    // Longer than the patience of retries. Nothing is captured meanwhile.
    test.ticks(1);
    let recorded = reports(&test)[0].recorded;
    let begun = Instant::now();
    play_until(&mut test, |_| begun.elapsed() > 3 * settings().retry.patience);
    assert_eq!(reports(&test)[0].recorded, recorded);
    assert_eq!(failures(&test), [SinkFailure::StorageFull]);
    assert!(
        !test.world().resource::<Experience>().is_paused(),
        "the pause is not one of the game"
    );
    full.store(false, Ordering::Relaxed);
    play_until(&mut test, |test| reports(test)[0].recorded > recorded + 8);
    assert_eq!(reason(&test), None);
    assert!(close(&mut test));
    let report = reports(&test).remove(0);
    assert_eq!((report.exported, report.dropped), (report.recorded, 0));
    let paused = kept
        .episodes()
        .iter()
        .filter(|episode| episode.reason() == &EndReason::PAUSED)
        .count();
    assert!(paused <= 1);
}

#[test]
fn a_disk_that_stays_full_does_not_delay_close() {
    let sink = FaultySink(|| Err(storage_full()), MemorySink::default());
    let mut test = play(settings(), Recording::new("player").sink(sink));
    play_until(&mut test, |test| !failures(test).is_empty());
    test.ticks(19);
    let begun = Instant::now();
    let mut experience = test.world_mut().resource_mut::<Experience>();
    assert!(
        experience.close(Duration::from_secs(1)),
        "refused batches are counted before the deadline"
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
    let report = reports(&test).remove(0);
    // Recording was paused, so little was recorded after the first failure.
    assert!(report.recorded > 0);
    assert_eq!((report.dropped, report.pending), (report.recorded, 0));
}

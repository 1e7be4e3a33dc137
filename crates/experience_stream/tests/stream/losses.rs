//! Slow subscribers, and those that die: each loses alone, and is told exactly how much.

use crate::{
    game::{Game, NAME},
    subscriber::{Client, await_subscribers, eventually},
};
use arrow_array::{cast::AsArray, types::Int64Type};
use experience_export::MemorySink;
use experience_stream::{Counts, Start, StreamSink, Ticket, Unit};
use std::{collections::HashSet, time::Duration};

#[test]
fn a_slow_subscriber_is_told_exactly_what_it_missed_and_a_fast_one_gets_all() {
    for unit in [Unit::Episodes, Unit::Transitions] {
        let (sink, memory) = (
            StreamSink::new("127.0.0.1:0").with_kept_bytes(4 << 20),
            MemorySink::default(),
        );
        let monitor = sink.monitor();
        let mut game = Game::new(vec![Box::new(sink), Box::new(memory.clone())]);
        eventually(|| monitor.recordings().len() == 1);
        let ticket = Ticket {
            unit,
            ..Ticket::new(NAME)
        };
        let address = monitor.address().unwrap();
        let mut fast = Client::connect(address).subscribe(&ticket);
        let mut slow = Client::slow(address).subscribe(&ticket);
        let fast = std::thread::spawn(move || (fast.rest(), fast.missed));
        for _ in 0..60 {
            game.play(400);
            game.flush();
            // The fast one keeps up, and the slow one reads nothing.
            eventually(|| {
                let status = &monitor.recordings()[0];
                status
                    .subscribers
                    .iter()
                    .any(|subscriber| subscriber.behind.transitions == 0)
            });
        }
        let slow = std::thread::spawn(move || (slow.rest(), slow.missed));
        let reports = game.close();
        let (all, nothing) = fast.join().unwrap();
        let (some, missed) = slow.join().unwrap();
        assert_eq!(nothing, Counts::default());
        assert_eq!(
            all.num_rows() as u64,
            some.num_rows() as u64 + missed.transitions,
            "{unit}"
        );
        assert!(missed.transitions > 10_000, "{missed:?}");
        let ends = |rows: &arrow_array::RecordBatch| rows["end_reason"].len() - rows["end_reason"].null_count();
        assert_eq!(ends(&all) as u64, ends(&some) as u64 + missed.episodes, "{unit}");
        assert_eq!(monitor.recordings()[0].missed, missed);
        if unit == Unit::Episodes {
            assert_eq!(all.num_rows() as u64, reports[0].exported);
            // No episode begins in the middle.
            let ids = some["episode_id"].as_primitive::<Int64Type>().values();
            let episodes: HashSet<_> = ids.iter().collect();
            assert_eq!(episodes.len(), ends(&some));
        }
        // The other sink and the account have everything.
        assert_eq!(reports[0].dropped + reports[1].dropped, 0);
        assert_eq!(
            memory
                .episodes()
                .iter()
                .map(|episode| episode.len() as u64)
                .sum::<u64>(),
            reports[1].exported
        );
    }
}

#[test]
fn a_subscriber_that_was_away_for_too_long_is_told_exactly_what_it_missed() {
    let sink = StreamSink::new("127.0.0.1:0").with_kept_bytes(256 << 10);
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(sink)]);
    game.play(400);
    game.flush();
    let connect = || Client::connect(monitor.address().unwrap());
    let mut first = connect().subscribe(&Ticket {
        from: Start::Oldest,
        ..Ticket::new(NAME)
    });
    let mut received = first.next().unwrap().num_rows() as u64;
    let position = first.position.unwrap();
    drop(first);
    game.play(20_000);
    game.flush();
    let status = monitor.recordings().remove(0).episodes;
    assert!(status.held.transitions < status.total.transitions && status.bytes <= 256 << 10);
    let mut again = connect().subscribe(&Ticket {
        from: Start::Position(position),
        ..Ticket::new(NAME)
    });
    received += again.rows(status.held.transitions as usize).num_rows() as u64;
    assert_eq!(received + again.missed.transitions, status.total.transitions);
    assert_eq!(again.position.unwrap().episodes, status.total.episodes);
    game.close();
}

#[test]
fn a_limit_of_bytes_behind_skips_what_is_older() {
    let sink = StreamSink::new("127.0.0.1:0").with_bytes_behind(64 << 10);
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(sink)]);
    game.play(5000);
    game.flush();
    let total = monitor.recordings()[0].transitions.total;
    let ticket = Ticket {
        from: Start::Oldest,
        unit: Unit::Transitions,
        ..Ticket::new(NAME)
    };
    let mut fresh = Client::connect(monitor.address().unwrap()).subscribe(&ticket);
    let first = fresh.next().unwrap();
    assert!(fresh.missed.transitions > total.transitions / 2);
    assert_eq!(
        fresh.position.unwrap().transitions,
        fresh.missed.transitions + first.num_rows() as u64
    );
    drop(fresh);
    game.close();
}

#[test]
fn subscribers_that_die_at_any_time_cost_the_game_nothing() {
    let (sink, memory) = (
        StreamSink::new("127.0.0.1:0").with_max_subscribers(8),
        MemorySink::default(),
    );
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(sink), Box::new(memory.clone())]);
    eventually(|| monitor.recordings().len() == 1);
    for round in 0..10 {
        let units = [Unit::Episodes, Unit::Transitions];
        let subscribe = |unit| {
            let ticket = Ticket {
                unit,
                from: Start::Oldest,
                ..Ticket::new(NAME)
            };
            Client::connect(monitor.address().unwrap()).subscribe(&ticket)
        };
        let mut subscribers: Vec<_> = units.into_iter().cycle().take(4).map(subscribe).collect();
        game.play(100 + 37 * round);
        game.flush();
        subscribers[0].next();
        drop(subscribers);
        game.play(10);
        for report in game.reports() {
            let accounted = report.exported + report.dropped + report.discarded + report.pending;
            assert_eq!(report.recorded, accounted, "{report:?}");
        }
    }
    await_subscribers(&monitor, 0);
    let reports = game.close();
    assert_eq!(reports[0].exported, reports[1].exported);
    assert_eq!(reports[0].dropped, 0);
    assert_eq!(memory.episodes().len() as u64, reports[0].episodes);
}

#[test]
fn a_subscriber_that_takes_nothing_does_not_delay_the_close_for_long() {
    let sink = StreamSink::new("127.0.0.1:0").with_linger(Duration::from_millis(200));
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(sink)]);
    eventually(|| monitor.recordings().len() == 1);
    let stuck = Client::slow(monitor.address().unwrap()).subscribe(&Ticket {
        from: Start::Oldest,
        ..Ticket::new(NAME)
    });
    game.play(5000);
    let begun = std::time::Instant::now();
    game.close();
    assert!(begun.elapsed() < Duration::from_secs(10));
    drop(stuck);
}

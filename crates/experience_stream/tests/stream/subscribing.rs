//! What a subscriber receives: all rows of a dataset, from where it asks, as far as it asks for them.

use crate::{
    game::{Game, NAME},
    subscriber::{Client, await_subscribers, eventually},
};
use arrow_array::{
    RecordBatch, UInt32Array,
    cast::AsArray,
    types::{Int32Type, Int64Type},
};
use arrow_select::{concat::concat_batches, take::take_record_batch};
use experience_arrow::BatchEncoder;
use experience_core::{
    account::{DISCARDED_TAG, EpisodeTag, TagChange},
    transition::{Episode, EpisodePart, RunId},
};
use experience_dataset::{Dataset, DatasetSink};
use experience_export::{MemorySink, PartBatch, RecordingInfo, Sink};
use experience_stream::{EXPERIENCE_KEY, Position, Start, StreamSink, Ticket, Unit};
use std::{collections::BTreeMap, fs, time::SystemTime};

fn sink() -> StreamSink {
    StreamSink::new("127.0.0.1:0")
}

fn ticket(unit: Unit, from: Start) -> Ticket {
    Ticket {
        unit,
        from,
        ..Ticket::new(NAME)
    }
}

/// The same rows in the order of episodes and steps.
fn sorted(batch: &RecordBatch) -> RecordBatch {
    let ids = batch["episode_id"].as_primitive::<Int64Type>();
    let steps = batch["step"].as_primitive::<Int32Type>();
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_by_key(|row| (ids.value(*row as usize), steps.value(*row as usize)));
    take_record_batch(batch, &UInt32Array::from(order)).unwrap()
}

/// Compares values: the dictionaries of two batches may have other codes.
#[track_caller]
fn assert_same_rows(left: &RecordBatch, right: &RecordBatch) {
    assert_eq!(left.num_rows(), right.num_rows());
    for (field, (left, right)) in left
        .schema()
        .fields()
        .iter()
        .zip(left.columns().iter().zip(right.columns()))
    {
        if let (Some(left), Some(right)) = (
            left.as_dictionary_opt::<Int32Type>(),
            right.as_dictionary_opt::<Int32Type>(),
        ) {
            let words = |column: &arrow_array::DictionaryArray<Int32Type>| -> Vec<Option<String>> {
                let values = column.values().as_string::<i32>().clone();
                column
                    .keys()
                    .iter()
                    .map(|key| key.map(|key| values.value(key as usize).to_owned()))
                    .collect()
            };
            assert_eq!(words(left), words(right), "{}", field.name());
        } else {
            assert_eq!(left, right, "{}", field.name());
        }
    }
}

fn column(batch: &RecordBatch, name: &str) -> Vec<i64> {
    batch[name].as_primitive::<Int64Type>().values().to_vec()
}

#[test]
fn both_units_have_the_rows_of_the_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let sink = sink();
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(DatasetSink::new(folder.path())), Box::new(sink)]);
    let subscribe = |unit| Client::connect(monitor.address().unwrap()).subscribe(&ticket(unit, Start::Now));
    eventually(|| monitor.recordings().len() == 1);
    let (mut episodes, mut transitions) = (subscribe(Unit::Episodes), subscribe(Unit::Transitions));
    game.play(3000);
    let readers = std::thread::spawn(move || {
        let episodes = (episodes.rest(), episodes);
        (episodes, (transitions.rest(), transitions))
    });
    let schema = game.schema.clone();
    let reports = game.close();
    let ((whole, of_whole), (live, of_live)) = readers.join().unwrap();
    assert!(of_whole.is_closed && of_live.is_closed);
    assert_eq!((of_whole.missed, of_live.missed), Default::default());

    let dataset = Dataset::open(folder.path()).unwrap();
    let written: Vec<Episode> = dataset.recordings()[0].episodes().map(Result::unwrap).collect();
    let expected = BatchEncoder::new(schema).unwrap().encode(&written).unwrap();
    assert_eq!(expected.num_rows() as u64, reports[0].exported);
    assert!(reports[1].discarded > 0 && whole.num_rows() > 5000);
    assert_same_rows(&sorted(&whole), &sorted(&expected));
    // Of discarded episodes, transitions were sent before that was known.
    let ids = column(&live, "episode_id");
    let kept: Vec<u32> = (0..live.num_rows() as u32)
        .filter(|row| !of_live.withdrawn.contains(&ids[*row as usize]))
        .collect();
    assert!(kept.len() < live.num_rows());
    assert_same_rows(
        &sorted(&take_record_batch(&live, &UInt32Array::from(kept)).unwrap()),
        &sorted(&expected),
    );
    let json = fs::read_to_string(folder.path().join(NAME).join("experience.json")).unwrap();
    assert_eq!(of_live.schema.unwrap().metadata()[EXPERIENCE_KEY], json);
}

#[test]
fn transitions_arrive_before_their_episode_ends() {
    let sink = sink();
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(sink)]);
    eventually(|| monitor.recordings().len() == 1);
    let mut live = Client::connect(monitor.address().unwrap()).subscribe(&ticket(Unit::Transitions, Start::Now));
    game.play(4);
    // Each player has taken at least two transitions, of which the last is held back.
    let rows = live.rows(4);
    assert!(column(&rows, "tick").iter().all(|tick| *tick < 4));
    assert_eq!(monitor.recordings()[0].episodes.total.transitions, 0);
    game.close();
}

#[test]
fn a_position_continues_exactly_after_any_row() {
    let sink = sink();
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(sink)]);
    game.play(1500);
    game.flush();
    for unit in [Unit::Episodes, Unit::Transitions] {
        let connect = || Client::connect(monitor.address().unwrap());
        let mut first = connect().subscribe(&ticket(unit, Start::Oldest));
        let held = if unit == Unit::Episodes {
            monitor.recordings()[0].episodes.held
        } else {
            monitor.recordings()[0].transitions.held
        };
        let all = first.rows(held.transitions as usize);
        drop(first);
        let mut received = 0;
        let mut position = None;
        let mut parts = Vec::new();
        // Subscribers die after a batch each, and others go on.
        while received < all.num_rows() {
            let from = position.map_or(Start::Oldest, Start::Position);
            let mut next = connect().subscribe(&ticket(unit, from));
            let batch = next.next().unwrap();
            received += batch.num_rows();
            position = next.position;
            parts.push(batch);
        }
        assert!(parts.len() > 2);
        assert_same_rows(&concat_batches(&all.schema(), &parts).unwrap(), &all);
        let last = position.unwrap();
        for row in [1, 7, all.num_rows() / 2, all.num_rows() - 1] {
            let within = Position {
                transitions: row as u64,
                episodes: 0,
                ..last
            };
            let rest = connect()
                .subscribe(&ticket(unit, Start::Position(within)))
                .rows(all.num_rows() - row);
            assert_same_rows(&rest, &all.slice(row, all.num_rows() - row));
        }
    }
    await_subscribers(&monitor, 0);
    game.close();
}

#[test]
fn now_begins_with_what_follows() {
    let sink = sink();
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(sink)]);
    game.play(500);
    game.flush();
    let before = monitor.recordings()[0].episodes.total.transitions;
    assert!(before > 0);
    let mut now = Client::connect(monitor.address().unwrap()).subscribe(&ticket(Unit::Episodes, Start::Now));
    game.play(500);
    game.flush();
    let after = monitor.recordings()[0].episodes.total.transitions;
    let rows = now.rows((after - before) as usize);
    assert_eq!(rows.num_rows() as u64, after - before);
    game.close();
}

#[test]
fn rows_and_columns_are_selected_on_the_server() {
    let (sink, memory) = (sink(), MemorySink::default());
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(sink), Box::new(memory.clone())]);
    game.play(1000);
    game.flush();
    let select = |ticket: Ticket| {
        let mut subscription = Client::connect(monitor.address().unwrap()).subscribe(&Ticket {
            from: Start::Oldest,
            ..ticket
        });
        let mut batches = Vec::new();
        let total = monitor.recordings()[0].episodes.total.transitions;
        // Positions go on where nothing is selected.
        while subscription
            .position
            .is_none_or(|position| position.transitions < total)
        {
            assert!(subscription.receive(&mut batches));
        }
        concat_batches(&subscription.schema.unwrap(), &batches).unwrap()
    };
    let all = select(Ticket::new(NAME));
    let agents = column(&all, "agent_id");
    let expected = agents.iter().filter(|agent| [1, 3].contains(*agent)).count();
    let some = select(Ticket {
        agents: Some(vec![3, 1, 99]),
        ..Ticket::new(NAME)
    });
    assert_eq!(some.num_rows(), expected);
    assert!(column(&some, "agent_id").iter().all(|agent| [1, 3].contains(agent)));
    let projected = select(Ticket {
        agents: Some(vec![2]),
        columns: Some(vec!["reward".into(), "agent_id".into(), "reward".into()]),
        ..Ticket::new(NAME)
    });
    let names: Vec<_> = projected
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(names, ["agent_id", "reward"]);
    assert_eq!(projected.num_rows(), agents.iter().filter(|agent| **agent == 2).count());
    let mut rows: BTreeMap<String, usize> = BTreeMap::new();
    for episode in memory.episodes() {
        for transition in episode.transitions() {
            *rows.entry(transition.controller().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert_eq!(rows.len(), 3);
    let policies = rows["policy:a@b@3"] + rows["policy:a@b@21"];
    for (controller, expected) in rows.into_iter().chain([("policy:a@b@*".to_owned(), policies)]) {
        let own = select(Ticket {
            controllers: Some(vec![controller.clone()]),
            ..Ticket::new(NAME)
        });
        assert_eq!(own.num_rows(), expected, "{controller}");
    }
    // No row is selected in any batch, and the stream still ends.
    let mut nothing = Client::connect(monitor.address().unwrap()).subscribe(&Ticket {
        controllers: Some(
            ["policy:none", "policy:a@*", "policy:b@*", "policy:*", "script:bot@*"]
                .map(Into::into)
                .into(),
        ),
        from: Start::Oldest,
        ..Ticket::new(NAME)
    });
    let reader = std::thread::spawn(move || (nothing.next().is_none(), nothing.is_closed));
    game.close();
    assert_eq!(reader.join().unwrap(), (true, true));
}

#[test]
fn a_position_of_another_run_begins_with_the_oldest_and_says_so() {
    let address;
    let position = {
        let sink = sink();
        let monitor = sink.monitor();
        let mut game = Game::new(vec![Box::new(sink)]);
        game.play(200);
        game.flush();
        address = monitor.address().unwrap();
        let mut first = Client::connect(address).subscribe(&ticket(Unit::Episodes, Start::Oldest));
        first.next().unwrap();
        game.close();
        first.position.unwrap()
    };
    let sink = StreamSink::new(address.to_string());
    let monitor = sink.monitor();
    let mut game = Game::with_run(vec![Box::new(sink)], RunId::from_bits(2));
    game.play(200);
    game.flush();
    let mut again = Client::connect(address).subscribe(&ticket(Unit::Episodes, Start::Position(position)));
    let total = monitor.recordings()[0].episodes.total;
    assert_eq!(
        again.rows(total.transitions as usize).num_rows() as u64,
        total.transitions
    );
    assert!(again.is_restarted && again.missed == Default::default());
    assert_eq!(again.position.unwrap().run, RunId::from_bits(2));
    game.close();
}

#[test]
fn the_first_message_has_the_place_where_the_stream_begins() {
    let sink = sink();
    let monitor = sink.monitor();
    let mut game = Game::new(vec![Box::new(sink)]);
    game.play(300);
    game.flush();
    let before = monitor.recordings()[0].episodes.total;
    let connect = || Client::connect(monitor.address().unwrap());
    let mut now = connect().subscribe(&ticket(Unit::Episodes, Start::Now));
    now.next_message();
    let place = now.position.unwrap();
    assert_eq!(
        (place.transitions, place.episodes),
        (before.transitions, before.episodes)
    );
    // The connection is lost, and what is recorded meanwhile is not.
    drop(now);
    game.play(300);
    game.flush();
    let after = monitor.recordings()[0].episodes.total.transitions;
    let mut again = connect().subscribe(&ticket(Unit::Episodes, Start::Position(place)));
    let expected = after - before.transitions;
    assert!(expected > 0);
    assert_eq!(again.rows(expected as usize).num_rows() as u64, expected);
    assert_eq!(again.missed, Default::default());
    game.close();
}

#[test]
fn an_episode_that_is_discarded_before_it_is_sent_is_withdrawn_after_it() {
    let memory = MemorySink::default();
    let mut game = Game::new(vec![Box::new(memory.clone())]);
    game.play(200);
    let schema = game.schema.clone();
    let reports = game.close();
    let episodes: Vec<Episode> = memory.episodes().into_iter().take(2).collect();
    let id = episodes[0].info().episode_id;

    let mut sink = sink();
    let monitor = sink.monitor();
    sink.check(&schema).unwrap();
    sink.open(&RecordingInfo {
        schema,
        run: RunId::from_bits(1),
        tick_rate: None,
        started: SystemTime::now(),
        buffers: None,
    })
    .unwrap();
    let tag = EpisodeTag {
        episode_id: id,
        agent_id: episodes[0].info().agent_id,
        tag: DISCARDED_TAG.into(),
    };
    sink.write_tags(&[TagChange::Added(tag)]).unwrap();
    sink.write(&episodes).unwrap();
    let parts = episodes
        .iter()
        .map(|episode| EpisodePart::new(episode.clone(), 0, true));
    sink.write_parts(&PartBatch {
        parts: parts.collect(),
        ..PartBatch::default()
    })
    .unwrap();
    for unit in [Unit::Episodes, Unit::Transitions] {
        let mut late = Client::connect(monitor.address().unwrap()).subscribe(&ticket(unit, Start::Oldest));
        let rows = late.next().unwrap();
        assert!(column(&rows, "episode_id").contains(&id));
        assert_eq!(late.withdrawn, [id]);
        late.next_message();
        assert_eq!(late.withdrawn, [id, id], "{unit}");
    }
    sink.close(&reports[0]).unwrap();
}

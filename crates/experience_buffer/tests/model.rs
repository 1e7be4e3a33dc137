//! Model-based property tests: random operations on rings and queues, with `MutexBuffer` as the model.

use experience_buffer::{
    BufferKind, BufferSettings, BufferStats, Memory, MemoryUse, Overflow, PlayerBuffers, TransitionBuffer, Writer,
    create,
};
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Operation {
    Push(u8),
    Drain(usize),
    Pop,
    Peek,
    Read(usize),
    Close,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        6 => (0..12u8).prop_map(Operation::Push),
        4 => (0..12usize).prop_map(Operation::Drain),
        2 => Just(Operation::Pop),
        1 => Just(Operation::Peek),
        2 => (0..12usize).prop_map(Operation::Read),
        // Rare, because every push after a close is rejected.
        1 => prop_oneof![19 => Just(Operation::Peek), 1 => Just(Operation::Close)],
    ];
    proptest::collection::vec(operation, 0..80)
}

type Pair = (Writer, Arc<dyn TransitionBuffer>);

fn drain(buffer: &dyn TransitionBuffer, max: usize) -> (u64, Vec<[u64; 3]>) {
    let mut seen = Vec::new();
    let drained = buffer.drain(max, &mut |row| seen.push(row.try_into().unwrap()));
    (drained.missed, seen)
}

fn peek(buffer: &dyn TransitionBuffer) -> Vec<u64> {
    let mut seen = Vec::new();
    buffer.peek_all(&mut |row| seen.push(row[0]));
    seen
}

fn compare(tested: &mut Pair, model: &mut Pair, operations: &[Operation]) -> Result<(), TestCaseError> {
    let mut next = 0;
    let mut reader = tested.1.reader();
    let (mut read, mut missed) = (Vec::new(), 0);
    for operation in operations {
        match *operation {
            Operation::Push(rows) => {
                for _ in 0..rows {
                    let row = [next, next * 3, !next];
                    prop_assert_eq!(tested.0.push(&row), model.0.push(&row));
                    next += 1;
                }
            }
            Operation::Drain(max) => {
                let drained = drain(&*tested.1, max);
                prop_assert_eq!(&drained, &drain(&*model.1, max));
                if tested.1.kind() == BufferKind::Queue && drained.1.len() < max {
                    // The queue's drain may already have popped the row behind a gap, which frees one more slot.
                    prop_assert_eq!(drain(&*tested.1, 1), drain(&*model.1, 1));
                }
            }
            Operation::Pop => {
                let (mut a, mut b) = ([0; 3], [0; 3]);
                prop_assert_eq!(tested.1.pop(&mut a), model.1.pop(&mut b));
                prop_assert_eq!(a, b);
            }
            Operation::Peek => {
                let (seen, undrained) = (peek(&*tested.1), peek(&*model.1));
                prop_assert!(seen.ends_with(&undrained), "{:?} {:?}", seen, undrained);
            }
            Operation::Read(max) => {
                if let Some(reader) = &mut reader {
                    missed += reader.read(max, |row| read.push(row[0])).missed;
                }
            }
            Operation::Close => {
                tested.1.close();
                model.1.close();
            }
        }
        let stats = tested.1.stats();
        let counts = |stats| BufferStats {
            memory: MemoryUse::default(),
            ..stats
        };
        prop_assert_eq!(counts(stats), counts(model.1.stats()));
        prop_assert_eq!(stats.added, stats.retrieved + stats.dropped + stats.len as u64);
        prop_assert_eq!(tested.0.free(), model.0.free());
        prop_assert_eq!(tested.1.is_closed(), model.1.is_closed());
    }
    if let Some(reader) = &mut reader {
        loop {
            let last = reader.read(usize::MAX, |row| read.push(row[0]));
            if last == Default::default() {
                break;
            }
            missed += last.missed;
        }
        prop_assert!(read.is_sorted_by(|a, b| a < b));
        prop_assert_eq!(read.len() as u64 + missed, tested.1.stats().added);
    }
    Ok(())
}

fn pair(kind: BufferKind, memory: Memory, capacity: usize, overflow: Overflow) -> (Pair, Pair) {
    let settings = |kind, memory| BufferSettings {
        kind,
        capacity,
        overflow: overflow.clone(),
        memory,
        ..BufferSettings::default()
    };
    let tested = create(&settings(kind, memory), 3).unwrap();
    (tested, create(&settings(BufferKind::Mutex, Memory::Heap), 3).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn rings_and_queues_match_the_mutex_buffer(
        kind in prop_oneof![Just(BufferKind::Ring), Just(BufferKind::Queue)],
        overflow in prop_oneof![
            Just(Overflow::DropOldest),
            Just(Overflow::DropNewest),
        ],
        capacity in 1..9usize,
        operations in operations(),
    ) {
        let (mut tested, mut model) = pair(kind, Memory::Heap, capacity, overflow);
        compare(&mut tested, &mut model, &operations)?;
    }

    /// The former rings of a lane leave nothing behind.
    #[test]
    fn reserved_rings_match_the_mutex_buffer(
        overflow in prop_oneof![Just(Overflow::DropOldest), Just(Overflow::DropNewest)],
        capacity in 1..9usize,
        in_turn in proptest::collection::vec(operations(), 1..4),
    ) {
        let settings = BufferSettings { capacity, overflow: overflow.clone(), ..BufferSettings::default() };
        let players = PlayerBuffers::new(settings, 3).unwrap();
        players.reserve(2).unwrap();
        let mut beside = players.open(0).unwrap();
        beside.0.push(&[7; 3]).unwrap();
        for operations in in_turn {
            let (_, mut model) = pair(BufferKind::Ring, Memory::Heap, capacity, overflow.clone());
            let mut tested = players.open(1).unwrap();
            compare(&mut tested, &mut model, &operations)?;
            let (writer, buffer) = tested;
            drop(writer);
            players.remove(1, |_| ());
            drop(buffer);
        }
        prop_assert_eq!(peek(&*beside.1), [7]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri supports neither file mappings nor NUMA binding")]
    fn file_and_numa_rings_match_the_mutex_buffer(
        in_file in any::<bool>(),
        overflow in prop_oneof![Just(Overflow::DropOldest), Just(Overflow::DropNewest)],
        capacity in 1..9usize,
        operations in operations(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let memory = if in_file { Memory::File(folder.path().to_owned()) } else { Memory::Numa };
        let (mut tested, mut model) = pair(BufferKind::Ring, memory, capacity, overflow);
        compare(&mut tested, &mut model, &operations)?;
    }
}

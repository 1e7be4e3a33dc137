//! `densify`: transitions of several ticks become transitions of one tick.

use crate::episodes::{account, assert_same, assert_valid, fighter, generated, info, listing, read, write};
use experience_core::transition::{EndReason, Episode, Outcome, RunId, StepHeader, Transition};
use experience_dataset::{Dataset, DensifySettings, densify};
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(1);

/// An episode whose transitions last `ticks` ticks.
fn lasting(counter: u32, ticks: &[u32]) -> Episode {
    let schema = fighter().into_shared();
    let info = info(RUN, counter, i64::from(counter));
    let mut rows = generated(&schema, info, 0, ticks.len(), u64::from(counter))
        .rows()
        .to_vec();
    let mut tick = 100;
    for (row, ticks) in rows
        .chunks_exact_mut(schema.layout().row_words())
        .zip([&[0], ticks].concat())
    {
        let header = StepHeader::of_mut(row);
        tick += i64::from(ticks);
        (header.tick, header.ticks, header.timestamp) = (tick, ticks, tick as f64 / 50.0);
        header.set_match_id(Some(1));
    }
    Episode::new(schema, info, rows, Outcome::Terminated, EndReason::DEATH)
}

#[test]
fn observations_and_actions_are_repeated_until_the_next_row() {
    let root = tempdir().unwrap();
    let written = [lasting(0, &[1, 4, 2, 1]), lasting(1, &[3]), lasting(2, &[1, 1])];
    write(root.path(), &written);
    let dataset = Dataset::open(root.path()).unwrap();
    for spread_rewards in [false, true] {
        let to = tempdir().unwrap();
        let settings = DensifySettings {
            spread_rewards,
            ..DensifySettings::default()
        };
        let done = densify(&dataset, to.path(), settings, &mut |_| {}).unwrap();
        assert_eq!((done[0].before, done[0].after), (7, 13));
        assert_valid(to.path());
        let dense = read(to.path());
        assert_same(&dense[2], &written[2]);
        let run = account(&to.path().join("fighter/runs/00000001.json"));
        assert_eq!(
            (
                run.account.exported,
                run.account.recorded,
                Dataset::open(to.path()).unwrap().recordings()[0]
                    .agent_totals()
                    .unwrap()[&0]
                    .transitions
            ),
            (13, 13, 8)
        );
        let first = &dense[0];
        assert_eq!(
            first.transitions().map(Transition::tick).collect::<Vec<_>>(),
            (100..108).collect::<Vec<_>>()
        );
        assert!(first.transitions().all(|transition| transition.ticks() == 1));
        let four = written[0].transition(1);
        for step in 1..5 {
            let tick = first.transition(step);
            assert_eq!(tick.observation(), four.observation());
            assert_eq!(tick.before().mask_bits(), four.before().mask_bits());
            assert!(tick.action().eq(four.action()));
            assert_eq!(tick.after().info_bytes(0), four.after().info_bytes(0));
            assert!((tick.timestamp() - (100 + step) as f64 / 50.0).abs() < 1e-12);
            let reward = match (spread_rewards, step) {
                (true, _) => four.reward() / 4.0,
                (false, 4) => four.reward(),
                (false, _) => 0.0,
            };
            assert!((tick.reward() - reward).abs() < 1e-9, "{step}");
        }
        assert_eq!(first.transition(4).next_observation(), four.next_observation());
        for (dense, written) in dense.iter().zip(&written) {
            assert!((dense.total_reward() - written.total_reward()).abs() < 1e-9);
            assert_eq!(
                (dense.info(), dense.outcome(), dense.reason()),
                (written.info(), written.outcome(), written.reason())
            );
        }
    }
}

#[test]
fn an_episode_that_would_be_too_long_is_refused_and_allocates_nothing() {
    let root = tempdir().unwrap();
    write(root.path(), &[lasting(0, &[1, i32::MAX as u32])]);
    let dataset = Dataset::open(root.path()).unwrap();
    let to = tempdir().unwrap();
    let refusal = densify(&dataset, &to.path().join("c"), DensifySettings::default(), &mut |_| {}).unwrap_err();
    assert!(
        refusal.to_string().contains("would have 2147483648 transitions"),
        "{refusal}"
    );
    assert_eq!(listing(to.path()), [""; 0]);
}

//! `split`: datasets for training, validation and test, of which each episode is in one.

use crate::episodes::{assert_same, assert_valid, episodes, fighter, generated, info, listing, read, write};
use experience_core::transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId};
use experience_dataset::{Dataset, SplitBy, SplitSettings, split};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};
use tempfile::tempdir;

/// Episodes of three runs, in which some continue others.
fn chained() -> Vec<Vec<Episode>> {
    let schema = fighter().into_shared();
    let of_run = |bits| {
        let run = RunId::from_bits(bits);
        let continues = |number: u32| number > 20 && number.is_multiple_of(4);
        let episode = |number: u32| {
            let info = EpisodeInfo {
                continues: continues(number).then(|| run.episode_id(number - 3)),
                ..info(run, number, i64::from(number % 3) - 1)
            };
            let len = 1 + number as usize % 5;
            let episode = generated(&schema, info, 10 * i64::from(number), len, u64::from(number));
            if !continues(number + 3) {
                return episode;
            }
            let rows = episode.rows().to_vec();
            Episode::new(schema.clone(), info, rows, Outcome::Truncated, EndReason::SPLIT)
        };
        (0..40).map(episode).collect()
    };
    [1, 2, 3].map(of_run).into()
}

fn divide(root: &Path, to: &Path, settings: &SplitSettings) -> Result<Vec<(String, u64, u64)>, String> {
    let recording = Dataset::open(root).unwrap().recordings()[0].clone();
    let parts = split(&recording, to, settings, &mut |_| {}).map_err(|error| error.to_string())?;
    Ok(parts
        .into_iter()
        .map(|part| (part.name, part.episodes, part.transitions))
        .collect())
}

#[test]
fn each_episode_is_in_one_part_and_no_group_is_in_two() {
    let root = tempdir().unwrap();
    let runs = chained();
    for episodes in &runs {
        write(root.path(), episodes);
    }
    let all: HashMap<i64, &Episode> = runs
        .iter()
        .flatten()
        .map(|episode| (episode.info().episode_id, episode))
        .collect();
    for (by, seed) in [
        (SplitBy::Episode, 0),
        (SplitBy::Episode, 1),
        (SplitBy::Agent, 0),
        (SplitBy::Match, 3),
        (SplitBy::Run, 7),
    ] {
        let to = tempdir().unwrap();
        let settings = SplitSettings {
            by,
            seed,
            ..SplitSettings::default()
        };
        let parts = divide(root.path(), to.path(), &settings).unwrap();
        assert_eq!(parts.len(), 3);
        let mut part_of = HashMap::new();
        let mut groups: HashMap<String, usize> = HashMap::new();
        for (part, (name, episodes, transitions)) in parts.iter().enumerate() {
            let folder = to.path().join(name);
            assert_valid(&folder);
            let found = read(&folder);
            assert_eq!(found.len() as u64, *episodes);
            assert_eq!(
                found.iter().map(|episode| episode.len() as u64).sum::<u64>(),
                *transitions
            );
            for episode in &found {
                let info = episode.info();
                assert_same(episode, all[&info.episode_id]);
                assert!(part_of.insert(info.episode_id, part).is_none());
                let first = episode.transitions().next().unwrap().match_id();
                let group = match by {
                    SplitBy::Episode => format!("{}", info.episode_id),
                    SplitBy::Agent => format!("{} {:?}", info.agent_id, (info.agent_id < 0).then_some(info.run)),
                    SplitBy::Run => info.run.to_string(),
                    SplitBy::Match => format!("{} {first:?}", info.run),
                };
                assert_eq!(*groups.entry(group).or_insert(part), part, "{by:?}");
            }
            for run in Dataset::open(&folder).unwrap().recordings()[0].runs().unwrap() {
                assert_eq!(run.account.recorded, run.account.exported + run.filtered.transitions);
                assert!(
                    run.filtered
                        .by
                        .iter()
                        .all(|by| by.starts_with(&format!("split: {name} of train=0.8")))
                );
            }
        }
        assert_eq!(part_of.len(), all.len());
        for episode in runs.iter().flatten() {
            if let Some(other) = episode.info().continues {
                assert_eq!(part_of[&other], part_of[&episode.info().episode_id]);
            }
        }
        let again = tempdir().unwrap();
        assert_eq!(divide(root.path(), again.path(), &settings).unwrap(), parts);
        assert_eq!(listing(again.path()), listing(to.path()));
    }
}

#[test]
fn parts_have_about_their_shares_and_change_with_the_seed() {
    let root = tempdir().unwrap();
    let all = episodes(&fighter().into_shared(), RunId::from_bits(1), 200);
    write(root.path(), &all);
    let mut tests = HashSet::new();
    for seed in 0..5 {
        let to = tempdir().unwrap();
        let settings = SplitSettings {
            seed,
            ..SplitSettings::default()
        };
        let parts = divide(root.path(), to.path(), &settings).unwrap();
        let sizes: Vec<u64> = parts.iter().map(|(_, episodes, _)| *episodes).collect();
        assert_eq!(sizes, [160, 20, 20]);
        let ids: Vec<i64> = read(&to.path().join("test"))
            .iter()
            .map(|episode| episode.info().episode_id)
            .collect();
        tests.insert(ids);
    }
    assert_eq!(tests.len(), 5);
}

#[test]
fn shares_names_and_groups_that_do_not_fit_are_refused() {
    let root = tempdir().unwrap();
    let schema = Arc::clone(episodes(&fighter().into_shared(), RunId::from_bits(1), 2)[0].schema());
    write(root.path(), &episodes(&schema, RunId::from_bits(1), 6));
    let parent = tempdir().unwrap();
    let to = parent.path().join("to");
    let refused = |parts: &[(&str, f64)], by| {
        let settings = SplitSettings {
            parts: parts.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect(),
            by,
            seed: 0,
        };
        divide(root.path(), &to, &settings).unwrap_err()
    };
    for shares in [[0.5, 0.6], [0.5, 0.4], [1.0, 0.0], [1.5, -0.5], [f64::NAN, 0.5]] {
        let message = refused(&[("a", shares[0]), ("b", shares[1])], SplitBy::Episode);
        assert!(message.contains("give positive numbers that add up to 1"), "{message}");
    }
    assert!(refused(&[], SplitBy::Episode).contains("add up to 1"));
    for name in ["../x", "", "a/b", "con"] {
        let message = refused(&[(name, 1.0)], SplitBy::Episode);
        assert!(message.contains("no plain name of a folder"), "{message}");
    }
    assert!(refused(&[("a", 0.5), ("A", 0.5)], SplitBy::Episode).contains("two parts are called"));
    let message = refused(&[("a", 0.5), ("b", 0.5)], SplitBy::Run);
    assert!(
        message.contains("1 group by run cannot be divided into 2 parts"),
        "{message}"
    );
    let inside = root.path().join("parts");
    assert!(
        divide(root.path(), &inside, &SplitSettings::default())
            .unwrap_err()
            .contains("outside of it")
    );
    assert_eq!(listing(parent.path()), [""; 0]);
    // Few groups: each part gets one.
    let settings = SplitSettings {
        by: SplitBy::Agent,
        ..SplitSettings::default()
    };
    assert!(
        divide(root.path(), &to, &settings)
            .unwrap()
            .iter()
            .all(|(_, episodes, _)| *episodes == 2)
    );
}

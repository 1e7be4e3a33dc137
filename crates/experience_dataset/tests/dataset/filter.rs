//! `filter`: a new dataset of the episodes that meet conditions, with accounts that say what was left out.

use crate::{
    controllers::dataset as controlled,
    episodes::{account, assert_same, assert_valid, episodes, fighter, listing, read, recording, report, write},
    rewritten::{overwrite, without_summary},
};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use experience_arrow::BatchEncoder;
use experience_core::{
    account::{EpisodeTag, TagChange},
    schema::{Column, ImageShape},
    transition::{Episode, RunId},
};
use experience_dataset::{
    Dataset, DatasetError, DatasetSink, EpisodeFilter, FilteredRecording, RecordingData, RunStatus, filter,
};
use experience_export::Sink;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(1);

fn only(root: &Path) -> RecordingData {
    Dataset::open(root).unwrap().recordings()[0].clone()
}

fn apply(root: &Path, to: &Path, conditions: &EpisodeFilter) -> Result<FilteredRecording, DatasetError> {
    filter(&only(root), to, conditions, &mut |_| {})
}

/// Applies a filter, and asserts that exactly the episodes of `all` for which `expected` holds are in the new dataset, unchanged.
#[track_caller]
fn assert_selects(root: &Path, all: &[Episode], conditions: &EpisodeFilter, expected: impl Fn(&Episode) -> bool) {
    let to = tempdir().unwrap();
    let result = apply(root, to.path(), conditions).unwrap();
    assert_valid(to.path());
    let (kept, left_out): (Vec<&Episode>, Vec<&Episode>) = all.iter().partition(|episode| expected(episode));
    assert!(!kept.is_empty() && !left_out.is_empty(), "{conditions}");
    let found = read(to.path());
    assert_eq!(found.len(), kept.len(), "{conditions}");
    for (found, kept) in found.iter().zip(&kept) {
        assert_same(found, kept);
    }
    let transitions = |episodes: &[&Episode]| episodes.iter().map(|episode| episode.len() as u64).sum::<u64>();
    assert_eq!(
        (
            result.episodes,
            result.transitions,
            result.left_out_episodes,
            result.left_out_transitions
        ),
        (
            kept.len() as u64,
            transitions(&kept),
            left_out.len() as u64,
            transitions(&left_out)
        ),
        "{conditions}"
    );
    for run in only(to.path()).runs().unwrap() {
        let own = |episodes: &[&Episode]| {
            let own: Vec<&Episode> = episodes
                .iter()
                .copied()
                .filter(|episode| episode.info().run == run.run)
                .collect();
            (own.len() as u64, transitions(&own))
        };
        let (kept, left_out) = (own(&kept), own(&left_out));
        let counts = &run.account;
        assert_eq!((counts.episodes, counts.exported), kept);
        assert_eq!((run.filtered.episodes, run.filtered.transitions), left_out);
        assert_eq!((counts.discarded, counts.dropped), (left_out.1, 0));
        assert_eq!(counts.recorded, kept.1 + left_out.1);
        let by = if left_out.0 > 0 {
            vec![format!("filter: {conditions}")]
        } else {
            Vec::new()
        };
        assert_eq!(run.filtered.by, by);
        assert_eq!(run.status, RunStatus::Closed);
    }
}

#[test]
fn each_condition_selects_its_episodes() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let mut all = Vec::new();
    for bits in [1, 2] {
        let some = episodes(&schema, RunId::from_bits(bits), 30);
        write(root.path(), &some);
        all.extend(some);
    }
    let root = root.path();
    let select = |conditions: EpisodeFilter, expected: &dyn Fn(&Episode) -> bool| {
        assert_selects(root, &all, &conditions, expected);
        let inverted = EpisodeFilter {
            inverted: true,
            ..conditions
        };
        assert_selects(root, &all, &inverted, |episode| !expected(episode));
    };
    let none = EpisodeFilter::default;
    let mut returns: Vec<f64> = all.iter().map(Episode::total_reward).collect();
    returns.sort_unstable_by(f64::total_cmp);
    let ids = [all[3].info().episode_id, all[40].info().episode_id];
    select(
        EpisodeFilter {
            episodes: ids.to_vec(),
            ..none()
        },
        &|episode| ids.contains(&episode.info().episode_id),
    );
    select(
        EpisodeFilter {
            agents: vec![0, 2],
            ..none()
        },
        &|episode| episode.info().agent_id != 1,
    );
    select(
        EpisodeFilter {
            runs: vec![RUN],
            ..none()
        },
        &|episode| episode.info().run == RUN,
    );
    select(
        EpisodeFilter {
            end_reasons: vec!["fell_off".to_owned()],
            ..none()
        },
        &|episode| episode.reason().as_str() == "fell_off",
    );
    select(
        EpisodeFilter {
            terminated: Some(true),
            ..none()
        },
        &|episode| episode.reason().as_str() == "death",
    );
    let bound = returns[20];
    select(
        EpisodeFilter {
            min_return: Some(bound),
            ..none()
        },
        &|episode| episode.total_reward() >= bound,
    );
    select(
        EpisodeFilter {
            max_return: Some(bound),
            ..none()
        },
        &|episode| episode.total_reward() <= bound,
    );
    // Halfway between the 30th and the 31st of 60.
    let median = f64::midpoint(returns[29], returns[30]);
    select(
        EpisodeFilter {
            return_quantile: Some((0.5, 1.0)),
            ..none()
        },
        &|episode| episode.total_reward() >= median,
    );
    select(
        EpisodeFilter {
            agents: vec![1],
            terminated: Some(false),
            ..none()
        },
        &|episode| episode.info().agent_id == 1 && episode.reason().as_str() != "death",
    );
}

#[test]
fn an_episode_is_selected_if_one_controller_had_all_of_it() {
    let root = tempdir().unwrap();
    let all = controlled(&fighter());
    write(root.path(), &all);
    let by = |controllers: &[&str]| EpisodeFilter {
        controllers: controllers.iter().map(|word| (*word).to_owned()).collect(),
        ..EpisodeFilter::default()
    };
    let to = tempdir().unwrap();
    let person = apply(root.path(), &to.path().join("person"), &by(&["person"])).unwrap();
    // Episode 3 was played by a person and by a hunter, and episode 4 by a hunter and others.
    assert_eq!((person.episodes, person.mixed_episodes), (1, 1));
    let both = apply(root.path(), &to.path().join("both"), &by(&["person", "script:hunter"])).unwrap();
    assert_eq!((both.episodes, both.mixed_episodes), (3, 1));
    assert_valid(&to.path().join("both"));
    let error = apply(root.path(), &to.path().join("none"), &by(&["scrpt:hunter"])).unwrap_err();
    assert!(matches!(error, DatasetError::NoMatch { .. }));
    assert!(
        error
            .to_string()
            .contains("`person`, `policy:fighter@3`, `script:hunter`"),
        "{error}"
    );
}

fn tag(episode: u32, tag: &str) -> TagChange {
    TagChange::Added(EpisodeTag {
        episode_id: RUN.episode_id(episode),
        agent_id: i64::from(episode % 3),
        tag: tag.to_owned(),
    })
}

#[test]
fn tags_select_episodes_and_stay_with_them() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let all = episodes(&schema, RUN, 6);
    let mut sink = DatasetSink::new(root.path());
    sink.open(&recording(&schema, RUN)).unwrap();
    sink.write(&all).unwrap();
    sink.write_tags(&[tag(0, "map=desert"), tag(1, "map=forest"), tag(1, "won"), tag(4, "won")])
        .unwrap();
    sink.close(&report(&all)).unwrap();
    let number = |episode: &Episode| episode.info().episode_id as u32;
    let tagged = |tags: &[&str], without: &[&str]| {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        EpisodeFilter {
            tags: words(tags),
            without_tags: words(without),
            ..EpisodeFilter::default()
        }
    };
    let root = root.path();
    assert_selects(root, &all, &tagged(&["won"], &[]), |episode| {
        [1, 4].contains(&number(episode))
    });
    assert_selects(root, &all, &tagged(&["won", "map=desert"], &[]), |episode| {
        [0, 1, 4].contains(&number(episode))
    });
    assert_selects(root, &all, &tagged(&["won"], &["map=forest"]), |episode| {
        number(episode) == 4
    });
    let to = tempdir().unwrap();
    apply(root, to.path(), &tagged(&["won"], &["map=forest"])).unwrap();
    let tags = only(to.path()).tags().unwrap();
    assert_eq!(tags.len(), 1);
    assert!(tags[&RUN.episode_id(4)].contains("won"));
    let error = apply(root, &to.path().join("x"), &tagged(&["lost"], &[]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the tag `lost`; the tags are: `map=desert`, `map=forest`, `won`"),
        "{error}"
    );
}

#[test]
fn images_and_columns_of_others_are_kept() {
    let root = tempdir().unwrap();
    let shape = ImageShape {
        height: 5,
        width: 7,
        channels: 3,
    };
    let schema = fighter().with_images([Column::image("eye", shape)]).into_shared();
    let all = episodes(&schema, RUN, 6);
    write(root.path(), &all);
    let conditions = EpisodeFilter {
        agents: vec![1],
        ..EpisodeFilter::default()
    };
    assert_selects(root.path(), &all, &conditions, |episode| episode.info().agent_id == 1);
    // Another tool has added a column, which numbers the rows.
    let path = root.path().join("fighter/data/00000001-00000.parquet");
    let batch = BatchEncoder::new(schema).unwrap().encode(&all).unwrap();
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..batch.num_rows() as i64));
    let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(arrow_schema::Field::new(
        "theirs",
        arrow_schema::DataType::Int64,
        false,
    )));
    let wider = arrow_schema::Schema::new_with_metadata(fields, batch.schema().metadata().clone());
    let batch = RecordBatch::try_new(Arc::new(wider), [batch.columns(), &[numbers]].concat()).unwrap();
    overwrite(&path, &batch);
    let to = tempdir().unwrap();
    apply(root.path(), to.path(), &conditions).unwrap();
    assert_valid(to.path());
    let path = to.path().join("fighter/data/00000001-00000.parquet");
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    assert_eq!(without_summary(reader.schema()), *batch.schema());
    let mut theirs = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let column = batch.column_by_name("theirs").unwrap().clone();
        theirs.extend(column.as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec());
    }
    // Episodes 1 and 4 of 10 transitions each.
    assert_eq!(theirs, (10..20).chain(40..50).collect::<Vec<i64>>());
}

#[test]
fn the_new_dataset_has_the_card_and_the_schema_of_its_source() {
    let root = tempdir().unwrap();
    write(root.path(), &episodes(&fighter().into_shared(), RUN, 6));
    let other = fighter();
    let other = experience_core::schema::Schema::new("other").with_observation(other.observation().to_vec());
    write(root.path(), &episodes(&other.into_shared(), RUN, 3));
    let card = root.path().join("README.md");
    let text = fs::read_to_string(&card).unwrap();
    fs::write(&card, text.replacen("---\n", "---\nlicense: mit\n", 1)).unwrap();
    let to = tempdir().unwrap();
    let fighter = Dataset::open(root.path())
        .unwrap()
        .recording("fighter")
        .unwrap()
        .clone();
    let conditions = EpisodeFilter {
        agents: vec![1],
        ..EpisodeFilter::default()
    };
    filter(&fighter, to.path(), &conditions, &mut |_| {}).unwrap();
    let text = fs::read_to_string(to.path().join("README.md")).unwrap();
    assert!(
        text.contains("license: mit") && text.contains("config_name: \"fighter\""),
        "{text}"
    );
    assert!(!text.contains("other"), "{text}");
    let file = "fighter/experience.json";
    assert_eq!(
        fs::read(root.path().join(file)).unwrap(),
        fs::read(to.path().join(file)).unwrap()
    );
    assert_eq!(
        listing(to.path()),
        [
            "fighter",
            "fighter/data",
            "fighter/data/00000001-00000.parquet",
            "fighter/experience.json",
            "fighter/runs",
            "fighter/runs/00000001.json"
        ]
    );
    // A filter of a filtered dataset adds to what was left out.
    let again = tempdir().unwrap();
    let conditions = EpisodeFilter {
        episodes: vec![RUN.episode_id(1)],
        ..EpisodeFilter::default()
    };
    apply(to.path(), again.path(), &conditions).unwrap();
    assert_valid(again.path());
    let run = account(&again.path().join("fighter/runs/00000001.json"));
    assert_eq!((run.filtered.episodes, run.filtered.transitions), (5, 50));
    assert_eq!(run.filtered.by.len(), 2, "{:?}", run.filtered.by);
    assert_eq!(
        (run.account.recorded, run.account.exported, run.account.discarded),
        (60, 10, 50)
    );
}

#[test]
fn transitions_of_shards_that_are_gone_are_missing_and_not_filtered() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    let all = episodes(&schema, RUN, 6);
    let mut sink = DatasetSink::new(root.path()).with_shard_episodes(3);
    sink.open(&recording(&schema, RUN)).unwrap();
    sink.write(&all[..3]).unwrap();
    sink.write(&all[3..]).unwrap();
    sink.close(&report(&all)).unwrap();
    fs::remove_file(root.path().join("fighter/data/00000001-00000.parquet")).unwrap();
    let to = tempdir().unwrap();
    let conditions = EpisodeFilter {
        agents: vec![0],
        ..EpisodeFilter::default()
    };
    apply(root.path(), to.path(), &conditions).unwrap();
    assert_valid(to.path());
    let run = account(&to.path().join("fighter/runs/00000001.json"));
    let counts = &run.account;
    assert_eq!(
        (counts.exported, counts.discarded, counts.dropped, counts.missing),
        (10, 20, 30, 30)
    );
    assert_eq!((run.filtered.transitions, counts.missing_episodes), (20, 3));
}

#[test]
fn what_cannot_be_filtered_is_refused_and_nothing_is_written() {
    let root = tempdir().unwrap();
    let schema = fighter().into_shared();
    write(root.path(), &episodes(&schema, RUN, 6));
    let conditions = EpisodeFilter {
        agents: vec![1],
        ..EpisodeFilter::default()
    };
    let parent = tempdir().unwrap();
    let to = parent.path().join("to");
    let refused = |conditions: &EpisodeFilter, to: &Path| apply(root.path(), to, conditions).unwrap_err().to_string();
    let unknown = |edit: &dyn Fn(&mut EpisodeFilter)| {
        let mut conditions = EpisodeFilter::default();
        edit(&mut conditions);
        refused(&conditions, &to)
    };
    for (message, expected) in [
        (unknown(&|filter| filter.agents = vec![1, 9]), "agent 9 is not in it"),
        (unknown(&|filter| filter.episodes = vec![5]), "episode 5 is not in it"),
        (
            unknown(&|filter| filter.runs = vec![RunId::from_bits(7)]),
            "run 00000007 has no episode in it",
        ),
        (
            unknown(&|filter| filter.end_reasons = vec!["goal".to_owned()]),
            "for the reason `goal`; the reasons are: ",
        ),
        (
            unknown(&|filter| filter.controllers = vec!["person".to_owned()]),
            "by `person`; the controllers are: none",
        ),
        (
            unknown(&|filter| filter.min_return = Some(1e9)),
            "no episode meets the conditions (return of at least",
        ),
        (
            unknown(&|filter| filter.return_quantile = Some((0.5, 1.5))),
            "two numbers from 0 to 1",
        ),
    ] {
        assert!(message.contains(expected), "{message}");
    }
    for inside in ["", "new", "fighter/new", "./x/../fighter"] {
        let message = refused(&conditions, &root.path().join(inside));
        assert!(message.contains("outside of it"), "{message}");
    }
    fs::create_dir(&to).unwrap();
    fs::write(to.join("file"), "").unwrap();
    assert!(refused(&conditions, &to).contains("is not empty"));
    fs::remove_dir_all(&to).unwrap();
    // A flipped bit that the decoder may not notice.
    let shard = root.path().join("fighter/data/00000001-00000.parquet");
    let good = fs::read(&shard).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 3] ^= 1;
    fs::write(&shard, bad).unwrap();
    let message = refused(&conditions, &to);
    assert!(
        message.contains("00000001-00000.parquet` is damaged: its checksum is"),
        "{message}"
    );
    fs::write(&shard, &good).unwrap();
    // A run that is being recorded.
    let mut sink = DatasetSink::new(root.path());
    sink.open(&recording(&schema, RunId::from_bits(2))).unwrap();
    let message = refused(&conditions, &to);
    assert!(
        message.contains("run 00000002 is being recorded") && message.contains("experience recover"),
        "{message}"
    );
    sink.close(&report(&[])).unwrap();
    fs::remove_file(root.path().join("fighter/runs/00000001.json")).unwrap();
    let message = refused(&conditions, &to);
    assert!(message.contains("of run 00000001, which has no account"), "{message}");
    assert_eq!(listing(parent.path()), [""; 0]);
}

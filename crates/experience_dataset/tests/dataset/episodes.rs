//! Generated episodes, and helpers to write, read, compare and validate them.

use experience_core::{
    account::{AgentTotals, RunReport},
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader, StepKind},
};
use experience_dataset::{Dataset, DatasetSink, RecordingData, Rule, RunAccount};
use experience_export::{RecordingInfo, Sink};
use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::SystemTime};

/// `SplitMix64`: pseudo-random numbers that are the same in every run of the tests.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

pub fn choice(n: u64) -> Space {
    Space::Discrete { n, labels: Vec::new() }
}

pub fn tensor(name: &str, dtype: DType, shape: &[usize]) -> Column {
    Column {
        shape: shape.to_vec(),
        ..Column::scalar(name, dtype, Space::unbounded())
    }
}

/// Nine features, two continuous actions and a discrete one, a mask, two reward terms and two info columns.
pub fn fighter() -> Schema {
    Schema::new("fighter")
        .with_observation([tensor("board", DType::F32, &[2, 4]), Column::feature("health")])
        .with_action([
            Column::scalar("move.x", DType::F32, Space::bounded(-1.0, 1.0)),
            Column::scalar("move.y", DType::F32, Space::bounded(-1.0, 1.0)),
            Column::scalar("shoot", DType::Bool, choice(2)),
        ])
        .with_action_mask(3)
        .with_info([
            Column::scalar("behavior_logp", DType::F32, Space::unbounded()),
            Column::scalar("policy_version", DType::U32, Space::unbounded()),
        ])
        .with_reward_terms(["coin", "hit"])
}

pub fn info(run: RunId, episode: u32, agent_id: i64) -> EpisodeInfo {
    EpisodeInfo {
        episode_id: run.episode_id(episode),
        agent_id,
        run,
        continues: None,
    }
}

/// An episode of `len` transitions of one tick each, from `tick` on, with values from `seed`.
pub fn generated(schema: &Arc<Schema>, info: EpisodeInfo, tick: i64, len: usize, seed: u64) -> Episode {
    let mut numbers = Numbers(seed);
    let layout = schema.layout();
    let mut rows = vec![0; (len + 1) * layout.row_words()];
    let mut changing = vec![0_f32; schema.observation_width()];
    let match_id = Some(seed as i64 % 4).filter(|id| *id > 0);
    for (index, row) in rows.chunks_exact_mut(layout.row_words()).enumerate() {
        let mut header = StepHeader::new(StepKind::Transition);
        header.tick = tick + index as i64;
        header.timestamp = header.tick as f64 / 60.0;
        header.agent_id = info.agent_id;
        header.set_match_id(match_id);
        header.episode = info.episode_id as u32;
        header.ticks = 1;
        header.reward = numbers.below(1000) as f64 / 7.0;
        *StepHeader::of_mut(row) = header;
        let bytes = bytemuck::cast_slice_mut::<u64, u8>(row);
        // Some features do not change.
        for feature in &mut changing {
            if numbers.below(3) == 0 {
                *feature = numbers.below(100) as f32 - 50.0;
            }
        }
        bytes[layout.observation()].copy_from_slice(bytemuck::cast_slice(&changing));
        for byte in &mut bytes[layout.images()] {
            *byte = numbers.below(256) as u8;
        }
        for alternative in 0..schema.action_mask_width() {
            bytes[layout.mask()][alternative / 8] |= (numbers.below(2) as u8) << (alternative % 8);
        }
        if index == 0 {
            continue;
        }
        let places = [
            (schema.action(), layout.action_offsets()),
            (schema.info(), layout.info_offsets()),
        ];
        for (column, offset) in places
            .into_iter()
            .flat_map(|(columns, offsets)| columns.iter().zip(offsets))
        {
            for value in bytes[*offset..][..column.width() * column.dtype.size()].chunks_exact_mut(column.dtype.size())
            {
                let alternatives = if let Space::Discrete { n, .. } = column.space {
                    n
                } else {
                    u64::MAX
                };
                let number = numbers.below(alternatives);
                match column.dtype {
                    DType::F32 => value.copy_from_slice(&((number % 1000) as f32 / 8.0).to_ne_bytes()),
                    DType::F64 => value.copy_from_slice(&(number as f64 / 3.0).to_ne_bytes()),
                    DType::Bool => value[0] = (number % 2) as u8,
                    _ => value.copy_from_slice(&number.to_le_bytes()[..value.len()]),
                }
            }
        }
        for term in bytemuck::cast_slice_mut::<u8, f32>(&mut bytes[layout.reward_terms()]) {
            *term = numbers.below(10) as f32;
        }
    }
    let (outcome, reason) = match numbers.below(3) {
        0 => (Outcome::Terminated, EndReason::DEATH),
        1 => (Outcome::Truncated, EndReason::SHUTDOWN),
        _ => (Outcome::Truncated, EndReason::from("fell_off")),
    };
    Episode::new(schema.clone(), info, rows, outcome, reason)
}

pub fn recording(schema: &Arc<Schema>, run: RunId) -> RecordingInfo {
    RecordingInfo {
        schema: schema.clone(),
        run,
        tick_rate: Some(60.0),
        started: SystemTime::now(),
        buffers: None,
    }
}

/// The report of a run that recorded exactly `episodes`.
pub fn report(episodes: &[Episode]) -> RunReport {
    let mut report = RunReport::default();
    for episode in episodes {
        let transitions = episode.len() as u64;
        report.recorded += transitions;
        report.exported += transitions;
        report.episodes += 1;
    }
    report
}

/// The totals of each agent of `episodes`.
pub fn agent_totals(episodes: &[Episode]) -> BTreeMap<i64, AgentTotals> {
    let mut totals = BTreeMap::<i64, AgentTotals>::new();
    for episode in episodes {
        let agent = totals.entry(episode.info().agent_id).or_default();
        agent.episodes += 1;
        agent.transitions += episode.len() as u64;
        agent.total_reward += episode.total_reward();
    }
    totals
}

/// The metadata of an episode.
pub fn assert_same(a: &Episode, b: &Episode) {
    assert_eq!(a.info(), b.info());
    assert_eq!((a.outcome(), a.reason(), a.len()), (b.outcome(), b.reason(), b.len()));
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    for (a, b) in a.transitions().zip(b.transitions()) {
        assert_eq!(
            (a.step(), a.tick(), a.ticks(), a.match_id()),
            (b.step(), b.tick(), b.ticks(), b.match_id())
        );
        assert_eq!(
            (a.timestamp(), a.reward().to_bits()),
            (b.timestamp(), b.reward().to_bits())
        );
        assert_eq!(
            (a.terminated(), a.truncated(), a.end_reason()),
            (b.terminated(), b.truncated(), b.end_reason())
        );
        assert_eq!(a.controller(), b.controller());
        assert_eq!(bits(a.observation()), bits(b.observation()));
        assert_eq!(bits(a.next_observation()), bits(b.next_observation()));
        assert_eq!(bits(a.reward_terms()), bits(b.reward_terms()));
        for image in 0..a.episode().schema().images().len() {
            assert_eq!(
                (a.image(image), a.next_image(image)),
                (b.image(image), b.next_image(image))
            );
        }
        assert_eq!(a.before().mask_bits(), b.before().mask_bits());
        assert_eq!(a.after().mask_bits(), b.after().mask_bits());
        for column in 0..a.episode().schema().action().len() {
            assert_eq!(a.after().action_bytes(column), b.after().action_bytes(column));
        }
        for column in 0..a.episode().schema().info().len() {
            assert_eq!(a.after().info_bytes(column), b.after().info_bytes(column));
        }
    }
}

/// Writes `episodes` of one run to the dataset at `root`, in several calls.
pub fn write(root: &Path, episodes: &[Episode]) {
    let (schema, run) = (episodes[0].schema(), episodes[0].info().run);
    let mut sink = DatasetSink::new(root).with_row_group_rows(50);
    sink.check(schema).unwrap();
    sink.open(&recording(schema, run)).unwrap();
    for some in episodes.chunks(3) {
        sink.write(some).unwrap();
    }
    sink.close(&report(episodes)).unwrap();
}

/// A few episodes of three agents.
pub fn episodes(schema: &Arc<Schema>, run: RunId, count: u32) -> Vec<Episode> {
    let episode = |index| {
        generated(
            schema,
            info(run, index, i64::from(index % 3)),
            10 * i64::from(index),
            10,
            u64::from(index),
        )
    };
    (0..count).map(episode).collect()
}

/// The episodes of all recordings of the dataset at `root`.
pub fn read(root: &Path) -> Vec<Episode> {
    let dataset = Dataset::open(root).unwrap();
    let episodes = dataset.recordings().iter().flat_map(RecordingData::episodes);
    episodes.map(Result::unwrap).collect()
}

/// Asserts that the recordings at `root` are valid, except for values outside of their bounds, which may be generated.
#[track_caller]
pub fn assert_valid(root: &Path) {
    for recording in Dataset::open(root).unwrap().recordings() {
        let mut found = recording.validate(&mut |_| {}).unwrap();
        found.broken.remove(&Rule::Space);
        assert!(found.is_valid(), "{:#?}", found.violations);
    }
}

/// The paths of all files in a folder, without the dataset card.
pub fn listing(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/"));
        }
    }
    found.sort();
    found.retain(|path| path != "README.md");
    found
}

/// Reads an account from its file.
pub fn account(path: &Path) -> RunAccount {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

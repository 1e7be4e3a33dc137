//! The cost of a summary, as a part of the time in which a shard is encoded.

use super::SummaryBuilder;
use crate::sink::encoding::ShardEncoding;
use experience_arrow::{BatchEncoder, EpisodeSlice, columns::BatchColumns};
use experience_core::{
    schema::{Column, DType, ImageShape, Schema, Space},
    transition::{EndReason, Episode, EpisodeInfo, Outcome, RunId, StepHeader},
};
use parquet::arrow::ArrowWriter;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The bytes of rows in a batch of the sink.
const BATCH_BYTES: usize = 512 << 10;

/// Episodes of one batch each. `fill` gets the features of a row, and those of the row before it in them.
fn batches(schema: &Arc<Schema>, count: usize, mut fill: impl FnMut(&mut StdRng, &mut [f32])) -> Vec<Episode> {
    let mut rng = StdRng::seed_from_u64(5);
    let layout = schema.layout();
    let words = layout.row_words();
    let rows = (BATCH_BYTES / layout.row_bytes()).max(2);
    let mut features = vec![0.0; schema.observation_width()];
    let batch = |number: usize| {
        let mut all = vec![0; rows * words];
        for row in all.chunks_exact_mut(words) {
            StepHeader::of_mut(row).reward = f64::from(rng.random_bool(0.05));
            StepHeader::of_mut(row).set_controller(1 + (number % 3) as u16);
            fill(&mut rng, &mut features);
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(row);
            bytes[layout.observation()].copy_from_slice(bytemuck::cast_slice(&features));
            for (image, at) in schema.images().iter().zip(layout.image_offsets()) {
                rng.fill(&mut bytes[*at..][..image.width()]);
            }
        }
        let info = EpisodeInfo {
            episode_id: number as i64,
            agent_id: 1,
            run: RunId::from_bits(0),
            continues: None,
        };
        let labels = ["person", "script:hunter", "policy:fighter@3"].map(Into::into);
        Episode::new(schema.clone(), info, all, Outcome::Terminated, EndReason::DEATH)
            .with_controllers((1..).zip(labels))
    };
    (0..count).map(batch).collect()
}

/// The shortest of nine times of encoding all episodes, and of computing their summary.
fn times(schema: &Arc<Schema>, episodes: &[Episode]) -> [Duration; 2] {
    let encoder = BatchEncoder::new(schema.clone()).unwrap();
    let mut best = [Duration::MAX; 2];
    for _ in 0..9 {
        let mut builder = SummaryBuilder::for_footer(schema).unwrap();
        let mut times = [Duration::ZERO; 2];
        let start = Instant::now();
        let properties = ShardEncoding::default().properties(encoder.arrow_schema()).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), encoder.arrow_schema().clone(), Some(properties)).unwrap();
        times[0] += start.elapsed();
        for episode in episodes {
            let start = Instant::now();
            let batch = encoder.encode_slices(&[EpisodeSlice::whole(episode)]).unwrap();
            writer.write(&batch).unwrap();
            times[0] += start.elapsed();
            let start = Instant::now();
            builder.add(BatchColumns::new(schema, &batch));
            times[1] += start.elapsed();
        }
        let start = Instant::now();
        assert!(writer.into_inner().unwrap().len() > 1000);
        times[0] += start.elapsed();
        let start = Instant::now();
        assert!(builder.to_footer().is_some());
        times[1] += start.elapsed();
        best = [best[0].min(times[0]), best[1].min(times[1])];
    }
    best
}

fn discrete(name: &str, n: u64) -> Column {
    Column::scalar(name, DType::I64, Space::Discrete { n, labels: Vec::new() })
}

#[test]
#[expect(clippy::print_stdout, reason = "the test measures")]
#[ignore = "a time, of use in a release build on an idle core"]
fn a_summary_costs_little_of_the_encoding() {
    let narrow = Schema::new("arena")
        .with_observation((0..39).map(|index| Column::feature(format!("{index}"))))
        .with_action([discrete("deed", 5), discrete("aim", 9)])
        .with_reward_terms(["alive", "hit", "coin"]);
    let wide = |features| {
        Schema::new("board")
            .with_observation([Column {
                shape: vec![features],
                ..Column::feature("board")
            }])
            .with_action([discrete("move", 1600)])
    };
    let shape = ImageShape {
        height: 84,
        width: 84,
        channels: 3,
    };
    let pictures = Schema::new("pictures")
        .with_images([Column::image("eye", shape)])
        .with_action([discrete("deed", 5)]);
    // Half of the features move, some are flags, and the others are constant.
    let walk = |rng: &mut StdRng, features: &mut [f32]| {
        for (index, feature) in features.iter_mut().enumerate() {
            match index % 8 {
                0..4 => *feature += rng.random_range(-1.0..1.0),
                4 | 5 if rng.random_bool(0.02) => *feature = 1.0 - *feature,
                _ => {}
            }
        }
    };
    // A few of the cells change.
    let board = |rng: &mut StdRng, features: &mut [f32]| {
        for _ in 0..features.len() / 100 {
            let cell = rng.random_range(0..features.len());
            features[cell] = f32::from(rng.random_range(0..5_u8));
        }
    };
    type Fill<'a> = &'a dyn Fn(&mut StdRng, &mut [f32]);
    let workloads: [(&str, Schema, usize, Fill<'_>); 5] = [
        ("arena of 39 features", narrow, 40, &walk),
        ("board of 1,024 cells", wide(1024), 40, &board),
        ("board of 4,096 cells", wide(4096), 40, &board),
        ("1,024 features that move", wide(1024), 40, &walk),
        ("images of 84 × 84", pictures, 20, &|_, _| {}),
    ];
    for (name, schema, count, fill) in workloads {
        let schema = schema.into_shared();
        let episodes = batches(&schema, count, fill);
        let rows: usize = episodes.iter().map(Episode::len).sum();
        let [encoding, summary] = times(&schema, &episodes);
        let part = summary.as_secs_f64() / encoding.as_secs_f64();
        let per_row = |time: Duration| time.as_nanos() / rows as u128;
        println!(
            "{name}: {:.2} % of the encoding ({} of {} ns per row)",
            100.0 * part,
            per_row(summary),
            per_row(encoding)
        );
        assert!(part < 0.1, "{name}");
    }
}

//! `doctor`: recordings with a problem that spoils training, and healthy recordings without findings.

mod alignment;

use crate::episodes::{Numbers, choice, info, write};
use experience_core::{
    schema::{Column, DType, Schema, Space},
    transition::{EndReason, Episode, Outcome, RunId, StepHeader},
};
use experience_dataset::{Dataset, Diagnosis, Severity, Symptom};
use std::sync::Arc;
use tempfile::tempdir;

const RUN: RunId = RunId::from_bits(1);

/// A cart on rails that a push accelerates: its position, its speed, and a random number.
fn schema() -> Schema {
    Schema::new("cart")
        .with_observation(["x", "v", "weather"].map(Column::feature))
        .with_action([Column::scalar("push", DType::F32, Space::bounded(-1.0, 1.0))])
}

/// Observations, actions and rewards of a simulated episode.
struct Trajectory {
    observations: Vec<Vec<f32>>,
    actions: Vec<f32>,
    rewards: Vec<f64>,
    masks: Vec<u8>,
    outcome: Outcome,
    reason: EndReason,
}

impl Trajectory {
    /// A player pushes the cart to the middle, with noise and a slowly changing offset.
    fn of_cart(numbers: &mut Numbers, len: usize) -> Self {
        let mut noise = || numbers.below(2001) as f32 / 1000.0 - 1.0;
        let (mut x, mut v, mut push) = (noise() * 5.0, noise(), 0.0_f32);
        let mut trajectory = Self {
            observations: vec![vec![x, v, noise()]],
            actions: Vec::new(),
            rewards: Vec::new(),
            masks: vec![0xff; len + 1],
            outcome: Outcome::Terminated,
            reason: EndReason::GOAL,
        };
        for _ in 0..len {
            push = (0.9 * push - 0.1 * x - 0.2 * v + 0.1 * noise()).clamp(-1.0, 1.0);
            v += 0.2 * push + 0.01 * noise();
            x += 0.1 * v;
            trajectory.observations.push(vec![x, v, noise()]);
            trajectory.actions.push(push);
            trajectory.rewards.push(f64::from(-x.abs()));
        }
        trajectory
    }

    fn episode(&self, schema: &Arc<Schema>, counter: u32, agent: i64, tick: i64) -> Episode {
        let layout = schema.layout();
        let mut rows = vec![0_u64; (self.actions.len() + 1) * layout.row_words()];
        for (index, row) in rows.chunks_exact_mut(layout.row_words()).enumerate() {
            let header = StepHeader::of_mut(row);
            (header.tick, header.ticks) = (tick + index as i64, 1);
            header.timestamp = header.tick as f64 / 60.0;
            if index > 0 {
                header.reward = self.rewards[index - 1];
            }
            let bytes = bytemuck::cast_slice_mut::<u64, u8>(row);
            bytes[layout.observation()].copy_from_slice(bytemuck::cast_slice(&self.observations[index]));
            if schema.action_mask_width() > 0 {
                bytes[layout.mask()][0] = self.masks[index];
            }
            if index > 0 {
                let action = self.actions[index - 1];
                let at = layout.action_offsets()[0];
                match schema.action()[0].dtype {
                    DType::F32 => bytes[at..at + 4].copy_from_slice(&action.to_ne_bytes()),
                    _ => bytes[at] = action as u8,
                }
            }
        }
        let info = info(RUN, counter, agent);
        Episode::new(schema.clone(), info, rows, self.outcome, self.reason.clone())
    }
}

/// The diagnosis of `trajectories`, each of another agent.
fn diagnosis_of(schema: Schema, trajectories: &[Trajectory]) -> Diagnosis {
    let schema = schema.into_shared();
    let episodes: Vec<_> = trajectories
        .iter()
        .enumerate()
        .map(|(index, trajectory)| trajectory.episode(&schema, index as u32, index as i64, 0))
        .collect();
    diagnosis(&episodes)
}

fn diagnosis(episodes: &[Episode]) -> Diagnosis {
    let root = tempdir().unwrap();
    write(root.path(), episodes);
    let dataset = Dataset::open(root.path()).unwrap();
    dataset.recordings()[0].diagnose(&mut |_| {}).unwrap()
}

fn symptoms(found: &Diagnosis) -> Vec<Symptom> {
    assert!(
        found
            .findings
            .iter()
            .all(|finding| !finding.cause.is_empty() && !finding.what.is_empty())
    );
    assert!(
        found
            .findings
            .is_sorted_by_key(|finding| core::cmp::Reverse(finding.severity))
    );
    found.findings.iter().map(|finding| finding.symptom).collect()
}

fn carts(seed: u64) -> Vec<Trajectory> {
    let mut numbers = Numbers(seed);
    (0..12).map(|_| Trajectory::of_cart(&mut numbers, 100)).collect()
}

#[test]
fn a_healthy_recording_has_no_findings() {
    for seed in 0..20 {
        let found = diagnosis_of(schema(), &carts(seed));
        assert_eq!(symptoms(&found), [], "{seed}: {found:#?}");
        assert_eq!((found.episodes, found.transitions), (12, 1200));
    }
}

#[test]
fn constant_and_non_finite_values_are_found() {
    let changed = |change: &dyn Fn(&mut Trajectory)| {
        let mut trajectories = carts(1);
        trajectories.iter_mut().for_each(change);
        diagnosis_of(schema(), &trajectories)
    };
    let found = changed(&|trajectory| trajectory.observations.iter_mut().for_each(|seen| seen[2] = 4.0));
    assert_eq!(symptoms(&found), [Symptom::ConstantFeature]);
    assert_eq!(found.findings[0].places, ["weather = 4"]);

    let found = changed(&|trajectory| trajectory.observations[7][2] = f32::NAN);
    assert_eq!(symptoms(&found), [Symptom::NonFinite]);
    assert_eq!(
        (found.findings[0].severity, &*found.findings[0].places[0]),
        (Severity::Error, "weather: 12 times")
    );
    assert_eq!(
        symptoms(&changed(&|trajectory| trajectory.rewards[3] = f64::INFINITY)),
        [Symptom::NonFinite]
    );

    assert_eq!(
        symptoms(&changed(&|trajectory| trajectory.actions.fill(0.5))),
        [Symptom::ConstantAction]
    );
    assert_eq!(
        symptoms(&changed(&|trajectory| trajectory.rewards.fill(0.0))),
        [Symptom::ConstantReward]
    );
}

#[test]
fn recordings_without_terminated_episodes_are_found_with_their_cause() {
    for (reason, cause) in [
        (EndReason::LEFT, "on_despawn"),
        (EndReason::TIME_LIMIT, "EndEpisode::truncated"),
    ] {
        let mut trajectories = carts(1);
        for trajectory in &mut trajectories {
            (trajectory.outcome, trajectory.reason) = (Outcome::Truncated, reason.clone());
        }
        let found = diagnosis_of(schema(), &trajectories);
        assert_eq!(symptoms(&found), [Symptom::AllTruncated]);
        assert!(found.findings[0].cause.contains(cause), "{found:#?}");
        trajectories[0].outcome = Outcome::Terminated;
        assert_eq!(symptoms(&diagnosis_of(schema(), &trajectories)), []);
    }
}

#[test]
fn duplicates_gaps_and_early_resets_are_found() {
    let schema = schema().into_shared();
    let trajectories = carts(1);
    // The third episode is repeated by another agent at another time.
    let mut all: Vec<_> = (0..12_u32)
        .map(|index| trajectories[index as usize].episode(&schema, index, 0, 200 * i64::from(index)))
        .collect();
    assert_eq!(symptoms(&diagnosis(&all)), []);
    all.push(trajectories[3].episode(&schema, 12, 5, 9000));
    let found = diagnosis(&all);
    assert_eq!(symptoms(&found), [Symptom::Duplicates]);
    let [again, first] = [12, 3].map(|counter| RUN.episode_id(counter));
    assert_eq!(
        found.findings[0].places,
        [format!("episode {again} equals episode {first}")]
    );

    let mut torn = carts(2);
    for trajectory in &mut torn[..3] {
        (trajectory.outcome, trajectory.reason) = (Outcome::Truncated, EndReason::GAP);
    }
    let found = diagnosis_of(Schema::clone(&schema), &torn);
    assert_eq!(symptoms(&found), [Symptom::Gaps]);
    assert_eq!(found.findings[0].places.len(), 3);
    assert!(found.findings[0].cause.contains("journal"), "{found:#?}");

    // The final observation is the one after the reset.
    let mut reset = carts(3);
    for index in 0..11 {
        let next = reset[index + 1].observations[0].clone();
        *reset[index].observations.last_mut().unwrap() = next;
    }
    let all: Vec<_> = (0..12_u32)
        .map(|index| reset[index as usize].episode(&schema, index, 0, 200 * i64::from(index)))
        .collect();
    assert_eq!(symptoms(&diagnosis(&all)), [Symptom::ResetTooEarly]);
}

/// `episode` with another header in some rows.
fn changed(episode: &Episode, mut change: impl FnMut(usize, &mut StepHeader)) -> Episode {
    let mut rows = episode.rows().to_vec();
    let words = episode.schema().layout().row_words();
    for (index, row) in rows.chunks_exact_mut(words).enumerate() {
        change(index, StepHeader::of_mut(row));
    }
    let (outcome, reason) = (episode.outcome(), episode.reason().clone());
    Episode::new(episode.schema().clone(), *episode.info(), rows, outcome, reason)
}

#[test]
fn a_timestep_that_changed_is_found() {
    let schema = schema().into_shared();
    let mut all: Vec<_> = (0_u32..)
        .zip(carts(1))
        .map(|(index, cart)| cart.episode(&schema, index, 0, 200 * i64::from(index)))
        .collect();
    assert_eq!(symptoms(&diagnosis(&all)), []);
    // The game slows down in the third episode, and stays slow.
    for (number, from) in [(2, 70), (3, 0)] {
        let mut time = 1.0;
        all[number] = changed(&all[number], |index, header| {
            header.timestamp = time;
            time += if index < from { 1.0 / 60.0 } else { 1.0 / 50.0 };
        });
    }
    let found = diagnosis(&all);
    assert_eq!(symptoms(&found), [Symptom::TickRate]);
    let id = RUN.episode_id(2);
    let place = format!("episode {id}: 0.020000 seconds per tick at step 70, and its run has 60 ticks per second");
    assert_eq!(
        (found.findings[0].places.len(), &found.findings[0].places[0]),
        (2, &place)
    );
}

#[test]
fn tick_rates_that_the_account_lists_are_found() {
    let schema = schema().into_shared();
    let all: Vec<_> = (0_u32..)
        .zip(carts(1))
        .map(|(index, cart)| cart.episode(&schema, index, 0, 200 * i64::from(index)))
        .collect();
    let root = tempdir().unwrap();
    write(root.path(), &all);
    let path = root.path().join("cart/runs/00000001.json");
    let mut account: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    account["tick_rate"] = serde_json::Value::Null;
    account["account"]["tick_rates"] = serde_json::json!([
        { "from_tick": 0, "ticks_per_second": 60.0 },
        { "from_tick": 470, "ticks_per_second": 50.0 },
    ]);
    std::fs::write(&path, account.to_string()).unwrap();
    let dataset = Dataset::open(root.path()).unwrap();
    let found = dataset.recordings()[0].diagnose(&mut |_| {}).unwrap();
    assert_eq!(symptoms(&found), [Symptom::TickRate]);
    let place = "run 00000001: 60 ticks per second from tick 0 on, 50 ticks per second from tick 470 on";
    assert_eq!(found.findings[0].places, [place]);
}

#[test]
fn episodes_of_several_matches_are_found() {
    let schema = schema().into_shared();
    let all: Vec<_> = (0_u32..)
        .zip(carts(1))
        .map(|(index, cart)| {
            let episode = cart.episode(&schema, index, 0, 200 * i64::from(index));
            changed(&episode, |row, header| {
                let later = index == 4 && row >= 30;
                header.set_match_id(Some(i64::from(index / 3) + i64::from(later)));
            })
        })
        .collect();
    let found = diagnosis(&all);
    assert_eq!(symptoms(&found), [Symptom::SeveralMatches]);
    let place = format!("episode {}: from match 1 to match 2 at step 30", RUN.episode_id(4));
    assert_eq!(found.findings[0].places, [place]);
}

#[test]
fn non_finite_final_observations_and_infos_are_found() {
    let mut trajectories = carts(1);
    trajectories[3].observations.last_mut().unwrap()[2] = f32::NAN;
    let found = diagnosis_of(schema(), &trajectories);
    assert_eq!(symptoms(&found), [Symptom::NonFinite]);
    assert_eq!(found.findings[0].places, ["weather: 1 times"]);
    let found = diagnosis_with_infos(&["behavior_logp"]);
    assert_eq!(symptoms(&found), [Symptom::NonFinite]);
    assert_eq!(found.findings[0].places, ["behavior_logp: 24 times"]);
}

#[test]
fn a_probability_of_an_action_that_no_policy_chose_is_no_finding() {
    let found = diagnosis_with_infos(&["behavior_logp", "policy_version"]);
    assert_eq!(symptoms(&found), [], "{found:#?}");
}

/// The diagnosis of episodes whose first info is infinite in two rows.
fn diagnosis_with_infos(infos: &[&str]) -> Diagnosis {
    let infos = infos
        .iter()
        .map(|name| Column::scalar(*name, DType::F32, Space::unbounded()));
    let schema = schema().with_info(infos).into_shared();
    let at = schema.layout().info_offsets()[0];
    let all: Vec<_> = (0_u32..)
        .zip(carts(1))
        .map(|(index, cart)| {
            let episode = cart.episode(&schema, index, i64::from(index), 0);
            let mut rows = episode.rows().to_vec();
            for row in rows.chunks_exact_mut(schema.layout().row_words()).skip(1).take(2) {
                bytemuck::cast_slice_mut::<u64, u8>(row)[at..at + 4].copy_from_slice(&f32::INFINITY.to_ne_bytes());
            }
            let (outcome, reason) = (episode.outcome(), episode.reason().clone());
            Episode::new(schema.clone(), *episode.info(), rows, outcome, reason)
        })
        .collect();
    diagnosis(&all)
}

#[test]
fn forbidden_actions_are_found() {
    let masked = Schema::new("walk")
        .with_observation(["x", "y", "z"].map(Column::feature))
        .with_action([Column::scalar("go", DType::U8, choice(3))])
        .with_action_mask(3);
    let mut trajectories = carts(1);
    for trajectory in &mut trajectories {
        for (index, action) in trajectory.actions.iter_mut().enumerate() {
            *action = (index % 3) as f32;
            trajectory.masks[index] = 1 << (index % 3);
        }
    }
    assert_eq!(symptoms(&diagnosis_of(masked.clone(), &trajectories)), []);
    trajectories[2].masks[4] = 0b101;
    let found = diagnosis_of(masked, &trajectories);
    assert_eq!(symptoms(&found), [Symptom::ForbiddenAction]);
    assert!(found.findings[0].places[0].ends_with("step 4: action 1"), "{found:#?}");
}

#[test]
fn few_transitions_are_not_judged() {
    let mut numbers = Numbers(1);
    let mut trajectory = Trajectory::of_cart(&mut numbers, 9);
    trajectory.rewards.fill(0.0);
    trajectory.observations.iter_mut().for_each(|seen| seen.fill(1.0));
    assert_eq!(symptoms(&diagnosis_of(schema(), &[trajectory])), []);
}

#[test]
fn an_empty_recording_is_found() {
    use crate::episodes::recording;
    use experience_core::account::RunReport;
    use experience_dataset::DatasetSink;
    use experience_export::Sink;
    let root = tempdir().unwrap();
    let schema = schema().into_shared();
    let mut sink = DatasetSink::new(root.path());
    sink.open(&recording(&schema, RUN)).unwrap();
    let report = RunReport {
        recorded: 9,
        dropped: 9,
        non_finite: 4,
        refused_agents: 1,
        orphaned_rewards: 2,
        ..RunReport::default()
    };
    sink.flush(&report).unwrap();
    let dataset = Dataset::open(root.path()).unwrap();
    let found = dataset.recordings()[0].diagnose(&mut |_| {}).unwrap();
    assert_eq!(
        symptoms(&found),
        [
            Symptom::Empty,
            Symptom::Lost,
            Symptom::RefusedAgents,
            Symptom::NonFinite,
            Symptom::OrphanedRewards,
            Symptom::Unfinished
        ]
    );
    assert!(found.findings[1].what.starts_with("5 transitions"), "{found:#?}");
    // Causes that the account cannot tell apart are all named.
    assert!(found.findings[2].what.contains("negative"), "{found:#?}");
    assert!(found.findings[5].cause.contains("still running"), "{found:#?}");
}

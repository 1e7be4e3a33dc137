//! What ruins training although every rule is kept, and what it usually comes from.

mod alignment;
mod lives;

use super::{DatasetError, Profile, Progress, RecordingData, RunAccount, progress::Meter};
use alignment::Alignment;
use experience_core::{
    schema::Space,
    transition::{EndReason, Episode, Outcome},
};
use lives::Lives;
use serde::Serialize;
use std::collections::BTreeMap;

/// Below this many transitions a statistic says more of chance than of the game.
const FEW: u64 = 100;
/// Below this many episodes it may be chance that they all ended alike.
const FEW_EPISODES: u64 = 10;
/// A finding names at most this many places.
const MAX_PLACES: usize = 20;

/// Something that may ruin training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Symptom {
    /// There is no episode.
    Empty,
    /// A feature of the observation never changes.
    ConstantFeature,
    /// A value is NaN or infinite.
    NonFinite,
    /// The action never changes.
    ConstantAction,
    /// An action stands a transition before the one that it changes.
    ActionLeads,
    /// An action stands a transition after the one that it changed.
    ActionLags,
    /// Actions were taken that the mask forbids.
    ForbiddenAction,
    /// The reward never changes.
    ConstantReward,
    /// No episode was terminated.
    AllTruncated,
    /// Final observations are those that the next episode begins with.
    ResetTooEarly,
    /// Episodes are the same, step for step.
    Duplicates,
    /// Agents' episodes were torn by lost rows.
    Gaps,
    /// Transitions were recorded and are not in the data.
    Lost,
    /// Rewards were given to players outside any episode.
    OrphanedRewards,
    /// A run did not end in order.
    Unfinished,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It may be meant.
    Note,
    /// It costs something, or hints at a mistake.
    Warning,
    /// What is learned from this is wrong.
    Error,
}

/// What the doctor found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What it is.
    pub symptom: Symptom,
    /// How bad it is.
    pub severity: Severity,
    /// What was seen.
    pub what: String,
    /// What it usually comes from, and what to do.
    pub cause: &'static str,
    /// Columns, agents or episodes that show it; the first twenty.
    pub places: Vec<String>,
}

/// What came of the doctor's visit; see [`RecordingData::diagnose`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Diagnosis {
    /// Episodes that were looked at.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether nothing worse than a note was found.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }

    fn find(&mut self, symptom: Symptom, severity: Severity, what: String, places: Vec<String>, cause: &'static str) {
        let mut places = places;
        places.truncate(MAX_PLACES);
        self.findings.push(Finding {
            symptom,
            severity,
            what,
            cause,
            places,
        });
    }
}

pub(super) fn diagnose(recording: &RecordingData, watch: &mut dyn FnMut(Progress)) -> Result<Diagnosis, DatasetError> {
    let mut meter = Meter::new(recording.transitions()?, watch);
    let mut found = Diagnosis::default();
    // A description without a shard that bears it out may name columns of any width.
    if meter.is_idle() {
        empty(&mut found);
    } else {
        look(recording, &mut meter, &mut found)?;
    }
    accounts(&recording.runs()?, &mut found);
    found
        .findings
        .sort_by_key(|finding| core::cmp::Reverse(finding.severity));
    Ok(found)
}

/// Looks at every episode.
fn look(recording: &RecordingData, meter: &mut Meter, found: &mut Diagnosis) -> Result<(), DatasetError> {
    let schema = recording.schema();
    let mut profile = Profile::new(schema);
    let mut alignment = Alignment::new(schema);
    let mut lives = Lives::default();
    let mut masks = Masks::default();
    let mut ends: BTreeMap<EndReason, u64> = BTreeMap::new();
    let mut terminated = 0;
    for episode in recording.episodes() {
        let episode = episode?;
        profile.add(&episode);
        alignment.add(&episode);
        lives.add(&episode);
        masks.add(&episode);
        *ends.entry(episode.reason().clone()).or_default() += 1;
        terminated += u64::from(episode.outcome() == Outcome::Terminated);
        meter.add(episode.len());
    }
    found.episodes = profile.lengths.len() as u64;
    found.transitions = profile.lengths.iter().sum();
    values(&profile, found);
    if found.episodes >= FEW_EPISODES && terminated == 0 {
        all_truncated(&ends, found);
    }
    alignment.find(schema, found);
    masks.find(found);
    lives.find(found);
    Ok(())
}

fn empty(found: &mut Diagnosis) {
    found.find(
        Symptom::Empty,
        Severity::Warning,
        "there is no episode".to_owned(),
        Vec::new(),
        "the run was shorter than an episode, its process died before a shard was finished, or no entity has the \
         recording's marker: `experience info` shows what the runs recorded",
    );
}

/// What the values alone tell.
fn values(profile: &Profile, found: &mut Diagnosis) {
    let columns = || {
        profile
            .observation
            .iter()
            .chain(&profile.action)
            .chain(&profile.reward_terms)
            .chain([&profile.reward])
    };
    let odd: Vec<_> = columns().filter(|column| column.non_finite > 0).collect();
    if !odd.is_empty() {
        let places = odd
            .iter()
            .map(|column| format!("{}: {} times", column.name, column.non_finite))
            .collect();
        found.find(
            Symptom::NonFinite,
            Severity::Error,
            format!("{} columns hold NaN or infinite values; one of them in a batch ruins a network", odd.len()),
            places,
            "a division by zero or the normalisation of a zero vector in the game, kept by `EpisodeRules { non_finite: NonFinite::Keep, .. }`; \
             leave the default, which ends the episode there and counts it",
        );
    }
    if found.transitions < FEW {
        return;
    }
    let constant = |columns: &[super::ValueProfile]| -> Vec<String> {
        let same = columns.iter().filter(|column| column.is_constant());
        same.map(|column| format!("{} = {}", column.name, column.min)).collect()
    };
    let features = constant(&profile.observation);
    if !features.is_empty() {
        found.find(
            Symptom::ConstantFeature,
            Severity::Warning,
            format!("{} of {} features never change", features.len(), profile.observation.len()),
            features,
            "the component is never written, is written in a schedule that does not run, or is another entity's; or the \
             feature means nothing in this game: leave it out with `observe_fields`",
        );
    }
    let actions = constant(&profile.action);
    if !actions.is_empty() && actions.len() == profile.action.len() {
        found.find(
            Symptom::ConstantAction,
            Severity::Error,
            "the action is the same in every transition".to_owned(),
            actions,
            "the game clears the intent before the capture sees it: name the schedule that decides with \
             `.read_actions_after(FixedPreUpdate)`; or nobody played",
        );
    } else if !actions.is_empty() {
        found.find(
            Symptom::ConstantAction,
            Severity::Note,
            format!(
                "{} of {} parts of the action never change",
                actions.len(),
                profile.action.len()
            ),
            actions,
            "no player ever used them: a policy cannot learn from this data what they do",
        );
    }
    if profile.reward.is_constant() {
        found.find(
            Symptom::ConstantReward,
            Severity::Error,
            format!("the reward of every transition is {}", profile.reward.min),
            Vec::new(),
            "nothing calls `Reward::add`, or it is given to another entity than the one with the recording's marker; \
             imitation learns from this data, reinforcement learning cannot",
        );
    }
}

fn all_truncated(ends: &BTreeMap<EndReason, u64>, found: &mut Diagnosis) {
    let places = ends
        .iter()
        .map(|(reason, count)| format!("{reason}: {count} of {} episodes", found.episodes))
        .collect();
    let left = ends.get(&EndReason::LEFT).copied().unwrap_or(0);
    let cause = if 2 * left > found.episodes {
        "deaths despawn the player without a word: trigger `EndEpisode::terminated` before the despawn, or say \
         `EpisodeRules { on_despawn: Outcome::Terminated, .. }`; a value function bootstraps beyond every one of these ends"
    } else {
        "deaths and goals are told with `EndEpisode::truncated`, or not at all; a value function bootstraps beyond every \
         end, which is right only where the world truly goes on"
    };
    let what = format!("none of {} episodes was terminated", found.episodes);
    found.find(Symptom::AllTruncated, Severity::Warning, what, places, cause);
}

/// What the accounts of the runs tell.
fn accounts(runs: &[RunAccount], found: &mut Diagnosis) {
    let per_run = |count: fn(&RunAccount) -> u64| -> (u64, Vec<String>) {
        let some = runs
            .iter()
            .map(|run| (run.run, count(run)))
            .filter(|(_, count)| *count > 0);
        let places = some.clone().map(|(run, count)| format!("run {run}: {count}")).collect();
        (some.map(|(_, count)| count).fold(0, u64::saturating_add), places)
    };
    let (lost, places) = per_run(|run| run.account.dropped);
    if lost > 0 {
        found.find(
            Symptom::Lost,
            Severity::Warning,
            format!("{lost} transitions were recorded and dropped"),
            places,
            "buffers overflowed, the disk refused, or values were not finite: raise `BufferSettings::capacity`, or take \
             `Overflow::Block` in headless runs; which of it is in the run's account",
        );
    }
    let (orphaned, places) = per_run(|run| run.account.orphaned_rewards);
    if orphaned > 0 {
        found.find(
            Symptom::OrphanedRewards,
            Severity::Note,
            format!("rewards were given at {orphaned} captures to players outside any episode"),
            places,
            "rewards that come after the end of an episode belong to nobody; give them before `EndEpisode`, in the same tick",
        );
    }
    let (_, places) = per_run(|run| u64::from(run.ended.is_none()));
    if !places.is_empty() {
        found.find(
            Symptom::Unfinished,
            Severity::Note,
            format!("{} runs go on, or died", places.len()),
            runs.iter().filter(|run| run.ended.is_none()).map(|run| format!("run {}", run.run)).collect(),
            "a process that died lost its open episodes and the shard that it was writing; `.with_shard_age(…)` bounds that",
        );
    }
}

/// Whether the actions taken were allowed.
#[derive(Default)]
struct Masks {
    asked: u64,
    forbidden: u64,
    places: Vec<String>,
}

impl Masks {
    fn add(&mut self, episode: &Episode) {
        let schema = episode.schema();
        let [column] = schema.action() else { return };
        let Space::Discrete { n, .. } = column.space else {
            return;
        };
        // A mask of another width speaks of something that only the game knows.
        if !schema.is_single_discrete() || n != schema.action_mask_width() as u64 {
            return;
        }
        for transition in episode.transitions() {
            let Some(action) = transition.action().next() else {
                continue;
            };
            self.asked += 1;
            let is_allowed =
                (action as usize) < schema.action_mask_width() && transition.before().allows(action as usize);
            if !is_allowed {
                self.forbidden += 1;
                if self.places.len() < MAX_PLACES {
                    let id = episode.info().episode_id;
                    self.places
                        .push(format!("episode {id}, step {}: action {action}", transition.step()));
                }
            }
        }
    }

    fn find(self, found: &mut Diagnosis) {
        if self.forbidden > 0 {
            found.find(
                Symptom::ForbiddenAction,
                Severity::Error,
                format!("{} of {} actions are forbidden by the mask of their observation", self.forbidden, self.asked),
                self.places,
                "the mask is computed after the action is taken, so it is that of a later moment; or the game takes actions \
                 that its own mask forbids",
            );
        }
    }
}

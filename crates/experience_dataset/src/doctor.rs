//! Diagnoses problems of valid data that spoil training, with their likely causes.

mod accounts;
mod alignment;
mod clock;
mod constant_actions;
mod ends;
mod episode_checks;
mod masks;
mod policies;
mod regression;

use super::{DatasetError, Profile, Progress, RecordingData, RunAccount, ValueProfile, progress::ProgressMeter};
use accounts::PlayerCounts;
use alignment::AlignmentCheck;
use clock::{ClockCheck, MatchCheck};
use constant_actions::ConstantActionCheck;
use ends::EndCheck;
use episode_checks::EpisodeChecks;
use experience_core::transition::{EndReason, Outcome};
use masks::MaskCheck;
use serde::Serialize;
use std::collections::BTreeMap;

/// With fewer transitions, constant values are not reported.
const MIN_TRANSITIONS: u64 = 100;
/// With fewer episodes, equal ends are not reported.
const MIN_EPISODES: u64 = 10;
/// The maximum number of places in a finding.
const MAX_PLACES: usize = 20;

/// A problem that may spoil training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Symptom {
    /// The recording has no episode.
    Empty,
    /// A feature of the observation never changes.
    ConstantFeature,
    /// A value is NaN or infinite.
    NonFinite,
    /// The action never changes.
    ConstantAction,
    /// Actions are recorded one transition before the one that they affect.
    ActionLeads,
    /// Actions are recorded one transition after the one that they affect.
    ActionLags,
    /// Features of the observation are one transition late.
    LateFeature,
    /// Nearly all actions are of one class.
    RareActions,
    /// Several controllers acted.
    MixedControllers,
    /// Actions are forbidden by the mask.
    ForbiddenAction,
    /// The reward never changes.
    ConstantReward,
    /// No episode was terminated.
    AllTruncated,
    /// Final observations equal the first observation of the next episode.
    ResetTooEarly,
    /// Final observations repeat the observation before them.
    StaleFinalObservation,
    /// Episodes are equal in every step.
    Duplicates,
    /// Episodes ended because rows were lost.
    Gaps,
    /// Transitions were recorded and dropped.
    Lost,
    /// Rewards were given to players outside of any episode.
    OrphanedRewards,
    /// Players were not recorded: another had their agent id, or there was no memory for their buffer.
    RefusedAgents,
    /// Ticks last longer or shorter than the tick rate of their run says.
    TickRate,
    /// Episodes span several matches.
    SeveralMatches,
    /// A run was not closed.
    Unfinished,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It may be intended.
    Note,
    /// Data is lost or wasted, or a mistake is likely.
    Warning,
    /// Models trained on the data learn something wrong.
    Error,
}

/// A problem that was found in a recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The kind of the problem.
    pub symptom: Symptom,
    /// Its severity.
    pub severity: Severity,
    /// A description of the data that shows it.
    pub what: String,
    /// The likely cause and the remedy.
    pub cause: &'static str,
    /// The first twenty columns, agents or episodes that show it.
    pub places: Vec<String>,
}

/// The result of [`RecordingData::diagnose`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Diagnosis {
    /// Episodes that were read.
    pub episodes: u64,
    /// Their transitions.
    pub transitions: u64,
    /// The problems that were found, the most severe first.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether all findings are notes.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Note)
    }

    fn add(&mut self, symptom: Symptom, severity: Severity, what: String, places: Vec<String>, cause: &'static str) {
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
    let mut meter = ProgressMeter::new(recording.transitions()?, watch);
    let mut diagnosis = Diagnosis::default();
    let runs = recording.runs()?;
    // Without a shard that confirms it, a damaged `experience.json` could name columns of any width.
    let mut players = PlayerCounts::default();
    if meter.is_empty() {
        report_empty(&mut diagnosis);
    } else {
        check_episodes(recording, &runs, &mut players, &mut meter, &mut diagnosis)?;
    }
    accounts::check(&runs, &players, &mut diagnosis);
    diagnosis
        .findings
        .sort_by_key(|finding| core::cmp::Reverse(finding.severity));
    Ok(diagnosis)
}

fn check_episodes(
    recording: &RecordingData,
    runs: &[RunAccount],
    players: &mut PlayerCounts,
    meter: &mut ProgressMeter,
    diagnosis: &mut Diagnosis,
) -> Result<(), DatasetError> {
    let schema = recording.schema();
    let mut profile = Profile::new(schema);
    let mut alignment = AlignmentCheck::new(schema);
    let mut constant_actions = ConstantActionCheck::new(schema);
    let mut ends = EndCheck::new(schema);
    let mut episodes = EpisodeChecks::default();
    let mut masks = MaskCheck::default();
    let mut clock = ClockCheck::new(runs);
    let mut matches = MatchCheck::default();
    let mut reasons: BTreeMap<EndReason, u64> = BTreeMap::new();
    let mut terminated = 0;
    for episode in recording.episodes() {
        let episode = episode?;
        profile.add(&episode);
        alignment.add(&episode);
        constant_actions.add(&episode);
        ends.add(&episode);
        episodes.add(&episode);
        players.add(episode.info());
        masks.add(&episode);
        clock.add(&episode);
        matches.add(&episode);
        *reasons.entry(episode.reason().clone()).or_default() += 1;
        terminated += u64::from(episode.outcome() == Outcome::Terminated);
        meter.add(episode.len());
    }
    diagnosis.episodes = profile.lengths.len() as u64;
    diagnosis.transitions = profile.lengths.iter().sum();
    check_values(&profile, diagnosis);
    check_reward(&profile.reward, terminated > 0, diagnosis);
    policies::check(&profile, diagnosis);
    if diagnosis.episodes >= MIN_EPISODES && terminated == 0 {
        report_all_truncated(&reasons, diagnosis);
    }
    constant_actions.report(
        profile.observation.iter().any(|feature| !feature.is_constant()),
        diagnosis,
    );
    alignment.report(schema, diagnosis);
    masks.report(diagnosis);
    clock.report(diagnosis);
    matches.report(diagnosis);
    ends.report(schema, diagnosis);
    episodes.report(diagnosis);
    Ok(())
}

fn report_empty(diagnosis: &mut Diagnosis) {
    diagnosis.add(
        Symptom::Empty,
        Severity::Warning,
        "the recording has no episode".to_owned(),
        Vec::new(),
        "the run was shorter than an episode, its process died before a shard was finished, or no entity has the \
         recording's marker: `experience info` shows what the runs recorded",
    );
}

/// Checks the values of columns.
fn check_values(profile: &Profile, diagnosis: &mut Diagnosis) {
    let observation: Vec<ValueProfile> = core::iter::zip(&profile.observation, &profile.final_observation)
        .map(|(feature, last)| feature.merged(last))
        .collect();
    let columns = || {
        observation
            .iter()
            .chain(&profile.action)
            .chain(&profile.info)
            .chain(&profile.reward_terms)
            .chain([&profile.reward])
    };
    // `Recording::policy_info` writes NaN as the probability of an action that no policy chose.
    let has_versions = profile.info.iter().any(|info| info.name == "policy_version");
    let is_probability = |column: &ValueProfile| {
        has_versions && column.name == "behavior_logp" && profile.info.iter().any(|info| core::ptr::eq(info, column))
    };
    let non_finite: Vec<_> = columns()
        .filter(|column| column.non_finite > 0 && !is_probability(column))
        .collect();
    if !non_finite.is_empty() {
        let places = non_finite
            .iter()
            .map(|column| format!("{}: {} times", column.name, column.non_finite))
            .collect();
        diagnosis.add(
            Symptom::NonFinite,
            Severity::Error,
            format!("{} columns hold NaN or infinite values; one of them in a batch ruins a network", non_finite.len()),
            places,
            "a division by zero or the normalisation of a zero vector in the game, kept by `.non_finite(NonFinite::Keep)`; \
             leave the default, which ends the episode there and counts it",
        );
    }
    if diagnosis.transitions < MIN_TRANSITIONS {
        return;
    }
    let constant = |columns: &[ValueProfile]| -> Vec<String> {
        let constant = columns.iter().filter(|column| column.is_constant());
        constant
            .map(|column| format!("{} = {}", column.name, column.min))
            .collect()
    };
    let features = constant(&observation);
    if !features.is_empty() {
        diagnosis.add(
            Symptom::ConstantFeature,
            Severity::Warning,
            format!("{} of {} features never change", features.len(), profile.observation.len()),
            features,
            "the component is never written, is written in a schedule that does not run, or belongs to another entity; or the \
             feature is unused in this game: leave it out with `observe_fields`",
        );
    }
}

/// Checks the sums of rewards. `ends` says whether the game ends episodes.
fn check_reward(reward: &ValueProfile, ends: bool, diagnosis: &mut Diagnosis) {
    if diagnosis.transitions < MIN_TRANSITIONS || !reward.is_constant() {
        return;
    }
    let (severity, cause) = if ends && reward.min != 0.0 {
        (
            Severity::Note,
            "only the length of an episode decides its return, as in a game of survival; if other rewards are given, they are given \
             to another entity than the one with the recording's marker",
        )
    } else {
        (
            Severity::Error,
            "nothing calls `Reward::add`, or it is called on another entity than the one with the recording's marker; the data \
             suits imitation learning, but not reinforcement learning",
        )
    };
    let what = format!("the reward of every transition is {}", reward.min);
    diagnosis.add(Symptom::ConstantReward, severity, what, Vec::new(), cause);
}

fn report_all_truncated(ends: &BTreeMap<EndReason, u64>, diagnosis: &mut Diagnosis) {
    let places = ends
        .iter()
        .map(|(reason, count)| format!("{reason}: {count} of {} episodes", diagnosis.episodes))
        .collect();
    let left = ends.get(&EndReason::LEFT).copied().unwrap_or(0);
    let cause = if 2 * left > diagnosis.episodes {
        "players are despawned when they die: trigger `EndEpisode::terminated` before the despawn, or set \
         `EpisodeRules { on_despawn: Outcome::Terminated, .. }`; until then a value function bootstraps beyond each of these ends"
    } else {
        "deaths and goals trigger `EndEpisode::truncated`, or nothing; a value function bootstraps beyond every end, which is \
         correct only if the episode could continue"
    };
    let what = format!("none of {} episodes was terminated", diagnosis.episodes);
    diagnosis.add(Symptom::AllTruncated, Severity::Warning, what, places, cause);
}

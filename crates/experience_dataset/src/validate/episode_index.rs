//! Checks the rules between episodes, and between shards and the accounts of runs.

use super::checksums::check_checksums;
use super::{Rule, Validation};
use crate::{DatasetError, RecordingData, RunAccount, RunStatus, ShardAccount, store::source, validate::id_set::IdSet};
use core::ops::Range;
use experience_core::transition::RunId;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
};

/// An episode that was read from its rows.
pub(super) struct EpisodeSummary {
    pub(super) id: i64,
    pub(super) agent: i64,
    pub(super) run: i64,
    pub(super) ticks: Range<i64>,
    pub(super) transitions: u64,
    pub(super) continues: Option<i64>,
    /// Whether its end reason allows another episode to continue it.
    pub(super) may_continue: bool,
}

/// All episodes of a recording, and their counts by file. It takes about 41 bytes an episode.
#[derive(Default)]
pub(super) struct EpisodeIndex {
    files: Vec<PathBuf>,
    /// By run and file.
    shards: BTreeMap<(i64, usize), EpisodeCounts>,
    /// The ids of all episodes that have begun.
    ids: IdSet,
    spans: Vec<EpisodeSpan>,
    /// Each episode that continues another, the id of the other, and the file of the first.
    continuing: Vec<(i64, i64, usize)>,
    may_continue: HashSet<i64>,
    unreadable: HashSet<PathBuf>,
}

#[derive(Clone, Copy, Default)]
struct EpisodeCounts {
    episodes: u64,
    transitions: u64,
}

impl EpisodeCounts {
    fn add(&mut self, transitions: u64) {
        self.episodes += 1;
        self.transitions += transitions;
    }
}

/// There is one for each episode, so its size counts.
struct EpisodeSpan {
    episode: i64,
    agent: i64,
    from: i64,
    until: i64,
    file: u32,
    transitions: u32,
}

impl EpisodeSpan {
    /// The run of the id. That of the row is the same, or violates a rule.
    fn run(&self) -> i64 {
        self.episode >> 32
    }
}

impl EpisodeIndex {
    /// Begins an episode. Returns `false` if rows of the same id came before.
    pub(super) fn begin(&mut self, episode: i64) -> bool {
        self.ids.insert(episode)
    }

    /// Adds an episode at its end.
    pub(super) fn add(&mut self, file: &Path, episode: EpisodeSummary) {
        if self.files.last().is_none_or(|last| last != file) {
            self.files.push(file.to_owned());
        }
        let file = self.files.len() - 1;
        self.shards
            .entry((episode.run, file))
            .or_default()
            .add(episode.transitions);
        self.continuing
            .extend(episode.continues.map(|other| (episode.id, other, file)));
        if episode.may_continue {
            self.may_continue.insert(episode.id);
        }
        self.spans.push(EpisodeSpan {
            episode: episode.id,
            agent: episode.agent,
            from: episode.ticks.start,
            until: episode.ticks.end,
            file: u32::try_from(file).unwrap_or(u32::MAX),
            // Steps are counted by an `i32`.
            transitions: u32::try_from(episode.transitions).unwrap_or(u32::MAX),
        });
    }

    /// Adds a file that could not be read completely.
    pub(super) fn add_unreadable(&mut self, file: &Path) {
        self.unreadable.insert(file.to_owned());
    }

    /// Checks the rules that need all episodes.
    pub(super) fn check(mut self, recording: &RecordingData, validation: &mut Validation) -> Result<(), DatasetError> {
        self.check_overlaps(validation);
        self.check_continuations(validation);
        let mut known = HashSet::new();
        for path in recording.accounts()? {
            match recording.account(&path) {
                Ok(run) => {
                    known.insert(run.run.get());
                    for what in self.account_violations(recording, &run) {
                        validation.add(Rule::Account, &path, (None, None), what);
                    }
                    check_checksums(recording, &run, &self.unreadable, validation)?;
                    match recording.run_tags(run.run) {
                        Err(DatasetError::Damaged { path, reason }) => {
                            validation.add(Rule::File, &path, (None, None), reason);
                        }
                        tags => {
                            tags?;
                        }
                    }
                }
                Err(DatasetError::Damaged { reason, .. }) => validation.add(Rule::File, &path, (None, None), reason),
                Err(error) => return Err(error),
            }
        }
        for (run, file) in self.shards.keys().filter(|(run, _)| !known.contains(run)) {
            let what = match u32::try_from(*run) {
                Ok(bits) => format!("it holds rows of run {}, which has no account", RunId::from_bits(bits)),
                Err(_) => format!("it holds rows of run {run}, which is not a valid run"),
            };
            validation.add(Rule::Account, &self.files[*file], (None, None), what);
        }
        Ok(())
    }

    fn check_overlaps(&mut self, validation: &mut Validation) {
        // In place, because a copy would double the memory.
        self.spans
            .sort_unstable_by_key(|span| (span.run(), span.agent, span.from, span.until, span.episode, span.file));
        for pair in self.spans.windows(2) {
            let [a, b] = pair else { continue };
            if (a.run(), a.agent) == (b.run(), b.agent) && b.from < a.until && a.episode != b.episode {
                let what = format!(
                    "agent {} begins it at tick {}, but its episode {} lasts until tick {}",
                    b.agent, b.from, a.episode, a.until
                );
                validation.add(
                    Rule::NoOverlap,
                    &self.files[b.file as usize],
                    (Some(b.episode), None),
                    what,
                );
            }
        }
    }

    fn check_continuations(&self, validation: &mut Validation) {
        for (episode, other, file) in &self.continuing {
            // A missing episode was lost, and is counted as such.
            if self.ids.contains(*other) && !self.may_continue.contains(other) {
                let what = format!("it continues episode {other}, whose reason is neither `split` nor `gap`");
                validation.add(Rule::Continues, &self.files[*file], (Some(*episode), Some(0)), what);
            }
        }
    }

    /// The violations of [`Rule::Account`] by the account of a run.
    fn account_violations(&self, recording: &RecordingData, run: &RunAccount) -> Vec<String> {
        let mut violations = Vec::new();
        let (id, report) = (run.run.get(), &run.account);
        let hash = format!("{:016x}", recording.schema().hash());
        if run.schema_hash != hash {
            violations.push(format!(
                "it lists the schema {}, and the recording has {hash}",
                run.schema_hash
            ));
        }
        let sum = [report.exported, report.dropped, report.discarded, report.pending]
            .into_iter()
            .fold(0, u64::saturating_add);
        if report.recorded != sum {
            violations.push(format!(
                "its counts do not add up: {} transitions were recorded, and the sum of exported, dropped, discarded and pending is {sum}",
                report.recorded
            ));
        }
        let counts: HashMap<&Path, EpisodeCounts> = self
            .shards
            .range((id, 0)..=(id, usize::MAX))
            .map(|((_, file), counts)| (self.files[*file].as_path(), *counts))
            .collect();
        let mut is_whole = true;
        let mut listed = HashSet::new();
        for shard in &run.shards {
            let Some(name) = shard.name(run.run) else {
                violations.push(format!(
                    "it lists the shard {:?}, which is not a file name of a shard of its run",
                    shard.file
                ));
                continue;
            };
            let path = name.path(recording.path());
            listed.insert(path.clone());
            if self.unreadable.contains(&path) {
                is_whole = false;
                continue;
            }
            let found = counts.get(path.as_path()).copied().unwrap_or_default();
            violations.extend(shard_violation(shard, found, source::exists(&path)));
        }
        if matches!(run.status, RunStatus::Running | RunStatus::Journaled) || !is_whole {
            // An unfinished run has counted transitions that are not in shards yet.
            return violations;
        }
        for path in counts.keys() {
            if !listed.contains(*path) {
                violations.push(format!("it does not list the shard `{}`", path.display()));
            }
        }
        let retired = EpisodeCounts {
            episodes: run.retired.episodes,
            transitions: run.retired.transitions,
        };
        let found = counts.values().fold(retired, |sum, counts| EpisodeCounts {
            episodes: sum.episodes.saturating_add(counts.episodes),
            transitions: sum.transitions.saturating_add(counts.transitions),
        });
        if (report.exported, report.episodes) != (found.transitions, found.episodes) {
            violations.push(format!(
                "it counts {} exported transitions in {} episodes, and the shards hold {} in {}",
                report.exported, report.episodes, found.transitions, found.episodes
            ));
        }
        violations.extend(self.agent_violations(run));
        violations
    }

    /// The violations of [`Rule::Account`] by the totals by agent that version 0.1.0 wrote.
    fn agent_violations(&self, run: &RunAccount) -> Vec<String> {
        let mut violations = Vec::new();
        if run.account.agents.is_empty() {
            return violations;
        }
        let id = run.run.get();
        let mut agents = BTreeMap::<i64, EpisodeCounts>::new();
        // The spans are sorted by run.
        let first = self.spans.partition_point(|span| span.run() < id);
        for span in self.spans[first..].iter().take_while(|span| span.run() == id) {
            agents.entry(span.agent).or_default().add(u64::from(span.transitions));
        }
        for (agent, retired) in &run.retired.agents {
            let found = agents.entry(*agent).or_default();
            found.episodes = found.episodes.saturating_add(retired.episodes);
            found.transitions = found.transitions.saturating_add(retired.transitions);
        }
        for (agent, totals) in &run.account.agents {
            let found = agents.remove(agent).unwrap_or_default();
            if (totals.episodes, totals.transitions) != (found.episodes, found.transitions) {
                violations.push(format!(
                    "it counts {} transitions in {} episodes of agent {agent}, and the shards hold {} in {}",
                    totals.transitions, totals.episodes, found.transitions, found.episodes
                ));
            }
        }
        violations.extend(
            agents
                .keys()
                .map(|agent| format!("agent {agent} is in the shards and not in the account")),
        );
        violations
    }
}

/// The violation of [`Rule::Account`] by a shard in an account, if there is one.
fn shard_violation(listed: &ShardAccount, found: EpisodeCounts, exists: bool) -> Option<String> {
    if !exists {
        return Some(format!("the shard `{}` is gone", listed.file));
    }
    ((listed.episodes, listed.transitions) != (found.episodes, found.transitions)).then(|| {
        format!(
            "it counts {} transitions in {} episodes in the shard `{}`, which holds {} in {}",
            listed.transitions, listed.episodes, listed.file, found.transitions, found.episodes
        )
    })
}

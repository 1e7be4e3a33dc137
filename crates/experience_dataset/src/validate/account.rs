//! The rules between episodes, and between them and the accounts of runs.

use super::{Rule, Validation};
use crate::{DatasetError, RecordingData, RunAccount, RunStatus, ShardAccount, sink::layout};
use core::ops::Range;
use experience_core::transition::RunId;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Component, Path, PathBuf},
};

/// An episode, as its rows tell it.
pub(super) struct Lived {
    pub(super) id: i64,
    pub(super) agent: i64,
    pub(super) run: i64,
    pub(super) ticks: Range<i64>,
    pub(super) transitions: u64,
    pub(super) continues: Option<i64>,
    pub(super) goes_on: bool,
}

/// What there is, counted for comparison with what the accounts say.
#[derive(Default)]
pub(super) struct Tally {
    files: Vec<PathBuf>,
    /// By run and file.
    shards: BTreeMap<(i64, usize), Counts>,
    /// By run and agent.
    agents: BTreeMap<(i64, i64), Counts>,
    lives: Vec<Life>,
    /// Each episode that continues another, the other, and in which file.
    continued: Vec<(i64, i64, usize)>,
    going_on: HashSet<i64>,
    unreadable: HashSet<PathBuf>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    episodes: u64,
    transitions: u64,
}

impl Counts {
    fn add(&mut self, transitions: u64) {
        self.episodes += 1;
        self.transitions += transitions;
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Life {
    run: i64,
    agent: i64,
    from: i64,
    until: i64,
    episode: i64,
    file: usize,
}

impl Tally {
    pub(super) fn episode(&mut self, file: &Path, lived: Lived) {
        if self.files.last().is_none_or(|last| last != file) {
            self.files.push(file.to_owned());
        }
        let file = self.files.len() - 1;
        self.shards.entry((lived.run, file)).or_default().add(lived.transitions);
        self.agents
            .entry((lived.run, lived.agent))
            .or_default()
            .add(lived.transitions);
        self.continued
            .extend(lived.continues.map(|other| (lived.id, other, file)));
        if lived.goes_on {
            self.going_on.insert(lived.id);
        }
        self.lives.push(Life {
            run: lived.run,
            agent: lived.agent,
            from: lived.ticks.start,
            until: lived.ticks.end,
            episode: lived.id,
            file,
        });
    }

    /// Not all of a file is in the tally.
    pub(super) fn unreadable(&mut self, file: &Path) {
        self.unreadable.insert(file.to_owned());
    }

    /// Checks what only the whole of a recording can tell.
    pub(super) fn check(mut self, recording: &RecordingData, found: &mut Validation) -> Result<(), DatasetError> {
        self.one_life(found);
        self.continuations(found);
        let mut known = HashSet::new();
        for path in recording.accounts()? {
            match recording.account(&path) {
                Ok(run) => {
                    known.insert(run.run.get());
                    for what in self.account(recording, &run) {
                        found.note(Rule::Account, &path, (None, None), what);
                    }
                }
                Err(DatasetError::Damaged { reason, .. }) => found.note(Rule::File, &path, (None, None), reason),
                Err(error) => return Err(error),
            }
        }
        for (run, file) in self.shards.keys().filter(|(run, _)| !known.contains(run)) {
            let what = match u32::try_from(*run) {
                Ok(bits) => format!("it holds rows of run {}, which has no account", RunId::from_bits(bits)),
                Err(_) => format!("it holds rows of run {run}, which is no run"),
            };
            found.note(Rule::Account, &self.files[*file], (None, None), what);
        }
        Ok(())
    }

    fn one_life(&mut self, found: &mut Validation) {
        self.lives.sort();
        for pair in self.lives.windows(2) {
            let [a, b] = pair else { continue };
            if (a.run, a.agent) == (b.run, b.agent) && b.from < a.until && a.episode != b.episode {
                let what = format!(
                    "agent {} begins it at tick {}, and lives episode {} until tick {}",
                    b.agent, b.from, a.episode, a.until
                );
                found.note(Rule::OneLife, &self.files[b.file], (Some(b.episode), None), what);
            }
        }
    }

    fn continuations(&self, found: &mut Validation) {
        let there: HashSet<i64> = self.lives.iter().map(|life| life.episode).collect();
        for (episode, other, file) in &self.continued {
            // One that is not there was lost, and counted.
            if there.contains(other) && !self.going_on.contains(other) {
                let what = format!("it continues episode {other}, which ended neither by `split` nor by `gap`");
                found.note(Rule::Continues, &self.files[*file], (Some(*episode), Some(0)), what);
            }
        }
    }

    /// What is wrong with the account of a run.
    fn account(&self, recording: &RecordingData, run: &RunAccount) -> Vec<String> {
        let mut wrong = Vec::new();
        let (id, report) = (run.run.get(), &run.account);
        let hash = format!("{:016x}", recording.schema().hash());
        if run.schema_hash != hash {
            wrong.push(format!(
                "it names the schema {}, and the recording has {hash}",
                run.schema_hash
            ));
        }
        let sum = [report.exported, report.dropped, report.discarded, report.pending]
            .into_iter()
            .fold(0, u64::saturating_add);
        if report.recorded != sum {
            wrong.push(format!(
                "it does not close: {} recorded, and exported, dropped, discarded and pending are {sum} together",
                report.recorded
            ));
        }
        let counts: HashMap<&Path, Counts> = self
            .shards
            .range((id, 0)..=(id, usize::MAX))
            .map(|((_, file), counts)| (self.files[*file].as_path(), *counts))
            .collect();
        let folder = recording.path().join(layout::DATA);
        let mut is_whole = true;
        for shard in &run.shards {
            if !is_plain(&shard.file) {
                wrong.push(format!(
                    "it names the shard {:?}, which is no name of a file",
                    shard.file
                ));
                continue;
            }
            let path = folder.join(&shard.file);
            if self.unreadable.contains(&path) {
                is_whole = false;
                continue;
            }
            let there = counts.get(path.as_path()).copied().unwrap_or_default();
            wrong.extend(shard_complaint(shard, there, path.exists()));
        }
        if run.status == RunStatus::Running || !is_whole {
            // It goes on, or died: what it took is more than what readers see.
            return wrong;
        }
        for path in counts.keys() {
            if !run.shards.iter().any(|shard| folder.join(&shard.file) == *path) {
                wrong.push(format!("it does not name the shard `{}`", path.display()));
            }
        }
        let retired = Counts {
            episodes: run.retired.episodes,
            transitions: run.retired.transitions,
        };
        let there = counts.values().fold(retired, |sum, counts| Counts {
            episodes: sum.episodes.saturating_add(counts.episodes),
            transitions: sum.transitions.saturating_add(counts.transitions),
        });
        if (report.exported, report.episodes) != (there.transitions, there.episodes) {
            wrong.push(format!(
                "{} transitions in {} episodes were exported, and {} in {} are there",
                report.exported, report.episodes, there.transitions, there.episodes
            ));
        }
        let mut agents: BTreeMap<i64, Counts> = self
            .agents
            .range((id, i64::MIN)..=(id, i64::MAX))
            .map(|((_, agent), counts)| (*agent, *counts))
            .collect();
        for (agent, retired) in &run.retired.agents {
            let there = agents.entry(*agent).or_default();
            there.episodes = there.episodes.saturating_add(retired.episodes);
            there.transitions = there.transitions.saturating_add(retired.transitions);
        }
        for (agent, totals) in &report.agents {
            let there = agents.remove(agent).unwrap_or_default();
            if (totals.episodes, totals.transitions) != (there.episodes, there.transitions) {
                wrong.push(format!(
                    "agent {agent} has {} transitions in {} episodes, and {} in {} are there",
                    totals.transitions, totals.episodes, there.transitions, there.episodes
                ));
            }
        }
        wrong.extend(
            agents
                .keys()
                .map(|agent| format!("agent {agent} is in the shards and not in the account")),
        );
        wrong
    }
}

/// Whether a name leads nowhere else.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(_)), None)
    ) && !name.contains('\0')
}

/// What is wrong with what an account says of a shard.
fn shard_complaint(told: &ShardAccount, there: Counts, exists: bool) -> Option<String> {
    if !exists {
        return Some(format!("the shard `{}` is gone", told.file));
    }
    ((told.episodes, told.transitions) != (there.episodes, there.transitions)).then(|| {
        format!(
            "the shard `{}` has {} transitions in {} episodes, and {} in {} are there",
            told.file, told.transitions, told.episodes, there.transitions, there.episodes
        )
    })
}

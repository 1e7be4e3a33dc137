//! Splits a recording into several datasets, such as those for training, validation and test.

use super::{
    DatasetError, Progress, RecordingData,
    dataset_builder::{DatasetBuilder, create_folder, refuse_within},
    episode_table::EpisodeTable,
    progress::ProgressMeter,
    selection::{SelectionSource, SelectionTarget},
};
use crate::sink::{layout, run_shard_writer::SHARD_BYTES};
use core::hash::Hasher;
use experience_export::disk;
use serde::Serialize;
use siphasher::sip::SipHasher24;
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

/// How [`split`] divides a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitSettings {
    /// The name of each part, which is that of its folder, and its share of the transitions. The shares add up to 1.
    pub parts: Vec<(String, f64)>,
    /// What is in one part.
    pub by: SplitBy,
    /// The seed of the order of the groups.
    pub seed: u64,
}

impl Default for SplitSettings {
    /// `train`, `validation` and `test`, with 80 %, 10 % and 10 % of the transitions, by episode.
    fn default() -> Self {
        let part = |name: &str, share| (name.to_owned(), share);
        Self {
            parts: vec![part("train", 0.8), part("validation", 0.1), part("test", 0.1)],
            by: SplitBy::Episode,
            seed: 0,
        }
    }
}

/// What is in one part of a [`split`]. Episodes that continue each other always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// An episode. Episodes of one match may be in several parts, and players in them observe each other.
    #[default]
    Episode,
    /// All episodes of an agent. Agents with negative ids are different ones in each run.
    Agent,
    /// All episodes of a run.
    Run,
    /// All episodes of a match. Episodes without a match are grouped by their run.
    Match,
}

impl SplitBy {
    fn name(self) -> &'static str {
        match self {
            Self::Episode => "episode",
            Self::Agent => "agent",
            Self::Run => "run",
            Self::Match => "match",
        }
    }
}

/// A part of a [`split`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitPart {
    /// The name of the part, and of its folder.
    pub name: String,
    /// The share of the transitions that was asked for.
    pub share: f64,
    /// The number of its groups of episodes.
    pub groups: u64,
    /// The number of its episodes.
    pub episodes: u64,
    /// The number of their transitions.
    pub transitions: u64,
}

/// Divides `recording` into datasets of about these shares of its transitions, each in a folder of `to`, which appears when all of
/// them are complete. Each episode is in one of them.
///
/// The parts are those of `Transitions.split` in the Python package with the same seed. The order of the groups depends on their
/// ids and the seed alone, so that a part changes little when runs are added. In the accounts of a part, the transitions of the
/// others count as in [`filter`](crate::filter()). `watch` is called with the progress.
///
/// # Errors
/// If the shares are not positive numbers that add up to 1, or a name is no plain name of a folder; if there are fewer groups than
/// parts; if a run is being recorded or is not recovered; if a file is damaged; or if `to` is not empty, is within the source,
/// or cannot be written.
pub fn split(
    recording: &RecordingData,
    to: &Path,
    settings: &SplitSettings,
    watch: &mut dyn FnMut(Progress),
) -> Result<Vec<SplitPart>, DatasetError> {
    settings
        .check()
        .map_err(|reason| DatasetError::unsuitable(recording.path(), reason))?;
    let dataset = disk::parent(recording.path());
    refuse_within(dataset, to)?;
    let folder = create_folder(to)?;
    let mut meter = ProgressMeter::new(recording.transitions()?.saturating_mul(2), watch);
    let source = SelectionSource::read(recording, &mut meter)?;
    let groups = EpisodeGroups::new(&source.table, settings.by);
    let part_of_group = groups
        .divide(settings)
        .map_err(|reason| DatasetError::unsuitable(recording.path(), reason))?;
    let episodes = source.table.episodes.iter().zip(&groups.of_episode);
    let part_of: HashMap<i64, usize> = episodes
        .filter(|(episode, _)| !episode.is_discarded)
        .filter_map(|(episode, group)| Some((episode.id, part_of_group[*group]?)))
        .collect();
    let mut builders = Vec::new();
    let mut targets = Vec::new();
    for (name, _) in &settings.parts {
        let builder = DatasetBuilder::create(&folder.temporary_path().join(name), [])?;
        builder.copy_card(dataset)?;
        targets.push(SelectionTarget {
            folder: builder.recording(recording.schema())?,
            selection: format!("split: {name} of {settings}"),
        });
        builders.push(builder);
    }
    let counts = source.write(&targets, SHARD_BYTES, |id| part_of.get(&id).copied(), &mut meter)?;
    for builder in builders {
        builder.finish()?;
    }
    folder.commit().map_err(DatasetError::io("create", to))?;
    let parts = settings.parts.iter().zip(counts).enumerate();
    let parts = parts.map(|(index, ((name, share), counts))| SplitPart {
        name: name.clone(),
        share: *share,
        groups: part_of_group.iter().filter(|part| **part == Some(index)).count() as u64,
        episodes: counts.episodes,
        transitions: counts.transitions,
    });
    Ok(parts.collect())
}

impl SplitSettings {
    /// Checks what does not depend on a recording.
    ///
    /// # Errors
    /// If the shares are not positive numbers that add up to 1, or a name is no plain name of a folder, or is given twice.
    pub fn check(&self) -> Result<(), String> {
        let shares = self.parts.iter().map(|(_, share)| *share);
        // Without parts `sum` is -0.
        let sum = shares.clone().fold(0.0, |sum, share| sum + share);
        let are_positive = shares.clone().all(|share| share > 0.0);
        if !are_positive || (sum - 1.0).abs() > 1e-9 {
            let shares: Vec<_> = shares.map(|share| share.to_string()).collect();
            return Err(format!(
                "the shares {} add up to {sum}: give positive numbers that add up to 1",
                shares.join(", ")
            ));
        }
        let mut names = HashSet::new();
        for (name, _) in &self.parts {
            if layout::folder_name(name) != *name {
                return Err(format!(
                    "the name of a part, {name:?}, is no plain name of a folder: use letters, digits, `_` and `-`"
                ));
            }
            if !names.insert(name.to_lowercase()) {
                return Err(format!("two parts are called `{name}`: give each another name"));
            }
        }
        Ok(())
    }
}

impl core::fmt::Display for SplitSettings {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let parts: Vec<_> = self
            .parts
            .iter()
            .map(|(name, share)| format!("{name}={share}"))
            .collect();
        write!(f, "{} by {}, seed {}", parts.join(","), self.by.name(), self.seed)
    }
}

/// What an episode has in common with others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum GroupKey {
    Episode(i64),
    /// The run is that of an agent without an id of its own.
    Agent(i64, Option<i64>),
    Run(i64),
    Match(Option<i64>, i64),
}

/// The groups of episodes that stay together.
struct EpisodeGroups {
    /// The group of each episode of the table.
    of_episode: Vec<usize>,
    /// The transitions of each group, and the smallest id of its episodes, which names it.
    groups: Vec<(u64, i64)>,
}

impl EpisodeGroups {
    fn new(table: &EpisodeTable, by: SplitBy) -> Self {
        let mut sets = DisjointSets::default();
        for episode in &table.episodes {
            let own = sets.item(GroupKey::Episode(episode.id));
            if let Some(other) = episode.continues {
                // Also one that is not in the recording, which several episodes may continue.
                let other = sets.item(GroupKey::Episode(other));
                sets.join(own, other);
            }
            let key = sets.item(match by {
                SplitBy::Episode => GroupKey::Episode(episode.id),
                SplitBy::Agent => GroupKey::Agent(episode.agent, (episode.agent < 0).then_some(episode.run)),
                SplitBy::Run => GroupKey::Run(episode.run),
                SplitBy::Match => GroupKey::Match(episode.match_id, episode.run),
            });
            sets.join(own, key);
        }
        let mut numbers = HashMap::new();
        let mut groups: Vec<(u64, i64)> = Vec::new();
        let mut of_episode = Vec::new();
        for episode in &table.episodes {
            let item = sets.item(GroupKey::Episode(episode.id));
            let root = sets.find(item);
            let number = *numbers.entry(root).or_insert_with(|| {
                groups.push((0, episode.id));
                groups.len() - 1
            });
            // Episode ids grow with time, so the name stays when episodes are added.
            let (transitions, name) = &mut groups[number];
            if !episode.is_discarded {
                *transitions += episode.transitions;
            }
            *name = episode.id.min(*name);
            of_episode.push(number);
        }
        Self { of_episode, groups }
    }

    /// The part of each group: by the middle of the group in the sum of all sizes, in an order that the seed determines.
    fn divide(&self, settings: &SplitSettings) -> Result<Vec<Option<usize>>, String> {
        let parts = settings.parts.len();
        // A group of episodes that were all discarded is in no part.
        let mut order: Vec<usize> = (0..self.groups.len())
            .filter(|group| self.groups[*group].0 > 0)
            .collect();
        if order.len() < parts {
            let plural = if order.len() == 1 { "" } else { "s" };
            return Err(format!(
                "{} group{plural} by {} cannot be divided into {parts} parts: split by something smaller, or record more",
                order.len(),
                settings.by.name()
            ));
        }
        order.sort_by_cached_key(|group| {
            let name = self.groups[*group].1;
            (rank(name, settings.seed), name)
        });
        let total: u64 = self.groups.iter().map(|(transitions, _)| transitions).sum();
        let mut edges = Vec::new();
        let mut edge = 0.0;
        for (_, share) in &settings.parts {
            edge += share;
            edges.push(edge);
        }
        let mut before = 0;
        let mut part_of_place: Vec<usize> = Vec::new();
        for group in &order {
            before += self.groups[*group].0;
            let middle = (before as f64 - self.groups[*group].0 as f64 / 2.0) / total as f64;
            part_of_place.push(edges.iter().filter(|edge| **edge <= middle).count().min(parts - 1));
        }
        fill_empty(&mut part_of_place, parts);
        let mut part_of_group = vec![None; self.groups.len()];
        for (group, part) in order.into_iter().zip(part_of_place) {
            part_of_group[group] = Some(part);
        }
        Ok(part_of_group)
    }
}

/// Gives each part without a group the first one of the part that has the most, of those that have several.
fn fill_empty(part_of_place: &mut [usize], parts: usize) {
    for empty in 0..parts {
        let mut counts = vec![0; parts];
        for part in part_of_place.iter() {
            counts[*part] += 1;
        }
        if counts[empty] > 0 {
            continue;
        }
        // The first of those that have equally many.
        let largest = (0..parts).rev().max_by_key(|part| counts[*part]);
        if let Some(place) = part_of_place.iter().position(|part| Some(*part) == largest) {
            part_of_place[place] = empty;
        }
    }
}

/// A number that orders groups, the same as in the Python package.
fn rank(name: i64, seed: u64) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(format!("{seed}/{name}").as_bytes());
    hasher.finish()
}

/// Sets of items that are joined.
#[derive(Default)]
struct DisjointSets {
    items: HashMap<GroupKey, usize>,
    parents: Vec<usize>,
}

impl DisjointSets {
    fn item(&mut self, key: GroupKey) -> usize {
        let next = self.parents.len();
        let item = *self.items.entry(key).or_insert(next);
        if item == next {
            self.parents.push(next);
        }
        item
    }

    fn find(&mut self, mut item: usize) -> usize {
        while self.parents[item] != item {
            self.parents[item] = self.parents[self.parents[item]];
            item = self.parents[item];
        }
        item
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.parents[a] = b;
    }
}

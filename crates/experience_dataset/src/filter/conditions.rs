//! [`EpisodeFilter`]: the conditions of a filter.

use crate::{
    DatasetError, RecordingData,
    episode_table::{EpisodeEntry, EpisodeTable},
};
use core::fmt;
use experience_core::transition::RunId;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Conditions for episodes. An episode is selected if all of them hold; the default has none, and selects all.
///
/// The conditions are those of `where` in the Python package, apart from the controller: here an episode is selected as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpisodeFilter {
    /// These episodes; empty for all.
    pub episodes: Vec<i64>,
    /// Episodes of these agents; empty for all. A negative id stands for another player in each run.
    pub agents: Vec<i64>,
    /// Episodes of these runs; empty for all.
    pub runs: Vec<RunId>,
    /// Episodes with one of these tags; empty for all.
    pub tags: Vec<String>,
    /// Episodes without any of these tags.
    pub without_tags: Vec<String>,
    /// Episodes that ended for one of these reasons; empty for all.
    pub end_reasons: Vec<String>,
    /// Episodes of which one of these controlled every transition; empty for all.
    pub controllers: Vec<String>,
    /// Episodes that the world ended (`true`), or that were truncated (`false`).
    pub terminated: Option<bool>,
    /// Episodes whose rewards add up to at least this.
    pub min_return: Option<f64>,
    /// Episodes whose rewards add up to at most this.
    pub max_return: Option<f64>,
    /// Episodes whose return is between two quantiles of the returns of all episodes of the recording, both included:
    /// `(0.9, 1.0)` is the best tenth.
    pub return_quantile: Option<(f64, f64)>,
    /// Episodes of at least so many transitions.
    pub min_length: Option<u64>,
    /// Episodes of at most so many transitions.
    pub max_length: Option<u64>,
    /// Selects the episodes for which not all conditions hold.
    pub inverted: bool,
}

impl EpisodeFilter {
    /// Checks what does not depend on a recording.
    ///
    /// # Errors
    /// If quantiles are not two numbers from 0 to 1 in order, if a bound is NaN, or if an upper bound is below its lower bound.
    pub fn check(&self) -> Result<(), String> {
        if let Some((low, high)) = self.return_quantile
            && !((0.0..=high).contains(&low) && high <= 1.0)
        {
            return Err(format!(
                "the quantiles of returns are {low} and {high}: give two numbers from 0 to 1, in order"
            ));
        }
        if [self.min_return, self.max_return]
            .iter()
            .flatten()
            .any(|bound| bound.is_nan())
        {
            return Err("a bound of returns is not a number: give a number".to_owned());
        }
        if let (Some(min), Some(max)) = (self.min_return, self.max_return)
            && min > max
        {
            return Err(format!(
                "the minimum return {min} is above the maximum {max}: exchange them"
            ));
        }
        if let (Some(min), Some(max)) = (self.min_length, self.max_length)
            && min > max
        {
            return Err(format!(
                "the minimum length {min} is above the maximum {max}: exchange them"
            ));
        }
        Ok(())
    }

    /// The ids of the episodes that are selected.
    ///
    /// # Errors
    /// If there are none, or if no episode has a value that the filter names.
    pub(super) fn select(
        &self,
        recording: &RecordingData,
        table: &EpisodeTable,
        tags: &BTreeMap<i64, BTreeSet<String>>,
    ) -> Result<HashSet<i64>, DatasetError> {
        let no_match = |reason| DatasetError::no_match(recording.path(), reason);
        self.check_values(table, tags).map_err(no_match)?;
        let quantiles = match self.return_quantile {
            Some(quantiles) => Some(return_bounds(table, quantiles).map_err(no_match)?),
            None => None,
        };
        let codes = self.controllers.iter().filter_map(|word| table.word(word)).map(Some);
        let controllers: BTreeSet<_> = codes.collect();
        let reasons: Vec<_> = self.end_reasons.iter().map(|word| table.word(word)).collect();
        let selected: HashSet<i64> = table
            .kept()
            .filter(|episode| {
                let holds = self.holds(episode, tags.get(&episode.id))
                    && (reasons.is_empty() || (episode.reason.is_some() && reasons.contains(&episode.reason)))
                    && (controllers.is_empty()
                        || table.controllers[episode.controllers as usize].is_subset(&controllers))
                    && quantiles.is_none_or(|(low, high)| (low..=high).contains(&episode.total_reward));
                holds != self.inverted
            })
            .map(|episode| episode.id)
            .collect();
        if selected.is_empty() {
            return Err(no_match(format!(
                "no episode meets the conditions ({self}); `experience stats` prints returns, lengths, end reasons and controllers"
            )));
        }
        Ok(selected)
    }

    /// Whether the conditions hold that need no table.
    fn holds(&self, episode: &EpisodeEntry, tags: Option<&BTreeSet<String>>) -> bool {
        let has_tag = |tag: &String| tags.is_some_and(|tags| tags.contains(tag));
        (self.episodes.is_empty() || self.episodes.contains(&episode.id))
            && (self.agents.is_empty() || self.agents.contains(&episode.agent))
            && (self.runs.is_empty() || self.runs.iter().any(|run| run.get() == episode.run))
            && (self.tags.is_empty() || self.tags.iter().any(has_tag))
            && !self.without_tags.iter().any(has_tag)
            && self
                .terminated
                .is_none_or(|terminated| terminated == episode.terminated)
            && self.min_return.is_none_or(|min| episode.total_reward >= min)
            && self.max_return.is_none_or(|max| episode.total_reward <= max)
            && self.min_length.is_none_or(|min| episode.transitions >= min)
            && self.max_length.is_none_or(|max| episode.transitions <= max)
    }

    /// Checks that each value of a list is one of an episode. A value that is nowhere is likely mistyped.
    fn check_values(&self, table: &EpisodeTable, tags: &BTreeMap<i64, BTreeSet<String>>) -> Result<(), String> {
        let episodes = || table.kept();
        let ids: HashSet<i64> = episodes().map(|episode| episode.id).collect();
        if let Some(id) = self.episodes.iter().find(|id| !ids.contains(id)) {
            return Err(format!(
                "episode {id} is not in it; `experience head --json` prints episode ids"
            ));
        }
        if let Some(agent) = self
            .agents
            .iter()
            .find(|agent| episodes().all(|episode| episode.agent != **agent))
        {
            return Err(format!(
                "agent {agent} is not in it; `experience info --json` prints the agents (`agent_totals`)"
            ));
        }
        if let Some(run) = self
            .runs
            .iter()
            .find(|run| episodes().all(|episode| episode.run != run.get()))
        {
            return Err(format!(
                "run {run} has no episode in it; `experience info` prints the runs"
            ));
        }
        let known: BTreeSet<&str> = episodes()
            .filter_map(|episode| tags.get(&episode.id))
            .flatten()
            .map(String::as_str)
            .collect();
        let mut named = self.tags.iter().chain(&self.without_tags);
        if let Some(tag) = named.find(|tag| !known.contains(tag.as_str())) {
            return Err(format!(
                "no episode in it has the tag `{tag}`; the tags are: {}",
                list(&known)
            ));
        }
        let reasons: BTreeSet<u32> = episodes().filter_map(|episode| episode.reason).collect();
        let reasons = reasons
            .iter()
            .map(|index| table.words[*index as usize].as_str())
            .collect();
        if let Some(reason) = self.end_reasons.iter().find(|word| !contains(&reasons, word)) {
            return Err(format!(
                "no episode in it ended for the reason `{reason}`; the reasons are: {}",
                list(&reasons)
            ));
        }
        let controllers = table.controllers.iter().flatten().flatten();
        let controllers = controllers.map(|index| table.words[*index as usize].as_str()).collect();
        if let Some(controller) = self.controllers.iter().find(|word| !contains(&controllers, word)) {
            return Err(format!(
                "no transition in it was controlled by `{controller}`; the controllers are: {}",
                list(&controllers)
            ));
        }
        Ok(())
    }

    /// The number of episodes of which controllers of the filter controlled a part, and not all.
    pub(super) fn count_mixed(&self, table: &EpisodeTable) -> u64 {
        let codes = self.controllers.iter().filter_map(|word| table.word(word)).map(Some);
        let wanted: BTreeSet<_> = codes.collect();
        let is_mixed = |episode: &&EpisodeEntry| {
            let found = &table.controllers[episode.controllers as usize];
            !found.is_disjoint(&wanted) && !found.is_subset(&wanted)
        };
        table.kept().filter(is_mixed).count() as u64
    }
}

fn contains(words: &BTreeSet<&str>, word: &str) -> bool {
    words.contains(word)
}

/// Lists words for an error, the first twenty of them.
fn list(words: &BTreeSet<&str>) -> String {
    const MOST: usize = 20;
    if words.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<_> = words.iter().take(MOST).map(|word| format!("`{word}`")).collect();
    let more = words.len() - shown.len();
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    shown.join(", ") + &rest
}

/// The returns at two quantiles of those of all episodes, interpolated linearly as by `numpy.quantile`.
fn return_bounds(table: &EpisodeTable, (low, high): (f64, f64)) -> Result<(f64, f64), String> {
    if let Some(episode) = table.kept().find(|episode| episode.total_reward.is_nan()) {
        return Err(format!(
            "the return of episode {} is not a number, so returns have no quantiles; leave it out first",
            episode.id
        ));
    }
    let mut returns: Vec<f64> = table.kept().map(|episode| episode.total_reward).collect();
    returns.sort_unstable_by(f64::total_cmp);
    Ok((quantile(&returns, low), quantile(&returns, high)))
}

/// A quantile of sorted numbers; NaN if there are none.
fn quantile(sorted: &[f64], quantile: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = quantile * last as f64;
    let below = (place.floor() as usize).min(last);
    let (a, b) = (sorted[below], sorted[(below + 1).min(last)]);
    let fraction = place - below as f64;
    if a == b || fraction == 0.0 {
        a
    } else if fraction >= 0.5 {
        b - (b - a) * (1.0 - fraction)
    } else {
        a + (b - a) * fraction
    }
}

impl fmt::Display for EpisodeFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut conditions = Vec::new();
        let mut push = |name: &str, values: Vec<String>| {
            if !values.is_empty() {
                conditions.push(format!("{name} {}", values.join(" or ")));
            }
        };
        let numbers = |values: &[i64]| values.iter().map(i64::to_string).collect();
        let words = |values: &[String]| values.iter().map(|word| format!("`{word}`")).collect();
        push("episode", numbers(&self.episodes));
        push("agent", numbers(&self.agents));
        push("run", self.runs.iter().map(RunId::to_string).collect());
        push("tag", words(&self.tags));
        push("not tag", words(&self.without_tags));
        push("end reason", words(&self.end_reasons));
        push("controller", words(&self.controllers));
        let flag = self
            .terminated
            .map(|flag| if flag { "terminated" } else { "truncated" });
        conditions.extend(flag.map(str::to_owned));
        conditions.extend(self.min_return.map(|min| format!("return of at least {min}")));
        conditions.extend(self.max_return.map(|max| format!("return of at most {max}")));
        let quantile = self.return_quantile;
        conditions.extend(quantile.map(|(low, high)| format!("return between the quantiles {low} and {high}")));
        conditions.extend(self.min_length.map(|min| format!("length of at least {min}")));
        conditions.extend(self.max_length.map(|max| format!("length of at most {max}")));
        let all = if conditions.is_empty() {
            "all".to_owned()
        } else {
            conditions.join(", ")
        };
        if self.inverted {
            write!(f, "not ({all})")
        } else {
            f.write_str(&all)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are those of `numpy.quantile`.
    #[test]
    fn quantiles_are_interpolated_linearly() {
        let numbers = [-2.0, 0.0, 1.0, 10.0];
        for (at, expected) in [(0.0, -2.0), (0.25, -0.5), (0.5, 0.5), (0.9, 7.3), (1.0, 10.0)] {
            assert!((quantile(&numbers, at) - expected).abs() < 1e-12, "{at}");
        }
        assert_eq!(quantile(&[3.0], 0.4).to_bits(), 3.0_f64.to_bits());
        assert!(quantile(&[], 0.5).is_nan());
        assert_eq!(
            quantile(&[f64::NEG_INFINITY, 1.0, 2.0], 0.5).to_bits(),
            1.0_f64.to_bits()
        );
    }

    #[test]
    fn a_filter_describes_itself() {
        let filter = EpisodeFilter {
            agents: vec![1, -2],
            tags: vec!["won=1".to_owned()],
            return_quantile: Some((0.5, 1.0)),
            inverted: true,
            ..EpisodeFilter::default()
        };
        assert_eq!(
            filter.to_string(),
            "not (agent 1 or -2, tag `won=1`, return between the quantiles 0.5 and 1)"
        );
        assert_eq!(EpisodeFilter::default().to_string(), "all");
    }

    #[test]
    fn bounds_that_no_return_can_meet_are_refused() {
        let quantile = |low, high| EpisodeFilter {
            return_quantile: Some((low, high)),
            ..EpisodeFilter::default()
        };
        for (low, high) in [(-0.1, 1.0), (0.0, 1.1), (0.8, 0.2), (f64::NAN, 1.0), (0.0, f64::NAN)] {
            let reason = quantile(low, high).check().unwrap_err();
            assert!(reason.contains("two numbers from 0 to 1"), "{reason}");
        }
        quantile(0.0, 1.0).check().unwrap();
        let bounds = EpisodeFilter {
            min_return: Some(2.0),
            max_return: Some(1.0),
            ..EpisodeFilter::default()
        };
        assert!(bounds.check().unwrap_err().contains("above the maximum"));
    }
}

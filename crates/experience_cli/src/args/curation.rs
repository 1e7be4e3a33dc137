//! The arguments of `filter`, `split` and `compact`.

use super::RecordingArgs;
use clap::{Args as ClapArgs, ValueEnum};
use experience_core::transition::RunId;
use experience_dataset::{EpisodeFilter, SplitBy};
use std::path::PathBuf;

/// Arguments of `filter`.
#[derive(ClapArgs, Clone, Debug)]
pub struct FilterArgs {
    #[command(flatten)]
    pub source: RecordingArgs,
    /// The folder of the new dataset: a new or an empty one
    #[arg(long, short)]
    pub output: PathBuf,
    /// These episodes, by `episode_id`; each condition that takes ids or words takes several, divided by commas
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    pub episode: Vec<i64>,
    /// Episodes of these agents, by `agent_id`
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    pub agent: Vec<i64>,
    /// Episodes of these runs, 8 hexadecimal digits as in the names of files
    #[arg(long, value_delimiter = ',', value_parser = parse_run)]
    pub run: Vec<RunId>,
    /// Episodes with one of these tags; a tag is any text, such as `map=desert`
    #[arg(long, value_delimiter = ',')]
    pub tag: Vec<String>,
    /// Episodes without any of these tags
    #[arg(long, value_delimiter = ',')]
    pub without_tag: Vec<String>,
    /// Episodes of which one of these controlled every transition, such as `person` or `script:hunter`
    #[arg(long, value_delimiter = ',')]
    pub controller: Vec<String>,
    /// Episodes that ended for one of these reasons
    #[arg(long, value_delimiter = ',')]
    pub end_reason: Vec<String>,
    /// Episodes that the world ended
    #[arg(long, conflicts_with = "truncated")]
    pub terminated: bool,
    /// Episodes that were truncated
    #[arg(long)]
    pub truncated: bool,
    /// Episodes whose rewards add up to at least this
    #[arg(long, allow_negative_numbers = true)]
    pub min_return: Option<f64>,
    /// Episodes whose rewards add up to at most this
    #[arg(long, allow_negative_numbers = true)]
    pub max_return: Option<f64>,
    /// Episodes whose return is between two quantiles of the returns of the recording: `0.9..1` for the best tenth
    #[arg(long, value_name = "LOW..HIGH", value_parser = parse_quantiles, allow_hyphen_values = true)]
    pub return_quantile: Option<(f64, f64)>,
    /// Episodes of at least so many transitions
    #[arg(long)]
    pub min_length: Option<u64>,
    /// Episodes of at most so many transitions
    #[arg(long)]
    pub max_length: Option<u64>,
    /// Select the episodes for which not all conditions hold
    #[arg(long)]
    pub not: bool,
}

impl FilterArgs {
    /// The conditions.
    pub fn conditions(&self) -> EpisodeFilter {
        EpisodeFilter {
            episodes: self.episode.clone(),
            agents: self.agent.clone(),
            runs: self.run.clone(),
            tags: self.tag.clone(),
            without_tags: self.without_tag.clone(),
            end_reasons: self.end_reason.clone(),
            controllers: self.controller.clone(),
            terminated: (self.terminated || self.truncated).then_some(self.terminated),
            min_return: self.min_return,
            max_return: self.max_return,
            return_quantile: self.return_quantile,
            min_length: self.min_length,
            max_length: self.max_length,
            inverted: self.not,
        }
    }

    /// Checks what does not depend on a dataset.
    pub fn check(&self) -> Result<(), String> {
        let conditions = self.conditions();
        let has_conditions = EpisodeFilter {
            inverted: false,
            ..conditions.clone()
        } != EpisodeFilter::default();
        if !has_conditions {
            return Err(
                "a filter needs a condition, such as `--agent 3` or `--return-quantile 0.5..1`; `experience compact -o` copies all \
                 episodes"
                    .to_owned(),
            );
        }
        conditions.check()
    }
}

/// Arguments of `split`.
#[derive(ClapArgs, Clone, Debug)]
pub struct SplitArgs {
    #[command(flatten)]
    pub source: RecordingArgs,
    /// The folder of the new datasets, one in a folder of each part: a new or an empty one
    #[arg(long, short)]
    pub output: PathBuf,
    /// The parts and their shares of the transitions, which add up to 1
    #[arg(
        long,
        value_name = "NAME=SHARE,..",
        value_delimiter = ',',
        value_parser = parse_part,
        default_value = "train=0.8,validation=0.1,test=0.1"
    )]
    pub parts: Vec<(String, f64)>,
    /// What is not divided between two parts
    #[arg(long, value_enum, default_value_t = GroupBy::Episode)]
    pub by: GroupBy,
    /// The seed of the order in which groups are given to the parts
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl SplitArgs {
    /// Checks what does not depend on a dataset.
    pub fn check(&self) -> Result<(), String> {
        let settings = experience_dataset::SplitSettings {
            parts: self.parts.clone(),
            ..Default::default()
        };
        settings.check()
    }
}

/// What `split` does not divide.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// An episode, and those that continue it. Players of one match may be in several parts, and observe each other
    Episode,
    /// All episodes of an agent
    Agent,
    /// All players of a match
    Match,
    /// All matches of a run
    Run,
}

impl From<GroupBy> for SplitBy {
    fn from(by: GroupBy) -> Self {
        match by {
            GroupBy::Episode => Self::Episode,
            GroupBy::Agent => Self::Agent,
            GroupBy::Match => Self::Match,
            GroupBy::Run => Self::Run,
        }
    }
}

/// Arguments of `compact`.
#[derive(ClapArgs, Clone, Debug)]
pub struct CompactArgs {
    /// The dataset's folder
    pub dataset: PathBuf,
    /// The folder of a new dataset: a new or an empty one [default: compact in place]
    #[arg(long, short)]
    pub output: Option<PathBuf>,
}

fn parse_run(text: &str) -> Result<RunId, String> {
    let run = u32::from_str_radix(text, 16).ok().map(RunId::from_bits);
    run.filter(|run| run.to_string() == text)
        .ok_or_else(|| "a run is 8 hexadecimal digits in lower case, as in the names of its files".to_owned())
}

fn parse_quantiles(text: &str) -> Result<(f64, f64), String> {
    let parse = |text: &str, absent: f64| match text {
        "" => Some(absent),
        text => text.parse().ok(),
    };
    text.split_once("..")
        .and_then(|(low, high)| Some((parse(low, 0.0)?, parse(high, 1.0)?)))
        .ok_or_else(|| "two quantiles from 0 to 1 are written as `0.5..1`".to_owned())
}

fn parse_part(text: &str) -> Result<(String, f64), String> {
    text.split_once('=')
        .and_then(|(name, share)| Some((name.to_owned(), share.parse().ok()?)))
        .ok_or_else(|| "a part is written as `train=0.8`".to_owned())
}

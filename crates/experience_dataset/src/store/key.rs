//! [`DatasetKey`]: the keys of the objects that this crate writes to a store, or deletes there.
//!
//! Listings and accounts may hold any text. A key of an object that is written or deleted is made of this type only, so no such text
//! leads outside of the dataset.

use super::address::StoreAddress;
use crate::sink::{layout, shard_name::ShardName};
use experience_core::transition::RunId;

/// An object of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatasetKey<'a> {
    /// The dataset card.
    Card,
    /// The schema of a recording, in this folder.
    Experience(RecordingFolder<'a>),
    /// A shard.
    Shard(RecordingFolder<'a>, ShardName),
    /// The account of a run.
    Account(RecordingFolder<'a>, RunId),
    /// The tags of a run's episodes.
    Tags(RecordingFolder<'a>, RunId),
    /// Which shards were compacted.
    Compaction(RecordingFolder<'a>),
}

/// The name of a recording's folder, as [`layout::folder_name`] and [`layout::sibling_name`] make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordingFolder<'a>(&'a str);

impl<'a> RecordingFolder<'a> {
    /// `None` if the text is not the name of a folder.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-%@.".contains(&byte);
        (!text.is_empty() && !text.starts_with('.') && text.bytes().all(is_plain)).then_some(Self(text))
    }
}

impl<'a> DatasetKey<'a> {
    /// Parses the key of an object below the prefix of a dataset. `None` if the dataset has no such object.
    pub(crate) fn parse(key: &'a str) -> Option<Self> {
        let Some((folder, name)) = key.split_once('/') else {
            return (key == layout::CARD).then_some(Self::Card);
        };
        let folder = RecordingFolder::parse(folder)?;
        let parsed = match name.split_once('/') {
            None if name == layout::EXPERIENCE => Self::Experience(folder),
            None if name == layout::COMPACTION => Self::Compaction(folder),
            Some((layout::DATA, name)) => Self::Shard(folder, ShardName::parse(name)?),
            Some((layout::RUNS, name)) => {
                let tags = layout::tags_run(name.as_ref()).map(|run| Self::Tags(folder, run));
                tags.or_else(|| Some(Self::Account(folder, layout::account_run(name.as_ref())?)))?
            }
            _ => return None,
        };
        Some(parsed)
    }

    /// The key below the prefix of a dataset.
    pub(crate) fn relative(self) -> String {
        match self {
            Self::Card => layout::CARD.to_owned(),
            Self::Experience(folder) => format!("{}/{}", folder.0, layout::EXPERIENCE),
            Self::Shard(folder, name) => format!("{}/{}/{name}", folder.0, layout::DATA),
            Self::Account(folder, run) => format!("{}/{}/{}", folder.0, layout::RUNS, layout::account_name(run)),
            Self::Tags(folder, run) => format!("{}/{}/{}", folder.0, layout::RUNS, layout::tags_name(run)),
            Self::Compaction(folder) => format!("{}/{}", folder.0, layout::COMPACTION),
        }
    }

    /// The key in the bucket of `dataset`.
    pub(crate) fn in_bucket(self, dataset: &StoreAddress) -> String {
        let relative = self.relative();
        match dataset.prefix.as_str() {
            "" => relative,
            prefix => format!("{prefix}/{relative}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_parsed_from_what_it_displays() {
        let run = RunId::from_bits(0x2a);
        let fighter = RecordingFolder::parse("a%2Fb@0000000000000001").unwrap();
        for key in [
            DatasetKey::Card,
            DatasetKey::Experience(fighter),
            DatasetKey::Shard(fighter, ShardName::new(run, 7)),
            DatasetKey::Account(fighter, run),
            DatasetKey::Tags(fighter, run),
            DatasetKey::Compaction(fighter),
        ] {
            assert_eq!(DatasetKey::parse(&key.relative()), Some(key));
        }
    }

    #[test]
    fn text_that_is_not_a_key_of_a_dataset_is_refused() {
        for text in [
            "",
            "README.md/",
            "../README.md",
            "fighter",
            "fighter/",
            "fighter/experience.json/x",
            "../fighter/experience.json",
            "./experience.json",
            "fighter//experience.json",
            "fighter/data/../../x",
            "fighter/data/0000002a-00000.parquet/x",
            "fighter/data/x.parquet",
            "fighter/runs/0000002a.json.json",
            "fighter/runs/.0000002a.lock",
            "fig\\hter/experience.json",
            "fighter\0/experience.json",
        ] {
            assert_eq!(DatasetKey::parse(text), None, "{text:?}");
        }
    }
}

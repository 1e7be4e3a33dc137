//! [`ReplayReport`]: what a replay restores of its episode, and what it does not.

use bevy_experience::{
    restore::{EpisodeRestorer, Restoration, RestoredColumn, Unrestored},
    transition::EndReason,
};
use core::fmt;

/// What a replay restores of its episode. `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayReport {
    /// The name of the recording.
    pub recording: String,
    /// The id of the episode.
    pub episode: i64,
    /// Every column of the observation, the images and, if they are written, the action.
    pub columns: Vec<RestoredColumn>,
    /// The types of the components that could not be written at a row that was shown: the ghost lacked them, or they did not accept a
    /// value.
    pub missing: Vec<&'static str>,
    /// The episode that this one continues after a split or a gap: what was before is not in it.
    pub continues: Option<i64>,
    /// Steps were lost after the last row, so the episode ends there.
    pub ends_in_gap: bool,
}

impl ReplayReport {
    pub(crate) fn new(restorer: &EpisodeRestorer) -> Self {
        let episode = restorer.episode();
        Self {
            recording: episode.schema().name().to_owned(),
            episode: episode.info().episode_id,
            columns: restorer.columns().to_vec(),
            missing: Vec::new(),
            continues: episode.info().continues,
            ends_in_gap: *episode.reason() == EndReason::GAP,
        }
    }

    /// The columns that are not restored, and why.
    pub fn unrestored(&self) -> impl Iterator<Item = (&RestoredColumn, Unrestored)> {
        self.columns.iter().filter_map(|column| match column.restoration {
            Restoration::None(reason) => Some((column, reason)),
            Restoration::Exact | Restoration::Rounded => None,
        })
    }

    /// The columns whose values were rounded when they were recorded.
    pub fn rounded(&self) -> impl Iterator<Item = &RestoredColumn> {
        let is_rounded = |column: &&RestoredColumn| column.restoration == Restoration::Rounded;
        self.columns.iter().filter(is_rounded)
    }

    /// Adds components that could not be written. Returns the new ones among them.
    pub(crate) fn add_missing(&mut self, names: &[&'static str]) -> Vec<&'static str> {
        let new: Vec<_> = names
            .iter()
            .copied()
            .filter(|name| !self.missing.contains(name))
            .collect();
        self.missing.extend(&new);
        new
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self
            .columns
            .iter()
            .filter(|column| column.restoration == Restoration::Exact);
        write!(
            f,
            "episode {} of `{}`: {} of {} columns are restored exactly",
            self.episode,
            self.recording,
            exact.count(),
            self.columns.len()
        )?;
        let rounded: Vec<_> = self.rounded().map(|column| format!("`{}`", column.name)).collect();
        if !rounded.is_empty() {
            write!(f, "; as `f32` recorded them: {}", rounded.join(", "))?;
        }
        let mut reasons: Vec<(Unrestored, Vec<String>)> = Vec::new();
        for (column, reason) in self.unrestored() {
            let name = format!("`{}`", column.name);
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, names)) => names.push(name),
                None => reasons.push((reason, vec![name])),
            }
        }
        for (reason, names) in reasons {
            write!(f, "; not restored: {} ({reason})", names.join(", "))?;
        }
        if let Some(before) = self.continues {
            write!(f, "; it continues episode {before}")?;
        }
        if self.ends_in_gap {
            f.write_str("; it ends where steps were lost")?;
        }
        Ok(())
    }
}

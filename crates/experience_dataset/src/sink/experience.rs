//! `experience.json` in the folder of a recording. Written once and never changed.

use super::layout;
use crate::store::source;
use experience_core::schema::ExperienceFile;
use std::{io, path::Path};

/// An `experience.json` that could not be read.
#[derive(Debug)]
pub(crate) enum ExperienceFileError {
    Io(io::Error),
    /// The content is invalid, for this reason.
    Damaged(String),
}

/// Reads the file in the folder of a recording.
pub(crate) fn read(recording: &Path) -> Result<ExperienceFile, ExperienceFileError> {
    let content = source::read(&recording.join(layout::EXPERIENCE)).map_err(ExperienceFileError::Io)?;
    ExperienceFile::from_json(&content).map_err(ExperienceFileError::Damaged)
}

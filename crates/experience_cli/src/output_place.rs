//! [`OutputPlace`]: where a command writes its output, a path or the address of an object store.

use crate::output::CommandError;
use experience_dataset::is_address;
use std::path::{Path, PathBuf};

/// The output of a command. For an address it is a temporary folder, which [`finish`](Self::finish) uploads as a whole.
pub struct OutputPlace {
    shown: PathBuf,
    #[cfg(feature = "object_store")]
    folder: Option<tempfile::TempDir>,
}

impl OutputPlace {
    /// The place of the output `to`. An address that cannot be written to is an error before any work is done.
    pub fn new(to: &Path) -> Result<Self, CommandError> {
        #[cfg(feature = "object_store")]
        let folder = match is_address(to) {
            true => {
                experience_dataset::check_upload(to)?;
                Some(tempfile::tempdir()?)
            }
            false => None,
        };
        #[cfg(not(feature = "object_store"))]
        if is_address(to) {
            return Err(CommandError::Arguments(
                "the output is an address: write to a folder, or build the command with `cargo install experience_cli --features \
                 object_store`"
                    .to_owned(),
            ));
        }
        Ok(Self {
            shown: to.to_owned(),
            #[cfg(feature = "object_store")]
            folder,
        })
    }

    /// The path to write to.
    pub fn path(&self) -> PathBuf {
        #[cfg(feature = "object_store")]
        if let Some(folder) = &self.folder {
            // With the last name of the address, whose ending is that of a file where the output is one.
            return folder.path().join(self.shown.file_name().unwrap_or("output".as_ref()));
        }
        self.shown.clone()
    }

    /// Uploads what was written, if the output is an address. Returns the output as the user has named it.
    pub fn finish(self) -> Result<PathBuf, CommandError> {
        #[cfg(feature = "object_store")]
        if self.folder.is_some() {
            experience_dataset::upload(&self.path(), &self.shown)?;
        }
        Ok(self.shown)
    }
}

//! The folder of a recording in a store: its schema, and its place in the dataset card.

use super::{PassError, StagedRun, on_disk};
use crate::{
    sink::{card, layout},
    store::{
        client::Put,
        error::StoreErrorKind,
        key::{DatasetKey, RecordingFolder},
    },
};
use experience_core::schema::ExperienceFile;
use experience_export::disk;

/// How often the card is written again because another process has changed it meanwhile.
const CARD_ATTEMPTS: usize = 8;

impl StagedRun {
    /// The name of the recording's folder in the store, which is created if it is missing.
    pub(super) fn remote_folder(&mut self) -> Result<String, PassError> {
        if let Some(remote) = &self.remote {
            return Ok(remote.clone());
        }
        let path = self.folder.join(layout::EXPERIENCE);
        let experience = disk::read(&path).map_err(on_disk("read", &path))?;
        let own = layout::folder_name(self.schema.name());
        let sibling = layout::sibling_name(self.schema.name(), self.schema.hash());
        for name in [&own, &sibling] {
            let folder = RecordingFolder::parse(name)
                .ok_or_else(|| PassError::Other(format!("`{name}` is not the name of a recording's folder")))?;
            let key = DatasetKey::Experience(folder);
            let found = self.create(key, &experience)?;
            if found == self.schema.hash() {
                self.update_card(name)?;
                self.remote = Some(name.clone());
                return Ok(name.clone());
            }
            if self.refuse_other_schema {
                break;
            }
            tracing::warn!(
                "recording `{}` has another schema than `{}/{name}`, so it is written to `{sibling}` beside it",
                self.schema.name(),
                self.dataset
            );
        }
        Err(PassError::Other(format!(
            "`{}/{own}` holds other columns than recording `{}`: write to another address, or remove `refuse_other_schema`, so that \
             it is written beside the other",
            self.dataset,
            self.schema.name()
        )))
    }

    /// Creates `experience.json` unless there is one, and returns the hash of the schema in it.
    fn create(&self, key: DatasetKey<'_>, experience: &[u8]) -> Result<u64, PassError> {
        let in_bucket = key.in_bucket(&self.dataset);
        match self.client.put(&in_bucket, experience.to_vec(), Put::Create) {
            Ok(_) => return Ok(self.schema.hash()),
            Err(error) if error.kind() == StoreErrorKind::Conflict => {}
            Err(error) if error.kind() == StoreErrorKind::Unsupported => {
                // A store without conditional writes: two runs with different schemas must not begin at the same moment.
                if let Err(error) = self.client.head(&in_bucket) {
                    if error.kind() != StoreErrorKind::NotFound {
                        return Err(self.store_error(key)(error));
                    }
                    self.client
                        .put(&in_bucket, experience.to_vec(), Put::Replace)
                        .map_err(self.store_error(key))?;
                    return Ok(self.schema.hash());
                }
            }
            Err(error) => return Err(self.store_error(key)(error)),
        }
        let object = format!("{}/{}", self.dataset, key.relative());
        let existing = self.client.get(&in_bucket).map_err(self.store_error(key))?;
        match ExperienceFile::from_json(&existing) {
            Ok(existing) => Ok(existing.schema.hash()),
            Err(_) => Err(PassError::Other(format!(
                "`{object}` is damaged or of a newer version: restore it, or write to another address"
            ))),
        }
    }

    /// Adds the recording to the dataset card. A dataset without a card still loads, so only the first error of a store that is
    /// away matters.
    fn update_card(&self, recording: &str) -> Result<(), PassError> {
        let key = DatasetKey::Card;
        let in_bucket = key.in_bucket(&self.dataset);
        for _ in 0..CARD_ATTEMPTS {
            let (old, when) = match self.client.get_object(&in_bucket) {
                Ok((old, found)) => (String::from_utf8_lossy(&old).into_owned(), Put::Update(found)),
                Err(error) if error.kind() == StoreErrorKind::NotFound => (String::new(), Put::Create),
                Err(error) => return Err(self.store_error(key)(error)),
            };
            let Some(new) = card::with_recording(&old, recording) else {
                return Ok(());
            };
            match self.client.put(&in_bucket, new.clone().into_bytes(), when) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == StoreErrorKind::Conflict => {}
                Err(error) if error.kind() == StoreErrorKind::Unsupported => {
                    let put = self.client.put(&in_bucket, new.into_bytes(), Put::Replace);
                    return put.map(|_| ()).map_err(self.store_error(key));
                }
                Err(error) => return Err(self.store_error(key)(error)),
            }
        }
        Ok(())
    }
}

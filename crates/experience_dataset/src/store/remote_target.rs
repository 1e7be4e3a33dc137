//! [`RemoteTarget`]: the store that a sink writes to by way of the disk.

use super::{
    address::StoreAddress, client::StoreClient, error::StoreError, staged_run::UploadPlan, staging,
    upload_status::UploadStatus, uploader::Uploader,
};
use core::time::Duration;
use experience_core::transition::RunId;
use experience_export::SinkError;
use std::{
    io,
    path::{Path, PathBuf},
    time::Instant,
};

/// The longest interval and wait, so that the time at which it ends can be computed.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(365 * 86_400);

/// The store of a sink, and its uploader while the sink is open.
#[derive(Debug)]
pub(crate) struct RemoteTarget {
    pub(crate) address: StoreAddress,
    pub(crate) staging: PathBuf,
    pub(crate) staging_bytes: u64,
    pub(crate) heartbeat: Duration,
    pub(crate) upload_wait: Duration,
    pub(crate) keep_bytes: Option<u64>,
    pub(crate) refuse_other_schema: bool,
    pub(crate) uploads_earlier: bool,
    pub(crate) status: UploadStatus,
    uploader: Option<Uploader>,
}

impl RemoteTarget {
    pub(crate) fn new(address: StoreAddress) -> Self {
        Self {
            address,
            staging: staging::default_staging(),
            staging_bytes: 8 << 30,
            heartbeat: Duration::from_secs(60),
            upload_wait: Duration::from_secs(8),
            keep_bytes: None,
            refuse_other_schema: false,
            uploads_earlier: true,
            status: UploadStatus::default(),
            uploader: None,
        }
    }

    /// The folder of the runs that wait for their upload.
    pub(crate) fn folder(&self) -> PathBuf {
        staging::address_folder(&self.staging, &self.address)
    }

    /// The dataset on the disk of a run.
    pub(crate) fn root(&self, run: RunId) -> PathBuf {
        staging::run_root(&self.staging, &self.address, run)
    }

    /// Checks that the store can be written to. One that cannot be reached now may be later.
    pub(crate) fn check(&self) -> Result<(), SinkError> {
        let asked = StoreClient::of(&self.address).and_then(|client| client.names(&self.address.prefix));
        match asked {
            Err(error) if error.is_lasting() => Err(self.refused(&error)),
            Err(error) => {
                tracing::warn!(
                    "`{}` cannot be reached: {error}; what is recorded waits in `{}`",
                    self.address,
                    self.folder().display()
                );
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    fn refused(&self, error: &StoreError) -> SinkError {
        SinkError::Other(format!("cannot record to `{}`: {error}", self.address))
    }

    fn plan(&self) -> Result<UploadPlan, StoreError> {
        Ok(UploadPlan {
            dataset: self.address.clone(),
            client: StoreClient::of(&self.address)?,
            heartbeat: self.heartbeat,
            refuse_other_schema: self.refuse_other_schema,
            keep_bytes: self.keep_bytes,
        })
    }

    /// Begins to upload the run in `recording`, which exists.
    pub(crate) fn start(&mut self, recording: &Path, run: RunId) -> Result<(), SinkError> {
        let plan = self.plan().map_err(|error| self.refused(&error))?;
        let earlier = self.uploads_earlier.then(|| self.folder());
        let uploader = Uploader::spawn(recording.to_owned(), run, earlier, plan, self.status.clone())
            .map_err(|error| SinkError::Other(format!("cannot start the uploads to `{}`: {error}", self.address)))?;
        self.uploader = Some(uploader);
        Ok(())
    }

    /// Checks that the disk may hold more shards: the limit counts as a full disk.
    pub(crate) fn check_space(&self) -> Result<(), SinkError> {
        let folder = self.folder();
        let staged = staging::staged_bytes(&folder);
        if staged < self.staging_bytes {
            return Ok(());
        }
        let last = self
            .status
            .last_error()
            .map_or_else(String::new, |error| format!(" ({error})"));
        let reason = format!(
            "{staged} bytes wait for their upload to `{}`{last}, and the limit of `with_staging_bytes` is {}",
            self.address, self.staging_bytes
        );
        Err(SinkError::Io {
            action: "write to",
            path: folder,
            source: io::Error::new(io::ErrorKind::StorageFull, reason),
        })
    }

    /// Tells the uploader that files have changed.
    pub(crate) fn wake(&self) {
        if let Some(uploader) = &self.uploader {
            uploader.wake();
        }
    }

    /// Waits until all of the closed run is in the store.
    ///
    /// # Errors
    /// If it is not within the wait: the rest is on the disk, for the next process.
    pub(crate) fn finish(&mut self) -> Result<(), SinkError> {
        let Some(uploader) = &self.uploader else {
            return Ok(());
        };
        uploader.close();
        let counts = self.status.wait_until_complete(Instant::now() + self.upload_wait);
        if counts.is_complete {
            return Ok(());
        }
        let reason = counts.last_error.unwrap_or_else(|| "the store was too slow".to_owned());
        Err(SinkError::Other(format!(
            "{} shards with {} bytes are not in `{}` yet: {reason}; they wait in `{}`, and the next game on this host or `experience \
             recover {}` uploads them",
            counts.pending_shards,
            counts.pending_bytes,
            self.address,
            self.folder().display(),
            self.address
        )))
    }
}

//! Datasets in object stores.
//!
//! A dataset has an address: a folder, or `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix` with the feature
//! `object_store`. The modules that read a dataset name its files by paths, and an address is such a path: [`source`] reads a file
//! from the disk or from its store. Writers write to the disk, and an [`uploader`] copies what is finished to the store.
//!
//! | module | |
//! |---|---|
//! | [`address`] | parses addresses |
//! | [`source`] | reads files and lists folders at any address |
//! | [`shard_file`] | reads ranges of a shard at any address |
//! | `client` | calls a store, and describes its errors |
//! | `key` | the names of a dataset's objects |
//! | `uploader` | uploads a run |
//! | `uploaded` | which shards of a run are in the store, and their episodes |

pub(crate) mod address;
#[cfg(feature = "object_store")]
pub(crate) mod client;
#[cfg(feature = "object_store")]
mod error;
#[cfg(feature = "object_store")]
pub(crate) mod key;
#[cfg(feature = "object_store")]
mod object_file;
#[cfg(feature = "object_store")]
pub(crate) mod remote_target;
#[cfg(feature = "parquet")]
pub(crate) mod rewrite_place;
#[cfg(feature = "parquet")]
pub(crate) mod shard_file;
pub(crate) mod source;
#[cfg(feature = "object_store")]
pub(crate) mod staged_run;
#[cfg(feature = "object_store")]
pub(crate) mod staging;
#[cfg(feature = "object_store")]
mod store_account;
#[cfg(feature = "object_store")]
mod store_retention;
pub(crate) mod upload_state;
#[cfg(feature = "object_store")]
pub(crate) mod upload_status;
#[cfg(feature = "parquet")]
pub(crate) mod uploaded;
#[cfg(feature = "object_store")]
mod uploader;
#[cfg(feature = "object_store")]
pub(crate) mod whole;

#[cfg(feature = "parquet")]
pub(crate) use address::DatasetAddress;

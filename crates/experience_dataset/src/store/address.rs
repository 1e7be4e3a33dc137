//! [`DatasetAddress`]: where a dataset is, a folder or a prefix of an object store.

use std::path::{Path, PathBuf};

/// The schemes of object stores.
const SCHEMES: &[&str] = &[
    "s3",
    "gs",
    "az",
    #[cfg(test)]
    "memory",
];

/// Where a dataset is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DatasetAddress {
    /// A folder.
    Folder(PathBuf),
    /// A prefix of an object store.
    Store(StoreAddress),
}

/// A prefix of an object store: `s3://bucket/prefix`.
///
/// It holds no credentials: an address with some is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StoreAddress {
    pub(crate) scheme: &'static str,
    pub(crate) bucket: String,
    /// Without slashes at its ends; may be empty.
    pub(crate) prefix: String,
}

/// The scheme of an address, and what follows `://`. `None` for a path.
fn split(path: &Path) -> Option<(&str, &str)> {
    let (scheme, rest) = path.to_str()?.split_once("://")?;
    let is_scheme = !scheme.is_empty()
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

/// Whether `path` is an address, such as `s3://bucket/prefix`, and not the path of a file or folder.
#[must_use]
pub fn is_address(path: &Path) -> bool {
    split(path).is_some()
}

/// Whether `path` is within an object store.
pub(crate) fn is_store(path: &Path) -> bool {
    split(path).is_some_and(|(scheme, _)| scheme_of(scheme).is_some())
}

fn scheme_of(scheme: &str) -> Option<&'static str> {
    SCHEMES.iter().copied().find(|known| known.eq_ignore_ascii_case(scheme))
}

impl DatasetAddress {
    /// Parses an address or the path of a folder.
    ///
    /// # Errors
    /// If it has an unknown scheme, credentials, or no bucket. The error never repeats what may be a credential.
    pub(crate) fn parse(path: &Path) -> Result<Self, String> {
        let Some((scheme, rest)) = split(path) else {
            return Ok(Self::Folder(path.to_owned()));
        };
        if scheme.eq_ignore_ascii_case("file") {
            return match rest.strip_prefix("localhost").unwrap_or(rest) {
                rest if rest.starts_with('/') => Ok(Self::Folder(PathBuf::from(rest))),
                _ => Err("a `file://` address has an absolute path: `file:///srv/data`".to_owned()),
            };
        }
        let Some(scheme) = scheme_of(scheme) else {
            return Err(format!(
                "`{scheme}://` is not the address of a dataset: use a folder, `s3://bucket/prefix`, `gs://bucket/prefix` or \
                 `az://container/prefix`"
            ));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.contains(['@', ':', '?']) || prefix.contains('?') {
            return Err(format!(
                "a `{scheme}://` address must not hold credentials: pass them by the environment, as the store's own tools take \
                 them ({})",
                credentials(scheme)
            ));
        }
        if bucket.is_empty() {
            return Err(format!("the address has no bucket: write `{scheme}://bucket/prefix`"));
        }
        let prefix = prefix.trim_matches('/');
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !bucket
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            return Err("the name of a bucket has letters, digits, `-`, `_` and `.`".to_owned());
        }
        if prefix.contains(|letter: char| letter.is_control() || letter == '\\')
            || (!prefix.is_empty() && !prefix.split('/').all(is_plain))
        {
            return Err(
                "the prefix of an address has no empty part, no `.` or `..`, no backslash and no control character"
                    .to_owned(),
            );
        }
        Ok(Self::Store(StoreAddress {
            scheme,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        }))
    }

    /// Parses the address of a dataset, and returns the path by which its files are named.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse), and without the feature `object_store` if the dataset is in a store.
    pub(crate) fn resolve(path: &Path) -> Result<PathBuf, String> {
        match Self::parse(path)? {
            Self::Folder(folder) => Ok(folder),
            Self::Store(store) if cfg!(feature = "object_store") => Ok(store.path()),
            Self::Store(store) => Err(format!(
                "`{}://` addresses need the feature `object_store`: add it to `bevy_experience` or `experience_dataset` in \
                 `Cargo.toml`, or build the command with `cargo install experience_cli --features object_store`",
                store.scheme
            )),
        }
    }
}

/// How the credentials of a store are passed.
pub(crate) fn credentials(scheme: &str) -> &'static str {
    match scheme {
        "gs" => "`GOOGLE_SERVICE_ACCOUNT`, or the credentials of the machine",
        "az" => "`AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ACCOUNT_KEY`, or the identity of the machine",
        _ => "`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or the role of the machine",
    }
}

impl StoreAddress {
    /// The path by which the dataset's files are named.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(self.to_string())
    }

    /// The address of the whole bucket.
    #[cfg(feature = "object_store")]
    pub(crate) fn root(&self) -> String {
        format!("{}://{}", self.scheme, self.bucket)
    }

    /// Parses a path that is made of an address and names that were joined to it: its store, and the key of the object in it.
    /// `None` unless the path is within a store.
    #[cfg(any(test, feature = "object_store"))]
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        let (scheme, rest) = split(path)?;
        let scheme = scheme_of(scheme)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let key = if cfg!(windows) {
            key.replace('\\', "/")
        } else {
            key.to_owned()
        };
        Some(Self {
            scheme,
            bucket: bucket.to_owned(),
            prefix: key.trim_matches('/').to_owned(),
        })
    }
}

impl core::fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatasetAddress, String> {
        DatasetAddress::parse(Path::new(text))
    }

    #[test]
    fn an_address_is_normalized_and_parsed_from_what_it_displays() {
        for (text, shown) in [
            ("s3://bucket", "s3://bucket"),
            ("S3://bucket/", "s3://bucket"),
            ("gs://b-1.x/a/b/", "gs://b-1.x/a/b"),
            ("az://container/spiel daten", "az://container/spiel daten"),
        ] {
            let Ok(DatasetAddress::Store(address)) = parse(text) else {
                panic!("{text}");
            };
            assert_eq!(address.to_string(), shown);
            assert_eq!(parse(shown), Ok(DatasetAddress::Store(address.clone())));
            let file = address.path().join("fighter").join("data");
            let found = StoreAddress::of_file(&file).unwrap();
            assert_eq!(found.to_string(), format!("{shown}/fighter/data"));
        }
    }

    #[test]
    fn folders_and_files_are_paths() {
        for text in ["data/arena", "/srv/data", "C:\\data", "s3:/bucket", "a b://c", "://x"] {
            assert_eq!(parse(text), Ok(DatasetAddress::Folder(text.into())), "{text}");
        }
        assert_eq!(
            parse("file:///srv/data"),
            Ok(DatasetAddress::Folder("/srv/data".into()))
        );
        assert!(parse("file://srv/data").is_err());
    }

    #[test]
    fn credentials_in_an_address_are_refused_and_not_repeated() {
        for text in [
            "s3://AKIAKEY:s3cr3t@bucket/prefix",
            "s3://AKIAKEY@bucket",
            "az://container/prefix?sig=s3cr3t",
            "gs://token:s3cr3t/prefix",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("credentials"), "{error}");
            assert!(!error.contains("s3cr3t") && !error.contains("AKIAKEY"), "{error}");
        }
    }

    #[test]
    fn hostile_addresses_are_refused() {
        for text in [
            "http://bucket/prefix",
            "s3://",
            "s3:///prefix",
            "s3://bucket/a/../b",
            "s3://bucket/a//b",
            "s3://bucket/./b",
            "s3://bucket/a\\b",
            "s3://bucket/a\0b",
            "s3://buc ket/b",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}

//! [`StoreError`]: an error of an object store, with its remedy and without credentials.

use super::address::{StoreAddress, credentials};
use core::fmt;
use std::{ffi::OsString, io};

/// The most of a store's own words that an error repeats.
const MAX_DETAIL: usize = 240;

/// Variables of the environment whose values never appear in a message.
const SECRETS: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
];

/// Refuses credentials in the address of a server in the environment: libraries log it, and requests are signed by others.
pub(super) fn check_endpoints(
    scheme: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(), StoreError> {
    let prefixes: &[&str] = match scheme {
        "gs" => &["GOOGLE_"],
        "az" => &["AZURE_", "AZURITE_"],
        _ => &["AWS_"],
    };
    for (name, value) in variables {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        let is_of_store = prefixes.iter().any(|prefix| name.starts_with(prefix));
        let is_address = value.split_once("://").is_some_and(|(_, rest)| rest.contains('@'));
        if is_of_store && is_address && ["ENDPOINT", "URL"].iter().any(|part| name.contains(part)) {
            return Err(StoreError::new(
                StoreErrorKind::Denied,
                format!(
                    "the address in `{name}` must not hold credentials: write it as `https://host:port`, and set {}",
                    credentials(scheme)
                ),
            ));
        }
    }
    Ok(())
}

/// An error of an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreError {
    kind: StoreErrorKind,
    message: String,
}

/// What a [`StoreError`] is about, as far as a caller acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreErrorKind {
    /// The object does not exist.
    NotFound,
    /// The bucket does not exist.
    NoBucket,
    /// The object exists, or is another than the request expects.
    Conflict,
    /// The credentials are missing, wrong, or lack the permission.
    Denied,
    /// The store does not implement the request.
    Unsupported,
    /// The caller has stopped waiting.
    Stopped,
    /// Any other error, which may pass.
    Unavailable,
}

impl StoreError {
    pub(crate) fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether a repetition cannot succeed until the address, the store or the credentials are changed.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self.kind, StoreErrorKind::NoBucket | StoreErrorKind::Denied)
    }

    /// Describes the error of a request to the store of `address`.
    pub(super) fn describe(address: &StoreAddress, error: &object_store::Error) -> Self {
        use object_store::Error;
        let text = full_text(error);
        let code = between(&text, "<Code>", "</Code>");
        let detail = code.map_or_else(|| detail(&text), str::to_owned);
        let (scheme, bucket) = (address.scheme, &address.bucket);
        let is_code = |codes: &[&str]| code.is_some_and(|code| codes.contains(&code));
        let kind = if is_code(&["NoSuchBucket", "ContainerNotFound"]) {
            StoreErrorKind::NoBucket
        } else if is_code(&[
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "AccessDenied",
            "NotSignedUp",
        ]) {
            StoreErrorKind::Denied
        } else {
            match error {
                Error::NotFound { .. } => StoreErrorKind::NotFound,
                Error::AlreadyExists { .. } | Error::Precondition { .. } => StoreErrorKind::Conflict,
                Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => StoreErrorKind::Denied,
                Error::NotImplemented { .. } | Error::NotSupported { .. } => StoreErrorKind::Unsupported,
                _ => StoreErrorKind::Unavailable,
            }
        };
        let message = match kind {
            StoreErrorKind::NoBucket => {
                format!("the bucket `{bucket}` does not exist: create it, or correct the address")
            }
            StoreErrorKind::Denied => format!(
                "the store refuses the credentials, or they lack a permission ({detail}): set {}, and permit reading, listing, writing \
                 and deleting below the address",
                credentials(scheme)
            ),
            StoreErrorKind::NotFound => "there is no such object".to_owned(),
            StoreErrorKind::Conflict => "the object exists already, or another program has changed it".to_owned(),
            StoreErrorKind::Unsupported => format!("the store does not implement this request ({detail})"),
            StoreErrorKind::Stopped | StoreErrorKind::Unavailable if matches!(error, Error::InvalidPath { .. }) => {
                "an object below the address has a name with an empty part, `.`, `..` or a control character, which no dataset has: \
                 remove it"
                    .to_owned()
            }
            StoreErrorKind::Stopped | StoreErrorKind::Unavailable if is_full(&text) => {
                format!("the store is full ({detail}): free space in it")
            }
            StoreErrorKind::Stopped | StoreErrorKind::Unavailable if is_code(&["SlowDown", "ServiceUnavailable"]) => {
                format!("the store asks for fewer requests ({detail}); they are repeated later")
            }
            StoreErrorKind::Stopped | StoreErrorKind::Unavailable => {
                format!("the store did not answer as expected ({detail}): check the network and {}", endpoint(scheme))
            }
        };
        Self::new(kind, message)
    }
}

fn endpoint(scheme: &str) -> &'static str {
    match scheme {
        "gs" => "`GOOGLE_SERVICE_ACCOUNT`",
        "az" => "`AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ENDPOINT`",
        _ => "`AWS_ENDPOINT_URL`, `AWS_REGION` and `AWS_ALLOW_HTTP`",
    }
}

fn is_full(text: &str) -> bool {
    [
        "507",
        "InsufficientStorage",
        "XMinioStorageFull",
        "No space left",
        "QuotaExceeded",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

fn full_text(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut source = core::error::Error::source(error);
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = error.source();
    }
    text
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (found, _) = text.split_once(from)?.1.split_once(to)?;
    (!found.is_empty() && found.len() < 64 && found.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(found)
}

/// A word, without the name and the password in the address that may be in it: `http://user:password@host`.
fn without_credentials(word: &str) -> String {
    let Some((before, after)) = word.split_once("://") else {
        return word.to_owned();
    };
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{before}://…@{host}{rest}"),
        None => word.to_owned(),
    }
}

/// The part of a store's words that a message repeats: one line, without credentials and queries of addresses, bodies, and values of
/// secrets.
fn detail(text: &str) -> String {
    let text = text.split(['<', '{']).next().unwrap_or_default();
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = without_credentials(word);
        match word.split_once('?') {
            Some((before, _)) if before.contains("://") => words.push(format!("{before}?…")),
            _ => words.push(word),
        }
    }
    let mut line = words.join(" ");
    for secret in SECRETS.iter().filter_map(|name| std::env::var(name).ok()) {
        if secret.len() > 3 {
            line = line.replace(&secret, "…");
        }
    }
    if line.len() > MAX_DETAIL {
        let end = (0..=MAX_DETAIL)
            .rev()
            .find(|end| line.is_char_boundary(*end))
            .unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    line
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for StoreError {}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match error.kind {
            StoreErrorKind::NotFound => io::ErrorKind::NotFound,
            StoreErrorKind::Conflict => io::ErrorKind::AlreadyExists,
            StoreErrorKind::Denied => io::ErrorKind::PermissionDenied,
            StoreErrorKind::Unsupported => io::ErrorKind::Unsupported,
            StoreErrorKind::Stopped => io::ErrorKind::Interrupted,
            // A missing bucket must not be taken for a missing file.
            StoreErrorKind::NoBucket | StoreErrorKind::Unavailable => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> StoreAddress {
        StoreAddress {
            scheme: "s3",
            bucket: "bucket".to_owned(),
            prefix: String::new(),
        }
    }

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic {
            store: "S3",
            source: text.to_owned().into(),
        }
    }

    #[test]
    fn the_body_and_the_query_of_a_request_are_not_repeated() {
        let text = "Error performing PUT https://host/bucket/key?X-Amz-Signature=s3cr3t in 1s: 403 Forbidden: \
                    <Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIAKEY</AWSAccessKeyId></Error>";
        let error = StoreError::describe(&address(), &generic(text));
        assert_eq!(error.kind(), StoreErrorKind::Denied);
        for secret in ["s3cr3t", "AKIAKEY"] {
            assert!(!error.to_string().contains(secret), "{error}");
        }
        let error = StoreError::describe(&address(), &generic("GET https://host/k?sig=s3cr3t timed out"));
        assert!(error.to_string().contains("https://host/k?… timed out"), "{error}");
        let error = StoreError::describe(
            &address(),
            &generic("GET (http://AKIAKEY:s3cr3t@host/player@1): refused"),
        );
        assert!(
            error.to_string().contains("(http://…@host/player@1): refused"),
            "{error}"
        );
    }

    #[test]
    fn credentials_in_the_address_of_a_server_are_refused_and_not_repeated() {
        let check = |scheme, name: &str, value: &str| check_endpoints(scheme, [(name.into(), value.into())]);
        for (scheme, name) in [
            ("s3", "AWS_ENDPOINT_URL"),
            ("s3", "AWS_ENDPOINT_URL_S3"),
            ("gs", "GOOGLE_BASE_URL"),
            ("az", "AZURE_STORAGE_ENDPOINT"),
        ] {
            let error = check(scheme, name, "http://someone:s3cr3t/@host:9000").unwrap_err();
            assert!(error.is_lasting() && error.to_string().contains(name), "{error}");
            assert!(
                !error.to_string().contains("s3cr3t") && !error.to_string().contains("someone"),
                "{error}"
            );
            assert_eq!(check(scheme, name, "http://host:9000"), Ok(()));
        }
        assert_eq!(check("s3", "HTTPS_PROXY", "http://someone:s3cr3t@proxy"), Ok(()));
    }

    #[test]
    fn each_error_names_a_remedy() {
        for (text, remedy) in [
            ("404: <Error><Code>NoSuchBucket</Code></Error>", "create it"),
            (
                "403: <Error><Code>InvalidAccessKeyId</Code></Error>",
                "AWS_SECRET_ACCESS_KEY",
            ),
            ("507 Insufficient Storage", "free space"),
            ("503: <Error><Code>SlowDown</Code></Error>", "repeated later"),
            ("error sending request: connection refused", "AWS_ENDPOINT_URL"),
        ] {
            let error = StoreError::describe(&address(), &generic(text)).to_string();
            assert!(error.contains(remedy), "{text}: {error}");
        }
    }
}

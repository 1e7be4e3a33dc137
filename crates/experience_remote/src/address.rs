//! [`Address`]: where a policy server listens.

use crate::RemoteError;
use std::net::IpAddr;

/// A parsed address: `grpc://host:port`, or `grpc+tls://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) text: String,
    pub(crate) is_tls: bool,
    /// The host and the port.
    pub(crate) authority: String,
    /// Only processes of this machine can listen there.
    pub(crate) is_loopback: bool,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, RemoteError> {
        let refuse = |reason: &str| RemoteError::Address {
            address: text.to_owned(),
            reason: reason.to_owned(),
        };
        let form = "is not of the form `grpc://host:port` or `grpc+tls://host:port`";
        let (scheme, authority) = text.split_once("://").ok_or_else(|| refuse(form))?;
        let is_tls = match scheme {
            "grpc" | "grpc+tcp" => false,
            "grpc+tls" => true,
            _ => return Err(refuse(form)),
        };
        if is_tls && !cfg!(feature = "tls") {
            return Err(refuse("needs TLS: enable the feature `remote_tls`"));
        }
        let authority = authority.trim_end_matches('/');
        let (host, port) = authority.rsplit_once(':').ok_or_else(|| refuse(form))?;
        if host.is_empty() || port.parse::<u16>().is_err() || authority.contains(['/', '@', '?', '#']) {
            return Err(refuse(form));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        Ok(Self {
            text: text.to_owned(),
            is_tls,
            authority: authority.to_owned(),
            is_loopback,
        })
    }

    pub(crate) fn uri(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_which_are_of_this_machine() {
        for (text, is_loopback) in [
            ("grpc://127.0.0.1:7712", true),
            ("grpc+tcp://localhost:1", true),
            ("grpc://[::1]:80", true),
            ("grpc://10.0.0.1:7712", false),
            ("grpc://localhost.example.org:7712", false),
        ] {
            assert_eq!(
                Address::parse(text).map(|address| address.is_loopback),
                Ok(is_loopback),
                "{text}"
            );
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "127.0.0.1:7712",
            "http://a:1",
            "grpc://a",
            "grpc://:1",
            "grpc://a:x",
            "grpc://u@a:1",
            "grpc://a:1/b",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}

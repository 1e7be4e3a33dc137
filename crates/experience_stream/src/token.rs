//! [`TokenCheck`]: refuses every call without the bearer token.

use crate::connection::ConnectionInfo;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tonic::{Request, Status, service::Interceptor};

/// Refuses every call without the bearer token, where the server has one. It runs before a request is read.
#[derive(Clone)]
pub(crate) struct TokenCheck(Option<Arc<str>>);

impl TokenCheck {
    pub(crate) fn new(token: Option<&str>) -> Self {
        Self(token.map(Into::into))
    }
}

impl Interceptor for TokenCheck {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(token) = &self.0 else {
            return Ok(admitted(request));
        };
        let header = request
            .metadata()
            .get("authorization")
            .map(tonic::metadata::MetadataValue::as_bytes);
        match header.and_then(bearer) {
            // In a time that depends on the lengths alone, so that it does not tell how many bytes of a guess are right.
            Some(given) if bool::from(given.ct_eq(token.as_bytes())) => Ok(admitted(request)),
            Some(_) => Err(Status::unauthenticated("the token is not that of the stream")),
            None => Err(Status::unauthenticated(
                "the stream needs a token: send it as the header `authorization: Bearer <token>`",
            )),
        }
    }
}

/// The request, whose connection stays open.
fn admitted(request: Request<()>) -> Request<()> {
    if let Some(connection) = ConnectionInfo::of(request.extensions()) {
        connection.admit();
    }
    request
}

/// The token of a header.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_accepted() {
        let accepts = |header: &str| {
            let mut request = Request::new(());
            request.metadata_mut().insert("authorization", header.parse().unwrap());
            TokenCheck::new(Some("secret")).call(request).is_ok()
        };
        assert!(accepts("Bearer secret") && accepts("bearer secret"));
        for wrong in [
            "",
            "secret",
            "Bearer",
            "Bearer ",
            "Bearer secre",
            "Bearer secrets",
            "Bearer tecres",
            "Basic secret",
        ] {
            assert!(!accepts(wrong), "{wrong}");
        }
        assert!(TokenCheck::new(Some("secret")).call(Request::new(())).is_err());
        assert!(TokenCheck::new(None).call(Request::new(())).is_ok());
    }
}

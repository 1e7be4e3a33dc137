//! What the XML interface of Google has in place of that of Amazon: generations of objects, and conditions on them.

use crate::{State, error};
use hyper::{Method, Request, Response, header::HeaderValue};
use s3s::{Body, HttpError, service::S3Service};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// The generation of each object, by its path.
pub(crate) type Generations = HashMap<String, u64>;

const CONDITION: &str = "x-goog-if-generation-match";
const GENERATION: &str = "x-goog-generation";

/// The account of a server without authentication, as emulators take it.
pub(crate) fn service_account(url: &str) -> String {
    format!(
        r#"{{"gcs_base_url": "{url}", "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}}"#
    )
}

/// Answers a request in the dialect of Google.
pub(crate) async fn call(
    mut request: Request<Body>,
    service: &S3Service,
    state: &Mutex<State>,
) -> Result<Response<Body>, HttpError> {
    let path = request.uri().path().to_owned();
    let generation = || {
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.generations.get(&path).copied()
    };
    let headers = request.headers_mut();
    // It holds an empty token.
    headers.remove("authorization");
    if let Some(expected) = headers.remove(CONDITION) {
        if expected == "0" {
            headers.insert("if-none-match", HeaderValue::from_static("*"));
        } else if generation().is_none_or(|found| expected != found.to_string().as_str()) {
            return Ok(error(412, "PreconditionFailed"));
        }
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    let is_written = match *request.method() {
        Method::PUT => !query.contains("partNumber"),
        Method::POST => query.contains("uploadId"),
        _ => false,
    };
    let mut answered = service.call(request).await?;
    if answered.status().is_success() {
        if is_written {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            *state.generations.entry(path.clone()).or_default() += 1;
        }
        if let Some(generation) = generation() {
            answered.headers_mut().insert(GENERATION, generation.into());
        }
    }
    Ok(answered)
}

//! An S3 server for tests, with faults in front of it.
//!
//! [`S3Server`] serves a folder by the crate `s3s-fs`, with authentication, on a port of this host. A [`Fault`] answers some of the
//! requests in its place. With the [dialect](Dialect) of Google, it speaks the XML interface of that store, which has the same requests.

mod google;

use core::{convert::Infallible, time::Duration};
use google::Generations;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{
    Body,
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpListener, runtime::Runtime};

/// The name of the key that the server knows.
pub const ACCESS_KEY: &str = "AKIATESTKEY";
/// The key that the server knows.
pub const SECRET_KEY: &str = "s3cr3t-for-tests-only";

/// What happens to requests.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Requests with this method; all of them without one.
    pub method: Option<Method>,
    /// Requests whose path or query has this text.
    pub part: String,
    /// Requests before the first that it applies to.
    pub skip: usize,
    /// Requests that it applies to.
    pub count: usize,
    /// What happens to them.
    pub effect: Effect,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Effect {
    /// It is answered with this status and the code of an S3 error.
    Status(u16, &'static str),
    /// It is answered later.
    Delay(Duration),
    /// It is answered, and then this answer is sent in place of the right one: the client cannot know that it has succeeded.
    Late(u16, &'static str),
}

impl Fault {
    /// Applies `effect` to all requests.
    #[must_use]
    pub fn always(effect: Effect) -> Self {
        Self {
            method: None,
            part: String::new(),
            skip: 0,
            count: usize::MAX,
            effect,
        }
    }
}

/// The interface that a server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// That of Amazon.
    #[default]
    Amazon,
    /// The XML interface of Google, without authentication: generations in place of entity tags in conditions.
    Google,
}

#[derive(Debug, Default)]
struct State {
    folder: PathBuf,
    faults: Vec<Fault>,
    generations: Generations,
    /// Methods and paths of all requests.
    requests: Vec<String>,
}

/// An S3 server on a port of this host, until it is dropped.
#[derive(Debug)]
pub struct S3Server {
    folder: PathBuf,
    address: SocketAddr,
    dialect: Dialect,
    state: Arc<Mutex<State>>,
    runtime: Option<Runtime>,
}

impl S3Server {
    /// Starts a server whose buckets are the folders in `folder`.
    ///
    /// # Panics
    /// If the port cannot be opened.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        Self::start_as(Dialect::Amazon, folder)
    }

    /// Starts a server with this interface.
    ///
    /// # Panics
    /// If the port cannot be opened.
    #[must_use]
    pub fn start_as(dialect: Dialect, folder: &Path) -> Self {
        let mut server = Self {
            dialect,
            folder: folder.to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            state: Arc::new(Mutex::new(State {
                folder: folder.to_owned(),
                ..State::default()
            })),
            runtime: None,
        };
        server.restart();
        server
    }

    /// Starts the server again, on the same port.
    ///
    /// # Panics
    /// If the port cannot be opened.
    pub fn restart(&mut self) {
        self.kill();
        let runtime = Runtime::new().expect("threads can be started");
        let files = s3s_fs::FileSystem::new(&self.folder).expect("the folder of the server exists");
        let mut builder = S3ServiceBuilder::new(files);
        if self.dialect == Dialect::Amazon {
            builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        }
        let service = builder.build();
        let listener = runtime
            .block_on(TcpListener::bind(self.address))
            .expect("the port is free");
        self.address = listener.local_addr().expect("a listener has an address");
        let (state, dialect) = (self.state.clone(), self.dialect);
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, state) = (service.clone(), state.clone());
                tokio::spawn(async move {
                    let answer = service_fn(move |request| answer(request, service.clone(), state.clone(), dialect));
                    let server = Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(socket), answer).await;
                });
            }
        });
        self.runtime = Some(runtime);
    }

    /// Kills the server: all connections end at once.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_millis(200));
        }
    }

    /// Creates a bucket.
    ///
    /// # Panics
    /// If its folder cannot be created.
    pub fn create_bucket(&self, name: &str) {
        fs::create_dir_all(self.folder.join(name)).expect("the folder can be created");
    }

    /// The address of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The variables of the environment by which a client finds the server.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        if self.dialect == Dialect::Google {
            return vec![("GOOGLE_SERVICE_ACCOUNT_KEY", google::service_account(&self.url()))];
        }
        vec![
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ]
    }

    /// Replaces the faults.
    pub fn set_faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).faults = faults.into_iter().collect();
    }

    /// The methods and paths of the requests since the last call.
    #[must_use]
    pub fn take_requests(&self) -> Vec<String> {
        core::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).requests)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The effect of the first fault that applies to a request.
fn effect(state: &Mutex<State>, request: &Request<Incoming>) -> Option<Effect> {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    state.requests.push(format!("{} {target}", request.method()));
    let applies = |fault: &&mut Fault| {
        fault.method.as_ref().is_none_or(|method| method == request.method()) && target.contains(&fault.part)
    };
    let fault = state.faults.iter_mut().find(applies)?;
    if fault.skip > 0 {
        fault.skip -= 1;
        return None;
    }
    fault.count = fault.count.checked_sub(1)?;
    Some(fault.effect.clone())
}

/// Whether a request is for an object, at the name of a folder on the disk, which the crate answers with an error of its own. A store
/// has no such object.
fn is_folder(state: &Mutex<State>, request: &Request<Incoming>) -> bool {
    let key = request.uri().path().trim_matches('/');
    let is_read = request.method() == Method::HEAD || request.method() == Method::GET;
    let folder = &state.lock().unwrap_or_else(PoisonError::into_inner).folder;
    is_read && request.uri().query().is_none() && key.contains('/') && folder.join(key).is_dir()
}

async fn answer(
    request: Request<Incoming>,
    service: S3Service,
    state: Arc<Mutex<State>>,
    dialect: Dialect,
) -> Result<Response<Body>, Infallible> {
    let effect = effect(&state, &request);
    if is_folder(&state, &request) {
        return Ok(error(404, "NoSuchKey"));
    }
    match &effect {
        Some(Effect::Status(status, code)) => return Ok(error(*status, code)),
        Some(Effect::Delay(delay)) => tokio::time::sleep(*delay).await,
        Some(Effect::Late(..)) | None => {}
    }
    let answered = match dialect {
        Dialect::Amazon => service.call(request.map(Body::from)).await,
        Dialect::Google => google::call(request.map(Body::from), &service, &state).await,
    };
    let answered = answered.unwrap_or_else(|_| error(500, "InternalError"));
    Ok(match effect {
        Some(Effect::Late(status, code)) => error(status, code),
        _ => answered,
    })
}

fn error(status: u16, code: &str) -> Response<Body> {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>a fault of the test</Message></Error>");
    let mut response = Response::new(Body::from(bytes::Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

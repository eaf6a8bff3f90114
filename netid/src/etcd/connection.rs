use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{Mutex, PoisonError};

use prost::Message;
use tokio::time::{Instant, timeout};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::attempts::{Attempts, Failure, FailureKind, Progress, Same, Trial};
use super::error::EtcdError;
use super::options::{EtcdOptions, without_credentials};
use super::proto::{
    AuthenticateRequest, AuthenticateResponse, LeaseGrantRequest, LeaseGrantResponse,
};
use super::txn::GRANT;

/// The endpoints, of which one is used until it fails.
pub(super) struct Connection {
    channels: Vec<Channel>,
    /// What they are called, in the same order.
    endpoints: Vec<Box<str>>,
    current: AtomicUsize,
    user: Option<(Box<str>, Box<str>)>,
    token: Mutex<Option<MetadataValue<Ascii>>>,
    /// What fences last for, and since when.
    lease: Mutex<Option<(i64, Instant)>>,
    attempt: Duration,
    deadline: Duration,
}

impl Connection {
    const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";
    /// The largest answer: a page of a snapshot, or what a watch has missed for a while.
    const LARGEST_ANSWER: usize = 64 << 20;
    /// How long fences last at least: longer than anything lies in a connection that was cut.
    const FENCED: Duration = Duration::from_secs(1800);

    /// Prepares the endpoints; nothing is sent.
    pub(super) fn new(options: &EtcdOptions) -> Result<Self, EtcdError> {
        if options.endpoints.is_empty() {
            return Err(EtcdError::NoEndpoint);
        }
        let channels = options.endpoints.iter().map(|endpoint| channel(endpoint, options));
        Ok(Self {
            channels: channels.collect::<Result<_, _>>()?,
            endpoints: options.endpoints.clone(),
            current: AtomicUsize::new(0),
            user: options.user.clone(),
            token: Mutex::new(None),
            lease: Mutex::new(None),
            attempt: options.attempt,
            deadline: options.deadline,
        })
    }

    /// Asks until there is an answer or the time is up. The request may reach etcd several times, so it must be one
    /// that does no harm when it is repeated.
    pub(super) async fn call<Q, A>(&self, method: &'static str, request: Q) -> Result<A, EtcdError>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        self.attempt(method, Same(request)).await
    }

    /// Asks until there is an answer or the time is up, each time as the attempts before ask for.
    pub(super) async fn attempt<A>(
        &self,
        method: &'static str,
        attempts: impl Attempts,
    ) -> Result<A, EtcdError>
    where
        A: Message + Default + 'static,
    {
        let mut trial = Trial::new(self.deadline);
        loop {
            let at = self.current();
            let progress = Progress { at, attempts: trial.attempts, unclear: trial.unclear };
            let answer = timeout(trial.left().min(self.attempt), async {
                let request = attempts.next(self, &progress).await?;
                let request = self.authorised(at, request).await?;
                self.unary(at, method, request).await
            });
            let failure = match answer.await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => Failure::of(&status),
                Err(_) => Failure::silent(),
            };
            self.cope(at, &failure);
            trial.next(failure, self.endpoint(at)).await?;
        }
    }

    /// Opens a stream in both directions, and says at which endpoint. The first messages can be lost with the
    /// endpoint: the caller starts anew when the stream ends.
    pub(super) async fn stream<Q, A, M>(
        &self,
        method: &'static str,
        messages: impl Fn() -> M,
    ) -> Result<(usize, Streaming<A>), EtcdError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
        M: tokio_stream::Stream<Item = Q> + Send + 'static,
    {
        let mut trial = Trial::new(self.deadline);
        loop {
            let at = self.current();
            let opened = timeout(trial.left().min(self.attempt), async {
                let request = self.authorised(at, messages()).await?;
                let mut grpc = self.grpc(at).await?;
                let codec = ProstCodec::<Q, A>::default();
                grpc.streaming(request, PathAndQuery::from_static(method), codec).await
            });
            let failure = match opened.await {
                Ok(Ok(stream)) => return Ok((at, stream.into_inner())),
                Ok(Err(status)) => Failure::of(&status),
                Err(_) => Failure::silent(),
            };
            self.cope(at, &failure);
            trial.next(failure, self.endpoint(at)).await?;
        }
    }

    /// Takes note of how a stream ended, so that the next one goes elsewhere if need be.
    pub(super) fn stream_ended(&self, at: usize, status: &Status) {
        self.cope(at, &Failure::of(status));
    }

    fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    fn endpoint(&self, at: usize) -> &str {
        self.endpoints.get(at).map_or("", |endpoint| endpoint)
    }

    /// Does about a failure what helps the next attempt.
    fn cope(&self, at: usize, failure: &Failure) {
        match failure.kind {
            FailureKind::Expired => {
                *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
                *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            FailureKind::NotSent | FailureKind::Unclear => {
                let next = at.wrapping_add(1).checked_rem(self.channels.len()).unwrap_or_default();
                // Of many callers that saw the same failure, the first one goes on to the next endpoint.
                let _ =
                    self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
            }
            FailureKind::Busy | FailureKind::Refused => {}
        }
    }

    /// A request with what etcd wants to know beside it.
    async fn authorised<T: Send>(&self, at: usize, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        // A member that has lost its leader says so at once instead of waiting for it.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        if let Some((name, password)) = &self.user {
            let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let token = match token {
                Some(token) => token,
                None => self.authenticate(at, name, password).await?,
            };
            request.metadata_mut().insert("token", token);
        }
        Ok(request)
    }

    async fn authenticate(
        &self,
        at: usize,
        name: &str,
        password: &str,
    ) -> Result<MetadataValue<Ascii>, Status> {
        let question = AuthenticateRequest { name: name.into(), password: password.into() };
        let answer: AuthenticateResponse =
            self.unary(at, Self::AUTHENTICATE, Request::new(question)).await?;
        let token: MetadataValue<Ascii> = answer
            .token
            .parse()
            .map_err(|error| Status::internal(format!("the token is not text: {error}")))?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    /// A lease that goes on for as long as fences last.
    pub(super) async fn lease(&self, at: usize) -> Result<i64, Status> {
        let known = *self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((lease, since)) = known
            && since.elapsed() < Self::FENCED
        {
            return Ok(lease);
        }
        let since = Instant::now();
        let ttl = Self::FENCED.saturating_mul(2).as_secs();
        let ttl = i64::try_from(ttl).unwrap_or(i64::MAX);
        let request = self.authorised(at, LeaseGrantRequest { ttl }).await?;
        let granted: LeaseGrantResponse = self.unary(at, GRANT, request).await?;
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = Some((granted.id, since));
        Ok(granted.id)
    }

    async fn unary<Q, A>(
        &self,
        at: usize,
        method: &'static str,
        request: Request<Q>,
    ) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc(at).await?;
        let codec = ProstCodec::<Q, A>::default();
        let answer = grpc.unary(request, PathAndQuery::from_static(method), codec).await?;
        Ok(answer.into_inner())
    }

    async fn grpc(&self, at: usize) -> Result<Grpc<Channel>, Status> {
        let channel = self.channels.get(at).or_else(|| self.channels.first());
        let channel = channel.ok_or_else(|| Status::internal("no endpoint"))?;
        let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(Self::LARGEST_ANSWER);
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        Ok(grpc)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("endpoints", &self.endpoints.len())
            .field("current", &self.current())
            .finish_non_exhaustive()
    }
}

fn channel(text: &str, options: &EtcdOptions) -> Result<Channel, EtcdError> {
    let refused =
        |reason: String| EtcdError::Endpoint { endpoint: text.into(), reason: reason.into() };
    let https = match text.split_once("://") {
        Some(("http", _)) => false,
        Some(("https", _)) => true,
        _ => return Err(refused("it has no scheme".into())),
    };
    let plain = without_credentials(text);
    if plain != text {
        let reason = "it holds credentials, which belong in `with_user`".into();
        return Err(EtcdError::Endpoint { endpoint: plain.into(), reason });
    }
    let endpoint =
        Endpoint::from_shared(String::from(text)).map_err(|error| refused(error.to_string()))?;
    if endpoint.uri().path_and_query().is_some_and(|behind| behind.as_str() != "/") {
        return Err(refused("something stands behind the port".into()));
    }
    let endpoint = endpoint
        .connect_timeout(options.attempt)
        .tcp_nodelay(true)
        // A peer that has gone without a word is noticed. etcd takes more than one ping in 5 s for an attack.
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true);
    #[cfg(feature = "etcd-tls")]
    if let (true, Some(config)) = (https, &options.tls) {
        return Ok(super::tls::channel(&endpoint, config));
    }
    #[cfg(feature = "etcd-tls")]
    let superfluous = options.tls.is_some();
    #[cfg(not(feature = "etcd-tls"))]
    let superfluous = false;
    if https || superfluous {
        return Err(EtcdError::Tls { endpoint: text.into() });
    }
    Ok(endpoint.connect_lazy())
}

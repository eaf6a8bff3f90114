use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
#[cfg(feature = "etcd-tls")]
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

#[cfg(feature = "etcd-tls")]
use tokio_rustls::rustls::ClientConfig;

/// How to reach etcd, and where in it the claims are.
///
/// ```
/// use core::time::Duration;
/// use netid::EtcdOptions;
///
/// let options = EtcdOptions::new(["http://10.0.0.1:2379", "http://10.0.0.2:2379"])
///     .with_root("/prod/claims")
///     .with_user("vms", "secret")
///     .with_deadline(Duration::from_secs(5));
/// assert!(!format!("{options:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct EtcdOptions {
    pub(super) endpoints: Vec<Box<str>>,
    pub(super) root: Box<str>,
    pub(super) user: Option<(Box<str>, Box<str>)>,
    pub(super) attempt: Duration,
    pub(super) deadline: Duration,
    #[cfg(feature = "etcd-tls")]
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl EtcdOptions {
    /// The endpoints of one cluster, such as `http://127.0.0.1:2379`. One is used at a time, the next one when it
    /// does not answer.
    #[must_use]
    pub fn new<'a>(endpoints: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            root: "/netid".into(),
            user: None,
            attempt: Duration::from_secs(2),
            deadline: Duration::from_secs(10),
            #[cfg(feature = "etcd-tls")]
            tls: None,
        }
    }

    /// What all keys in etcd start with; `/netid` if not given. Stores under different roots know nothing of
    /// each other, so none may lie within another, as `/netid/claims` in `/netid`.
    #[must_use]
    pub fn with_root(mut self, root: &str) -> Self {
        self.root = root.trim_end_matches('/').into();
        self
    }

    /// The user as whom to authenticate, where etcd asks for it. It needs read and write permission on everything
    /// that starts with the root.
    #[must_use]
    pub fn with_user(mut self, name: &str, password: &str) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// How long one endpoint has to answer before the next one is asked; 2 s if not given.
    #[must_use]
    pub const fn with_attempt(mut self, attempt: Duration) -> Self {
        self.attempt = attempt;
        self
    }

    /// How long an operation goes on trying before it fails; 10 s if not given, which is longer than the election
    /// of a leader takes.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// TLS, for endpoints that start with `https`: the authorities to trust, the certificate to show and the
    /// implementation of the cryptography are yours to choose.
    ///
    /// ALPN is set to `h2` where the configuration leaves it empty, which etcd asks for.
    #[cfg(feature = "etcd-tls")]
    #[must_use]
    pub fn with_tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }
}

/// An endpoint without what stands before an `@` in its authority.
pub(super) fn without_credentials(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{path}"),
        None => endpoint.into(),
    }
}

/// Without the password.
impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self.endpoints.iter().map(|endpoint| without_credentials(endpoint));
        f.debug_struct("EtcdOptions")
            .field("endpoints", &endpoints.collect::<Vec<_>>())
            .field("root", &self.root)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .field("attempt", &self.attempt)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

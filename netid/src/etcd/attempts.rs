use alloc::boxed::Box;
use alloc::format;
use core::error::Error as _;
use core::future::Future;
use core::mem;
use core::time::Duration;

use prost::Message;
use tokio::time::{Instant, sleep};
use tonic::{Code, ConnectError, Status};

use super::connection::Connection;
use super::error::EtcdError;

/// What is sent in the attempts at one operation.
pub(super) trait Attempts: Send + Sync {
    type Request: Message + 'static;

    /// What is sent next.
    fn next(
        &self,
        connection: &Connection,
        progress: &Progress,
    ) -> impl Future<Output = Result<Self::Request, Status>> + Send;
}

/// How far an operation has come.
pub(super) struct Progress {
    /// The endpoint that is asked.
    pub(super) at: usize,
    /// How many attempts there were.
    pub(super) attempts: u32,
    /// Whether one of them may have been carried out, or may be still.
    pub(super) unclear: bool,
}

/// The same in each attempt.
pub(super) struct Same<Q>(pub(super) Q);

impl<Q: Message + Clone + 'static> Attempts for Same<Q> {
    type Request = Q;

    async fn next(&self, _: &Connection, _: &Progress) -> Result<Q, Status> {
        Ok(self.0.clone())
    }
}

/// The attempts at one request.
pub(super) struct Trial {
    end: Instant,
    pause: Duration,
    pub(super) attempts: u32,
    pub(super) unclear: bool,
    /// Whether the last attempt had a token or a lease that had expired.
    expired: bool,
}

impl Trial {
    /// Between attempts, at first; doubled each time.
    const FIRST_PAUSE: Duration = Duration::from_millis(10);
    const LONGEST_PAUSE: Duration = Duration::from_millis(500);
    /// A year.
    const LONGEST: Duration = Duration::from_secs(31_536_000);

    pub(super) fn new(deadline: Duration) -> Self {
        let now = Instant::now();
        Self {
            // What no clock reaches is as good as for ever.
            end: now.checked_add(deadline.min(Self::LONGEST)).unwrap_or(now),
            pause: Self::FIRST_PAUSE,
            attempts: 0,
            unclear: false,
            expired: false,
        }
    }

    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Waits for the time of the next attempt, or says why there is none.
    pub(super) async fn next(&mut self, failure: Failure, endpoint: &str) -> Result<(), EtcdError> {
        self.attempts = self.attempts.saturating_add(1);
        let expired = mem::take(&mut self.expired);
        match failure.kind {
            FailureKind::Unclear => self.unclear = true,
            FailureKind::Expired if !expired => {
                // One expires after minutes; a second refusal in a row has another reason.
                self.expired = true;
                return Ok(());
            }
            FailureKind::Refused | FailureKind::Expired => {
                return Err(EtcdError::Refused {
                    code: failure.code,
                    message: failure.message,
                    unclear: self.unclear,
                });
            }
            FailureKind::NotSent | FailureKind::Busy => {}
        }
        if self.left() <= self.pause {
            return Err(EtcdError::Unanswered {
                attempts: self.attempts,
                unclear: self.unclear,
                last: format!("{endpoint}: {}", failure.message).into(),
            });
        }
        sleep(self.pause).await;
        self.pause = self.pause.saturating_mul(2).min(Self::LONGEST_PAUSE);
        Ok(())
    }
}

/// How an attempt failed.
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    code: Box<str>,
    message: Box<str>,
}

#[derive(Clone, Copy)]
pub(super) enum FailureKind {
    /// The answer is no, and will be at any endpoint.
    Refused,
    /// The token has expired, or the lease.
    Expired,
    /// Nobody has seen the request.
    NotSent,
    /// The server takes no more for now.
    Busy,
    /// The request may have been carried out.
    Unclear,
}

impl Failure {
    pub(super) fn of(status: &Status) -> Self {
        let message = status.message();
        let kind = match status.code() {
            Code::Unauthenticated => FailureKind::Expired,
            // A signed token is void when users, roles or permissions have changed.
            Code::InvalidArgument if message.contains("revision of auth store is old") => {
                FailureKind::Expired
            }
            Code::NotFound if message.contains("lease not found") => FailureKind::Expired,
            Code::ResourceExhausted if message.contains("too many requests") => FailureKind::Busy,
            // What a member says that has no leader, or is not part of a cluster yet; and what the connection says.
            Code::Unavailable
            | Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Aborted => {
                if is_unconnected(status) {
                    FailureKind::NotSent
                } else {
                    FailureKind::Unclear
                }
            }
            Code::Ok
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::DataLoss => FailureKind::Refused,
        };
        Self { kind, code: status.code().description().into(), message: cause(status) }
    }

    /// Nothing came back in time.
    pub(super) fn silent() -> Self {
        Self {
            kind: FailureKind::Unclear,
            code: Code::DeadlineExceeded.description().into(),
            message: "no answer in time".into(),
        }
    }
}

/// Whether there was no connection to send the request on: nobody listens at the endpoint, its name means nothing, or
/// there is no way to it.
fn is_unconnected(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// What a status says, with the last of its causes.
fn cause(status: &Status) -> Box<str> {
    let mut last = None;
    let mut source = status.source();
    while let Some(error) = source {
        last = Some(error);
        source = error.source();
    }
    match last {
        Some(last) => format!("{}: {last}", status.message()).into(),
        None => status.message().into(),
    }
}

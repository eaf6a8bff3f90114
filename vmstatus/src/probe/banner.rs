use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{BannerError, SshBanner};

/// Connects to an SSH server and reads its banner, all within the deadline.
///
/// Nothing is sent; the connection is closed as soon as the banner is there.
///
/// ```no_run
/// use std::time::Duration;
/// use vmstatus::probe::read_banner;
///
/// # async fn example() -> Result<(), vmstatus::probe::ProbeError> {
/// let banner = read_banner(([127, 0, 0, 1], 22001).into(), Duration::from_secs(1)).await?;
/// println!("{}", banner.software());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`ProbeError`] says whether nobody listens, nobody answers in time, or it is not SSH.
pub async fn read_banner(server: SocketAddr, deadline: Duration) -> Result<SshBanner, ProbeError> {
    timeout(deadline, connect_and_read(server))
        .await
        .unwrap_or(Err(ProbeError::TimedOut { server, deadline }))
}

async fn connect_and_read(server: SocketAddr) -> Result<SshBanner, ProbeError> {
    let failed = |source| ProbeError::Io { server, source };
    let mut stream = TcpStream::connect(server).await.map_err(failed)?;
    let mut received = Vec::with_capacity(256);
    loop {
        // `find` refuses more lines, and longer ones, than a server may send, so this ends.
        if stream.read_buf(&mut received).await.map_err(failed)? == 0 {
            return Err(ProbeError::Closed { server });
        }
        let found =
            SshBanner::find(&received).map_err(|source| ProbeError::NotSsh { server, source })?;
        if let Some(banner) = found {
            return Ok(banner);
        }
    }
}

/// No banner was read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The connection could not be made, or broke.
    #[error("{server} cannot be asked for its SSH banner")]
    Io {
        /// The server that was asked.
        server: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No banner came in time.
    #[error("{server} gave no SSH banner within {deadline:?}; try again later, or allow more time")]
    TimedOut {
        /// The server that was asked.
        server: SocketAddr,
        /// The time it had.
        deadline: Duration,
    },
    /// The server closed the connection before its banner.
    #[error("{server} closed the connection before its SSH banner; try again later")]
    Closed {
        /// The server that was asked.
        server: SocketAddr,
    },
    /// What answers is not an SSH server.
    #[error("{server} does not speak SSH")]
    NotSsh {
        /// The server that was asked.
        server: SocketAddr,
        /// What is wrong with its answer.
        source: BannerError,
    },
}

impl ProbeError {
    /// Whether the look failed on our side, so that it says nothing about the server: too many
    /// open files, no memory, no permission.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        use io::ErrorKind::{
            ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable,
            NetworkUnreachable, TimedOut,
        };
        match self {
            Self::Io { source, .. } => !matches!(
                source.kind(),
                ConnectionAborted
                    | ConnectionRefused
                    | ConnectionReset
                    | HostUnreachable
                    | NetworkUnreachable
                    | TimedOut
            ),
            Self::TimedOut { .. } | Self::Closed { .. } | Self::NotSsh { .. } => false,
        }
    }
}

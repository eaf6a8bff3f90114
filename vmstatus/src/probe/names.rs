use std::io;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs as _};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// Look-ups under way at a time, in the whole process. The system's resolver blocks a thread each,
/// also after the caller has given up.
static LOOKUPS: Semaphore = Semaphore::const_new(512);

/// Enough for the resolver's own buffers, and for the modules that it loads.
const STACK: usize = 512 * 1024;

/// The IPv4 addresses of a name, from the system's resolver, within the deadline.
///
/// The resolver runs on a thread of its own, not one of the runtime's: one that hangs holds up
/// neither the runtime's other work nor its end. Beyond 512 of them look-ups wait for their turn.
///
/// # Errors
///
/// If the name is not known, or the resolver does not answer in time
/// ([`io::ErrorKind::TimedOut`]).
pub async fn resolve_name(name: &str, deadline: Duration) -> io::Result<Vec<Ipv4Addr>> {
    NameLookup::default().resolve(name, deadline).await
}

/// One name's look-ups, one at a time: while the resolver hangs over one, no other is begun.
#[derive(Debug, Default)]
pub(super) struct NameLookup {
    pending: Option<oneshot::Receiver<io::Result<Vec<Ipv4Addr>>>>,
}

impl NameLookup {
    /// The addresses, within the deadline. A look-up that takes longer is asked for again by the
    /// next call, so the name must be the same. Cancel-safe.
    pub(super) async fn resolve(
        &mut self,
        name: &str,
        deadline: Duration,
    ) -> io::Result<Vec<Ipv4Addr>> {
        match timeout(deadline, self.wait(name)).await {
            Ok(found) => found,
            Err(elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)),
        }
    }

    async fn wait(&mut self, name: &str) -> io::Result<Vec<Ipv4Addr>> {
        if self.pending.is_none() {
            self.pending = Some(begin(name.to_owned()).await?);
        }
        let found = match &mut self.pending {
            Some(pending) => pending.await.map_err(io::Error::other),
            None => Ok(Ok(Vec::new())),
        };
        self.pending = None;
        found?
    }
}

async fn begin(name: String) -> io::Result<oneshot::Receiver<io::Result<Vec<Ipv4Addr>>>> {
    let permit = LOOKUPS.acquire().await.map_err(io::Error::other)?;
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new().name("resolve-name".to_owned()).stack_size(STACK).spawn(move || {
        let found = look_up(&name);
        drop(permit);
        // Whoever asked may have gone.
        let _ = sender.send(found);
    })?;
    Ok(receiver)
}

fn look_up(name: &str) -> io::Result<Vec<Ipv4Addr>> {
    let found = (name, 0).to_socket_addrs()?.filter_map(|address| match address.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    });
    Ok(found.collect())
}

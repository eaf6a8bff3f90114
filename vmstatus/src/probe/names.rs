use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Look-ups under way at a time. The system's resolver blocks a thread each, also after the caller
/// has given up; without a limit hanging ones would eat up the pool.
static LOOKUPS: Semaphore = Semaphore::const_new(32);

/// The IPv4 addresses of a name, from the system's resolver, within the deadline.
///
/// # Errors
///
/// If the name is not known, or the resolver does not answer in time
/// ([`io::ErrorKind::TimedOut`]).
pub async fn resolve_name(name: &str, deadline: Duration) -> io::Result<Vec<Ipv4Addr>> {
    let name = name.to_owned();
    // A task of its own holds the permit for as long as the thread is blocked.
    let lookup = tokio::spawn(async move {
        let _permit = LOOKUPS.acquire().await.map_err(io::Error::other)?;
        let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
        Ok(found
            .filter_map(|address| match address.ip() {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            })
            .collect())
    });
    match timeout(deadline, lookup).await {
        Ok(joined) => joined.map_err(io::Error::other)?,
        Err(elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)),
    }
}

//! Where an example works: never in the machine's own network.

use hostnet::{Host, Netns, Owner, Sandbox};
use std::error::Error;

/// Moves the process into a sandbox of its own, or into a named namespace that outlives it.
///
/// Must be called before any thread starts. Returns what it did, in words.
///
/// # Errors
/// When the system forbids it, or the named namespace is the machine's own or holds what is not ours.
pub fn enter(netns: Option<&str>) -> Result<String, Box<dyn Error>> {
    let Some(name) = netns else {
        Sandbox::enter()?;
        return Ok("a user, network and mount namespace of its own".to_owned());
    };
    let outside = Netns::current()?;
    let inside = Netns::named(name)?;
    if inside.is_same(&outside)? {
        return Err(format!(
            "`{name}` is the network this process is in; make another with `ip netns add`"
        )
        .into());
    }
    inside.enter()?;
    // `ip netns add` leaves it down, and forwards are used from 127.0.0.1.
    Netns::bring_up_loopback()?;
    Ok(format!("the network namespace `{name}`, which outlives this process"))
}

/// Opens the namespace for one owner.
///
/// # Errors
/// When it holds a device that is up and neither `lo` nor this owner's: an example has no business there.
pub async fn host(owner: Owner) -> Result<Host, Box<dyn Error>> {
    let host = Host::open(owner)?;
    let observed = host.observe().await?;
    let ours = |link: &hostnet::Link| link.tag.as_ref().is_some_and(|t| t.owner() == host.owner());
    match observed.links.iter().find(|link| link.up && link.name != "lo" && !ours(link)) {
        None => Ok(host),
        Some(link) => Err(format!(
            "this network namespace has a device `{}` that is in use and not ours; give an empty one",
            link.name
        )
        .into()),
    }
}

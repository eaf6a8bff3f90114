//! The status of one guest, from its folder, its console, the host's neighbour table and its SSH server.

use crate::identity::now;
use hostnet::{Host, NetworkName};
use ipnet::Ipv4Net;
use macaddr::MacAddr6;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use vmstatus::neighbour::{Neighbour, NeighbourState};
use vmstatus::probe::{Look as _, SshPort, VmProbe};
use vmstatus::{Machine, ObserveError, Status, Transition};

/// How long the SSH server has to answer one question.
const DEADLINE: Duration = Duration::from_millis(250);

/// What looks at a guest, and what has become of it.
#[derive(Debug)]
pub struct Watch {
    probe: VmProbe,
    machine: Machine,
    since: Duration,
    known_mac: Option<MacAddr6>,
}

impl Watch {
    /// Will look at the guest `name` in its folder; its SSH server is asked at `ssh`, a port of the host.
    ///
    /// A launcher knows the MAC it gave the guest and says so (`VmProbe::with_mac`), for a console is the guest's to
    /// write. Here the console tells it, to show what is done with machines that somebody else made.
    #[must_use]
    pub fn new(name: &str, folder: PathBuf, subnet: Ipv4Net, ssh: SocketAddr) -> Self {
        let probe = VmProbe::new(name, folder)
            .with_subnet(subnet)
            .with_ssh(SshPort::Forwarded(ssh))
            .with_deadline(DEADLINE);
        Self { probe, machine: Machine::new(now()), since: now(), known_mac: None }
    }

    /// Looks neighbours up over netlink, on the bridge of this network.
    #[must_use]
    pub fn with_neighbours_of(mut self, host: &Host, network: &NetworkName) -> Self {
        let (host, network) = (host.clone(), network.clone());
        self.probe = self.probe.with_neighbours(move |_| {
            let (host, network) = (host.clone(), network.clone());
            async move {
                let table = host.neighbours(&network).await.unwrap_or_default();
                table.iter().map(translate).collect()
            }
        });
        self
    }

    /// Looks once; tells of a change.
    ///
    /// # Errors
    /// When what was seen contradicts what is known, which would be a bug of the probe's.
    pub async fn look(&mut self) -> Result<Option<Transition>, ObserveError> {
        let evidence = self.probe.look().await;
        self.machine.observe(&evidence, now())
    }

    /// The guest's MAC, once: when its console has told it and its address is not known yet.
    pub fn newly_learned_mac(&mut self) -> Option<MacAddr6> {
        let mac = self.machine.evidence().mac().filter(|_| self.status().ipv4().is_none());
        let news = mac.filter(|mac| self.known_mac != Some(*mac));
        self.known_mac = news.or(self.known_mac);
        news
    }

    /// The status now.
    #[must_use]
    pub const fn status(&self) -> &Status {
        self.machine.status()
    }

    /// How often the guest has booted.
    #[must_use]
    pub const fn boots(&self) -> u32 {
        self.probe.scanner().boots()
    }

    /// How long it has been watched.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        now().saturating_sub(self.since)
    }
}

/// The two crates know nothing of each other, but both speak in plain values.
const fn translate(entry: &hostnet::Neighbour) -> Neighbour {
    let Some(mac) = entry.mac else {
        return Neighbour::incomplete(entry.address);
    };
    let state = match entry.state {
        hostnet::NeighbourState::Reachable => NeighbourState::Reachable,
        hostnet::NeighbourState::Permanent => NeighbourState::Permanent,
        hostnet::NeighbourState::Delay => NeighbourState::Delay,
        hostnet::NeighbourState::Probe => NeighbourState::Probe,
        hostnet::NeighbourState::Stale => NeighbourState::Stale,
        hostnet::NeighbourState::Other => NeighbourState::NoArp,
        _ => NeighbourState::Failed,
    };
    Neighbour::new(entry.address, mac, state)
}

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use ipnet::Ipv4Net;
use macaddr::MacAddr6;

use super::Look;
use super::evidence::Looker;
use super::tables::{LeaseFile, NeighbourFile, RegistryFile};
use crate::Evidence;
use crate::address::Resolution;
use crate::console::Scanner;
use crate::neighbour::Neighbour;

/// Where the SSH server of a machine is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SshPort {
    /// At the guest's own address, on this port.
    Guest(u16),
    /// At a fixed place, such as a port of the host that is forwarded to the guest.
    Forwarded(SocketAddr),
}

/// Looks at one machine that lives in a folder: `FOLDER/console.log`, `FOLDER/NAME.pid`.
///
/// A look reads what is new in the log, checks the process, gathers candidates for the address
/// (console, leases, registry, neighbours by MAC, and the name when nothing else is known), and
/// asks for the SSH banner. While nothing is new and the server answers, the candidates are
/// gathered anew only every ten seconds: such a look is three system calls besides the banner's.
///
/// Local files are read in place, in steps of 1 MiB with other tasks let in between; what may hang
/// has a deadline. A machine takes one file descriptor, for its process, and one more during a look.
///
/// ```no_run
/// use vmstatus::derive;
/// use vmstatus::probe::{Look as _, VmProbe};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut probe = VmProbe::new("fargo", "vms/fargo")
///     .with_registry("vms/registry.json")
///     .with_subnet("192.168.64.0/24".parse()?);
/// println!("{}", derive(&probe.look().await));
/// # Ok(())
/// # }
/// ```
pub struct VmProbe(Looker);

/// How a machine is looked at.
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    pub(super) ssh: SshPort,
    pub(super) deadline: Duration,
    pub(super) recheck: Duration,
    pub(super) subnets: Vec<Ipv4Net>,
    pub(super) mac: Option<MacAddr6>,
    pub(super) leases: Option<LeaseFile>,
    pub(super) registry: Option<RegistryFile>,
    pub(super) host_name: Option<String>,
    pub(super) neighbours: NeighbourSource,
}

/// Where neighbours are looked up by MAC.
pub(super) enum NeighbourSource {
    Table(NeighbourFile),
    LookUp(LookUp),
}

type LookUp = Box<dyn Fn(MacAddr6) -> Found + Send + Sync>;
type Found = Pin<Box<dyn Future<Output = Vec<Neighbour>> + Send>>;

impl VmProbe {
    /// Will look at the machine `name` in `folder`, its SSH server at port 22 of its own address.
    #[must_use]
    pub fn new(name: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self(Looker::new(Settings {
            name: name.into(),
            folder: folder.into(),
            ssh: SshPort::Guest(22),
            deadline: Duration::from_secs(1),
            recheck: Duration::from_secs(10),
            subnets: Vec::new(),
            mac: None,
            leases: None,
            registry: None,
            host_name: None,
            neighbours: NeighbourSource::Table(super::tables::ARP.clone()),
        }))
    }

    /// Where its SSH server is reached.
    #[must_use]
    pub const fn with_ssh(mut self, ssh: SshPort) -> Self {
        self.0.settings.ssh = ssh;
        self
    }

    /// The time for all that a look asks others, together; one second by default. The look-ups of
    /// neighbours and of the name may take a third of it each, the banner takes what is left.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.0.settings.deadline = deadline;
        self
    }

    /// How long an address that answers is believed before leases, registry and neighbours are
    /// asked again; ten seconds by default.
    #[must_use]
    pub const fn with_recheck(mut self, recheck: Duration) -> Self {
        self.0.settings.recheck = recheck;
        self
    }

    /// Adds a subnet that guests are served from.
    #[must_use]
    pub fn with_subnet(mut self, subnet: Ipv4Net) -> Self {
        self.0.settings.subnets.push(subnet);
        self
    }

    /// Its MAC, where it is known beforehand. Otherwise the console or the registry tells it.
    #[must_use]
    pub const fn with_mac(mut self, mac: MacAddr6) -> Self {
        self.0.settings.mac = Some(mac);
        self
    }

    /// Text in the command line of its process: see [`ProcessWatch::with_command`](super::ProcessWatch::with_command).
    #[must_use]
    pub fn with_command(mut self, text: impl Into<String>) -> Self {
        self.0.process = self.0.process.with_command(text);
        self
    }

    /// The DHCP server's lease file: a path, or one that machines share.
    #[must_use]
    pub fn with_leases(mut self, file: impl Into<LeaseFile>) -> Self {
        self.0.settings.leases = Some(file.into());
        self
    }

    /// The registry that may have a cached address: a path, or one that machines share.
    #[must_use]
    pub fn with_registry(mut self, file: impl Into<RegistryFile>) -> Self {
        self.0.settings.registry = Some(file.into());
        self
    }

    /// The name to ask the system's resolver for when nothing else gives an address.
    #[must_use]
    pub fn with_host_name(mut self, host_name: impl Into<String>) -> Self {
        self.0.settings.host_name = Some(host_name.into());
        self
    }

    /// Another table of neighbours than `/proc/net/arp`, which all machines share.
    #[must_use]
    pub fn with_neighbour_file(mut self, file: impl Into<NeighbourFile>) -> Self {
        self.0.settings.neighbours = NeighbourSource::Table(file.into());
        self
    }

    /// A look-up of neighbours by MAC instead of a table, such as one by netlink.
    #[must_use]
    pub fn with_neighbours<F, R>(mut self, look_up: F) -> Self
    where
        F: Fn(MacAddr6) -> R + Send + Sync + 'static,
        R: Future<Output = Vec<Neighbour>> + Send + 'static,
    {
        let look_up: LookUp = Box::new(move |mac| Box::pin(look_up(mac)));
        self.0.settings.neighbours = NeighbourSource::LookUp(look_up);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.settings.folder
    }

    /// What its console has told.
    #[must_use]
    pub const fn scanner(&self) -> &Scanner {
        &self.0.scanner
    }

    /// When its process began, while it lives.
    #[must_use]
    pub fn started(&self) -> Option<SystemTime> {
        self.0.process.started()
    }

    /// How the last look that gathered candidates chose its address.
    #[must_use]
    pub const fn resolution(&self) -> Option<&Resolution> {
        self.0.resolution.as_ref()
    }
}

impl Look for VmProbe {
    async fn look(&mut self) -> Evidence {
        self.0.look().await
    }
}

impl fmt::Debug for VmProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VmProbe")
            .field("name", &self.0.settings.name)
            .field("folder", &self.0.settings.folder)
            .field("ssh", &self.0.settings.ssh)
            .field("scanner", &self.0.scanner)
            .field("resolution", &self.0.resolution)
            .finish_non_exhaustive()
    }
}

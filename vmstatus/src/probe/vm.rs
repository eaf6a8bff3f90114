use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use ipnet::Ipv4Net;
use macaddr::MacAddr6;

use super::{Look, ProcessWatch, Progress, Tail, now, read_banner, read_neighbours, resolve_name};
use crate::address::{Candidate, Resolution, Resolver, Source};
use crate::console::{Scanner, Trouble};
use crate::lease;
use crate::neighbour::{self, Neighbour};
use crate::registry::Registry;
use crate::{Evidence, Folder, Generation, Process, Ssh, SshAnswer};

/// Where the SSH server of a machine is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SshPort {
    /// At the guest's own address, on this port.
    Guest(u16),
    /// At a fixed place, such as a port of the host that is forwarded to the guest.
    Forwarded(SocketAddr),
}

type Neighbours = Box<dyn Fn(MacAddr6) -> NeighboursFound + Send + Sync>;
type NeighboursFound = Pin<Box<dyn Future<Output = Vec<Neighbour>> + Send>>;

/// Looks at one machine that lives in a folder: `FOLDER/console.log`, `FOLDER/NAME.pid`.
///
/// A look reads what is new in the log, checks the process, gathers candidates for the address
/// (console, leases, registry, neighbours by MAC, and the name when nothing else is known), and
/// asks for the SSH banner.
pub struct VmProbe {
    name: String,
    folder: PathBuf,
    ssh: SshPort,
    deadline: Duration,
    subnets: Vec<Ipv4Net>,
    mac: Option<MacAddr6>,
    leases: Option<PathBuf>,
    registry: Option<PathBuf>,
    host_name: Option<String>,
    neighbours: Option<Neighbours>,
    tail: Tail,
    scanner: Scanner,
    process: ProcessWatch,
    history: History,
    trouble: Option<(Trouble, Duration)>,
    resolution: Option<Resolution>,
}

impl VmProbe {
    /// Will look at the machine `name` in `folder`, its SSH server at port 22 of its own address.
    #[must_use]
    pub fn new(name: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        let (name, folder) = (name.into(), folder.into());
        Self {
            ssh: SshPort::Guest(22),
            deadline: Duration::from_secs(1),
            subnets: Vec::new(),
            mac: None,
            leases: None,
            registry: None,
            host_name: None,
            neighbours: None,
            tail: Tail::new(folder.join("console.log")),
            scanner: Scanner::new(),
            process: ProcessWatch::new(folder.join(format!("{name}.pid"))),
            history: History::default(),
            trouble: None,
            resolution: None,
            name,
            folder,
        }
    }

    /// Where its SSH server is reached.
    #[must_use]
    pub const fn with_ssh(mut self, ssh: SshPort) -> Self {
        self.ssh = ssh;
        self
    }

    /// The time for each question over the network; one second by default.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Adds a subnet that guests are served from.
    #[must_use]
    pub fn with_subnet(mut self, subnet: Ipv4Net) -> Self {
        self.subnets.push(subnet);
        self
    }

    /// Its MAC, where it is known beforehand. Otherwise the console or the registry tells it.
    #[must_use]
    pub const fn with_mac(mut self, mac: MacAddr6) -> Self {
        self.mac = Some(mac);
        self
    }

    /// The DHCP server's lease file.
    #[must_use]
    pub fn with_leases(mut self, path: impl Into<PathBuf>) -> Self {
        self.leases = Some(path.into());
        self
    }

    /// The registry that may have a cached address.
    #[must_use]
    pub fn with_registry(mut self, path: impl Into<PathBuf>) -> Self {
        self.registry = Some(path.into());
        self
    }

    /// The name to ask the system's resolver for when nothing else gives an address.
    #[must_use]
    pub fn with_host_name(mut self, host_name: impl Into<String>) -> Self {
        self.host_name = Some(host_name.into());
        self
    }

    /// Another look-up of neighbours by MAC than `/proc/net/arp`, such as one by netlink.
    #[must_use]
    pub fn with_neighbours<F, R>(mut self, look_up: F) -> Self
    where
        F: Fn(MacAddr6) -> R + Send + Sync + 'static,
        R: Future<Output = Vec<Neighbour>> + Send + 'static,
    {
        self.neighbours = Some(Box::new(move |mac| Box::pin(look_up(mac))));
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What its console has told.
    #[must_use]
    pub const fn scanner(&self) -> &Scanner {
        &self.scanner
    }

    /// How the last look chose its address.
    #[must_use]
    pub const fn resolution(&self) -> Option<&Resolution> {
        self.resolution.as_ref()
    }

    /// Reads the files; nothing here waits for anybody.
    fn look_at_files(&mut self) -> (Folder, Process) {
        let process = self.process.poll();
        self.history.check(process, self.process.starts());
        let folder = match self.tail.poll(&mut self.scanner) {
            Ok(Progress::Absent) => match self.folder.try_exists() {
                Ok(true) => Folder::Present,
                Ok(false) => Folder::Absent,
                Err(_) => Folder::Unknown,
            },
            Ok(_) => Folder::Present,
            Err(_) => Folder::Unknown,
        };
        self.history.record(self.scanner.boots());
        (folder, process)
    }

    /// What the console tells of the current process, once it tells anything.
    fn look_at_console(&mut self, generation: Generation, at: Duration) -> Console {
        let boot = self.scanner.boot();
        let primary = boot.primary();
        let trouble = boot.trouble();
        if self.trouble.as_ref().map(|(trouble, _)| trouble) != trouble {
            self.trouble = trouble.map(|trouble| (trouble.clone(), at));
        }
        let mac = primary.and_then(|primary| primary.mac);
        let candidate = primary.and_then(|primary| primary.ipv4).map(|ip| {
            let candidate = Candidate::new(ip, Source::Console, at, generation);
            mac.map_or(candidate, |mac| candidate.with_mac(mac))
        });
        Console { mac, candidate, trouble: self.trouble.clone() }
    }

    /// Candidates from everywhere but the console; the name is asked only if they are none.
    async fn gather(
        &self,
        mac: Option<MacAddr6>,
        cached: Option<Candidate>,
        generation: Generation,
        at: Duration,
    ) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = cached.into_iter().collect();
        if let Some(mac) = mac {
            if let Some(Ok(file)) = self.leases.as_ref().map(std::fs::read) {
                let leases = lease::parse(&file);
                let ours = leases.iter().filter(|lease| lease.mac() == Some(mac));
                candidates
                    .extend(ours.filter_map(|lease| Candidate::from_lease(lease, at, generation)));
            }
            let table = match &self.neighbours {
                // Whoever looks up may hang; the table is a hint that can wait.
                Some(look_up) => tokio::time::timeout(self.deadline, look_up(mac)).await.ok(),
                None => read_neighbours().ok(),
            };
            let table = table.unwrap_or_default();
            candidates.extend(
                neighbour::by_mac(&table, mac)
                    .filter_map(|entry| Candidate::from_neighbour(entry, at, generation)),
            );
        }
        candidates
    }

    /// Asks for the banner at the address, or at the forwarded port.
    async fn ask(&self, ip: Ipv4Addr, generation: Generation) -> Ssh {
        let server = match self.ssh {
            SshPort::Guest(port) => SocketAddr::new(IpAddr::V4(ip), port),
            SshPort::Forwarded(server) => server,
        };
        match read_banner(server, self.deadline).await {
            Ok(banner) => Ssh::Answered(SshAnswer::new(banner, server, now(), generation)),
            Err(error) if error.is_ours() => Ssh::NotAsked,
            Err(_) => Ssh::Silent,
        }
    }
}

impl Look for VmProbe {
    async fn look(&mut self) -> Evidence {
        let (folder, process) = self.look_at_files();
        let at = now();
        let boots = self.history.boots_of_this_start(self.scanner.boots());
        let generation = Generation::new(self.process.starts(), boots.unwrap_or_default());
        let console = match boots {
            Some(_) => self.look_at_console(generation, at),
            None => Console::default(),
        };
        let mut evidence = Evidence::new(folder, process, generation);
        if let Some((trouble, seen)) = console.trouble {
            evidence = evidence.with_trouble(trouble, seen);
        }
        if process != Process::Alive {
            return evidence;
        }
        let record = self
            .registry
            .as_ref()
            .and_then(|path| Registry::parse(&std::fs::read(path).ok()?).ok())
            .and_then(|registry| registry.vm(&self.name).copied());
        let mac = self.mac.or(console.mac).or_else(|| record?.mac);
        let cached = record.and_then(|record| record.candidate(at, generation));
        let mut candidates = self.gather(mac, cached, generation, at).await;
        candidates.extend(console.candidate);
        let mut resolver = Resolver::new(generation, at);
        for subnet in &self.subnets {
            resolver = resolver.with_subnet(*subnet);
        }
        if let Some(mac) = mac {
            resolver = resolver.with_mac(mac);
            evidence = evidence.with_mac(mac);
        }
        let mut resolution = resolver.resolve(&candidates);
        if let (None, Some(host_name)) = (resolution.chosen(), &self.host_name) {
            let found = resolve_name(host_name, self.deadline).await.unwrap_or_default();
            candidates.extend(
                found.into_iter().map(|ip| Candidate::new(ip, Source::Dns, at, generation)),
            );
            resolution = resolver.resolve(&candidates);
        }
        // A cached address is worth a question: the answer confirms it.
        if let Some(address) = resolution.chosen().or_else(|| resolution.others().first().copied())
        {
            let ssh = self.ask(address.ip(), generation).await;
            if let Ssh::Answered(answer) = &ssh {
                resolution = resolver.with_answer(answer).resolve(&candidates);
            }
            evidence = evidence.with_address(address).with_ssh(ssh);
        }
        self.resolution = Some(resolution);
        evidence
    }
}

/// What the console tells of the current process.
#[derive(Default)]
struct Console {
    mac: Option<MacAddr6>,
    candidate: Option<Candidate>,
    trouble: Option<(Trouble, Duration)>,
}

/// Tells the boots of the current process in the log from those of the one before.
#[derive(Debug, Default)]
struct History {
    looks: u32,
    starts: u32,
    was_alive: bool,
    /// Boots that the log had shown after the last look, and after the look before it.
    boots: [u32; 2],
    /// Boots in the log that are not the current process's.
    before: u32,
}

impl History {
    /// Takes in the process's state, before the log is read.
    const fn check(&mut self, process: Process, starts: u32) {
        if starts != self.starts {
            self.starts = starts;
            // A process that was there at the first look owns the log. A new one may have begun
            // to write between the last look at the old one's end and the reading of the log
            // after it, so that reading does not count.
            self.before = match (self.looks, self.was_alive) {
                (0, _) => 0,
                (_, true) => self.boots[0],
                (_, false) => self.boots[1],
            };
        }
        self.was_alive = matches!(process, Process::Alive | Process::Paused);
    }

    /// Takes in the boots of the log, after it was read.
    const fn record(&mut self, boots: u32) {
        self.looks = self.looks.saturating_add(1);
        self.boots = [boots, self.boots[0]];
    }

    /// How many boots of the log are the current process's; `None` while the log still ends with
    /// another one's.
    const fn boots_of_this_start(&self, boots: u32) -> Option<u32> {
        match boots.checked_sub(self.before) {
            Some(0) if self.before > 0 => None,
            boots => boots,
        }
    }
}

impl fmt::Debug for VmProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VmProbe")
            .field("name", &self.name)
            .field("folder", &self.folder)
            .field("ssh", &self.ssh)
            .field("scanner", &self.scanner)
            .field("resolution", &self.resolution)
            .finish_non_exhaustive()
    }
}

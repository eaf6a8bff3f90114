use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use macaddr::MacAddr6;
use tokio::time::{Instant, timeout};

use super::clock::now;
use super::history::History;
use super::names::NameLookup;
use super::vm::{NeighbourSource, Settings, SshPort};
use super::{ProcessWatch, Progress, Tail, read_banner};
use crate::address::{Candidate, Resolution, Resolver, Source};
use crate::console::{Scanner, Trouble};
use crate::neighbour::Neighbour;
use crate::registry::Record;
use crate::{Evidence, Folder, Generation, Process, Ssh, SshAnswer};

/// Makes evidence of what is there. Dropping a look leaves all of it fit for another.
pub(super) struct Looker {
    pub(super) settings: Settings,
    pub(super) scanner: Scanner,
    pub(super) process: ProcessWatch,
    pub(super) resolution: Option<Resolution>,
    tail: Tail,
    history: History,
    names: NameLookup,
    /// What the console told when the log last grew.
    console: Option<Console>,
    settled: Option<Settled>,
}

/// What the console tells of the current process.
#[derive(Clone)]
struct Console {
    generation: Generation,
    mac: Option<MacAddr6>,
    candidate: Option<Candidate>,
    trouble: Option<(Trouble, Duration)>,
}

/// An address that has answered, and when its candidates were gathered.
#[derive(Clone, Copy)]
struct Settled {
    mac: Option<MacAddr6>,
    address: Candidate,
    gathered: Instant,
}

impl Looker {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            scanner: Scanner::new(),
            process: ProcessWatch::new(settings.folder.join(format!("{}.pid", settings.name))),
            resolution: None,
            tail: Tail::new(settings.folder.join("console.log")),
            history: History::default(),
            names: NameLookup::default(),
            console: None,
            settled: None,
            settings,
        }
    }

    pub(super) async fn look(&mut self) -> Evidence {
        let process = self.process.poll();
        self.history.check(process, self.process.starts());
        let progress = self.tail.catch_up(&mut self.scanner).await;
        let folder = self.folder(progress.as_ref());
        self.history.record(self.scanner.boots(), self.is_log_older());

        let boots = self.history.boots_of_this_start(self.scanner.boots());
        let generation = Generation::new(self.process.starts(), boots.unwrap_or_default());
        let has_news = !matches!(progress, Ok(Progress::Unchanged | Progress::Absent));
        if has_news || self.console.as_ref().is_none_or(|known| known.generation != generation) {
            self.settled = None;
            let now = now();
            self.console = Some(if boots.is_some() {
                self.read_console(generation, now)
            } else {
                Console { generation, mac: None, candidate: None, trouble: None }
            });
        }
        let mut evidence = Evidence::new(folder, process, generation);
        if let Some((trouble, seen)) = self.console.as_ref().and_then(|c| c.trouble.clone()) {
            evidence = evidence.with_trouble(trouble, seen);
        }
        if process != Process::Alive {
            self.settled = None;
            return evidence;
        }
        self.find(evidence, generation).await
    }

    /// Whether the folder is there. A PID file or a log shows that it is.
    fn folder(&self, progress: Result<&Progress, &io::Error>) -> Folder {
        if self.process.has_pid_file()
            || matches!(
                progress,
                Ok(Progress::Unchanged | Progress::Grown(_) | Progress::Replaced(_))
            )
        {
            return Folder::Present;
        }
        match std::fs::metadata(&self.settings.folder) {
            Ok(metadata) if metadata.is_dir() => Folder::Present,
            Ok(_) => Folder::Absent,
            Err(error) if super::file::is_absent(&error) => Folder::Absent,
            Err(_) => Folder::Unknown,
        }
    }

    /// Whether nothing in the log can be of the current process, for it is older than that.
    fn is_log_older(&self) -> bool {
        // Ticks of the two clocks are a hundredth of a second apart at most.
        let second = Duration::from_secs(1);
        let (written, started) = (self.tail.modified(), self.process.started());
        let (Some(written), Some(started)) = (written, started) else { return false };
        started.duration_since(written).is_ok_and(|later| later > second)
    }

    fn read_console(&self, generation: Generation, at: Duration) -> Console {
        let boot = self.scanner.boot();
        let primary = boot.primary();
        let mac = primary.and_then(|primary| primary.mac);
        let candidate = primary.and_then(|primary| primary.ipv4).map(|ip| {
            let candidate = Candidate::new(ip, Source::Console, at, generation);
            mac.map_or(candidate, |mac| candidate.with_mac(mac))
        });
        let known = self.console.as_ref().filter(|known| known.generation == generation);
        let known = known.and_then(|known| known.trouble.as_ref());
        let trouble = boot.trouble().map(|trouble| match known {
            Some((known, seen)) if known == trouble => (trouble.clone(), *seen),
            _ => (trouble.clone(), at),
        });
        Console { generation, mac, candidate, trouble }
    }

    /// Finds the address of a living machine, and asks there.
    async fn find(&mut self, mut evidence: Evidence, generation: Generation) -> Evidence {
        let begun = Instant::now();
        let recheck = self.settings.recheck;
        let settled = self.settled.take().filter(|settled| settled.gathered.elapsed() < recheck);
        if let Some(settled) = settled {
            if let Some(mac) = settled.mac {
                evidence = evidence.with_mac(mac);
            }
            let ssh = self.ask(settled.address.ip(), generation, begun).await;
            self.settled = matches!(ssh, Ssh::Answered(_)).then_some(settled);
            return evidence.with_address(settled.address).with_ssh(ssh);
        }
        let record = self.record().await;
        let console = self.console.clone();
        let mac = self.settings.mac.or_else(|| console.as_ref()?.mac).or_else(|| record?.mac);
        let mut resolver = Resolver::new(generation, now());
        for subnet in &self.settings.subnets {
            resolver = resolver.with_subnet(*subnet);
        }
        if let Some(mac) = mac {
            resolver = resolver.with_mac(mac);
            evidence = evidence.with_mac(mac);
        }
        let mut candidates = self.gather(mac, record, generation).await;
        candidates.extend(console.and_then(|console| console.candidate));
        let mut resolution = resolver.resolve(&candidates);
        if resolution.chosen().is_none() {
            candidates.extend(self.ask_name(generation).await);
            resolution = resolver.resolve(&candidates);
        }
        // A cached address is worth a question: the answer confirms it.
        let address = resolution.chosen().or_else(|| resolution.others().first().copied());
        if let Some(address) = address {
            let ssh = self.ask(address.ip(), generation, begun).await;
            if let Ssh::Answered(answer) = &ssh {
                resolution = resolver.with_answer(answer).resolve(&candidates);
                let is_chosen = resolution.chosen().is_some_and(|it| it.ip() == address.ip());
                self.settled = is_chosen.then_some(Settled { mac, address, gathered: begun });
            }
            evidence = evidence.with_address(address).with_ssh(ssh);
        }
        self.resolution = Some(resolution);
        evidence
    }

    async fn record(&self) -> Option<Record> {
        let registry = self.settings.registry.as_ref()?.current().await?;
        registry.vm(&self.settings.name).copied()
    }

    /// Candidates from the host's files and tables.
    async fn gather(
        &self,
        mac: Option<MacAddr6>,
        record: Option<Record>,
        generation: Generation,
    ) -> Vec<Candidate> {
        let at = now();
        let cached = record.and_then(|record| record.candidate(at, generation));
        let mut candidates: Vec<Candidate> = cached.into_iter().collect();
        let Some(mac) = mac else { return candidates };
        if let Some(file) = &self.settings.leases
            && let Some(leases) = file.current().await
        {
            let ours = leases.of(mac).iter();
            candidates
                .extend(ours.filter_map(|lease| Candidate::from_lease(lease, at, generation)));
        }
        let table = self.neighbours(mac).await;
        candidates.extend(
            table
                .iter()
                .filter(|entry| entry.mac() == Some(mac))
                .filter_map(|entry| Candidate::from_neighbour(entry, at, generation)),
        );
        candidates
    }

    async fn neighbours(&self, mac: MacAddr6) -> Vec<Neighbour> {
        match &self.settings.neighbours {
            NeighbourSource::Table(file) => {
                file.current().await.map(|table| table.of(mac).to_vec()).unwrap_or_default()
            }
            // Whoever looks up may hang; the table is a hint that can wait.
            NeighbourSource::LookUp(look_up) => {
                timeout(self.settings.deadline / 3, look_up(mac)).await.unwrap_or_default()
            }
        }
    }

    async fn ask_name(&mut self, generation: Generation) -> Vec<Candidate> {
        let Some(name) = &self.settings.host_name else { return Vec::new() };
        let found = self.names.resolve(name, self.settings.deadline / 3).await;
        let at = now();
        let found = found.unwrap_or_default().into_iter();
        found.map(|ip| Candidate::new(ip, Source::Dns, at, generation)).collect()
    }

    /// Asks for the banner at the address, or at the forwarded port, in what is left of the time.
    async fn ask(&self, ip: Ipv4Addr, generation: Generation, begun: Instant) -> Ssh {
        let server = match self.settings.ssh {
            SshPort::Guest(port) => SocketAddr::new(IpAddr::V4(ip), port),
            SshPort::Forwarded(server) => server,
        };
        let left = self.settings.deadline.saturating_sub(begun.elapsed());
        match read_banner(server, left).await {
            Ok(banner) => Ssh::Answered(SshAnswer::new(banner, server, now(), generation)),
            Err(error) if error.is_ours() => Ssh::NotAsked,
            Err(_) => Ssh::Silent,
        }
    }
}

//! The timeline of a first boot through the real probe: a folder, a process, a log, a neighbour
//! table, a registry and leases in files, an SSH server on the loopback device. A step of the test
//! stands for a second.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use vmstatus::Machine;
use vmstatus::probe::{LeaseFile, Look as _, NeighbourFile, RegistryFile, SshPort, VmProbe};

use super::world::{Scratch, Sleeper, append};
use crate::fixtures::{BOTH_ROWS, IPV6_ONLY};

const HEAD: &str =
    "IP address       HW type     Flags       HW address            Mask     Device\n";

struct World {
    scratch: Scratch,
    process: Option<Sleeper>,
    port: SocketAddr,
    server: Option<JoinHandle<()>>,
    probe: VmProbe,
    machine: Machine,
    second: u64,
    seen: Vec<String>,
}

impl World {
    async fn new() -> Self {
        let scratch = Scratch::new();
        // Bound once, so that the port is known; nobody listens until it is bound again.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let now = Duration::ZERO;
        let probe = VmProbe::new("fargo", scratch.file("fargo"))
            .with_ssh(SshPort::Forwarded(port))
            .with_subnet("192.168.1.0/24".parse().unwrap())
            .with_neighbour_file(NeighbourFile::new(scratch.file("arp")).with_max_age(now))
            .with_leases(LeaseFile::new(scratch.file("leases")).with_max_age(now))
            .with_registry(RegistryFile::new(scratch.file("registry.json")).with_max_age(now));
        let world = Self {
            scratch,
            process: None,
            port,
            server: None,
            probe,
            machine: Machine::new(Duration::ZERO),
            second: 0,
            seen: Vec::new(),
        };
        world.neighbours("");
        world
    }

    /// A machine that runs since second 50, as on a first boot.
    async fn running() -> Self {
        let mut world = Self::new().await;
        world.first_boot().await;
        world.seen.clear();
        world
    }

    async fn first_boot(&mut self) {
        for second in 0..=55 {
            match second {
                1 => fs::create_dir(self.folder()).unwrap(),
                5 => self.start(),
                10..=17 => {
                    // The log grows in pieces that end anywhere.
                    let from = IPV6_ONLY.len() * (second - 10) / 8;
                    let to = IPV6_ONLY.len() * (second - 9) / 8;
                    append(&self.log(), &IPV6_ONLY[from..to]);
                }
                20 => self.neighbours("0x0         00:00:00:00:00:00"),
                30 => self.neighbours("0x2         52:54:00:15:7a:e3"),
                50 => self.listen().await,
                _ => {}
            }
            self.look().await;
        }
    }

    fn folder(&self) -> PathBuf {
        self.scratch.file("fargo")
    }

    fn log(&self) -> PathBuf {
        self.folder().join("console.log")
    }

    fn start(&mut self) {
        let process = Sleeper::start();
        fs::write(self.folder().join("fargo.pid"), process.pid().to_string()).unwrap();
        self.process = Some(process);
    }

    fn neighbours(&self, flags_and_mac: &str) {
        let row = format!("192.168.1.77     0x1         {flags_and_mac}     *        virbr0\n");
        let rows = if flags_and_mac.is_empty() { "" } else { &row };
        fs::write(self.scratch.file("arp"), format!("{HEAD}{rows}")).unwrap();
    }

    async fn listen(&mut self) {
        let listener = TcpListener::bind(self.port).await.unwrap();
        self.server = Some(tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                use tokio::io::AsyncWriteExt as _;
                let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await;
            }
        }));
    }

    async fn hush(&mut self) {
        let server = self.server.take().unwrap();
        server.abort();
        let _ = server.await;
    }

    async fn look(&mut self) {
        let evidence = self.probe.look().await;
        let now = Duration::from_secs(self.second);
        if let Some(change) = self.machine.observe(&evidence, now).unwrap() {
            let (from, to) = (change.from().as_str(), change.to().as_str());
            self.seen.push(format!("{} {from} -> {to}", self.second));
        }
        self.second += 1;
    }

    /// What changes in so many more seconds, counted from now.
    async fn after(&mut self, seconds: u64) -> Vec<String> {
        let begin = self.second;
        for _ in 0..seconds {
            self.look().await;
        }
        let seen = std::mem::take(&mut self.seen);
        let relative = |line: String| {
            let (second, change) = line.split_once(' ').unwrap();
            format!("+{} {change}", second.parse::<u64>().unwrap() - begin)
        };
        seen.into_iter().map(relative).collect()
    }
}

#[tokio::test]
async fn a_first_boot_whose_address_only_the_neighbours_know() {
    let mut world = World::new().await;
    world.first_boot().await;
    assert_eq!(
        world.seen,
        [
            "1 missing -> stopped",
            "5 stopped -> initializing",
            "30 initializing -> booting",
            "50 booting -> running",
        ]
    );
    assert_eq!(world.machine.status().ipv4(), Some([192, 168, 1, 77].into()));
    assert!(world.machine.reason().to_string().contains("neighbour table"));
}

#[tokio::test]
async fn an_ssh_server_that_flaps() {
    let mut world = World::running().await;
    for _ in 0..3 {
        world.hush().await;
        assert_eq!(world.after(2).await, [""; 0]);
        world.listen().await;
        assert_eq!(world.after(2).await, [""; 0]);
    }
    world.hush().await;
    assert_eq!(world.after(9).await, ["+2 running -> degraded"]);
    world.listen().await;
    assert_eq!(world.after(9).await, ["+0 degraded -> running"]);
}

#[tokio::test]
async fn a_stale_lease_and_a_wrong_cache_are_not_believed() {
    let mut world = World::new().await;
    fs::write(
        world.scratch.file("leases"),
        "1000000000 52:54:00:15:7a:e3 192.168.1.50 fargo *\n0 52:54:00:15:7a:e3 10.9.9.9 fargo *\n",
    )
    .unwrap();
    let registry = r#"{"vms": {"fargo": {"ip_address": "192.168.1.60"}}}"#;
    fs::write(world.scratch.file("registry.json"), registry).unwrap();
    world.first_boot().await;
    assert_eq!(world.seen[2..], ["30 initializing -> booting", "50 booting -> running"]);
    assert_eq!(world.machine.status().ipv4(), Some([192, 168, 1, 77].into()));
    let told = world.probe.resolution().unwrap().to_string();
    for what in [
        "192.168.1.50 from the DHCP lease refused: lease expired",
        "10.9.9.9 from the DHCP lease refused: outside the served subnets",
        "registry cache says 192.168.1.60",
    ] {
        assert!(told.contains(what), "{told}");
    }
}

#[tokio::test]
async fn a_reboot() {
    let mut world = World::running().await;
    let before = world.machine.generation();
    world.hush().await;
    world.neighbours("");
    append(&world.log(), "\n[    0.000000] Linux version 6.8.0\n");
    assert_eq!(world.after(9).await, ["+0 running -> initializing"]);
    append(&world.log(), BOTH_ROWS.split_once('\n').unwrap().1);
    assert_eq!(world.after(9).await, ["+0 initializing -> booting"]);
    world.listen().await;
    assert_eq!(world.after(9).await, ["+0 booting -> running"]);
    assert!(world.machine.generation() > before);
    assert!(world.machine.reason().to_string().contains("console log"));
}

#[tokio::test]
async fn the_process_dies_and_another_one_is_started() {
    let mut world = World::running().await;
    world.process = None;
    world.hush().await;
    world.neighbours("");
    assert_eq!(world.after(9).await, ["+2 running -> stopped"]);
    world.start();
    assert_eq!(world.after(9).await, ["+0 stopped -> initializing"]);
    assert_eq!(world.machine.generation().start(), 2);
}

#[tokio::test]
async fn a_suspended_process() {
    let mut world = World::running().await;
    let process = world.process.as_ref().unwrap();
    process.signal(nix::sys::signal::Signal::SIGSTOP);
    while world.machine.status().as_str() != "paused" {
        world.look().await;
    }
    world.process.as_ref().unwrap().signal(nix::sys::signal::Signal::SIGCONT);
    while world.machine.status().as_str() == "paused" {
        world.look().await;
    }
    assert_eq!(world.machine.status().as_str(), "running");
}

#[tokio::test]
async fn the_folder_vanishes() {
    let mut world = World::running().await;
    fs::remove_dir_all(world.folder()).unwrap();
    assert_eq!(world.after(9).await, ["+2 running -> missing"]);
}

#[tokio::test]
async fn a_panic_shows_at_once() {
    let mut world = World::running().await;
    world.hush().await;
    append(&world.log(), "\n[ 99.0] Kernel panic - not syncing: Fatal exception\n");
    assert_eq!(world.after(9).await, ["+0 running -> crashed"]);
}

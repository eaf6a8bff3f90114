//! The timeline of a first boot, second by second, and what can go wrong in it.

use core::time::Duration;

use vmstatus::address::{Candidate, Resolver, Source};
use vmstatus::console::Scanner;
use vmstatus::neighbour::{Neighbour, NeighbourState};
use vmstatus::{
    Evidence, Folder, Generation, Machine, Process, Ssh, SshAnswer, neighbour, parse_mac,
};

use crate::fixtures::{BOTH_ROWS, IPV6_ONLY};

const ADDRESS: [u8; 4] = [192, 168, 1, 77];

/// A world that changes at known seconds, and one machine that looks at it once per second.
struct World {
    second: u64,
    folder: Folder,
    process: Process,
    start: u32,
    scanner: Scanner,
    neighbours: Vec<Neighbour>,
    others: Vec<Candidate>,
    listening: bool,
    machine: Machine,
    seen: Vec<String>,
}

impl World {
    fn new() -> Self {
        Self {
            second: 0,
            folder: Folder::Absent,
            process: Process::Absent,
            start: 0,
            scanner: Scanner::new(),
            neighbours: Vec::new(),
            others: Vec::new(),
            listening: false,
            machine: Machine::new(time(0)),
            seen: Vec::new(),
        }
    }

    /// A machine that runs since second 50, as on a first boot.
    fn running() -> Self {
        let mut world = Self::new();
        world.first_boot();
        world.seen.clear();
        world
    }

    fn first_boot(&mut self) {
        for second in 0..=55 {
            match second {
                1 => self.folder = Folder::Present,
                5 => self.begin(),
                10..=17 => {
                    // The log grows line by line, torn in the middle.
                    let from = IPV6_ONLY.len() * (second - 10) / 8;
                    let to = IPV6_ONLY.len() * (second - 9) / 8;
                    self.scanner.push(&IPV6_ONLY.as_bytes()[from..to]);
                }
                30 => self.appear(NeighbourState::Reachable),
                50 => self.listening = true,
                _ => {}
            }
            self.look();
            let expected = match second {
                0 => "missing",
                1..5 => "stopped",
                5..30 => "initializing",
                30..50 => "booting",
                _ => "running",
            };
            assert_eq!(self.status(), expected, "T+{second}");
        }
    }

    const fn begin(&mut self) {
        self.process = Process::Alive;
        self.start += 1;
    }

    fn appear(&mut self, state: NeighbourState) {
        let mac = parse_mac(b"52:54:0:15:7a:e3").unwrap();
        self.neighbours = vec![Neighbour::new(ADDRESS.into(), mac, state)];
    }

    const fn generation(&self) -> Generation {
        Generation::new(self.start, self.scanner.boots())
    }

    fn look(&mut self) {
        let (now, generation) = (time(self.second), self.generation());
        let mut evidence = Evidence::new(self.folder, self.process, generation);
        let boot = self.scanner.boot();
        let primary = boot.primary();
        let mut candidates = self.others.clone();
        candidates.extend(
            primary
                .and_then(|primary| primary.ipv4)
                .map(|ip| Candidate::new(ip, Source::Console, now, generation)),
        );
        if let Some(mac) = primary.and_then(|primary| primary.mac) {
            evidence = evidence.with_mac(mac);
            candidates.extend(
                neighbour::by_mac(&self.neighbours, mac)
                    .filter_map(|entry| Candidate::from_neighbour(entry, now, generation)),
            );
        }
        if let Some(trouble) = boot.trouble() {
            evidence = evidence.with_trouble(trouble.clone(), now);
        }
        let resolver =
            Resolver::new(generation, now).with_subnet("192.168.1.0/24".parse().unwrap());
        if let Some(address) = resolver.resolve(&candidates).chosen() {
            evidence = evidence.with_address(address);
            evidence = evidence.with_ssh(if self.listening {
                let from = ([127, 0, 0, 1], 22001).into();
                let banner = "SSH-2.0-OpenSSH_9.6".parse().unwrap();
                Ssh::Answered(SshAnswer::new(banner, from, now, generation))
            } else {
                Ssh::Silent
            });
        }
        if let Some(transition) = self.machine.observe(&evidence, now).unwrap() {
            let second = self.second;
            self.seen.push(format!("{second} {} -> {}", transition.from(), transition.to()));
        }
        self.second += 1;
    }

    fn look_times(&mut self, times: u32) -> Vec<String> {
        for _ in 0..times {
            self.look();
        }
        core::mem::take(&mut self.seen)
    }

    const fn status(&self) -> &str {
        self.machine.status().as_str()
    }
}

const fn time(second: u64) -> Duration {
    Duration::from_secs(1_700_000_000 + second)
}

#[test]
fn a_first_boot() {
    let mut world = World::new();
    world.first_boot();
    assert_eq!(
        world.seen,
        [
            "1 missing -> stopped",
            "5 stopped -> initializing",
            "30 initializing -> booting",
            "50 booting -> running",
        ]
    );
    assert_eq!(world.machine.since(), time(50));
    assert_eq!(
        world.machine.reason().to_string(),
        "192.168.1.77 from the neighbour table (52:54:00:15:7a:e3, confirmed), \
         SSH-2.0-OpenSSH_9.6 read from 127.0.0.1:22001"
    );
}

#[test]
fn without_the_neighbour_table_it_stays_initializing() {
    let mut world = World::new();
    (world.folder, world.listening) = (Folder::Present, true);
    world.begin();
    world.look_times(1);
    assert_eq!(world.machine.reason().to_string(), "process alive, no IPv4 address yet");
    // What is learned later shows, though the status stays the same.
    world.scanner.push(IPV6_ONLY.as_bytes());
    world.look_times(600);
    assert_eq!(world.status(), "initializing");
    assert_eq!(
        world.machine.reason().to_string(),
        "process alive, no IPv4 address yet, looking for 52:54:00:15:7a:e3"
    );
}

#[test]
fn ssh_that_flaps_does_not_flap_the_status() {
    let mut world = World::running();
    for _ in 0..50 {
        world.listening = false;
        assert_eq!(world.look_times(2), [""; 0]);
        world.listening = true;
        assert_eq!(world.look_times(1), [""; 0]);
    }
    world.listening = false;
    let second = world.second + 2;
    assert_eq!(world.look_times(60), [format!("{second} running -> degraded")]);
    assert_eq!(world.machine.reason().to_string(), "SSH at 192.168.1.77 no longer answers");
    world.listening = true;
    let second = world.second;
    assert_eq!(world.look_times(60), [format!("{second} degraded -> running")]);
}

#[test]
fn a_stale_lease_is_not_believed() {
    let mut world = World::new();
    world.folder = Folder::Present;
    world.begin();
    world.listening = true;
    let stale = |ip: [u8; 4], generation| {
        Candidate::new(ip.into(), Source::Lease, time(0), generation).with_expiry(time(0))
    };
    let generation = world.generation();
    world.others = vec![
        stale([192, 168, 1, 50], generation),
        Candidate::new([10, 0, 0, 50].into(), Source::Lease, time(0), generation),
    ];
    assert_eq!(world.look_times(60).len(), 1);
    assert_eq!(world.status(), "initializing");
}

#[test]
fn a_wrong_cache_neither_helps_nor_harms() {
    let mut world = World::new();
    world.folder = Folder::Present;
    world.begin();
    world.scanner.push(IPV6_ONLY.as_bytes());
    let generation = world.generation();
    world.others =
        vec![Candidate::new([192, 168, 1, 50].into(), Source::Cache, time(0), generation)];
    world.look_times(10);
    assert_eq!(world.status(), "initializing");
    world.appear(NeighbourState::Stale);
    world.look_times(1);
    assert_eq!(world.machine.status().ipv4(), Some(ADDRESS.into()));
}

#[test]
fn a_reboot_drops_address_and_banner() {
    let mut world = World::running();
    // The guest is gone from the network, but its old server's socket still answers once.
    world.neighbours.clear();
    let second = world.second;
    world.scanner.push(b"\n[    0.000000] Linux version 6.8.0\n");
    assert_eq!(world.look_times(10), [format!("{second} running -> initializing")]);
    world.listening = false;
    world.scanner.push(BOTH_ROWS.as_bytes());
    assert_eq!(world.scanner.boots(), 3);
    let second = world.second;
    assert_eq!(world.look_times(10), [format!("{second} initializing -> booting")]);
    world.listening = true;
    let second = world.second;
    assert_eq!(world.look_times(10), [format!("{second} booting -> running")]);
    assert_eq!(world.machine.generation(), Generation::new(1, 3));
}

#[test]
fn the_process_dies_and_comes_back() {
    let mut world = World::running();
    world.process = Process::Absent;
    let second = world.second + 2;
    assert_eq!(world.look_times(10), [format!("{second} running -> stopped")]);
    world.begin();
    world.neighbours.clear();
    world.scanner = Scanner::new();
    let second = world.second;
    assert_eq!(world.look_times(10), [format!("{second} stopped -> initializing")]);
}

#[test]
fn a_process_that_fails_has_crashed_at_once_and_stays_so() {
    let mut world = World::running();
    world.process = Process::Exited(vmstatus::Exit::Signal(9));
    let second = world.second;
    assert_eq!(world.look_times(1), [format!("{second} running -> crashed")]);
    assert_eq!(world.machine.reason().to_string(), "the process ended with signal 9");
    world.process = Process::Absent;
    assert_eq!(world.look_times(10), [""; 0]);
    world.begin();
    assert_eq!(world.look_times(1).len(), 1);
}

#[test]
fn the_folder_vanishes() {
    let mut world = World::running();
    world.folder = Folder::Absent;
    let second = world.second + 2;
    assert_eq!(world.look_times(10), [format!("{second} running -> missing")]);
}

#[test]
fn a_suspended_machine_needs_no_new_proof() {
    let mut world = World::running();
    world.process = Process::Paused;
    let second = world.second;
    assert_eq!(world.look_times(10), [format!("{second} running -> paused")]);
    world.process = Process::Alive;
    let second = world.second;
    assert_eq!(world.look_times(10), [format!("{second} paused -> running")]);
}

#[test]
fn a_panic_shows_at_once_and_other_trouble_until_an_answer() {
    let mut world = World::running();
    world.listening = false;
    world.scanner.push(b"\n[ 99.0] Out of memory: Killed process 1 (java)\n");
    let second = world.second;
    assert_eq!(world.look_times(5), [format!("{second} running -> degraded")]);
    world.listening = true;
    let second = world.second;
    // The line stays on the console, but it has been refuted.
    assert_eq!(world.look_times(50), [format!("{second} degraded -> running")]);
    world.listening = false;
    world.scanner.push(b"[ 100.0] Kernel panic - not syncing: Fatal exception\n");
    let second = world.second;
    assert_eq!(world.look_times(50), [format!("{second} running -> crashed")]);
    assert!(world.machine.reason().to_string().contains("Fatal exception"));
}

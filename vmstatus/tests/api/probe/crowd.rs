//! Ten thousand machines in real folders behind real sockets, one in a hundred of which hangs.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use vmstatus::Evidence;
use vmstatus::probe::{Look, SshPort, Supervisor, VmProbe};

use super::world::{Scratch, make_fifo, serve};
use crate::fixtures::BOTH_ROWS;

const VMS: usize = 10_000;
const PERIOD: Duration = Duration::from_secs(4);
const DEADLINE: Duration = Duration::from_secs(3);

/// How a machine hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hang {
    /// Its SSH server takes the connection and never says a word.
    Mute,
    /// A FIFO that nobody writes to stands in place of its log.
    Fifo,
    /// The look-up of its neighbours never returns.
    Neighbours,
    /// The look itself never returns.
    Look,
}

impl Hang {
    const fn of(vm: usize) -> Option<Self> {
        match vm % 400 {
            0 => Some(Self::Mute),
            100 => Some(Self::Fifo),
            200 => Some(Self::Neighbours),
            300 => Some(Self::Look),
            _ => None,
        }
    }

    /// As far as such a machine can come to be known.
    const fn status(self) -> &'static str {
        match self {
            Self::Mute => "booting",
            Self::Fifo => "initializing",
            // The console tells the address, so the neighbours are not needed.
            Self::Neighbours => "running",
            Self::Look => "missing",
        }
    }
}

enum Vm {
    Real(Box<VmProbe>),
    Stuck,
}

impl Look for Vm {
    async fn look(&mut self) -> Evidence {
        match self {
            Self::Real(probe) => probe.look().await,
            Self::Stuck => std::future::pending().await,
        }
    }
}

struct Ports {
    good: SocketAddr,
    mute: SocketAddr,
}

fn make_vm(folder: PathBuf, hang: Option<Hang>, ports: &Ports) -> Vm {
    if hang == Some(Hang::Look) {
        return Vm::Stuck;
    }
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("vm.pid"), std::process::id().to_string()).unwrap();
    let log = folder.join("console.log");
    if hang == Some(Hang::Fifo) {
        make_fifo(&log);
    } else {
        fs::write(&log, BOTH_ROWS).unwrap();
    }
    let port = if hang == Some(Hang::Mute) { ports.mute } else { ports.good };
    let probe =
        VmProbe::new("vm", folder).with_ssh(SshPort::Forwarded(port)).with_deadline(DEADLINE);
    Vm::Real(Box::new(match hang {
        Some(Hang::Neighbours) => probe.with_neighbours(|_| std::future::pending()),
        _ => probe,
    }))
}

/// Watches them all; when each was first seen running, and what all of them are in the end.
async fn watch(
    folder: &Path,
    hangs: bool,
    ports: &Ports,
) -> (BTreeMap<usize, Duration>, BTreeMap<usize, &'static str>) {
    fs::create_dir(folder).unwrap();
    let hang = |vm| Hang::of(vm).filter(|_| hangs);
    let vms: Vec<_> =
        (0..VMS).map(|vm| (vm, make_vm(folder.join(vm.to_string()), hang(vm), ports))).collect();
    let expected = (0..VMS).filter(|vm| hang(*vm).is_none_or(|hang| hang.status() == "running"));
    let expected = expected.count();
    let begin = Instant::now();
    let mut watch = Supervisor::new(PERIOD, 2 * DEADLINE).watch(vms, &mut StdRng::seed_from_u64(7));
    let mut running = BTreeMap::new();
    while running.len() < expected {
        let event = watch.next().await.unwrap();
        if event.news.unwrap().to().as_str() == "running" {
            running.insert(event.vm, begin.elapsed());
        }
    }
    // The mute ones take their deadline.
    tokio::time::sleep(if hangs { DEADLINE } else { Duration::ZERO }).await;
    let last = watch.machines().map(|(vm, machine)| (*vm, machine.status().as_str())).collect();
    (running, last)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_those_that_hang() {
    // A descriptor for each machine, and those of the connections.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(most >= 15_000, "this test needs 15,000 file descriptors; `ulimit -Hn` says {most}");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();

    let scratch = Scratch::new();
    let bind = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = Ports {
        good: serve(bind().await, &[b"SSH-2.0-OpenSSH_9.6\r\n"], Duration::ZERO),
        mute: serve(bind().await, &[], Duration::from_secs(3600)),
    };
    let (calm, _) = watch(&scratch.file("calm"), false, &ports).await;
    let (seen, last) = watch(&scratch.file("hanging"), true, &ports).await;

    // Every machine that can be seen was, and just as soon as when none of them hangs.
    let slowest = |seen: &BTreeMap<usize, Duration>| seen.values().max().copied().unwrap();
    let mean = |seen: &BTreeMap<usize, Duration>| {
        seen.values().sum::<Duration>() / u32::try_from(seen.len()).unwrap()
    };
    let told = format!(
        "calm: mean {:?}, slowest {:?}; hanging: mean {:?}, slowest {:?}",
        mean(&calm),
        slowest(&calm),
        mean(&seen),
        slowest(&seen)
    );
    let healthy: BTreeMap<_, _> =
        seen.iter().filter(|(vm, _)| Hang::of(**vm).is_none()).map(|(vm, at)| (*vm, *at)).collect();
    assert_eq!(healthy.len(), VMS - VMS / 100);
    // Whoever waited for one that hangs would be seen a deadline later.
    assert!(slowest(&healthy) < slowest(&calm) + DEADLINE / 2, "{told}");
    assert!(mean(&healthy) < mean(&calm) + DEADLINE / 4, "{told}");
    eprintln!("{told}");
    for (vm, status) in last {
        assert_eq!(status, Hang::of(vm).map_or("running", Hang::status), "machine {vm}");
    }
}

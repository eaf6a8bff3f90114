//! Ten thousand machines in real folders behind real sockets, one in a hundred of which hangs.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use vmstatus::probe::{Look, SshPort, Supervisor, VmProbe, Watch};
use vmstatus::{Evidence, Machine};

use super::world::{SECOND, Scratch, make_fifo, server};
use crate::fixtures::BOTH_ROWS;

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

    /// As far as such a machine comes to be known.
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
    /// So many that none of them has more callers than its queue takes.
    good: [SocketAddr; 8],
    mute: SocketAddr,
}

fn make_folder(folder: &Path, hang: Option<Hang>) {
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("vm.pid"), std::process::id().to_string()).unwrap();
    let log = folder.join("console.log");
    if hang == Some(Hang::Fifo) {
        make_fifo(&log);
    } else {
        fs::write(&log, BOTH_ROWS).unwrap();
    }
}

fn make_vm(scratch: &Scratch, vm: usize, ports: &Ports, deadline: Duration) -> Vm {
    let hang = Hang::of(vm);
    let port = if hang == Some(Hang::Mute) { ports.mute } else { ports.good[vm % 8] };
    let folder = scratch.file(&vm.to_string());
    let probe =
        VmProbe::new("vm", folder).with_ssh(SshPort::Forwarded(port)).with_deadline(deadline);
    match hang {
        Some(Hang::Look) => Vm::Stuck,
        Some(Hang::Neighbours) => {
            Vm::Real(Box::new(probe.with_neighbours(|_| std::future::pending())))
        }
        _ => Vm::Real(Box::new(probe)),
    }
}

/// So many machines in folders, and their ports.
async fn make_world(scratch: &Scratch, vms: usize) -> Ports {
    for vm in 0..vms {
        make_folder(&scratch.file(&vm.to_string()), Hang::of(vm));
    }
    Ports { good: [(); 8].map(|()| answer()), mute: server(&[], 3600 * SECOND).await }
}

/// A server on a thread of its own, which is not slowed down by what is tested.
fn answer() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n"));
        }
    });
    address
}

fn start(
    scratch: &Scratch,
    vms: usize,
    ports: &Ports,
    (period, deadline): (Duration, Duration),
) -> Watch<usize> {
    let vm = |vm| (vm, make_vm(scratch, vm, ports, deadline));
    let mut rng = StdRng::seed_from_u64(7);
    Supervisor::new(period, 2 * deadline).watch((0..vms).map(vm), &mut rng)
}

/// Whoever waited for one that hangs would be seen half a minute later at the earliest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_ten_thousand_real_machines_none_waits_for_those_that_hang() {
    const VMS: usize = 10_000;
    const DEADLINE: Duration = Duration::from_secs(90);
    // A descriptor for each machine, and those of the connections.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(most >= 15_000, "this test needs 15,000 file descriptors; `ulimit -Hn` says {most}");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();

    let scratch = Scratch::new();
    let ports = make_world(&scratch, VMS).await;
    let mut watch = start(&scratch, VMS, &ports, (4 * SECOND, DEADLINE));
    let begin = Instant::now();
    let mut seen = BTreeSet::new();
    while seen.len() < VMS - VMS / 100 {
        let event = watch.next().await.unwrap();
        if Hang::of(event.vm).is_none() {
            assert_eq!(event.news.unwrap().to().as_str(), "running");
            assert!(seen.insert(event.vm));
        }
    }
    eprintln!("{} machines seen running after {:?}", seen.len(), begin.elapsed());
    // The look-up of the neighbours hangs for a third of the deadline, the least of all.
    assert!(begin.elapsed() < DEADLINE / 3, "{:?}", begin.elapsed());
    // Those that hang do so still.
    for (vm, machine) in watch.machines() {
        let status = machine.status().as_str();
        match Hang::of(*vm) {
            None => assert_eq!(status, "running", "machine {vm}"),
            Some(Hang::Fifo) => assert!(matches!(status, "missing" | "initializing")),
            Some(hang) => assert_eq!(status, "missing", "machine {vm} hangs: {hang:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_hang_are_known_as_far_as_they_can_be() {
    const VMS: usize = 400;
    let scratch = Scratch::new();
    let ports = make_world(&scratch, VMS).await;
    let mut watch = start(&scratch, VMS, &ports, (SECOND / 2, SECOND));
    let expected = |vm: usize| Hang::of(vm).map_or("running", Hang::status);
    let end = Instant::now() + 60 * SECOND;
    loop {
        let as_expected =
            |(vm, machine): (&usize, Machine)| machine.status().as_str() == expected(*vm);
        if watch.machines().all(as_expected) {
            return;
        }
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "not as expected after a minute");
        let _ = tokio::time::timeout(left.min(SECOND), watch.next()).await;
    }
}

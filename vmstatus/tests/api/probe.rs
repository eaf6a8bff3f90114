//! Files, ports, processes and many machines, in a world of temporary folders and loopback ports.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use vmstatus::console::Scanner;
use vmstatus::neighbour::{Neighbour, NeighbourState};
use vmstatus::probe::{
    Look, ProbeError, ProcessWatch, Progress, SshPort, Supervisor, Tail, VmProbe, read_banner,
    resolve_name,
};
use vmstatus::{Evidence, Folder, Generation, Machine, Process, Ssh, parse_mac};

use crate::fixtures::{BOTH_ROWS, IPV6_ONLY};

const SECOND: Duration = Duration::from_secs(1);

/// A folder of its own that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("vmstatus-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn append(path: &PathBuf, text: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_log_is_followed_through_growth_truncation_and_rotation() {
    let scratch = Scratch::new();
    let path = scratch.file("console.log");
    let (mut tail, mut scanner) = (Tail::new(&path), Scanner::new());
    let mut poll = |scanner: &mut Scanner| tail.poll(scanner).unwrap();
    assert_eq!(poll(&mut scanner), Progress::Absent);

    let (head, rest) = IPV6_ONLY.split_at(300);
    append(&path, head);
    assert_eq!(poll(&mut scanner), Progress::Grown(300));
    assert_eq!(poll(&mut scanner), Progress::Unchanged);
    append(&path, rest);
    assert_eq!(poll(&mut scanner), Progress::Grown(rest.len() as u64));
    assert!(scanner.boot().primary().unwrap().mac.is_some());
    assert_eq!(scanner.offset(), IPV6_ONLY.len() as u64);

    // Truncated in place, and shorter than before.
    fs::write(&path, "short\n").unwrap();
    assert_eq!(poll(&mut scanner), Progress::Replaced(6));
    // Written anew in place, and longer: only the bytes tell.
    fs::write(&path, BOTH_ROWS).unwrap();
    assert_eq!(poll(&mut scanner), Progress::Replaced(BOTH_ROWS.len() as u64));
    assert_eq!(scanner.boots(), 2);
    assert_eq!(scanner.boot().primary().unwrap().ipv4, Some([192, 168, 1, 77].into()));

    // Rotated: the last lines of the old file are read first.
    append(&path, "\n[   99.0] Kernel panic - not syncing: late\n");
    fs::rename(&path, scratch.file("console.log.1")).unwrap();
    append(&path, "nothing\n");
    assert_eq!(poll(&mut scanner), Progress::Replaced(8));
    assert!(scanner.boot().trouble().unwrap().is_fatal());
    assert_eq!(poll(&mut scanner), Progress::Unchanged);

    fs::remove_file(&path).unwrap();
    assert_eq!(poll(&mut scanner), Progress::Absent);
    append(&path, IPV6_ONLY);
    assert_eq!(poll(&mut scanner), Progress::Grown(IPV6_ONLY.len() as u64));
    assert_eq!(scanner.boots(), 3);
}

#[test]
fn a_log_that_cannot_be_read_is_an_error() {
    let scratch = Scratch::new();
    assert!(Tail::new(&scratch.0).poll(&mut Scanner::new()).is_err());
}

#[test]
#[cfg(target_os = "linux")]
fn a_process_is_watched_through_its_pid_file() {
    let scratch = Scratch::new();
    let path = scratch.file("fargo.pid");
    let mut watch = ProcessWatch::new(&path);
    assert_eq!((watch.poll(), watch.starts()), (Process::Absent, 0));
    fs::write(&path, "").unwrap();
    assert_eq!((watch.poll(), watch.starts()), (Process::Unknown, 0));
    fs::write(&path, format!("{}\n", std::process::id())).unwrap();
    assert_eq!((watch.poll(), watch.starts()), (Process::Alive, 1));
    assert_eq!((watch.poll(), watch.starts()), (Process::Alive, 1));
    // Beyond the largest process id that Linux gives out.
    fs::write(&path, "4194305").unwrap();
    assert_eq!((watch.poll(), watch.starts()), (Process::Absent, 1));
    fs::write(&path, format!("{}", std::process::id())).unwrap();
    assert_eq!((watch.poll(), watch.starts()), (Process::Alive, 2));
}

/// A server that sends these pieces to everyone, and then closes or waits.
async fn server(pieces: &'static [&'static [u8]], waits: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                for piece in pieces {
                    let _ = stream.write_all(piece).await;
                    let _ = stream.flush().await;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                tokio::time::sleep(waits).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn banners_are_read_within_their_deadline() {
    let good = server(&[b"welcome\r\nSSH-2.", b"0-OpenSSH_9.6\r", b"\nkex"], SECOND).await;
    assert_eq!(read_banner(good, 9 * SECOND).await.unwrap().as_str(), "SSH-2.0-OpenSSH_9.6");

    let mute = server(&[b"SSH-2.0-half"], 60 * SECOND).await;
    let error = read_banner(mute, SECOND / 20).await.unwrap_err();
    assert!(matches!(error, ProbeError::TimedOut { .. }), "{error}");

    let short = server(&[b"SSH-2.0-half"], Duration::ZERO).await;
    let error = read_banner(short, 9 * SECOND).await.unwrap_err();
    assert!(matches!(error, ProbeError::Closed { .. }), "{error}");

    let endless = server(&[&[b'x'; 300]], 60 * SECOND).await;
    let error = read_banner(endless, 9 * SECOND).await.unwrap_err();
    assert!(matches!(error, ProbeError::NotSsh { .. }), "{error}");

    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = read_banner(gone, 9 * SECOND).await.unwrap_err();
    assert!(matches!(error, ProbeError::Io { .. }) && !error.is_ours(), "{error}");
}

#[tokio::test]
async fn names_are_asked_of_the_system() {
    let found = resolve_name("localhost", 9 * SECOND).await.unwrap();
    assert!(found.iter().all(std::net::Ipv4Addr::is_loopback));
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_machine_in_a_folder_from_missing_to_running() {
    let scratch = Scratch::new();
    let folder = scratch.file("fargo");
    let (log, pid_file) = (folder.join("console.log"), folder.join("fargo.pid"));
    let mac = parse_mac(b"52:54:00:15:7a:e3").unwrap();
    let ssh = server(&[b"SSH-2.0-OpenSSH_9.6\r\n"], SECOND).await;
    let mut probe = VmProbe::new("fargo", &folder)
        .with_ssh(SshPort::Forwarded(ssh))
        .with_subnet("192.168.1.0/24".parse().unwrap())
        .with_neighbours(move |asked| async move {
            assert_eq!(asked, mac);
            vec![Neighbour::new([192, 168, 1, 77].into(), mac, NeighbourState::Reachable)]
        });
    let mut machine = Machine::new(Duration::ZERO);
    let mut second = 0;
    let mut look = async |probe: &mut VmProbe| {
        second += 1;
        let evidence = probe.look().await;
        machine.observe(&evidence, Duration::from_secs(second)).unwrap();
        (machine.status().as_str(), machine.generation())
    };

    let at = |start, boot| Generation::new(start, boot);
    assert_eq!(look(&mut probe).await, ("missing", at(0, 0)));
    fs::create_dir(&folder).unwrap();
    // The log of a run before this one.
    append(&log, BOTH_ROWS);
    assert_eq!(look(&mut probe).await, ("stopped", at(0, 1)));
    assert_eq!(look(&mut probe).await, ("stopped", at(0, 1)));
    fs::write(&pid_file, std::process::id().to_string()).unwrap();
    // What it says is not of the process that has just begun.
    assert_eq!(look(&mut probe).await, ("initializing", at(1, 0)));
    append(&log, "\n");
    append(&log, IPV6_ONLY);
    assert_eq!(look(&mut probe).await, ("running", at(1, 1)));
    assert_eq!(
        probe.resolution().unwrap().to_string(),
        "192.168.1.77 from the neighbour table (52:54:00:15:7a:e3, confirmed)"
    );
    append(&log, BOTH_ROWS);
    assert_eq!(look(&mut probe).await, ("running", at(1, 2)));
    append(&log, "\n[ 9.9] Kernel panic - not syncing: done\n");
    assert_eq!(look(&mut probe).await, ("running", at(1, 2)));
    fs::remove_dir_all(&folder).unwrap();
    for expected in ["running", "running", "missing"] {
        assert_eq!(look(&mut probe).await.0, expected);
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_cached_address_that_does_not_answer_is_not_believed() {
    let scratch = Scratch::new();
    fs::write(scratch.file("fargo.pid"), std::process::id().to_string()).unwrap();
    let registry = scratch.file("registry.json");
    fs::write(&registry, r#"{"vms": {"fargo": {"ip_address": "192.0.2.1"}}}"#).unwrap();
    // Nobody answers at an address of the documentation's range.
    let mut probe = VmProbe::new("fargo", &scratch.0)
        .with_registry(&registry)
        .with_deadline(Duration::from_millis(20));
    let evidence = probe.look().await;
    assert!(matches!(evidence.ssh(), Ssh::Silent | Ssh::NotAsked));
    assert_eq!(vmstatus::derive(&evidence).as_str(), "initializing");
}

/// A machine that answers at once, or never.
struct Pretend(Option<Evidence>);

impl Look for Pretend {
    async fn look(&mut self) -> Evidence {
        match &self.0 {
            Some(evidence) => evidence.clone(),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_machines_none_waits_for_those_that_hang() {
    const VMS: usize = 10_000;
    let alive = Evidence::new(Folder::Present, Process::Alive, Generation::new(1, 0));
    let vms = (0..VMS).map(|vm| (vm, Pretend((vm % 100 != 0).then(|| alive.clone()))));
    let begin = tokio::time::Instant::now();
    let mut watch = Supervisor::new(SECOND, SECOND / 2).watch(vms, &mut StdRng::seed_from_u64(7));
    let mut seen = vec![false; VMS];
    for _ in 0..VMS - VMS / 100 {
        let event = watch.next().await.unwrap();
        assert!(!std::mem::replace(&mut seen[event.vm], true));
        assert_eq!(event.news.unwrap().to().as_str(), "initializing");
    }
    // Everyone who answers was seen within the one period that the first looks are spread over.
    assert!(begin.elapsed() <= SECOND, "{:?}", begin.elapsed());
    assert!(seen.iter().enumerate().all(|(vm, seen)| *seen == (vm % 100 != 0)));
    // Those who hang keep their last status, and are looked at less and less often.
    tokio::time::sleep(9 * SECOND).await;
    for (vm, machine) in watch.machines() {
        let expected = if vm % 100 == 0 { "missing" } else { "initializing" };
        assert_eq!(machine.status().as_str(), expected);
    }
}

/// Counts its looks, and hangs in each.
struct Hanging(std::sync::Arc<AtomicU32>);

impl Look for Hanging {
    async fn look(&mut self) -> Evidence {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_double_up_to_their_limit_and_dropping_ends_the_looks() {
    let looks = std::sync::Arc::new(AtomicU32::new(0));
    let hanging = [((), Hanging(std::sync::Arc::clone(&looks)))];
    let watch = Supervisor::new(SECOND, SECOND / 2)
        .with_max_pause(8 * SECOND)
        .watch(hanging, &mut StdRng::seed_from_u64(7));
    // Looks begin at x, x + 2, + 4, + 8, + 8 …, where x is in the first second.
    tokio::time::sleep(Duration::from_secs(2 + 4 + 8 + 8 + 1)).await;
    assert_eq!(looks.load(Ordering::Relaxed), 5);
    drop(watch);
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(looks.load(Ordering::Relaxed), 5);
}

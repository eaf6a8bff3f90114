//! One machine in its folder.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use vmstatus::neighbour::{Neighbour, NeighbourState};
use vmstatus::probe::{LeaseFile, Look as _, NeighbourFile, SshPort, VmProbe};
use vmstatus::{Folder, Generation, Machine, Process, Ssh, derive, parse_mac};

use super::world::{SECOND, Scratch, append, make_fifo, server};
use crate::fixtures::{BOTH_ROWS, IPV6_ONLY};

fn write_own_pid(path: &std::path::Path) {
    fs::write(path, std::process::id().to_string()).unwrap();
}

#[tokio::test]
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
    write_own_pid(&pid_file);
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
async fn a_log_that_is_older_than_the_process_is_another_ones() {
    let scratch = Scratch::new();
    let log = scratch.file("console.log");
    append(&log, BOTH_ROWS);
    let file = fs::File::options().write(true).open(&log).unwrap();
    file.set_modified(SystemTime::now() - 3600 * SECOND).unwrap();
    let process = super::world::Sleeper::start();
    fs::write(scratch.file("fargo.pid"), process.pid().to_string()).unwrap();
    let mut probe = VmProbe::new("fargo", &scratch.0).with_deadline(SECOND / 20);
    // The first look finds the process alive, and a log that ends before it began.
    let evidence = probe.look().await;
    assert_eq!((evidence.process(), evidence.address()), (Process::Alive, None));
    assert_eq!(evidence.generation(), Generation::new(1, 0));
    append(&log, BOTH_ROWS);
    let evidence = probe.look().await;
    assert_eq!(evidence.address().unwrap().ip().octets(), [192, 168, 1, 77]);
    assert_eq!(evidence.generation(), Generation::new(1, 1));
}

#[tokio::test]
async fn clocks_and_deadlines_may_be_anything() {
    let scratch = Scratch::new();
    let (log, pid_file) = (scratch.file("console.log"), scratch.file("fargo.pid"));
    append(&log, BOTH_ROWS);
    write_own_pid(&pid_file);
    let far = [SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 34)];
    for at in far {
        for path in [&log, &pid_file] {
            fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
        }
        let ssh = server(&[b"SSH-2.0-x\r\n"], SECOND).await;
        let mut probe = VmProbe::new("fargo", &scratch.0)
            .with_ssh(SshPort::Forwarded(ssh))
            .with_recheck(Duration::MAX)
            .with_deadline(Duration::MAX);
        let evidence = probe.look().await;
        // A PID file of 1970 means another process than one of this year.
        let expected = if at == far[0] { "stopped" } else { "running" };
        assert_eq!(derive(&evidence).as_str(), expected);
    }
}

#[tokio::test]
async fn a_cached_address_that_does_not_answer_is_not_believed() {
    let scratch = Scratch::new();
    write_own_pid(&scratch.file("fargo.pid"));
    let registry = scratch.file("registry.json");
    fs::write(&registry, r#"{"vms": {"fargo": {"ip_address": "192.0.2.1"}}}"#).unwrap();
    // Nobody answers at an address of the documentation's range.
    let mut probe = VmProbe::new("fargo", &scratch.0)
        .with_registry(&registry)
        .with_deadline(Duration::from_millis(20));
    let evidence = probe.look().await;
    assert!(matches!(evidence.ssh(), Ssh::Silent | Ssh::NotAsked));
    assert_eq!(derive(&evidence).as_str(), "initializing");
}

#[tokio::test]
async fn while_an_address_answers_the_neighbours_are_left_alone() {
    let scratch = Scratch::new();
    write_own_pid(&scratch.file("fargo.pid"));
    append(&scratch.file("console.log"), IPV6_ONLY);
    let asked = Arc::new(AtomicU32::new(0));
    let probe = |recheck| {
        let asked = Arc::clone(&asked);
        VmProbe::new("fargo", &scratch.0).with_recheck(recheck).with_neighbours(move |mac| {
            asked.fetch_add(1, Ordering::Relaxed);
            let entry = Neighbour::new([192, 168, 1, 77].into(), mac, NeighbourState::Reachable);
            async { vec![entry] }
        })
    };
    let count = || asked.swap(0, Ordering::Relaxed);
    let ssh = SshPort::Forwarded(server(&[b"SSH-2.0-x\r\n"], SECOND).await);
    let mut answered = probe(600 * SECOND).with_ssh(ssh);
    for _ in 0..9 {
        assert_eq!(derive(&answered.look().await).as_str(), "running");
    }
    assert_eq!(count(), 1);
    // A log that grows may tell something else.
    append(&scratch.file("console.log"), "\n[ 60.0] a line\n");
    assert_eq!(derive(&answered.look().await).as_str(), "running");
    assert_eq!(count(), 1);
    let mut impatient = probe(Duration::ZERO).with_ssh(ssh);
    for _ in 0..9 {
        impatient.look().await;
    }
    assert_eq!(count(), 9);
    let mute = SshPort::Forwarded(server(&[], 60 * SECOND).await);
    let mut silent = probe(600 * SECOND).with_ssh(mute).with_deadline(SECOND / 50);
    for _ in 0..3 {
        assert_eq!(derive(&silent.look().await).as_str(), "booting");
    }
    assert_eq!(count(), 3);
}

#[tokio::test]
async fn one_file_serves_many_machines() {
    let scratch = Scratch::new();
    let path = scratch.file("leases");
    fs::write(&path, "0 52:54:00:15:7a:e3 192.168.1.77 fargo *\n").unwrap();
    let mac = parse_mac(b"52:54:0:15:7a:e3").unwrap();
    let shared = LeaseFile::new(&path);
    let first = shared.current().await.unwrap();
    assert_eq!(first.of(mac).len(), 1);
    fs::write(&path, "").unwrap();
    // Within a second nobody looks again, whichever clone they have.
    let again = shared.clone().current().await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    let fresh = shared.clone().with_max_age(Duration::ZERO);
    assert_eq!(fresh.current().await.unwrap().of(mac).len(), 0);
    fs::remove_file(&path).unwrap();
    assert!(fresh.current().await.is_none());
    make_fifo(&path);
    assert!(fresh.current().await.is_none());
}

#[tokio::test]
async fn whatever_stands_in_for_a_file_is_not_waited_for() {
    let scratch = Scratch::new();
    for name in ["console.log", "registry.json", "leases", "arp"] {
        make_fifo(&scratch.file(name));
    }
    write_own_pid(&scratch.file("fargo.pid"));
    let mut probe = VmProbe::new("fargo", &scratch.0)
        .with_mac(parse_mac(b"52:54:0:15:7a:e3").unwrap())
        .with_registry(scratch.file("registry.json"))
        .with_leases(scratch.file("leases"))
        .with_neighbour_file(NeighbourFile::new(scratch.file("arp")));
    let begun = Instant::now();
    let evidence = probe.look().await;
    assert_eq!((evidence.folder(), evidence.process()), (Folder::Present, Process::Alive));
    assert_eq!(derive(&evidence).as_str(), "initializing");
    assert!(begun.elapsed() < 5 * SECOND);
}

#[tokio::test]
async fn a_look_that_is_dropped_anywhere_leaves_the_next_one_right() {
    let scratch = Scratch::new();
    write_own_pid(&scratch.file("fargo.pid"));
    let noise = "[    1.0] a line that says nothing in particular\n".repeat(1 << 16);
    append(&scratch.file("console.log"), &format!("{noise}{IPV6_ONLY}"));
    let ssh = server(&[b"SSH-2.0-x\r\n"], SECOND).await;
    // Dropped when it has been polled so many times: in the log, at the neighbours, at the banner.
    for polls in 0..12 {
        let mut probe = VmProbe::new("fargo", &scratch.0)
            .with_ssh(SshPort::Forwarded(ssh))
            .with_neighbours(|mac| async move {
                tokio::task::yield_now().await;
                vec![Neighbour::new([192, 168, 1, 77].into(), mac, NeighbourState::Reachable)]
            });
        let mut look = Box::pin(probe.look());
        for _ in 0..polls {
            let once = std::future::poll_fn(|context| {
                std::task::Poll::Ready(look.as_mut().poll(context).is_ready())
            });
            if once.await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(look);
        let evidence = probe.look().await;
        assert_eq!(derive(&evidence).as_str(), "running", "after {polls} polls");
        assert_eq!(evidence.generation(), Generation::new(1, 1));
    }
}

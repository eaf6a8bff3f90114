//! What a poll costs: system calls, counted by `strace`, and memory.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;

use vmstatus::console::Scanner;
use vmstatus::probe::{Look as _, Progress, SshPort, Tail, VmProbe};
use vmstatus::{derive, parse_mac};

use super::world::{SECOND, Scratch, append, has, rerun, stage};
use crate::fixtures::{BOTH_ROWS, IPV6_ONLY};

const LOOKS: usize = 50;

/// Polls of machines with nothing new, in a process that is traced, between two marks.
#[test]
fn a_poll_with_nothing_new_is_three_system_calls_besides_the_banners() {
    let test = "probe::cost::a_poll_with_nothing_new_is_three_system_calls_besides_the_banners";
    if let Some(stage) = stage() {
        return look_between_marks(&stage);
    }
    if !has(&["strace", "-o", "/dev/null", "true"], "the system calls of a poll are counted") {
        return;
    }
    // The server is in this process, which is not traced.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n"));
        }
    });
    let scratch = Scratch::new();
    let trace = scratch.file("trace");
    let strace = ["strace", "-f", "-y", "-o", trace.to_str().unwrap()];
    for status in ["missing", "stopped", "initializing", "running"] {
        rerun(test, &strace, &format!("{status} {port}"));
        let trace = fs::read_to_string(&trace).unwrap();
        let between = trace.split("/mark/begin").nth(1).unwrap().split("/mark/end").next().unwrap();
        // The first and the last line are the marks'.
        let calls: Vec<&str> = between.lines().skip(1).filter(|line| line.contains('(')).collect();
        let calls = &calls[..calls.len() - 1];
        let (banner, others): (Vec<&str>, Vec<&str>) =
            calls.iter().partition(|line| is_of_the_banner(line));
        eprintln!(
            "{status}: {LOOKS} looks, {} system calls, and {} for the banners",
            others.len(),
            banner.len()
        );
        assert!(others.len() >= 2 * LOOKS, "the trace is not whole:\n{between}");
        assert!(others.len() <= 3 * LOOKS, "{status}:\n{}", others[..9].join("\n"));
        assert_eq!(banner.is_empty(), status != "running");
    }
}

/// Calls on sockets, and those by which the runtime waits for one.
fn is_of_the_banner(line: &str) -> bool {
    ["socket(", "<socket:", "<TCP", "<UNIX", "eventpoll", "eventfd"]
        .iter()
        .any(|sign| line.contains(sign))
}

fn look_between_marks(stage: &str) {
    let (status, port) = stage.split_once(' ').unwrap();
    let scratch = Scratch::new();
    let folder = scratch.file("fargo");
    if status != "missing" {
        fs::create_dir(&folder).unwrap();
        append(&folder.join("console.log"), if status == "running" { IPV6_ONLY } else { "\n" });
    }
    if matches!(status, "initializing" | "running") {
        fs::write(folder.join("fargo.pid"), std::process::id().to_string()).unwrap();
    }
    let (leases, registry) = (scratch.file("leases"), scratch.file("registry.json"));
    let lease = "0 52:54:00:15:7a:e3 192.168.1.77 fargo *\n";
    fs::write(&leases, if status == "running" { lease } else { "" }).unwrap();
    fs::write(&registry, r#"{"vms": {}}"#).unwrap();
    let mut probe = VmProbe::new("fargo", &folder)
        .with_mac(parse_mac(b"52:54:00:15:7a:e3").unwrap())
        .with_leases(&leases)
        .with_registry(&registry)
        .with_deadline(9 * SECOND)
        .with_ssh(SshPort::Forwarded(([127, 0, 0, 1], port.parse().unwrap()).into()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..3 {
        let evidence = runtime.block_on(probe.look());
        assert_eq!(derive(&evidence).as_str(), status);
    }
    let _ = fs::metadata("/mark/begin");
    for _ in 0..LOOKS {
        runtime.block_on(probe.look());
    }
    let _ = fs::metadata("/mark/end");
}

/// A log of a quarter of a GiB in one line, and one of as much in many.
#[test]
fn memory_does_not_grow_with_the_log() {
    const LENGTH: u64 = 256 << 20;
    let test = "probe::cost::memory_does_not_grow_with_the_log";
    let Some(stage) = stage() else {
        rerun(test, &["env"], "one line");
        rerun(test, &["env"], "many lines");
        return;
    };
    let scratch = Scratch::new();
    let path = scratch.file("console.log");
    let line = match stage.as_str() {
        "one line" => "x".repeat(1 << 20),
        _ => format!("{}{BOTH_ROWS}\n", "[ 1.0] nothing in particular\n".repeat(1 << 15)),
    };
    let mut file = File::create(&path).unwrap();
    for _ in 0..LENGTH >> 20 {
        file.write_all(line.as_bytes()).unwrap();
    }
    let (mut tail, mut scanner) = (Tail::new(&path), Scanner::new());
    assert_eq!(tail.poll(&mut scanner).unwrap(), Progress::Grown(1 << 20));
    let before = peak_kib();
    while tail.behind() > 0 {
        tail.poll(&mut scanner).unwrap();
    }
    assert_eq!(scanner.offset(), file.metadata().unwrap().len());
    let grown = peak_kib() - before;
    assert!(grown < 4 * 1024, "{stage}: {grown} KiB more than after the first step");
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string(Path::new("/proc/self/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

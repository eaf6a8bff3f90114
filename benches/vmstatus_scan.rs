//! The scan of console logs, and what the status itself costs.
//!
//! ```text
//! cargo bench -p benches --bench vmstatus_scan
//! ```

use benches::heap::{Counting, allocations};
use benches::measure::{Options, Pair, time};
use benches::report::{Direction, Report};
use core::fmt::Write as _;
use core::hint::black_box;
use core::time::Duration;
use memchr::memmem::Finder;
use rand::rngs::SmallRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use vmstatus::address::{Candidate, Source};
use vmstatus::console::{Interest, Scanner};
use vmstatus::{
    Evidence, Folder, Generation, Machine, Process, Ssh, SshAnswer, SshBanner, Status, derive,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How long a log is that nobody wants to read again.
const LONG: usize = 100_000_000;
/// How long one is after a boot.
const SHORT: usize = 100_000;
/// How much of a file is read at a time, so that it is still in the processor's cache when it is scanned.
const PIECE: usize = 64 * 1024;
/// How many times the status is derived between two looks at the clock.
const BATCH: u32 = 1000;
/// What stands in every row of a table.
const NEEDLE: &str = "-info:";
/// A row with an address, as one looks for it with `grep`.
const ROW: &str = "([0-9]{1,3}\\.){3}[0-9]{1,3}.*([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}";
/// The address in the last of these rows, as one asks a shell for it.
const PIPELINE: &str = "grep -E '([0-9]{1,3}\\.){3}[0-9]{1,3}.*([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}' \"$0\" | \
     grep ci-info | grep -v 127.0.0.1 | tail -n 1 | grep -oE '([0-9]{1,3}\\.){3}[0-9]{1,3}' | head -n 1";

fn main() {
    let options = Options::from_args();
    let mut report = Report::new("vmstatus_scan");
    if options.wants_bar("scan") {
        scans(&mut report, &options);
        pipeline(&mut report, &options);
    }
    if options.wants_bar("status") {
        statuses(&mut report, &options);
    }
    if options.wants_group("scan") || options.wants_group("status") {
        compare(&mut options.criterion());
    }
    report.finish();
}

/// A log of a guest that has run for a while, of so many bytes, with the table of its boot where `table` says.
fn log(length: usize, table: Table) -> Vec<u8> {
    let mut rng = SmallRng::seed_from_u64(7);
    let mut text = String::with_capacity(length + 4096);
    if table == Table::First {
        text += TABLE;
    }
    let mut micros = 20_000_000_u64;
    while text.len() < length {
        micros += rng.random_range(1..2_000_000);
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        let template = LINES[rng.random_range(0..LINES.len())];
        if !template.starts_with('[') {
            let _ = write!(text, "[{seconds:5}.{fraction:06}] ");
        }
        for part in template.split_inclusive(['%', '#']) {
            let (words, sign) = part.split_at(part.len() - 1);
            text += words;
            let _ = match sign {
                "%" => write!(text, "{}", rng.random_range(1..9999)),
                "#" => write!(text, "{:08x}", rng.next_u32()),
                _ => write!(text, "{sign}"),
            };
        }
        text += "\r\n";
    }
    if table == Table::Last {
        text += TABLE;
    }
    text.into_bytes()
}

/// Where a log has its table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Nowhere,
    First,
    Last,
}

/// What a guest prints after its boot, `%` for a number and `#` for eight hexadecimal digits.
const LINES: [&str; 24] = [
    "systemd[1]: Started session-%.scope - Session % of User ubuntu.",
    "systemd[1]: apt-daily.service: Deactivated successfully.",
    "systemd[1]: Starting Daily apt download activities...",
    "systemd-logind[%]: New session % of user ubuntu.",
    "audit: type=1400 audit(1736157600.%:%): apparmor=\"STATUS\" operation=\"profile_load\" profile=\"unconfined\" pid=%",
    "eth0: renamed from veth#",
    "docker0: port %(veth#) entered forwarding state",
    "br-0a1b2c3d4e5f: port %(veth#) entered blocking state",
    "veth#: entered promiscuous mode",
    "IPv6: ADDRCONF(NETDEV_CHANGE): veth#: link becomes ready",
    "EXT4-fs (vda1): mounted filesystem # r/w with ordered data mode. Quota mode: none.",
    "[UFW BLOCK] IN=ens3 OUT= MAC=52:54:00:15:7a:e3 SRC=198.51.100.7 DST=192.0.2.7 LEN=% PROTO=TCP SPT=% DPT=22 SYN URGP=0",
    "pci 0000:00:1c.%: [8086:1234] type 01 class 0x060400 PCIe Root Port",
    "TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending cookies.",
    "usb 1-1: new high-speed USB device number % using xhci_hcd",
    "CPU: % PID: % Comm: kworker/u8:% Not tainted 6.8.0-45-generic",
    "cron[%]: (root) CMD (cd / && run-parts --report /etc/cron.hourly)",
    "sshd[%]: Accepted publickey for ubuntu from 198.51.100.9 port % ssh2: ED25519 SHA256:#",
    "kubelet[%]: I0106 10:00:00.%     % kubelet.go:2456] \"SyncLoop (PLEG): event for pod\" pod=\"kube-system/coredns-#\"",
    "myapp[%]: 2025-01-06T10:00:00Z INFO request id=## path=/api/v1/items/% status=200 duration=%ms",
    "myapp[%]: {\"level\":\"info\",\"ts\":1736157600.%,\"msg\":\"request handled\",\"status\":200,\"path\":\"/healthz\"}",
    "nginx[%]: 198.51.100.9 - - [06/Jan/2025:10:00:00 +0000] \"GET /index.html?q=# HTTP/1.1\" 200 %",
    "[  OK  ] Started Service % of the application.",
    "[\u{1b}[0;32m  OK  \u{1b}[0m] Reached target Timer Units.",
];

/// What cloud-init prints.
const TABLE: &str = "\
ci-info: +++++++++++++++++++++++++++++++++++Net device info++++++++++++++++++++++++++++++++++++\r
ci-info: +--------+------+----------------------------+---------------+--------+-------------------+\r
ci-info: | Device |  Up  |          Address           |      Mask     | Scope  |     Hw-Address    |\r
ci-info: +--------+------+----------------------------+---------------+--------+-------------------+\r
ci-info: |  ens3  | True |         192.0.2.77         | 255.255.255.0 | global | 52:54:00:15:7a:e3 |\r
ci-info: |  ens3  | True | fe80::5054:ff:fe15:7ae3/64 |       .       |  link  | 52:54:00:15:7a:e3 |\r
ci-info: |   lo   | True |         127.0.0.1          |   255.0.0.0   |  host  |         .         |\r
ci-info: +--------+------+----------------------------+---------------+--------+-------------------+\r
";

/// The address that the scan finds.
fn scan(log: &[u8], interest: Interest) -> Option<[u8; 4]> {
    let mut scanner = Scanner::new().with_interest(interest);
    scanner.push(log);
    let boot = scanner.boot();
    boot.primary().and_then(|primary| primary.ipv4).map(|ip| ip.octets())
}

/// A long log in memory beside a search for the needle, which neither reads rows nor knows of anything else; and beside
/// `grep`, which is given the file.
fn scans(report: &mut Report, options: &Options) {
    let finder = Finder::new(NEEDLE);
    let count = |log: &[u8]| finder.find_iter(log).count();
    for (table, found, name) in [
        (Table::Nowhere, None, "no table"),
        (Table::First, Some([192, 0, 2, 77]), "a table at the start"),
        (Table::Last, Some([192, 0, 2, 77]), "a table at the end"),
    ] {
        let log = log(LONG, table);
        for interest in [Interest::Tables, Interest::Everything] {
            assert_eq!(scan(&log, interest), found);
            assert_eq!(count(&log) > 0, found.is_some());
            let mut pair = Pair::default();
            for round in 0..options.samples(60, 15) {
                pair.take(
                    round,
                    || time(|| scan(black_box(&log), interest)),
                    || time(|| count(black_box(&log))),
                );
            }
            let what = match interest {
                Interest::Tables => "tables",
                _ => "everything",
            };
            report.faster(format!("`memmem` / scan of 100 MB for {what}, {name}"), &pair, 0.8);
        }
        if table == Table::Last {
            grep(report, options, &log);
        }
    }
}

fn grep(report: &mut Report, options: &Options, log: &[u8]) {
    let file = Scratch::new("long.log", log);
    let run = || {
        let mut grep = Command::new("grep");
        grep.args(["-c", "-E", ROW]).arg(&file.0).env("LC_ALL", "C").stdout(Stdio::null());
        grep.status().is_ok_and(|status| status.success())
    };
    if !run() {
        skipped("grep");
        return;
    }
    let mut pair = Pair::default();
    for round in 0..options.samples(10, 3) {
        pair.take(
            round,
            || time(|| scan(&fs::read(&file.0).expect("the log"), Interest::Everything)),
            || time(run),
        );
    }
    report.told_faster("`grep -E` / read and scan of 100 MB", &pair);
    let mut pair = Pair::default();
    for round in 0..options.samples(10, 3) {
        pair.take(round, || time(|| scan(black_box(log), Interest::Everything)), || time(run));
    }
    report.faster("`grep -E` / scan of 100 MB in memory", &pair, 5.0);
    let mut pair = Pair::default();
    let mut buffer = vec![0; PIECE];
    for round in 0..options.samples(10, 3) {
        pair.take(round, || time(|| read_and_scan(&file.0, &mut buffer)), || time(run));
    }
    report.faster("`grep -E` / scan of 100 MB in a file, piece by piece", &pair, 5.0);
}

/// Reads and scans a file, piece by piece.
fn read_and_scan(path: &Path, buffer: &mut [u8]) -> Option<[u8; 4]> {
    use std::io::Read as _;

    let mut file = fs::File::open(path).expect("the log");
    let mut scanner = Scanner::new();
    loop {
        match file.read(buffer).expect("the log") {
            0 => break,
            length => scanner.push(&buffer[..length]),
        }
    }
    scanner.boot().primary().and_then(|primary| primary.ipv4).map(|ip| ip.octets())
}

/// The log of a boot, opened, read and scanned, beside a shell that looks for the same.
fn pipeline(report: &mut Report, options: &Options) {
    let file = Scratch::new("short.log", &log(SHORT, Table::First));
    let mut buffer = vec![0; PIECE];
    let run = || Command::new("sh").args(["-c", PIPELINE]).arg(&file.0).env("LC_ALL", "C").output();
    assert_eq!(read_and_scan(&file.0, &mut buffer), Some([192, 0, 2, 77]));
    match run() {
        Ok(output) if output.stdout == b"192.0.2.77\n" => {}
        other => {
            assert!(Path::new("/bin/sh").exists() && other.is_err(), "{other:?}");
            return skipped("sh");
        }
    }
    let mut pair = Pair::default();
    for round in 0..options.samples(100, 20) {
        pair.take(round, || time(|| read_and_scan(&file.0, &mut buffer)), || time(run));
    }
    report.faster("four `grep` in a pipe / open, read and scan of 100 KB", &pair, 100.0);
}

/// A machine that runs, as one look after the other finds it.
fn running() -> Evidence {
    let (now, boot) = (Duration::from_secs(1_700_000_000), Generation::new(1, 1));
    let banner: SshBanner = "SSH-2.0-OpenSSH_9.6p1".parse().expect("a banner");
    let ip = [192, 0, 2, 77];
    Evidence::new(Folder::Present, Process::Alive, boot)
        .with_address(Candidate::new(ip.into(), Source::Neighbour, now, boot))
        .with_ssh(Ssh::Answered(SshAnswer::new(banner, (ip, 22).into(), now, boot)))
}

/// The status never touches the heap: neither derived, nor folded over time, up, down and up again.
fn statuses(report: &mut Report, options: &Options) {
    let up = running();
    let down =
        Evidence::new(Folder::Present, Process::Alive, up.generation()).with_ssh(Ssh::Silent);
    let mut second = 1_700_000_000;
    let mut machine = Machine::new(Duration::from_secs(second));
    let mut observe = |evidence: &Evidence| {
        second += 1;
        machine.observe(evidence, Duration::from_secs(second)).expect("in order").is_some()
    };
    let derived = allocations(|| {
        for _ in 0..BATCH {
            assert!(matches!(derive(black_box(&up)), Status::Running(_)));
            assert!(matches!(derive(black_box(&down)), Status::Initializing));
        }
    });
    let mut transitions = 0;
    let folded = allocations(|| {
        for _ in 0..BATCH {
            // Three failures in a row make one transition down.
            for evidence in [&up, &up, &down, &down, &down] {
                transitions += u32::from(observe(black_box(evidence)));
            }
        }
    });
    assert_eq!(transitions, 2 * BATCH);
    assert!(observe(&up));
    for (what, allocations) in [("derive", derived), ("fold", folded)] {
        #[expect(clippy::cast_precision_loss, reason = "none of them is large")]
        let number = allocations as f64;
        report.add(
            format!("allocations of {BATCH} times `{what}`"),
            number,
            (Direction::AtMost, Some(0.0)),
            1,
            (Duration::ZERO, Duration::ZERO),
        );
    }
    let mut pair = Pair::default();
    for round in 0..options.samples(1000, 200) {
        pair.take(
            round,
            || time(|| (0..BATCH).for_each(|_| drop(black_box(derive(black_box(&up)))))),
            || time(|| (0..BATCH).for_each(|_| assert!(!observe(black_box(&up))))),
        );
    }
    report.told_faster(format!("`observe` / `derive`, {BATCH} times"), &pair);
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut criterion::Criterion) {
    let log = log(LONG / 10, Table::First);
    let mut group = criterion.benchmark_group("scan");
    group.throughput(criterion::Throughput::Bytes(log.len() as u64));
    group.bench_function("everything", |bencher| {
        bencher.iter(|| scan(black_box(&log), Interest::Everything));
    });
    group.bench_function("tables", |bencher| {
        bencher.iter(|| scan(black_box(&log), Interest::Tables));
    });
    let finder = Finder::new(NEEDLE);
    group.bench_function("memmem", |bencher| {
        bencher.iter(|| finder.find_iter(black_box(&log)).count());
    });
    group.finish();
    let mut group = criterion.benchmark_group("status");
    let up = running();
    group.bench_function("derive", |bencher| bencher.iter(|| derive(black_box(&up))));
    group.finish();
}

#[expect(clippy::print_stderr, reason = "so that nobody takes it for measured")]
fn skipped(program: &str) {
    eprintln!("no `{program}`: not measured");
}

/// A file in the folder for temporary files, gone with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("vmstatus-{}-{name}", std::process::id()));
        fs::write(&path, content).expect("a file for the log");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

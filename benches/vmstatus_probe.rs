//! Looking at machines: the news of a long log, and a look when there is no news.
//!
//! ```text
//! cargo bench -p benches --bench vmstatus_probe
//! ```

use benches::measure::{Options, Pair, time};
use benches::report::Report;
use core::time::Duration;
use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;
use vmstatus::console::Scanner;
use vmstatus::derive;
use vmstatus::probe::{Look as _, Progress, SshPort, Tail, VmProbe};

/// As long as a log gets that nobody rotates.
const LOG: usize = 100_000_000;
/// What a busy guest prints between two polls.
const NEWS: usize = 4096;
/// How many looks are between two looks at the clock.
const BATCH: u32 = 50;

const LINE: &str =
    "[12345.678901] systemd[1]: Started a unit that says nothing about the network.\r\n";
const TABLE: &str = "\
[    0.000000] Linux version 6.8.0 (documentation)\r
ci-info: +++++++++++++++++Net device info+++++++++++++++++\r
ci-info: | Device |  Up  |   Address    |      Mask     | Scope  |     Hw-Address    |\r
ci-info: |  ens3  | True | 198.51.100.7 | 255.255.255.0 | global | 52:54:00:15:7a:e3 |\r
";

fn main() {
    let options = Options::from_args();
    let mut report = Report::new("vmstatus_probe");
    let world = World::new();
    if options.wants_bar("probe") {
        news(&mut report, &options, &world);
        no_news(&mut report, &options, &world);
        running(&mut report, &options, &world);
    }
    if options.wants_group("probe") {
        compare(&mut options.criterion(), &world);
    }
    report.finish();
}

/// A folder of a machine that is up, and a server that answers as its SSH server.
struct World {
    folder: PathBuf,
    server: SocketAddr,
    runtime: Runtime,
}

impl World {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("vmstatus_probe-{}", std::process::id()));
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("vm.pid"), std::process::id().to_string()).expect("a PID file");
        fs::write(folder.join("console.log"), TABLE).expect("a log");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let server = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = stream.and_then(|mut stream| stream.write_all(b"SSH-2.0-bench\r\n"));
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { folder, server, runtime: runtime.expect("a runtime") }
    }

    /// What looks at the machine, settled.
    fn probe(&self, folder: &Path) -> VmProbe {
        let mut probe = VmProbe::new("vm", folder).with_ssh(SshPort::Forwarded(self.server));
        for _ in 0..3 {
            self.look(&mut probe);
        }
        probe
    }

    fn look(&self, probe: &mut VmProbe) -> &'static str {
        derive(&self.runtime.block_on(probe.look())).as_str()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A log of 100 MB with one table, most of the way from its end.
fn long_log(path: &Path) -> File {
    let mut log = TABLE.to_owned();
    log.push_str(&LINE.repeat((LOG - TABLE.len()) / LINE.len()));
    fs::write(path, log).expect("a log");
    OpenOptions::new().append(true).open(path).expect("a log")
}

/// The whole log read again, with the scanner that follows it otherwise and no process started.
fn rescan(path: &Path) -> Scanner {
    let mut file = File::open(path).expect("a log");
    let mut scanner = Scanner::new();
    let mut piece = vec![0; 256 * 1024];
    loop {
        match file.read(&mut piece).expect("a log that can be read") {
            0 => return scanner,
            length => scanner.push(&piece[..length]),
        }
    }
}

fn address(scanner: &Scanner) -> Option<Ipv4Addr> {
    scanner.boot().primary()?.ipv4
}

/// 4 KiB of news at the end of a long log.
fn news(report: &mut Report, options: &Options, world: &World) {
    let path = world.folder.join("long.log");
    let mut log = long_log(&path);
    let (mut tail, mut scanner) = (Tail::new(&path), Scanner::new());
    while tail.poll(&mut scanner).expect("a poll") != Progress::Unchanged {}
    assert_eq!(address(&scanner), address(&rescan(&path)));
    assert_eq!(address(&scanner), Some(Ipv4Addr::new(198, 51, 100, 7)));

    let news = &LINE.repeat(NEWS / LINE.len() + 1)[..NEWS];
    let mut pair = Pair::default();
    for round in 0..options.samples(60, 12) {
        log.write_all(news.as_bytes()).expect("news");
        pair.take(
            round,
            || {
                time(|| {
                    let progress = tail.poll(&mut scanner).expect("a poll");
                    assert_eq!(progress, Progress::Grown(NEWS as u64));
                })
            },
            || time(|| black_box(rescan(&path))),
        );
    }
    assert_eq!(scanner.offset(), fs::metadata(&path).expect("a log").len());
    report.faster("rescan of 100 MB / poll with 4 KiB of news", &pair, 500.0);
    fs::remove_file(&path).expect("no more log");
}

/// A look at a machine without news and without an address to ask at, beside the system calls that it makes.
fn no_news(report: &mut Report, options: &Options, world: &World) {
    let folder = world.folder.join("quiet");
    fs::create_dir(&folder).expect("a folder");
    for (name, text) in [("vm.pid", std::process::id().to_string()), ("console.log", LINE.into())] {
        fs::write(folder.join(name), text).expect("a file");
    }
    let mut probe = world.probe(&folder);
    assert_eq!(world.look(&mut probe), "initializing");
    let (pid_file, log) = (folder.join("vm.pid"), folder.join("console.log"));
    let stat = File::open("/proc/self/stat").expect("Linux");
    let mut buffer = [0; 1024];
    let mut by_hand = || {
        black_box(fs::metadata(&pid_file).expect("a PID file"));
        black_box(stat.read_at(&mut buffer, 0).expect("a process"));
        black_box(fs::metadata(&log).expect("a log"));
    };
    let mut pair = Pair::default();
    for round in 0..options.samples(200, 40) {
        pair.take(
            round,
            || time(|| (0..BATCH).for_each(|_| assert_eq!(world.look(&mut probe), "initializing"))),
            || time(|| (0..BATCH).for_each(|_| by_hand())),
        );
    }
    report.at_most(
        format!("look without news / its three system calls, {BATCH} looks"),
        &pair,
        1.5,
    );
}

/// A look at a machine that runs, beside its banner alone.
fn running(report: &mut Report, options: &Options, world: &World) {
    let mut probe = world.probe(&world.folder);
    assert_eq!(world.look(&mut probe), "running");
    let by_hand = || {
        let mut stream = TcpStream::connect(world.server).expect("a connection");
        let mut banner = [0; 256];
        assert!(stream.read(&mut banner).expect("a banner") > 0);
    };
    let mut pair = Pair::default();
    for round in 0..options.samples(200, 40) {
        pair.take(
            round,
            || time(|| (0..BATCH).for_each(|_| assert_eq!(world.look(&mut probe), "running"))),
            || time(|| (0..BATCH).for_each(|_| by_hand())),
        );
        // The ports of closed connections rest for a minute.
        std::thread::sleep(Duration::from_millis(1));
    }
    report.told(
        format!("look at a running machine / blocking read of its banner, {BATCH} looks"),
        &pair,
    );
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut criterion::Criterion, world: &World) {
    let mut group = criterion.benchmark_group("probe");
    let (mut tail, mut scanner) = (Tail::new(world.folder.join("console.log")), Scanner::new());
    group.bench_function("unchanged", |bencher| {
        bencher.iter(|| tail.poll(&mut scanner).expect("a poll"));
    });
    group.finish();
}

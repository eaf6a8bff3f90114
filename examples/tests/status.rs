//! `status` as its user runs it: over a folder, for show, into a pipe and on a terminal.

mod program;

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::{example, run, stderr, stdout};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const CONSOLE: &str = "\
[    0.000000] Linux version 6.8.0 (documentation)
ci-info: +++++++++++++++++Net device info+++++++++++++++++
ci-info: | Device |  Up  |  Address   |      Mask     | Scope  |     Hw-Address    |
ci-info: |  ens3  | True | 192.0.2.77 | 255.255.255.0 | global | 52:54:00:15:7a:e3 |
";

fn status(arguments: &[&str]) -> Output {
    run(example("status").args(arguments), b"")
}

fn objects(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", stderr(output));
    stdout(output).lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

fn statuses(objects: &[Value]) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    objects.iter().map(|object| (text(&object["vm"]), text(&object["status"]))).collect()
}

/// A machine whose process is this test's.
fn add_vm(folder: &Path, name: &str, log: &str) {
    let home = folder.join(name);
    fs::create_dir(&home).expect("a folder");
    fs::write(home.join("console.log"), log).expect("a log");
    let pid = std::process::id().to_string();
    fs::write(home.join(format!("{name}.pid")), pid).expect("a PID file");
}

/// A port that answers as an SSH server does.
fn ssh_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(b"SSH-2.0-test\r\n"));
        }
    });
    port
}

#[test]
fn the_show_has_something_to_see_at_once_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [&["--once", "--json"][..], &["--demo", "--once", "--json"]] {
        let output = run(example("status").args(arguments).env("TMPDIR", folder.path()), b"");
        let seen = statuses(&objects(&output));
        for (vm, status) in [
            ("bemidji", "running"),
            ("brainerd", "crashed"),
            ("fargo", "initializing"),
            ("luverne", "booting"),
            ("moorhead", "stopped"),
        ] {
            assert_eq!(seen[vm], status, "{vm}");
        }
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn a_folder_of_machines() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    add_vm(folder, "fargo", CONSOLE);
    add_vm(folder, "brainerd", &format!("{CONSOLE}[ 9.9] Kernel panic - not syncing: a reason\n"));
    add_vm(folder, "bemidji", "");
    fs::create_dir(folder.join("moorhead")).expect("a folder");
    let port = ssh_port();
    let registry = format!(
        r#"{{"vms": {{"fargo": {{"ssh_port": {port}}}, "duluth": {{"ip_address": null}}}}}}"#
    );
    fs::write(folder.join("registry.json"), registry).expect("a registry");

    let path = folder.to_str().expect("a path");
    let found = objects(&status(&[path, "--once", "--json"]));
    let expected = [
        ("bemidji", "initializing"),
        ("brainerd", "crashed"),
        ("duluth", "missing"),
        ("fargo", "running"),
        ("moorhead", "stopped"),
    ];
    let expected = expected.map(|(vm, status)| (vm.to_owned(), status.to_owned()));
    assert_eq!(statuses(&found), BTreeMap::from(expected));
    let fargo = found.iter().find(|object| object["vm"] == "fargo").expect("fargo");
    assert_eq!((&fargo["ipv4"], &fargo["generation"]), (&"192.0.2.77".into(), &"1.1".into()));
    assert!(fargo["evidence"].as_str().is_some_and(|text| text.contains("SSH-2.0-test")));

    // The same for people, who are looking through a pipe.
    let output = status(&[path, "--once"]);
    let table = stdout(&output);
    assert!(table.starts_with("NAME "), "{table}");
    assert!(table.contains("SSH-2.0-test"), "{table}");
    assert!(table.lines().all(|line| line.len() <= 80 && !line.contains('\x1b')), "{table}");

    // Addresses outside of the subnets that are served are no addresses.
    let output = status(&[path, "--once", "--json", "--subnet", "198.51.100.0/24"]);
    assert_eq!(statuses(&objects(&output))["fargo"], "initializing");
}

#[test]
fn changes_are_told_one_by_one() {
    let folder = tempfile::tempdir().expect("a folder");
    add_vm(folder.path(), "fargo", "");
    let path = folder.path().to_str().expect("a path");
    let common = [path, "--period", "0.1", "--for", "2"];
    let lines = stdout(&status(&common));
    let line = "fargo: missing -> initializing after ";
    assert!(lines.starts_with(line) && lines.lines().count() == 1, "{lines}");
    let found = objects(&status(&[&common[..], &["--json"]].concat()));
    assert_eq!(statuses(&found)["fargo"], "initializing");
    assert_eq!(found[0]["from"], "missing");
}

#[test]
fn a_lease_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().to_str().expect("a name");
    let output = status(&[place, "--once", "--leases", "/nowhere/leases"]);
    assert!(output.status.success());
    assert!(stderr(&output).contains("warning: --leases /nowhere/leases"), "{}", stderr(&output));
    let output = status(&[place, "--once", "--leases", place]);
    assert_eq!(stderr(&output), "");
}

#[test]
fn nothing_in_a_folder_makes_it_stumble() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("registry.json"), "{\"vms\": {\"../../etc\": {}, \"\": 7, \"half")
        .expect("a file");
    for name in ["\u{1b}[2J", "ß✓", "a b", ".hidden"] {
        add_vm(folder, name, "\u{0}\u{1b}]0;owned\u{7}ci-info: |");
    }
    for name in ["pipes", "empty"] {
        fs::create_dir(folder.join(name)).expect("a folder");
    }
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    for name in ["console.log", "pipes.pid"] {
        nix::unistd::mkfifo(&folder.join("pipes").join(name), mode).expect("a FIFO");
    }
    fs::write(folder.join("file"), "not a machine").expect("a file");
    let path = folder.to_str().expect("a path");
    let begun = Instant::now();
    let output = status(&[path, "--once"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stdout(&output).contains(['\x1b', '\x07']), "{}", stdout(&output));
    assert!(begun.elapsed() < Duration::from_secs(9));
    assert_eq!(objects(&status(&[path, "--once", "--json"])).len(), 5);
    assert_eq!(status(&[path, "--once"]).status.code(), Some(0));

    let output = status(&["/nowhere/at/all"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nowhere/at/all: No such file"), "{}", stderr(&output));
    for arguments in
        [&["--period", "0"][..], &["--period", "inf"], &["--subnet", "x"], &["a", "--demo"]]
    {
        assert_eq!(status(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert!(stdout(&status(&["--help"])).contains("--once"));
}

/// A program on a terminal, and what it writes there.
struct OnTerminal {
    child: std::process::Child,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl OnTerminal {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).expect("a terminal");
        let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
        let mut command = example("status");
        command.args(arguments).env("TERM", "xterm").env_remove("NO_COLOR");
        command.envs(environment.iter().copied()).stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().expect("a process");
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut master = File::from(master);
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = master.read(&mut bytes) {
                if sender.send(bytes[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, output, seen: String::new() }
    }

    fn wait_for(&mut self, what: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.seen.contains(what) {
            let left = end.saturating_duration_since(Instant::now());
            let bytes = self.output.recv_timeout(left);
            let bytes = bytes.unwrap_or_else(|_| panic!("no {what:?} in {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    /// Presses Ctrl-C; gives everything that was written.
    fn interrupt(mut self) -> String {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), Signal::SIGINT).expect("a signal");
        assert!(self.child.wait().expect("an end").success(), "{}", self.seen);
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(500)) {
            self.seen.push_str(&String::from_utf8_lossy(&bytes));
        }
        self.seen
    }
}

#[test]
fn a_terminal_is_drawn_on_and_given_back() {
    let mut board = OnTerminal::start(&[], &[]);
    board.wait_for("Ctrl-C ends");
    board.wait_for("\x1b[32mrunning");
    board.wait_for("\x1b[33mbooting");
    let seen = board.interrupt();
    assert!(seen.starts_with("\x1b[?1049h\x1b[?25l"), "{seen:?}");
    let (drawn, after) = seen.split_once("\x1b[?25h\x1b[?1049l").expect("the terminal given back");
    assert!(!drawn.contains("panicked"));
    // What was shown last stays.
    assert!(after.contains("NAME") && after.contains("bemidji"), "{after:?}");
    assert!(!after.contains("\x1b[H") && !after.contains("\x1b[?25l"), "{after:?}");
}

#[test]
fn no_colour_is_respected() {
    let mut board = OnTerminal::start(&["--demo"], &[("NO_COLOR", "1")]);
    board.wait_for("Ctrl-C ends");
    board.wait_for("running");
    let seen = board.interrupt();
    assert!(!seen.contains("\x1b[3") && !seen.contains("\x1b[1m"), "{seen:?}");
    // A terminal that cannot move its cursor gets lines.
    let mut lines = OnTerminal::start(&["--demo"], &[("TERM", "dumb")]);
    lines.wait_for("bemidji: missing -> running");
    assert!(!lines.interrupt().contains('\x1b'));
}

//! A world to look at.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A folder of its own that goes away with the test.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("vmstatus-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

pub(super) fn make_fifo(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
}

/// A process that does nothing, as a hypervisor's would, until it is ended.
pub(super) struct Sleeper(Child);

impl Sleeper {
    pub(super) fn start() -> Self {
        let process = Self(Command::new("sleep").arg("600").spawn().unwrap());
        // Its command line is there a moment after it is.
        while fs::read(format!("/proc/{}/cmdline", process.pid())).unwrap().is_empty() {
            std::thread::yield_now();
        }
        process
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = i32::try_from(self.0.id()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs this test again in a process of its own, behind such a program, with `STAGE` set.
pub(super) fn rerun(test: &str, before: &[&str], stage: &str) -> std::process::Output {
    let own = std::env::current_exe().unwrap();
    let own = own.to_str().unwrap();
    let words = [before, &[own, "--exact", test, "--nocapture", "--test-threads=1"]].concat();
    let output = Command::new(words[0]).args(&words[1..]).env("STAGE", stage).output().unwrap();
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{}", said.join("\n"));
    output
}

/// What the process that [`rerun`] started is told, and nothing in any other.
pub(super) fn stage() -> Option<String> {
    std::env::var("STAGE").ok()
}

/// Whether the program works here. In CI it must.
pub(super) fn has(program: &[&str], why: &str) -> bool {
    let works = Command::new(program[0]).args(&program[1..]).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        let program = program.join(" ");
        assert!(std::env::var_os("CI").is_none(), "`{program}` does not work here: {why}");
        eprintln!("left out, for `{program}` does not work here: {why}");
    }
    works
}

/// A server that sends these pieces to everyone, and then closes or waits.
pub(super) async fn server(pieces: &'static [&'static [u8]], waits: Duration) -> SocketAddr {
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

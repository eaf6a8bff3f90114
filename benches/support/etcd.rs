//! One server of etcd on the loopback device, in a folder of its own. It ends with this process, however it ends.

use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use std::{env, fs, process, thread};

/// A server that runs for as long as this is kept.
#[derive(Debug)]
pub struct Etcd {
    /// The shell that ends the server when this end of its input is gone.
    shell: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Etcd {
    /// Starts one, or says that there is no program to start.
    ///
    /// # Panics
    /// When it does not start, or the program is missing and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        if Command::new("etcd").arg("--version").output().is_err() {
            let how =
                "the program `etcd` is missing: install it (Debian: apt-get install etcd-server)";
            assert!(env::var_os("CI").is_none(), "{how}");
            eprintln!("{how}; its lines are left out");
            return None;
        }
        let folder = crate::report::folder().with_file_name(format!("etcd-{}", process::id()));
        fs::create_dir_all(&folder).expect("a folder for etcd");
        let [address, peer] = free_addresses();
        let [client_url, peer_url] = [address, peer].map(|address| format!("http://{address}"));
        let script = r#"trap "" TERM INT HUP; "$@" & cat >/dev/null; kill -9 $!; wait"#;
        let shell = Command::new("sh")
            .args(["-c", script, "sh", "etcd", "--name", "bench"])
            .args(["--initial-cluster", &format!("bench={peer_url}")])
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--log-level", "error", "--logger", "zap", "--data-dir"])
            .arg(folder.join("data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log")).expect("a log of etcd"))
            .spawn()
            .expect("a shell");
        let etcd = Self { shell, folder, address };
        let start = Instant::now();
        while !etcd.page("/health").is_some_and(|text| text.contains("\"true\"")) {
            assert!(start.elapsed() < Duration::from_secs(30), "etcd does not start");
            thread::sleep(Duration::from_millis(20));
        }
        Some(etcd)
    }

    /// Where clients reach it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many transactions it has answered.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.metric(&["grpc_server_handled_total{", "grpc_method=\"Txn\""])
    }

    /// How many bytes of requests it has read.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.metric(&["etcd_network_client_grpc_received_bytes_total "])
    }

    /// The sum of the lines of its metrics that have all of these in them.
    fn metric(&self, marks: &[&str]) -> u64 {
        let text = self.page("/metrics").expect("etcd tells its metrics");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.filter(|line| marks.iter().all(|mark| line.contains(mark)));
        let numbers = lines.map(|line| line.rsplit(' ').next().unwrap_or_default());
        // Large ones are written as 1.234567e+06, which is read as a fraction and written as none.
        let whole = |number: &str| number.parse::<f64>().ok()?.to_string().parse::<u64>().ok();
        numbers.map(|number| whole(number).expect("a number")).sum()
    }

    fn page(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Addresses at which nobody listens now.
fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("an address"))
}

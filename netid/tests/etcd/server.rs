//! Real servers on the loopback device, in folders of their own. They end with this process, however it ends.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;
use std::{env, fs, process, thread};

use netid::{EtcdOptions, EtcdStore};

/// What to do where `etcd` is missing.
pub(crate) const HOW_TO_GET_IT: &str =
    "the program `etcd` is missing: install it (Debian: apt-get install etcd-server)";

/// Whether there is no etcd on this machine.
pub(crate) fn missing() -> bool {
    static MISSING: OnceLock<bool> = OnceLock::new();
    *MISSING.get_or_init(|| Command::new("etcd").arg("--version").output().is_err())
}

/// One member, whose data outlasts its process.
pub(crate) struct Server {
    name: String,
    folder: PathBuf,
    pub(crate) client: String,
    pub(crate) peer: String,
    /// What stands before the program, such as the namespace to run it in.
    before: Vec<String>,
    extra: Vec<String>,
    process: Mutex<Option<Process>>,
}

/// A member's process, and the shell that ends it when this test's end of the pipe is gone.
struct Process {
    shell: Child,
    pid: u32,
}

impl Server {
    /// A member that has not started yet.
    pub(crate) fn new(name: &str) -> Self {
        let [client, peer] = free_ports();
        let address = |port| format!("http://127.0.0.1:{port}");
        Self::at(name, &[], address(client), address(peer))
    }

    /// A member at given addresses, behind another command.
    pub(crate) fn at(name: &str, before: &[&str], client: String, peer: String) -> Self {
        Self {
            name: name.into(),
            folder: fresh_folder(),
            client,
            peer,
            before: before.iter().map(ToString::to_string).collect(),
            extra: Vec::new(),
            process: Mutex::new(None),
        }
    }

    /// The one that most tests share, each under a root of its own.
    pub(crate) fn shared() -> &'static Self {
        SHARED.get_or_init(|| Self::alone(&[]))
    }

    pub(crate) fn stop_shared() {
        if let Some(server) = SHARED.get() {
            server.remove();
        }
    }

    /// A cluster of one, started.
    pub(crate) fn alone(extra: &[&str]) -> Self {
        let mut server = Self::new("alone");
        server.extra = extra.iter().map(ToString::to_string).collect();
        let tls = extra.iter().any(|option| option.contains("cert-file"));
        if tls {
            server.client = server.client.replacen("http", "https", 1);
        }
        server.start(&[&server]);
        if !tls {
            server.wait();
        }
        server
    }

    /// Waits until the member has a leader.
    pub(crate) fn wait(&self) {
        let start = Instant::now();
        while !self.fetch("/health").is_some_and(|text| text.contains("\"true\"")) {
            assert!(start.elapsed() < Duration::from_secs(30), "{} does not start", self.name);
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A page of the member.
    fn fetch(&self, path: &str) -> Option<String> {
        let address = self.client.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        std::io::read_to_string(stream).ok()
    }

    /// Starts the process as a member of a cluster.
    pub(crate) fn start(&self, members: &[&Self]) {
        let cluster: Vec<_> =
            members.iter().map(|member| format!("{}={}", member.name, member.peer)).collect();
        let log = fs::File::create(self.folder.join("log")).unwrap();
        // The shell says the pid of the server, waits for the end of its own input, and ends the server.
        let script =
            r#"trap "" TERM INT HUP; "$@" & pid=$!; echo $pid; cat >/dev/null; kill -9 $pid"#;
        let mut shell = Command::new("sh")
            .args(["-c", script, "sh"])
            .args(&self.before)
            .args(["etcd", "--name", &self.name, "--initial-cluster", &cluster.join(",")])
            .args(["--listen-client-urls", &self.client, "--advertise-client-urls", &self.client])
            .args(["--listen-peer-urls", &self.peer])
            .args(["--initial-advertise-peer-urls", &self.peer])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .args(["--log-level", "error", "--logger", "zap"])
            .arg("--data-dir")
            .arg(self.folder.join("data"))
            .args(&self.extra)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let pid = first_line(shell.stdout.as_mut().unwrap()).parse().unwrap();
        *self.process.lock().unwrap() = Some(Process { shell, pid });
    }

    /// Ends the process at once, as a crash does.
    pub(crate) fn kill(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            // Its end of the pipe is dropped, which is what the shell waits for.
            drop(process.shell.stdin.take());
            process.shell.wait().unwrap();
        }
    }

    /// Stops or continues the process.
    pub(crate) fn signal(&self, signal: &str) {
        let process = self.process.lock().unwrap();
        let pid = process.as_ref().unwrap().pid.to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Ends the process and removes its data.
    pub(crate) fn remove(&self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }

    /// Options with a root that nobody else has.
    pub(crate) fn options(&self) -> EtcdOptions {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let root = format!("/test/{}", COUNT.fetch_add(1, Ordering::Relaxed));
        EtcdOptions::new([&*self.client]).with_root(&root).with_deadline(Duration::from_secs(30))
    }

    /// A store under a root of its own.
    pub(crate) async fn store(&self) -> EtcdStore {
        EtcdStore::connect(&self.options()).await.unwrap()
    }

    /// Runs etcd's own client, and gives what it prints.
    pub(crate) fn etcdctl(&self, arguments: &[&str]) -> String {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.client])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the program `etcdctl` (Debian: apt-get install etcd-client)");
        let problem = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "etcdctl {arguments:?}: {problem}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// How many requests of a method of gRPC the server has answered.
    pub(crate) fn answered(&self, method: &str) -> u64 {
        let text = self.fetch("/metrics").unwrap();
        let ours = format!("grpc_method=\"{method}\"");
        let lines = text
            .lines()
            .filter(|line| line.starts_with("grpc_server_handled_total") && line.contains(&ours));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    /// Whether the member leads its cluster.
    pub(crate) fn leads(&self) -> bool {
        // The fifth of the fields, separated by commas.
        let status = self.etcdctl(&["endpoint", "status"]);
        status.split(", ").nth(4) == Some("true")
    }
}

static SHARED: OnceLock<Server> = OnceLock::new();

impl Drop for Server {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A folder that nobody else uses.
pub(crate) fn fresh_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("netid-etcd-{}-{count}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Ports that nobody listens at now.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn first_line(output: &mut impl std::io::Read) -> String {
    let mut line = String::new();
    let mut byte = [0];
    while output.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        line.push(char::from(byte[0]));
    }
    line
}

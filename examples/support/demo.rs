//! A folder of machines that boot for show: logs, PID files, a neighbour table, a registry and SSH servers on the
//! loopback device are real, only the guests behind them are not.

use crate::guest::Identity;
use crate::guest::console::{Console, WithIpv4};
use ipnet::Ipv4Net;
use macaddr::MacAddr6;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The network that the guests say they are in; it is the documentation's.
pub const SUBNET: &str = "198.51.100.0/24";

/// What becomes of a machine.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// It runs from the beginning; every now and then its SSH server falls silent for a while.
    Flaps,
    /// It boots for the first time, when its console has no IPv4 address to tell.
    Boots,
    /// It is stopped, is started after a while, runs, and is stopped again.
    ComesAndGoes,
    /// Its kernel panics, and it is started again.
    Panics,
    /// Its SSH server takes connections and says nothing.
    Mute,
    /// It is stopped.
    Sleeps,
}

const PARTS: [(&str, Part); 6] = [
    ("fargo", Part::Boots),
    ("bemidji", Part::Flaps),
    ("brainerd", Part::Panics),
    ("duluth", Part::ComesAndGoes),
    ("luverne", Part::Mute),
    ("moorhead", Part::Sleeps),
];

/// A show that goes on until it is dropped.
#[derive(Debug)]
pub struct Demo {
    folder: TempDir,
    _tasks: JoinSet<()>,
}

/// One machine of the show.
#[derive(Debug)]
struct Actor {
    home: PathBuf,
    guest: Identity,
    listens: Arc<AtomicBool>,
    table: Arc<Table>,
}

/// The neighbour table, as the kernel would show it.
#[derive(Debug)]
struct Table {
    path: PathBuf,
    rows: Mutex<Vec<(Ipv4Addr, MacAddr6)>>,
}

impl Demo {
    /// Makes the folder and raises the curtain.
    ///
    /// # Errors
    /// When a file cannot be written or a port cannot be had.
    pub async fn start() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("status-demo-").tempdir()?;
        let path = folder.path().join("neighbours");
        let table = Arc::new(Table { path, rows: Mutex::default() });
        table.write()?;
        let mut tasks = JoinSet::new();
        let mut records = Map::new();
        for (number, (name, part)) in (2u8..).zip(PARTS) {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            records.insert(name.into(), json!({ "ssh_port": listener.local_addr()?.port() }));
            let actor = Actor::new(folder.path(), name, number, &table)?;
            tasks.spawn(serve(listener, Arc::clone(&actor.listens), matches!(part, Part::Mute)));
            actor.enter(part)?;
            tasks.spawn(async move {
                // The show needs a disk that can be written to; without one it stands still.
                let _ = actor.play(part).await;
            });
        }
        let registry = Value::from(Map::from_iter([("vms".to_owned(), records.into())]));
        fs::write(folder.path().join("registry.json"), registry.to_string())?;
        Ok(Self { folder, _tasks: tasks })
    }

    /// The folder of the machines.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The table of neighbours.
    #[must_use]
    pub fn neighbours(&self) -> PathBuf {
        self.folder.path().join("neighbours")
    }
}

impl Actor {
    fn new(folder: &Path, name: &str, number: u8, table: &Arc<Table>) -> io::Result<Self> {
        let home = folder.join(name);
        fs::create_dir(&home)?;
        let address = Ipv4Net::new_assert(Ipv4Addr::new(198, 51, 100, number), 24);
        let guest = Identity {
            name: name.to_owned(),
            mac: MacAddr6::new(0x52, 0x54, 0, 0x15, 0x7a, number),
            address,
            gateway: Ipv4Addr::new(198, 51, 100, 1),
        };
        let listens = Arc::new(AtomicBool::new(false));
        Ok(Self { home, guest, listens, table: Arc::clone(table) })
    }

    /// How it stands when the curtain rises.
    fn enter(&self, part: Part) -> io::Result<()> {
        match part {
            Part::Flaps | Part::Mute => {
                self.power_on()?;
                let mut console = self.boot()?;
                console.network_table(&self.guest, WithIpv4::Yes)?;
                console.ready(&self.guest.name)?;
                self.listen(true);
            }
            Part::Panics => {
                self.power_on()?;
                self.boot()?.kernel("Kernel panic - not syncing: VFS: Unable to mount root fs")?;
            }
            Part::Boots => self.power_on()?,
            Part::ComesAndGoes | Part::Sleeps => {}
        }
        Ok(())
    }

    async fn play(&self, part: Part) -> io::Result<()> {
        loop {
            match part {
                Part::Boots => {
                    self.first_boot().await?;
                    seconds(25).await;
                    self.power_off()?;
                    seconds(5).await;
                    self.power_on()?;
                }
                Part::Flaps => {
                    seconds(8).await;
                    self.listen(false);
                    seconds(6).await;
                    self.listen(true);
                }
                Part::Panics => {
                    seconds(6).await;
                    self.power_off()?;
                    seconds(4).await;
                    self.power_on()?;
                    self.first_boot().await?;
                    seconds(15).await;
                    self.listen(false);
                    let panic = "Kernel panic - not syncing: Fatal exception in interrupt";
                    self.console()?.kernel(panic)?;
                    seconds(10).await;
                }
                Part::ComesAndGoes => {
                    seconds(5).await;
                    self.power_on()?;
                    self.first_boot().await?;
                    seconds(12).await;
                    self.power_off()?;
                }
                Part::Mute | Part::Sleeps => return Ok(()),
            }
        }
    }

    /// A boot at which DHCP is later than the table on the console, so that only the neighbours know the address.
    async fn first_boot(&self) -> io::Result<()> {
        let mut console = self.boot()?;
        seconds(2).await;
        console.network_table(&self.guest, WithIpv4::NotYet)?;
        seconds(2).await;
        self.table.add(self.guest.address.addr(), self.guest.mac)?;
        seconds(3).await;
        console.ready(&self.guest.name)?;
        self.listen(true);
        Ok(())
    }

    fn boot(&self) -> io::Result<Console> {
        let mut console = self.console()?;
        console.boot(&self.guest.name)?;
        Ok(console)
    }

    fn console(&self) -> io::Result<Console> {
        Console::open(&self.home.join("console.log"))
    }

    /// This process stands in for the hypervisor's.
    fn power_on(&self) -> io::Result<()> {
        fs::write(self.pid_file(), std::process::id().to_string())
    }

    fn power_off(&self) -> io::Result<()> {
        self.listen(false);
        self.table.remove(self.guest.mac)?;
        fs::remove_file(self.pid_file())
    }

    fn pid_file(&self) -> PathBuf {
        self.home.join(format!("{}.pid", self.guest.name))
    }

    fn listen(&self, listens: bool) {
        self.listens.store(listens, Ordering::Relaxed);
    }
}

impl Table {
    fn add(&self, ip: Ipv4Addr, mac: MacAddr6) -> io::Result<()> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push((ip, mac));
        self.write()
    }

    fn remove(&self, mac: MacAddr6) -> io::Result<()> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).retain(|row| row.1 != mac);
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        let mut text = "IP address  HW type  Flags  HW address  Mask  Device\n".to_owned();
        for (ip, mac) in self.rows.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = writeln!(text, "{ip}  0x1  0x2  {mac}  *  demo0");
        }
        // Readers see the old table or the new one, never half of one.
        let new = self.path.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(new, &self.path)
    }
}

/// Answers as an SSH server does, while it listens.
async fn serve(listener: TcpListener, listens: Arc<AtomicBool>, is_mute: bool) {
    let mut kept = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        if is_mute {
            // As many as a real server would keep.
            kept.truncate(9);
            kept.insert(0, stream);
        } else if listens.load(Ordering::Relaxed) {
            let _ = stream.write_all(b"SSH-2.0-demo\r\n").await;
        }
    }
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use macaddr::MacAddr6;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::file::{self, Stamp};
use crate::lease::{self, Lease};
use crate::neighbour::{self, Neighbour};
use crate::registry::Registry;

/// Largest file that is read.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Files up to this size are read and parsed in place.
const SMALL: u64 = 64 * 1024;

/// A file of the host that many machines are looked up in: leases, a registry, neighbours.
///
/// It is read at most once per second, and only if it has changed, for all clones together: make
/// one and give a clone to each machine. A file that cannot be parsed (it is being written) leaves
/// what the last one said; a file that is gone says nothing.
///
/// ```
/// use vmstatus::probe::{LeaseFile, VmProbe};
///
/// let leases = LeaseFile::new("/var/lib/misc/dnsmasq.leases");
/// let probes: Vec<VmProbe> = ["fargo", "bemidji"]
///     .map(|name| VmProbe::new(name, format!("vms/{name}")).with_leases(leases.clone()))
///     .into();
/// # assert_eq!(probes.len(), 2);
/// ```
#[derive(Debug)]
pub struct HostFile<T> {
    path: Arc<Path>,
    max_age: Duration,
    shared: Arc<Mutex<State<T>>>,
}

/// Leases by MAC.
pub type LeaseFile = HostFile<Leases>;

/// What an orchestrator wrote down.
pub type RegistryFile = HostFile<Registry>;

/// Neighbours by MAC, in any format of [`neighbour`].
pub type NeighbourFile = HostFile<Neighbours>;

/// What a [`HostFile`] holds.
pub trait Content: Sized + Send + Sync + 'static {
    /// Reads the file's bytes; `None` if they make no sense, as when the file is half written.
    fn parse(bytes: &[u8]) -> Option<Self>;
}

/// Leases, found by MAC.
#[derive(Clone, Debug, Default)]
pub struct Leases(HashMap<MacAddr6, Vec<Lease>>);

/// Neighbours, found by MAC.
#[derive(Clone, Debug, Default)]
pub struct Neighbours(HashMap<MacAddr6, Vec<Neighbour>>);

#[derive(Debug)]
struct State<T> {
    looked: Option<Instant>,
    stamp: Option<Stamp>,
    content: Option<Arc<T>>,
}

impl<T> HostFile<T> {
    /// The file at this path, which need not exist.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        let state = State { looked: None, stamp: None, content: None };
        Self {
            path: path.as_ref().into(),
            max_age: Duration::from_secs(1),
            shared: Arc::new(Mutex::new(state)),
        }
    }

    /// How old what was read may be before the file is looked at again; one second by default.
    #[must_use]
    pub const fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl<T: Content> HostFile<T> {
    /// What the file says now; `None` if it is not there or was never readable.
    ///
    /// Cancel-safe: a reading that is dropped is done again by the next caller.
    pub async fn current(&self) -> Option<Arc<T>> {
        let mut state = self.shared.lock().await;
        if state.looked.is_none_or(|at| at.elapsed() >= self.max_age) {
            state.look(&self.path).await;
            state.looked = Some(Instant::now());
        }
        state.content.clone()
    }
}

impl<T: Content> State<T> {
    async fn look(&mut self, path: &Arc<Path>) {
        let stamp = match std::fs::metadata(path) {
            Ok(metadata) => Stamp::of(&metadata),
            Err(error) if file::is_absent(&error) => {
                (self.stamp, self.content) = (None, None);
                return;
            }
            Err(_) => return,
        };
        if self.stamp == Some(stamp) {
            return;
        }
        let content = if stamp.length() <= SMALL {
            read(path)
        } else {
            let path = Arc::clone(path);
            spawn_blocking(move || read(&path)).await.unwrap_or_default()
        };
        if let Some(content) = content {
            self.content = Some(Arc::new(content));
        }
        self.stamp = stamp.is_telling().then_some(stamp);
    }
}

fn read<T: Content>(path: &Path) -> Option<T> {
    T::parse(&file::read(path, MAX_FILE).ok()?)
}

impl Leases {
    /// The leases of this MAC, in the order of the file.
    #[must_use]
    pub fn of(&self, mac: MacAddr6) -> &[Lease] {
        self.0.get(&mac).map_or(&[], Vec::as_slice)
    }
}

impl Neighbours {
    /// The entries of this MAC, in the order of the table.
    #[must_use]
    pub fn of(&self, mac: MacAddr6) -> &[Neighbour] {
        self.0.get(&mac).map_or(&[], Vec::as_slice)
    }
}

impl Content for Leases {
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self(by_mac(lease::parse(bytes), Lease::mac)))
    }
}

impl Content for Neighbours {
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self(by_mac(neighbour::parse(bytes), Neighbour::mac)))
    }
}

impl Content for Registry {
    fn parse(bytes: &[u8]) -> Option<Self> {
        Self::parse(bytes).ok()
    }
}

impl<T> Clone for HostFile<T> {
    fn clone(&self) -> Self {
        Self {
            path: Arc::clone(&self.path),
            max_age: self.max_age,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T, P: AsRef<Path>> From<P> for HostFile<T> {
    fn from(path: P) -> Self {
        Self::new(path)
    }
}

/// The kernel's table, one for the whole process: `/proc/net` is that of its first thread.
pub(super) static ARP: LazyLock<NeighbourFile> =
    LazyLock::new(|| NeighbourFile::new(PathBuf::from("/proc/net/arp")));

/// The host's neighbour table from `/proc/net/arp`, read now.
///
/// # Errors
///
/// If the file cannot be read: it exists on Linux only.
pub fn read_neighbours() -> std::io::Result<Vec<Neighbour>> {
    file::read(Path::new("/proc/net/arp"), MAX_FILE).map(|bytes| neighbour::parse(&bytes))
}

fn by_mac<E>(list: Vec<E>, mac: impl Fn(&E) -> Option<MacAddr6>) -> HashMap<MacAddr6, Vec<E>> {
    let mut map: HashMap<MacAddr6, Vec<E>> = HashMap::new();
    for entry in list {
        if let Some(mac) = mac(&entry) {
            map.entry(mac).or_default().push(entry);
        }
    }
    map
}

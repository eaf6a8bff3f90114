//! A folder of machines: `NAME/NAME.pid` and `NAME/console.log` each, and `registry.json` beside.

use ipnet::Ipv4Net;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use vmstatus::probe::{LeaseFile, NeighbourFile, RegistryFile, SshPort, VmProbe};

/// Where machines are, and what the host knows of them.
#[derive(Debug)]
pub struct Fleet {
    folder: PathBuf,
    registry: RegistryFile,
    leases: Option<LeaseFile>,
    neighbours: Option<NeighbourFile>,
    subnets: Vec<Ipv4Net>,
    deadline: Duration,
}

impl Fleet {
    /// The machines in this folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn new(folder: PathBuf, deadline: Duration) -> io::Result<Self> {
        std::fs::read_dir(&folder)?;
        let registry = RegistryFile::new(folder.join("registry.json"));
        Ok(Self { folder, registry, leases: None, neighbours: None, subnets: Vec::new(), deadline })
    }

    /// The DHCP server's file.
    #[must_use]
    pub fn with_leases(mut self, path: Option<PathBuf>) -> Self {
        self.leases = path.map(LeaseFile::new);
        self
    }

    /// A table of neighbours other than the kernel's.
    #[must_use]
    pub fn with_neighbours(mut self, path: Option<PathBuf>) -> Self {
        self.neighbours = path.map(NeighbourFile::new);
        self
    }

    /// Subnets that guests are served from.
    #[must_use]
    pub fn with_subnets(mut self, subnets: Vec<Ipv4Net>) -> Self {
        self.subnets = subnets;
        self
    }

    /// The names of all machines that have a folder, or a record in the registry.
    ///
    /// # Errors
    /// When the folder cannot be read. That it is gone means that it holds none.
    pub fn names(&self) -> io::Result<BTreeSet<String>> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        if let Some(records) = self.records()["vms"].as_object() {
            names.extend(records.keys().cloned());
        }
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(names),
            Err(error) => return Err(error),
        };
        let folders = entries.flatten().filter(|entry| entry.path().is_dir());
        names.extend(folders.filter_map(|entry| entry.file_name().into_string().ok()));
        // A name is one part of a path, and what begins with a dot is somebody else's.
        names.retain(|name| !name.is_empty() && !name.starts_with('.') && !name.contains('/'));
        Ok(names)
    }

    /// What looks at a machine. Where its record has an `ssh_port`, that port of the host leads to it.
    #[must_use]
    pub fn probe(&self, name: &str) -> VmProbe {
        let mut probe = VmProbe::new(name, self.folder.join(name))
            .with_registry(self.registry.clone())
            .with_deadline(self.deadline);
        for subnet in &self.subnets {
            probe = probe.with_subnet(*subnet);
        }
        if let Some(leases) = &self.leases {
            probe = probe.with_leases(leases.clone());
        }
        if let Some(neighbours) = &self.neighbours {
            probe = probe.with_neighbour_file(neighbours.clone());
        }
        let port = &self.records()["vms"][name]["ssh_port"];
        match port.as_u64().and_then(|port| u16::try_from(port).ok()) {
            Some(port) => {
                let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                probe.with_ssh(SshPort::Forwarded(server))
            }
            None => probe,
        }
    }

    /// The registry as it is; nothing where there is none, or half of one.
    fn records(&self) -> Value {
        let path = self.registry.path();
        let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
        let bytes = is_file.then(|| std::fs::read(path)).and_then(Result::ok);
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }
}

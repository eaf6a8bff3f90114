//! What an orchestrator wrote down about its machines: a cache, to be confirmed before it counts.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::net::Ipv4Addr;
use core::time::Duration;

use macaddr::MacAddr6;
use serde_json::Value;
use thiserror::Error;

use crate::Generation;
use crate::address::{Candidate, Source};
use crate::mac::parse_mac;

/// A registry file: `{"vms": {"fargo": {"ip_address": "192.168.1.7", "mac_address": "…"}}}`.
///
/// ```
/// use vmstatus::registry::Registry;
///
/// let registry = Registry::parse(br#"{"vms": {"fargo": {"ip_address": "192.168.1.7"}}}"#)?;
/// let record = registry.vm("fargo").expect("a record");
/// assert_eq!(record.ipv4, Some([192, 168, 1, 7].into()));
/// # Ok::<(), vmstatus::registry::RegistryError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    vms: BTreeMap<String, Record>,
}

/// What a registry knows of one machine. What is absent, `null` or unreadable is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The address it had the last time.
    pub ipv4: Option<Ipv4Addr>,
    /// Its MAC.
    pub mac: Option<MacAddr6>,
}

/// A registry file cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// It is not JSON, or torn.
    #[error("the registry is not valid JSON; it may be half written, read it again")]
    Json(#[source] serde_json::Error),
    /// It has no object `vms`.
    #[error(
        "the registry has no object `vms`; give the file that has one record per machine under it"
    )]
    NoVms,
}

impl Registry {
    /// Reads a registry file.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if it is not JSON, or has no object `vms`.
    pub fn parse(bytes: &[u8]) -> Result<Self, RegistryError> {
        let value: Value = serde_json::from_slice(bytes).map_err(RegistryError::Json)?;
        let vms = value.get("vms").and_then(Value::as_object).ok_or(RegistryError::NoVms)?;
        Ok(Self {
            vms: vms.iter().map(|(name, value)| (name.clone(), Record::read(value))).collect(),
        })
    }

    /// The record of a machine.
    #[must_use]
    pub fn vm(&self, name: &str) -> Option<&Record> {
        self.vms.get(name)
    }

    /// All machines and their records, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Record)> {
        self.vms.iter().map(|(name, record)| (name.as_str(), record))
    }
}

impl Record {
    /// The cached address as a candidate, unconfirmed.
    #[must_use]
    pub fn candidate(&self, seen: Duration, generation: Generation) -> Option<Candidate> {
        let candidate = Candidate::new(self.ipv4?, Source::Cache, seen, generation);
        Some(match self.mac {
            Some(mac) => candidate.with_mac(mac),
            None => candidate,
        })
    }

    fn read(value: &Value) -> Self {
        let text = |keys: [&str; 2]| keys.iter().find_map(|key| value.get(key)?.as_str());
        Self {
            ipv4: text(["ip_address", "ip"]).and_then(|ip| ip.parse().ok()),
            mac: text(["mac_address", "mac"]).and_then(|mac| parse_mac(mac.as_bytes())),
        }
    }
}

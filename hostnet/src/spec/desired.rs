use super::{
    Attachment, AttachmentId, DeviceName, Namespace, NamespaceName, Network, NetworkName, Owner,
    Peering, Protocol, Vxlan,
};
use crate::tag::Subject;
use core::fmt;
use core::num::NonZeroU16;
use ipnet::IpNet;
use macaddr::MacAddr6;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What one owner wants to be there: networks, and VMs attached to them.
///
/// It need not name everything the owner has: what is not named is left alone. Everything in it fits
/// together, since [`add_network`](Self::add_network) and [`add_attachment`](Self::add_attachment) refuse what does not.
///
/// ```
/// use hostnet::{Attachment, AttachmentId, Desired, DeviceName, Network, NetworkName, Owner};
///
/// let lan = NetworkName::new("default")?;
/// let mut desired = Desired::new(Owner::new("demo")?);
/// desired.add_network(Network::bridged(
///     lan.clone(),
///     DeviceName::new("br0")?,
///     "172.16.0.1/16".parse()?,
/// )?)?;
/// desired.add_attachment(Attachment::tap(
///     AttachmentId::new("a1b2c3d4")?,
///     lan,
///     DeviceName::new("tap_a1b2c3d4")?,
///     "AA:FC:A1:B2:C3:D4".parse()?,
///     "172.16.0.2".parse()?,
/// )?)?;
/// assert_eq!(desired.attachments().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Unchecked", into = "Unchecked"))]
pub struct Desired {
    owner: Owner,
    networks: BTreeMap<NetworkName, Network>,
    attachments: BTreeMap<AttachmentId, Attachment>,
    peerings: Vec<Peering>,
    /// Who has what only one can have; filled from the two maps above, never more and never less.
    taken: BTreeMap<Resource, String>,
}

/// Something on a host that only one network or attachment can have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Resource {
    /// A device name.
    Device(DeviceName),
    /// A network namespace's name.
    Namespace(NamespaceName),
    /// A guest's address.
    Address(IpAddr),
    /// A MAC on one network: a guest's, a TAP's or the bridge's.
    Mac(NetworkName, MacAddr6),
    /// A port of the host.
    HostPort(Protocol, NonZeroU16),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(name) => write!(f, "device name `{name}`"),
            Self::Namespace(name) => write!(f, "network namespace `{name}`"),
            Self::Address(address) => write!(f, "address {address}"),
            Self::Mac(network, mac) => write!(f, "MAC {mac} on network `{network}`"),
            Self::HostPort(protocol, port) => write!(f, "host port {port}/{protocol}"),
        }
    }
}

/// Why a network or an attachment does not fit the rest of a [`Desired`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Two networks of one name.
    #[error("network `{name}` is there twice; give each its own name")]
    DuplicateNetwork {
        /// The name used twice.
        name: NetworkName,
    },
    /// Two attachments of one id.
    #[error("attachment `{id}` is there twice; give each its own id")]
    DuplicateAttachment {
        /// The id used twice.
        id: AttachmentId,
    },
    /// One thing that only one of them can have.
    #[error("{resource} is wanted by {holder} and by {refused}; give each its own")]
    Duplicate {
        /// What both want.
        resource: Resource,
        /// Who has it.
        holder: String,
        /// Who was refused it.
        refused: String,
    },
    /// Two networks whose prefixes overlap.
    #[error(
        "{prefix} of network `{name}` overlaps {other_prefix} of network `{other}`; choose disjoint prefixes"
    )]
    OverlappingNetworks {
        /// The refused network.
        name: NetworkName,
        /// Its prefix.
        prefix: IpNet,
        /// The network that is there.
        other: NetworkName,
        /// Its prefix.
        other_prefix: IpNet,
    },
    /// The attachment's network is not named.
    #[error(
        "attachment `{id}` wants network `{network}`, which is not there; add the network first"
    )]
    UnknownNetwork {
        /// The refused attachment.
        id: AttachmentId,
        /// The missing network.
        network: NetworkName,
    },
    /// The address is outside the network's prefixes.
    #[error("attachment `{id}`: {address} is outside {prefixes}; take an address inside")]
    AddressOutside {
        /// The refused attachment.
        id: AttachmentId,
        /// Its address.
        address: IpAddr,
        /// The network's prefixes.
        prefixes: String,
    },
    /// The address is inside the network's prefix, but no guest can have it.
    #[error("attachment `{id}`: {address} is {is}; take another")]
    AddressReserved {
        /// The refused attachment.
        id: AttachmentId,
        /// Its address.
        address: IpAddr,
        /// What it is.
        is: &'static str,
    },
    /// There is an address of that family already.
    #[error("attachment `{id}` has {present}; {address} would be a second address of that family")]
    SecondAddress {
        /// The refused attachment.
        id: AttachmentId,
        /// The refused address.
        address: IpAddr,
        /// The one that is there.
        present: IpAddr,
    },
    /// There is none at all.
    #[error("attachment `{id}` has no address; give it one of its network's prefix")]
    NoAddress {
        /// The refused attachment.
        id: AttachmentId,
    },
    /// Two networks are peered twice, or one with itself.
    #[error("`{first}` and `{second}` are peered already; a pair of networks has one peering")]
    DuplicatePeering {
        /// One network.
        first: NetworkName,
        /// The other, or the same.
        second: NetworkName,
    },
    /// A network that is to be peered is not there.
    #[error("network `{network}` is to be peered but is not there; add the network first")]
    UnknownPeer {
        /// The missing network.
        network: NetworkName,
    },
    /// A network exposes what is not its own.
    #[error("network `{network}` cannot expose {prefix}, which is outside its prefixes")]
    ExposedOutside {
        /// The network.
        network: NetworkName,
        /// The refused prefix.
        prefix: IpNet,
    },
    /// A network exposes a part of what it exposes already.
    #[error("network `{network}` exposes {prefix} twice; name disjoint prefixes")]
    ExposedTwice {
        /// The network.
        network: NetworkName,
        /// The refused prefix.
        prefix: IpNet,
    },
    /// A guest's MAC that is none.
    #[error(
        "attachment `{id}`: {mac} is no unicast MAC address; clear the lowest bit of its first byte"
    )]
    GuestMac {
        /// The refused attachment.
        id: AttachmentId,
        /// The refused MAC.
        mac: MacAddr6,
    },
}

impl Desired {
    /// Nothing wanted yet.
    #[must_use]
    pub const fn new(owner: Owner) -> Self {
        Self {
            owner,
            networks: BTreeMap::new(),
            attachments: BTreeMap::new(),
            peerings: Vec::new(),
            taken: BTreeMap::new(),
        }
    }

    /// Adds a network.
    ///
    /// # Errors
    /// When its name or its bridge's is used already, or its prefix overlaps another's. Nothing is changed then.
    pub fn add_network(&mut self, network: Network) -> Result<(), SpecError> {
        if self.networks.contains_key(network.name()) {
            return Err(SpecError::DuplicateNetwork { name: network.name().clone() });
        }
        for other in self.networks.values() {
            let mut pairs =
                network.prefixes().flat_map(|mine| other.prefixes().map(move |its| (mine, its)));
            let overlap = pairs.find(|(mine, its)| mine.contains(its) || its.contains(mine));
            if let Some((prefix, other_prefix)) = overlap {
                return Err(SpecError::OverlappingNetworks {
                    name: network.name().clone(),
                    prefix,
                    other: other.name().clone(),
                    other_prefix,
                });
            }
        }
        let vxlan = network.vxlan().map(Vxlan::device);
        let pairs = network.shards().iter().flat_map(|shard| [&shard.uplink, &shard.downlink]);
        let devices = network.bridges().chain(vxlan).chain(pairs);
        let mut resources: Vec<_> = devices.map(|name| Resource::Device(name.clone())).collect();
        resources.push(Resource::Mac(network.name().clone(), network.mac()));
        self.take(resources, &format!("network `{}`", network.name()))?;
        self.networks.insert(network.name().clone(), network);
        Ok(())
    }

    /// Adds an attachment.
    ///
    /// # Errors
    /// When its network is not there, its address is not a guest's in that network, or its id, device
    /// name, address, MAC or a host port is used already. Nothing is changed then.
    pub fn add_attachment(&mut self, attachment: Attachment) -> Result<(), SpecError> {
        let id = attachment.id();
        if self.attachments.contains_key(id) {
            return Err(SpecError::DuplicateAttachment { id: id.clone() });
        }
        let Some(network) = self.networks.get(attachment.network()) else {
            return Err(SpecError::UnknownNetwork {
                id: id.clone(),
                network: attachment.network().clone(),
            });
        };
        for address in attachment.addresses() {
            check_address(&attachment, address, network)?;
        }
        self.take(resources(&attachment), &format!("attachment `{id}`"))?;
        self.attachments.insert(id.clone(), attachment);
        Ok(())
    }

    /// Lets two networks reach each other.
    ///
    /// # Errors
    /// When one of them is not there, both are the same, they are peered already, or a prefix that is exposed is not a
    /// part of its network's. Nothing is changed then.
    pub fn add_peering(&mut self, peering: Peering) -> Result<(), SpecError> {
        let (first, second) = (peering.first(), peering.second());
        let ends = |p: &Peering| {
            let mut ends = [p.first().clone(), p.second().clone()];
            ends.sort();
            ends
        };
        if first == second || self.peerings.iter().any(|other| ends(other) == ends(&peering)) {
            return Err(SpecError::DuplicatePeering {
                first: first.clone(),
                second: second.clone(),
            });
        }
        for (name, exposed) in
            [(first, peering.first_exposes()), (second, peering.second_exposes())]
        {
            let Some(network) = self.networks.get(name) else {
                return Err(SpecError::UnknownPeer { network: name.clone() });
            };
            let outside = |prefix: &&IpNet| !network.prefixes().any(|own| own.contains(*prefix));
            if let Some(prefix) = exposed.iter().find(outside) {
                return Err(SpecError::ExposedOutside { network: name.clone(), prefix: *prefix });
            }
            let twice = exposed.iter().enumerate().find(|(n, prefix)| {
                let earlier = exposed.iter().take(*n);
                earlier.into_iter().any(|e| e.contains(*prefix) || prefix.contains(e))
            });
            if let Some((_, prefix)) = twice {
                return Err(SpecError::ExposedTwice { network: name.clone(), prefix: *prefix });
            }
        }
        self.peerings.push(peering);
        Ok(())
    }

    /// Who it belongs to.
    #[must_use]
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The networks, by name.
    pub fn networks(&self) -> impl Iterator<Item = &Network> {
        self.networks.values()
    }

    /// The attachments, by id.
    pub fn attachments(&self) -> impl Iterator<Item = &Attachment> {
        self.attachments.values()
    }

    /// The peerings, in the order they were added.
    pub fn peerings(&self) -> impl Iterator<Item = &Peering> {
        self.peerings.iter()
    }

    /// Everything it names.
    #[must_use]
    pub fn subjects(&self) -> BTreeSet<Subject> {
        let networks = self.networks.keys().map(|name| Subject::Network(name.clone()));
        let attachments = self.attachments.keys().map(|id| Subject::Attachment(id.clone()));
        networks.chain(attachments).collect()
    }

    /// One network.
    #[must_use]
    pub fn network(&self, name: &NetworkName) -> Option<&Network> {
        self.networks.get(name)
    }

    /// Takes all of `resources` for `holder`, or none.
    fn take(&mut self, resources: Vec<Resource>, holder: &str) -> Result<(), SpecError> {
        let taken = resources.iter().enumerate().find_map(|(i, resource)| {
            let before = resources.iter().take(i).any(|earlier| earlier == resource);
            let by = self
                .taken
                .get(resource)
                .map(String::as_str)
                .or_else(|| before.then_some(holder))?;
            Some((resource.clone(), by.to_owned()))
        });
        if let Some((resource, by)) = taken {
            return Err(SpecError::Duplicate { resource, holder: by, refused: holder.to_owned() });
        }
        self.taken.extend(resources.into_iter().map(|resource| (resource, holder.to_owned())));
        Ok(())
    }
}

fn resources(attachment: &Attachment) -> Vec<Resource> {
    let ports = attachment.forwards().iter().map(|f| Resource::HostPort(f.protocol, f.host_port));
    // In a namespace of its own the TAP's name is nobody else's business.
    let device = Resource::Device(attachment.port_name().clone());
    let namespace = attachment.namespace().map(|n| Resource::Namespace(Namespace::name(n).clone()));
    // The bridge takes frames with the MAC of one of its own devices for its own.
    let macs = [attachment.mac(), attachment.host_mac()];
    let macs = macs.map(|mac| Resource::Mac(attachment.network().clone(), mac));
    let addresses = attachment.addresses().map(Resource::Address);
    let devices = [device].into_iter().chain(namespace);
    devices.chain(macs).chain(addresses).chain(ports).collect()
}

fn check_address(
    attachment: &Attachment,
    address: IpAddr,
    network: &Network,
) -> Result<(), SpecError> {
    let id = attachment.id();
    let Some(gateway) = network.gateways().find(|gateway| gateway.contains(&address)) else {
        let prefixes: Vec<_> = network.prefixes().map(|prefix| prefix.to_string()).collect();
        let prefixes = prefixes.join(" or ");
        return Err(SpecError::AddressOutside { id: id.clone(), address, prefixes });
    };
    let is = if address == gateway.addr() {
        "the gateway's"
    } else if address == gateway.network() {
        "the network's own"
    } else if address.is_ipv4() && address == gateway.broadcast() {
        "the broadcast address"
    } else {
        return Ok(());
    };
    Err(SpecError::AddressReserved { id: id.clone(), address, is })
}

/// A desired state as it is written down.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Unchecked {
    owner: Owner,
    #[serde(default)]
    networks: Vec<Network>,
    #[serde(default)]
    attachments: Vec<Attachment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    peerings: Vec<Peering>,
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for Desired {
    type Error = SpecError;

    fn try_from(raw: Unchecked) -> Result<Self, SpecError> {
        let mut desired = Self::new(raw.owner);
        raw.networks.into_iter().try_for_each(|n| desired.add_network(n))?;
        raw.attachments.into_iter().try_for_each(|a| desired.add_attachment(a))?;
        raw.peerings.into_iter().try_for_each(|p| desired.add_peering(p))?;
        Ok(desired)
    }
}

#[cfg(feature = "serde")]
impl From<Desired> for Unchecked {
    fn from(desired: Desired) -> Self {
        Self {
            owner: desired.owner,
            networks: desired.networks.into_values().collect(),
            attachments: desired.attachments.into_values().collect(),
            peerings: desired.peerings,
        }
    }
}

//! What carries a plan out: the kernel, or the in-memory one that obeys the same rules.

use crate::error::OpError;
use crate::events::Events;
use crate::firewall::Element;
use crate::observed::{Coverage, Observed};
use crate::op::{NeighbourEntry, Op, Route};
use crate::spec::{DeviceName, NamespaceName, Owner};
use crate::tag::{Role, Subject, Tag};
use core::fmt;
use ipnet::IpNet;
use macaddr::MacAddr6;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// One namespace, seen and changed by one writer.
pub(crate) trait Backend {
    /// Looks at the namespace.
    fn observe(&mut self, owner: &Owner, scope: &Scope) -> Result<Observed, OpError>;

    /// Carries out one step, wholly or not at all, and says whether there was anything to do.
    fn execute(&mut self, op: &Op) -> Result<Effect, OpError>;

    /// Deletes the devices with these tags, each on its own account; one that is not there is deleted already.
    fn delete_links(&mut self, tags: &[&Tag]) -> Vec<Result<(), OpError>> {
        let delete = |tag: &&Tag| self.execute(&Op::DeleteLink { tag: (*tag).clone() }).map(|_| ());
        tags.iter().map(delete).collect()
    }

    /// The neighbour table of one device, named by the identity of its tag.
    fn neighbours(&mut self, device: &Tag) -> Result<Vec<Neighbour>, OpError>;

    /// Starts to listen to what happens to links and neighbours.
    fn events(&mut self) -> Result<Events, OpError>;

    /// What one device has counted, named by the identity of its tag.
    fn counters(&mut self, device: &Tag) -> Result<Counters, OpError>;
}

/// What went through a device since it was made, as the host sees it: `received` is what the guest sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Counters {
    /// Packets that came in.
    pub received_packets: u64,
    /// Bytes that came in.
    pub received_bytes: u64,
    /// Packets that came in and were dropped.
    pub received_dropped: u64,
    /// Packets that came in broken.
    pub received_errors: u64,
    /// Packets that went out.
    pub sent_packets: u64,
    /// Bytes that went out.
    pub sent_bytes: u64,
    /// Packets that should have gone out and were dropped: nobody reads the TAP, or a rate limit.
    pub sent_dropped: u64,
    /// Packets that could not go out.
    pub sent_errors: u64,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Something is different now, and can be undone.
    Changed,
    /// It was so already; undoing it would take away what somebody else made.
    Unchanged,
}

/// What to look at.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    /// Every device, element and namespace.
    Everything,
    /// What belongs to some subjects.
    Only(Only),
}

/// A part of a namespace: what belongs to some subjects, and what is in the way of what they want.
#[derive(Debug, Clone, Default)]
pub(crate) struct Only {
    pub(crate) subjects: BTreeSet<Subject>,
    /// The devices that are wanted: whose, as what, and by which name.
    pub(crate) devices: Vec<(Subject, Role, DeviceName)>,
    /// The namespaces that are wanted.
    pub(crate) namespaces: Vec<NamespaceName>,
    /// The elements that are wanted.
    pub(crate) elements: Vec<Element>,
    /// The addresses that networks want, without which other devices' prefixes matter.
    pub(crate) addresses: Vec<IpNet>,
    /// The routes that are wanted.
    pub(crate) routes: Vec<(Subject, Route)>,
    /// The permanent neighbours that are wanted.
    pub(crate) neighbours: Vec<(Subject, NeighbourEntry)>,
    /// Whether the subjects are to go, for which the ports of their bridges matter.
    pub(crate) to_go: bool,
}

impl Scope {
    /// From how many subjects on it costs less to look at everything.
    const MANY: usize = 256;

    /// What belongs to these subjects.
    pub(crate) fn of(subjects: &BTreeSet<Subject>) -> Self {
        if subjects.len() >= Self::MANY {
            return Self::Everything;
        }
        Self::Only(Only { subjects: subjects.clone(), to_go: true, ..Only::default() })
    }

    pub(crate) fn coverage(&self) -> Coverage {
        match self {
            Self::Everything => Coverage::Everything,
            Self::Only(only) if only.to_go => Coverage::Subjects(only.subjects.clone()),
            Self::Only(only) => Coverage::Wish(only.subjects.clone()),
        }
    }
}

/// An entry of the kernel's neighbour (ARP, NDP) table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Neighbour {
    /// The IP address.
    pub address: IpAddr,
    /// The MAC it was seen at; `None` while the kernel is still asking, or when nobody answered.
    pub mac: Option<MacAddr6>,
    /// How far the kernel trusts it.
    pub state: NeighbourState,
}

/// How far the kernel trusts a neighbour entry (`NUD_*` in `linux/neighbour.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum NeighbourState {
    /// Asked for, not answered yet.
    Incomplete,
    /// Confirmed lately.
    Reachable,
    /// Known, not confirmed lately.
    Stale,
    /// In use, confirmation pending.
    Delay,
    /// Being asked again.
    Probe,
    /// Nobody answered.
    Failed,
    /// Set by hand.
    Permanent,
    /// A state without resolution (`NUD_NOARP`) or one not known here.
    Other,
}

impl NeighbourState {
    /// Whether the address was seen at the MAC, now or lately.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        matches!(self, Self::Reachable | Self::Stale | Self::Delay | Self::Probe | Self::Permanent)
    }
}

impl fmt::Display for NeighbourState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Stale => "STALE",
            Self::Delay => "DELAY",
            Self::Probe => "PROBE",
            Self::Failed => "FAILED",
            Self::Permanent => "PERMANENT",
            Self::Other => "NOARP",
        })
    }
}

use crate::firewall::{Element, TableName};
use crate::spec::{DeviceName, NamespaceName, NetworkName, Owner};
use crate::tag::{Subject, Tag};
use ipnet::IpNet;

/// Why what is wanted cannot be reached from what is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The observation is another owner's.
    #[error("`{observed}`'s view was given for what `{desired}` wants; observe as the same owner")]
    OtherOwner {
        /// Whose wish it is.
        desired: Owner,
        /// Whose view it is.
        observed: Owner,
    },
    /// A device that is not ours, or another one of ours, has the name.
    #[error(
        "{subject} wants the device name `{name}`, which is taken by {by}; it is left alone: rename it or choose another name"
    )]
    NameTaken {
        /// Who wants the name.
        subject: Subject,
        /// The name.
        name: DeviceName,
        /// What has it.
        by: String,
    },
    /// A device of ours that is of another kind than was wanted.
    #[error(
        "{subject}: the device tagged {tag} is of kind `{found}`, not `{wanted}`; tear it down first"
    )]
    OtherKind {
        /// Whose device it is.
        subject: Subject,
        /// Its tag.
        tag: Tag,
        /// The kind it has.
        found: String,
        /// The kind it should have.
        wanted: &'static str,
    },
    /// Not all that the wish names was looked at.
    #[error("the observation does not cover what is wanted; observe everything, or for this wish")]
    NotObserved,
    /// What a device was made with has to be another now.
    #[error("{subject}: {what} cannot be changed on `{device}`; remove it first")]
    Unchangeable {
        /// Whose device it is.
        subject: Subject,
        /// The device.
        device: String,
        /// What cannot be changed.
        what: &'static str,
    },
    /// A network namespace of that name is there that is not this attachment's.
    #[error(
        "{subject} wants the network namespace `{name}`, which is {by}'s; it is left alone: choose another name"
    )]
    NamespaceTaken {
        /// Who wants it.
        subject: Subject,
        /// The name.
        name: NamespaceName,
        /// Whose it is.
        by: String,
    },
    /// The attachment's namespace has lost its name, but is there still.
    #[error(
        "{subject}: the network namespace `{name}` is gone from /run/netns, but `{device}` still leads to it; \
         stop what runs in there and remove the attachment first"
    )]
    NamespaceLost {
        /// Whose it is.
        subject: Subject,
        /// The name it had.
        name: NamespaceName,
        /// What leads to it.
        device: DeviceName,
    },
    /// Something of an earlier or later making of the same attachment is there.
    #[error(
        "{subject} is there in generation {found}, wanted is {wanted}; tear the other one down first"
    )]
    OtherGeneration {
        /// Whose it is.
        subject: Subject,
        /// The generation that is there.
        found: u64,
        /// The generation that is wanted.
        wanted: u64,
    },
    /// A host port leads to somebody else already, or a prefix is another network's.
    #[error("{subject} wants {element}, which is taken by {by}; choose another")]
    Taken {
        /// Who wants it.
        subject: Subject,
        /// What is wanted.
        element: Element,
        /// What has it.
        by: String,
    },
    /// Another device has an address in the network's prefix, or the prefix in that of its address.
    #[error(
        "network `{network}` wants {prefix}, but `{device}` has {address} there; choose another prefix"
    )]
    PrefixInUse {
        /// The network.
        network: NetworkName,
        /// Its prefix.
        prefix: IpNet,
        /// The address in the way.
        address: IpNet,
        /// The device that has it.
        device: String,
    },
    /// More ports than a bridge can have.
    #[error(
        "network `{network}` would have {ports} ports on one bridge, at most 1023 fit; add a shard, or make it a routed network"
    )]
    BridgeFull {
        /// The network.
        network: NetworkName,
        /// How many ports it would have.
        ports: usize,
    },
    /// A table that has our name but not our mark.
    #[error("the table `inet {table}` was not made here; remove it or choose another owner")]
    ForeignTable {
        /// The table.
        table: TableName,
    },
}

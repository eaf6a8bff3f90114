use crate::firewall::{Element, TableName};
use crate::spec::{DeviceName, NetworkName, Owner};
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
        "network `{network}` would have {ports} ports on one bridge, at most 1023 fit; use a second network"
    )]
    BridgeFull {
        /// The network.
        network: NetworkName,
        /// How many ports it would have.
        ports: usize,
    },
    /// A table that has our name but not our mark.
    #[error(
        "the table `inet {table}` was not made here, or by another version; remove it or choose another owner"
    )]
    ForeignTable {
        /// The table.
        table: TableName,
    },
}

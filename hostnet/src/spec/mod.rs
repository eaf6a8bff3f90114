//! What a host should look like: plain, validated data.

mod attachment;
mod desired;
mod forward;
mod gateway;
mod name;
mod namespace;
mod network;
mod peering;
mod rate;
mod vxlan;

pub use attachment::{Attachment, TapOptions};
pub use desired::{Desired, Resource, SpecError};
pub use forward::{Family, Forward, Protocol};
pub use name::{AttachmentId, DeviceName, NameError, NamespaceName, NetworkName, Owner};
pub use namespace::Namespace;
pub use network::{Network, NetworkError, NetworkShape};
pub use peering::Peering;
pub use rate::Rate;
pub use vxlan::{Vxlan, VxlanError};

pub(crate) use gateway::link_local;
use gateway::{check_gateway, derived_mac, is_unicast};

//! What a host should look like: plain, validated data.

mod attachment;
mod desired;
mod forward;
mod name;
mod network;
mod peering;

pub use attachment::{Attachment, TapOptions};
pub use desired::{Desired, Resource, SpecError};
pub use forward::{Family, Forward, Protocol};
pub use name::{AttachmentId, DeviceName, NameError, NetworkName, Owner};
pub use network::{Network, NetworkError};
pub use peering::Peering;

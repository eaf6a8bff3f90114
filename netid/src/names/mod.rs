//! Device names: what the kernel takes, and the schemes that make them from ids.

mod device;
mod prefix;
mod role;
mod scheme;

pub use device::{DeviceName, DeviceNameError, DeviceNameFault};
pub use prefix::{Prefixes, SchemeError};
pub use role::Role;
pub use scheme::{NameScheme, SchemeId};

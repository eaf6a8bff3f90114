//! What a pool hands out: the map between items and the indexes of the engine.

mod address;
mod integer;
mod layout;
mod port;
mod reserved_ports;
mod space_trait;
mod subnet;

pub use address::{Address, Addresses, PrefixError};
pub use integer::{Integer, Integers};
pub use layout::{Layout, LayoutError, Place, Reason, Reservation};
pub use port::Ports;
pub use reserved_ports::{ReservedPorts, ReservedPortsError};
pub(crate) use space_trait::sealed::Number;
pub use space_trait::{Index, Space};
pub use subnet::{Prefix, SubnetError, Subnets};

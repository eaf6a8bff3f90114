//! Blocks of numbers: leased from a store that many hosts share, handed out on one host.

mod allocator;
mod error;
mod leasing;
mod space;
mod stock;

pub use allocator::Blocks;
pub use error::{BlockSpaceError, BlocksError};
pub use space::BlockSpace;

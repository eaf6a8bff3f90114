//! The status of a virtual machine, from evidence.
#![doc = ""]
#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "std"), no_std)]
#![warn(missing_docs)]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout
)]

extern crate alloc;

pub mod address;
pub mod console;
pub mod lease;
pub mod neighbour;
#[cfg(feature = "probe")]
pub mod probe;
pub mod registry;

mod banner;
mod generation;
mod mac;
mod status;
mod text;

pub use banner::{BannerError, SshBanner};
pub use generation::Generation;
pub use mac::parse_mac;
pub use status::{
    Crash, Degradation, Evidence, Exit, Folder, Machine, ObserveError, Process, Reason, Running,
    Ssh, SshAnswer, Status, Thresholds, Transition, derive,
};
pub use text::Escaped;

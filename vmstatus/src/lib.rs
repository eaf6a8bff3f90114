//! The status of a virtual machine, from evidence.
//!
//! # Purpose
//!
//! "Running" is easily said and often wrong: the process lives but the guest has no address yet, the
//! address is the last boot's, the port answers for another machine. Here a [`Status`] follows from
//! [`Evidence`] by the pure function [`derive`](derive()), a [`Running`] cannot be made without an
//! IPv4 address and an SSH banner of the same boot, and a [`Machine`] folds observations over time
//! into [`Transition`]s that say why.
//!
//! | Part | Question |
//! |---|---|
//! | [`Status`], [`Evidence`], [`derive`](derive()), [`Machine`] | What is it doing, since when, and why? |
//! | [`address`] | Which of the candidates is its address? |
//! | [`console`] | What does its console log tell? |
//! | [`neighbour`], [`lease`], [`registry`] | What do the host's tables and files tell? |
//! | `probe` (feature) | Looking: files, ports, names, and many machines at once. |
//!
//! # Usage
//!
//! ```
//! use core::time::Duration;
//! use vmstatus::address::{Candidate, Source};
//! use vmstatus::{Evidence, Folder, Generation, Machine, Process, Ssh, SshAnswer};
//!
//! let now = |second: u64| Duration::from_secs(1_700_000_000 + second);
//! let boot = Generation::new(1, 1);
//! let mut machine = Machine::new(now(0));
//!
//! let address = Candidate::new([172, 16, 0, 2].into(), Source::Console, now(9), boot);
//! let evidence = Evidence::new(Folder::Present, Process::Alive, boot).with_address(address);
//! let transition = machine.observe(&evidence, now(9))?.expect("a change");
//! assert_eq!(transition.to().as_str(), "booting");
//!
//! let banner = "SSH-2.0-OpenSSH_9.6".parse()?;
//! let answer = SshAnswer::new(banner, ([172, 16, 0, 2], 22).into(), now(12), boot);
//! machine.observe(&evidence.with_ssh(Ssh::Answered(answer)), now(12))?;
//! assert_eq!(machine.status().as_str(), "running");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Testing and verification
//!
//! [`derive`](derive()) is compared with an oracle over all 2,250 combinations of evidence, and the machine
//! is driven with each of them from every state and generation: no path leads to running without
//! its proofs. The timeline of a first boot is replayed second by second. Parsers meet mutated and torn
//! input in pieces of every size, and fuzz targets (`fuzz`, not part of the package) go on where those
//! stop: same answer, no panic, nothing that is not in the text. That a scan costs no more per byte
//! of a hostile log than of any other is counted, not timed.
//!
//! # No-std and features
//!
//! The crate needs `alloc` only. `std` (default) lets the scan find out which vector instructions
//! there are; without it the scan goes byte by byte, to the same effect. `serde` makes reports
//! serialisable, `probe` brings tokio and the parts that look. There is no clock inside the pure
//! part: the time is an argument, a [`Duration`](core::time::Duration) since the Unix epoch.

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
mod json;
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

/// The README's example is compiled and run with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

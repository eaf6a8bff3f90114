//! Canonical, DNS-safe, unique names for virtual machines, from whatever a user types.
//!
//! # Purpose
//!
//! One name per machine, the same in lists, as host name, as subdomain and in cloud-init, so that
//! nothing downstream has to clean it again. It is made in four stages, each with its own type:
//!
//! | Stage | Function | Gives | Example |
//! |---|---|---|---|
//! | raw text | | `&str` | `My Awesome VM!` |
//! | sanitised | [`sanitize`] | [`Sanitized`] | `my-awesome-vm` |
//! | validated | [`validate`], [`Sanitized::validate`] | [`BaseName`] | `my-awesome-vm` |
//! | with a suffix, claimed | [`claim()`], [`Namer::claim`] | [`VmName`] | `my-awesome-vm-a1b2` |
//!
//! [`preview()`] shows what will come out while the user types, by the same code.
//!
//! # Usage
//!
//! ```
//! use std::collections::BTreeSet;
//! use std::convert::Infallible;
//! use vmname::{Claim, claim, preview, sanitize};
//!
//! assert_eq!(preview("My Awesome VM!")?, "my-awesome-vm-xxxx");
//!
//! let sanitized = sanitize("My Awesome VM!");
//! assert_eq!(sanitized, "my-awesome-vm");
//! let base = sanitized.validate()?;
//!
//! // The store of names, here a set: asking and taking are one step.
//! let mut names = BTreeSet::new();
//! let claimed = claim(base, |name| {
//!     let granted = names.insert(*name);
//!     Ok::<_, Infallible>(if granted { Claim::Claimed(()) } else { Claim::Taken })
//! })?;
//! assert_eq!(claimed.name.as_str().len(), "my-awesome-vm-a1b2".len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A refusal teaches ([`NameError`]):
//!
//! ```
//! let refused = vmname::sanitize("192.168.1.1").validate().unwrap_err();
//! assert_eq!(
//!     refused.to_string(),
//!     "refused \"192-168-1-1\" for '1' at position 1: start with a lower-case letter a-z, \
//!      for example `vm-192-168-1-1`",
//! );
//! ```
//!
//! # Uniqueness
//!
//! The suffix makes equal names rare, the claim makes them impossible. How rare is said with
//! [`SuffixScheme`], in which scope with [`Scope`], and what happens when a name is taken with
//! [`Namer`].
//!
//! # Names made elsewhere
//!
//! - [`VmName::system`] takes the name of a system's own machine as it is, and checks it.
//! - [`ExistingName`] reads any record, so that old machines stay manageable.
//! - [`Zone`] and [`VmName::fqdn`] give the domain name.
//!
//! # Testing and verification
//!
//! Every Unicode scalar value alone, every pair of ASCII characters and every string of up to four
//! signs of a hostile alphabet are compared with a naive reference; sanitising is idempotent, every
//! proposal is valid, and nothing allocates before a refusal, which a counting allocator asserts.
//!
//! # No-std and features
//!
//! The crate needs `alloc` for errors, zones and existing names only, and has no unsafe code.
//!
//! - `std` (default): [`claim()`] and [`claim_async()`], with the thread's generator.
//! - `serde`: names as strings, read through the same checks.
//! - `deunicode`: `transliterate`, by which `Zürich` gives `zurich`.
//!
//! For a preview in the browser, build with `--no-default-features --target
//! wasm32-unknown-unknown`: [`sanitize`], [`validate`] and [`preview()`] need neither a clock nor
//! randomness.

#![no_std]
#![forbid(unsafe_code)]
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

mod base;
mod claim;
mod error;
mod existing;
mod name;
mod namer;
mod rules;
mod sanitize;
#[cfg(feature = "serde")]
mod serde;
mod suffix;
mod text;
mod zone;

pub use base::{BaseName, validate};
pub use claim::{Claim, ClaimError, Claimed};
#[cfg(feature = "std")]
pub use claim::{claim, claim_async};
pub use error::NameError;
pub use existing::ExistingName;
pub use name::VmName;
pub use namer::{Namer, Preview, preview};
pub use rules::{RESERVED, Rule};
#[cfg(feature = "deunicode")]
pub use sanitize::transliterate;
pub use sanitize::{Sanitized, sanitize};
pub use suffix::{Suffix, SuffixError, SuffixScheme};
pub use zone::{Scope, Zone, ZoneError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! What the examples share: a guest that needs no hypervisor, a place to run in, an identity, and two ways to say
//! something.

pub mod crash;
pub mod evidence;
pub mod guest;
pub mod identity;
pub mod place;
pub mod report;
pub mod signals;
pub mod table;
pub mod watch;

/// Compiles the examples of the root README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

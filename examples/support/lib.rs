//! What the examples share: a guest that needs no hypervisor, a place to run in, an identity, and two ways to say
//! something.

pub mod board;
pub mod crash;
pub mod demo;
pub mod evidence;
pub mod fleet;
pub mod guest;
pub mod identity;
pub mod place;
pub mod report;
pub mod screen;
pub mod signals;
pub mod table;
pub mod watch;

/// Compiles the examples of the root README.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

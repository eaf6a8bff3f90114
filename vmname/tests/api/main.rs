//! The public interface of `vmname`, from outside.

mod allocation;
mod edge;
mod golden;
mod laws;
mod model;
mod support;
#[cfg(feature = "std")]
mod thread;

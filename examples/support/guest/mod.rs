//! A guest that needs no hypervisor: a TCP/IP stack on the TAP, in a thread of this process.
//!
//! To the host it is a machine like any other. It boots twice, writes a console log as cloud-init does, answers ARP
//! and ping, and some time after it has its address it answers on port 22 with an SSH banner.

pub(crate) mod console;
mod machine;
mod wire;

pub use machine::{Guest, Identity};

//! Files, ports, processes and many machines, in a world of temporary folders, real processes and
//! loopback ports.

mod cost;
mod crowd;
mod machine;
mod network;
mod process;
mod supervisor;
mod tail;
mod timeline;
mod world;

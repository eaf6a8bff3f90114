//! What the benches share: the floor in plain system calls and in bare transactions, the programs one would run instead,
//! a server, a crowd, a world of VMs, and the record of ratios.

#[cfg(feature = "stores")]
pub mod bare;
pub mod bars;
#[cfg(feature = "stores")]
pub mod crowd;
#[cfg(feature = "stores")]
pub mod etcd;
pub mod heap;
pub mod measure;
pub mod processes;
pub mod raw;
pub mod report;
pub mod world;

//! What the benches share: the floor in plain system calls, the programs one would run instead, a world of VMs, and
//! the record of ratios.

pub mod bars;
pub mod measure;
pub mod processes;
pub mod raw;
pub mod report;
pub mod world;

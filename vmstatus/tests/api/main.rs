//! The public interface: `golden` tables of input and answer, their `variants` on the console and of other
//! `tables`, `edge` cases, `laws` over mutated
//! input, a `model` of the status over all evidence, the `timeline` of a first boot, and the `probe`.

mod edge;
mod fixtures;
mod golden;
mod laws;
mod model;
#[cfg(feature = "serde")]
mod plain_data;
#[cfg(all(feature = "probe", target_os = "linux"))]
mod probe;
mod tables;
mod timeline;
mod variants;

//! Garbage collection: claims whose owner is gone are found, reported and released.

mod collect;
mod error;
mod live;
mod report;
mod sweep;

pub use collect::Collector;
pub use error::LookError;
pub use live::{LiveOwners, Liveness};
pub use report::{LookReport, Suspect};
pub use sweep::{SweepOutcome, Swept};

//! Where the guest's IPv4 address comes from, and which of the candidates to believe.

mod candidate;
mod resolve;

pub use candidate::{Candidate, Confidence, Source, is_host_address};
pub use resolve::{Rejection, Resolution, Resolver};

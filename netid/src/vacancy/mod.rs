//! Which numbers of a range nobody has: what a search for a vacant one looks at before it claims.

#[cfg(feature = "std")]
mod claimer;
mod key_range;
mod rank;
mod vacancies;

#[cfg(feature = "std")]
pub use claimer::{Claimer, ClaimerError};
pub use key_range::{KeyRange, KeyRangeError};
pub use vacancies::Vacancies;

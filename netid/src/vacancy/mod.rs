//! Which numbers of a range nobody has: what a search for a vacant one looks at before it claims.

mod key_range;
mod rank;
mod vacancies;

pub use key_range::{KeyRange, KeyRangeError};
pub use vacancies::Vacancies;

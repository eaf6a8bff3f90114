//! Who holds what, both ways: the owner of an index, and the indexes of an owner.
//!
//! | Form | Owner of an index | Indexes of an owner |
//! |---|---|---|
//! | [`Dense`](dense::Dense), up to 2^24 indexes | a table by index | a list that runs through the table, found by hash |
//! | [`Sparse`](sparse::Sparse), any larger space | a hash map | one by hash, the others in a sorted set |
//!
//! Beside either stands what owners held last, if they are to get it back ([`formers`]).

mod dense;
mod formers;
mod record;
mod sparse;
mod table;

pub use record::Owner;
pub(crate) use record::Owners;

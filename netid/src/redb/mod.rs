//! Claims in a file: a [`RedbStore`].
//!
//! One thread makes all changes, and puts those that are asked for at the same time into one commit;
//! everybody else sends it what to do and waits for the answer. Reads go to the file directly.

mod error;
mod file;
mod operations;
mod records;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

pub use error::RedbError;
pub use store::RedbStore;
pub use watch::RedbWatch;

//! The crate seen from outside.

mod conformance;
mod edge;
mod golden;
mod heap;
mod laws;
mod model;
mod permutation;
#[cfg(feature = "redb")]
mod redb;
mod world;

/// Runs a future to its end.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

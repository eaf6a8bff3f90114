//! The crate seen from outside.

mod blocks;
mod blocks_faults;
mod claimer;
mod collector;
mod conformance;
mod edge;
mod faulty;
mod golden;
mod heap;
mod laws;
mod model;
mod peering;
mod peering_laws;
mod peering_model;
mod peering_world;
mod permutation;
#[cfg(feature = "redb")]
mod redb;
mod schedules;
#[cfg(feature = "tracing")]
mod traced;
mod vacancy;
mod vacancy_keys;
mod world;

/// Makes a module of tests, each with a fresh store that an asynchronous block gives.
macro_rules! conformance {
    ($store:ident, $new:expr) => {
        crate::conformance::every_check! { [conformance] @ $store, $new; }
    };
    (@ $store:ident, $new:expr; $($group:ident: $($check:ident),*;)*) => {
        mod $store {
            $(mod $group {$(
                #[test]
                fn $check() {
                    crate::block_on(async {
                        crate::conformance::$group::$check($new.await).await;
                    });
                }
            )*})*
        }
    };
}

mod conforming {
    conformance!(memory, async { netid::MemoryStore::new() });
    #[cfg(feature = "redb")]
    conformance!(redb, async { crate::redb::fresh() });
    #[cfg(feature = "tracing")]
    conformance!(traced, async { netid::TracedStore::new(netid::MemoryStore::new()) });
}

/// Runs a future to its end.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

//! Claims in a file: what `RedbStore` promises beyond the trait.

mod files;
mod together;

use core::sync::atomic::{AtomicU32, Ordering};
use std::path::PathBuf;
use std::{env, fs, process};

use netid::RedbStore;
use proptest::prelude::{ProptestConfig, any, prop, proptest};

use crate::block_on;
use crate::model::steps;
use crate::world::World;

/// A folder of a test, removed with what is in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("netid-redb-{}-{count}", process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("claims.redb")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A store whose file has no name any more, so that nothing is left of it.
pub(crate) fn fresh() -> RedbStore {
    RedbStore::open(Folder::new().file()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 12 } else { 100 }))]

    #[test]
    fn long_random_sequences(numbers in prop::collection::vec(any::<usize>(), 1..120)) {
        let steps = steps(4, 4);
        block_on(async {
            let mut world = World::new(fresh(), 4, 4);
            for number in numbers {
                world.step(steps[number % steps.len()]).await;
            }
        });
    }

    /// The model does not notice that the file is closed and opened between steps.
    #[test]
    fn long_random_sequences_across_restarts(
        numbers in prop::collection::vec((any::<usize>(), prop::bool::weighted(0.15)), 1..80),
    ) {
        let steps = steps(4, 4);
        let folder = Folder::new();
        block_on(async {
            let mut world = World::new(RedbStore::open(folder.file()).unwrap(), 4, 4);
            for (number, restart) in numbers {
                if restart {
                    world = world.with_store(|store| {
                        drop(store);
                        RedbStore::open(folder.file()).unwrap()
                    });
                }
                world.step(steps[number % steps.len()]).await;
            }
        });
    }
}

//! Random sequences in etcd and in the model.

use netid::EtcdStore;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::server::Server;
use crate::world::{Step, World};

pub(crate) async fn sequences_agree_with_the_model() {
    for seed in 0..8 {
        let mut rng = StdRng::seed_from_u64(seed);
        let options = Server::shared().options();
        let connect = async || EtcdStore::connect(&options).await.unwrap();
        let mut world = World::new(connect().await, 3, 4);
        let mut below = |limit: u32| (rng.next_u32() % limit) as usize;
        for _ in 0..60 {
            let (owner, key, age) = (below(3), below(4), below(2));
            let step = match below(9) {
                0..3 => Step::Claim { owner, keys: 1 + below(15) },
                3 => Step::ClaimOne { owner, key },
                4 => Step::Renew { key, age },
                5 => Step::Bind { key, age },
                6 => Step::Release { key, age, cooldown: u32::try_from(below(3)).unwrap() },
                7 => Step::ReleaseAll { owner },
                _ => Step::Tick,
            };
            world.step(step).await;
            if below(10) == 0 {
                // Another process goes on.
                let other = connect().await;
                world = world.with_store(|_| other);
            }
        }
    }
}

//! Watches beyond what the conformance suite asks of every store.

use core::time::Duration;

use netid::{
    Claim, ClaimStore as _, ClaimWatch as _, EtcdStore, EtcdWatch, KeyState, WatchClaims as _,
    WatchEvent,
};

use crate::edge::{NOW, owner, port};
use crate::server::Server;

async fn next(watch: &mut EtcdWatch) -> WatchEvent {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, watch.next()).await.expect("an event within time").unwrap()
}

async fn claim(store: &EtcdStore, number: u16) -> Vec<Claim> {
    store.claim(&owner("a"), &[port(number)], NOW).await.unwrap()
}

fn held(claims: &[Claim]) -> Vec<KeyState> {
    claims.iter().cloned().map(KeyState::Held).collect()
}

pub(crate) async fn goes_on_after_a_lost_connection() {
    let server = Server::alone(&[]);
    let store = server.store().await;
    let mut watch = store.watch("").await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Snapshot(vec![]));
    for number in 1..=3 {
        let claims = claim(&store, number).await;
        assert_eq!(next(&mut watch).await, WatchEvent::Changes(held(&claims)));
        server.kill();
        server.start(&[&server]);
    }
    // What happens while it is away is told step by step, none twice and none left out.
    let missed = [claim(&store, 4).await, claim(&store, 5).await];
    for claims in missed {
        assert_eq!(next(&mut watch).await, WatchEvent::Changes(held(&claims)));
    }
    assert!(watch.arrived().is_none());
}

pub(crate) async fn begins_anew_after_a_compaction() {
    let server = Server::alone(&[]);
    let store = server.store().await;
    let mut watch = store.watch("").await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Snapshot(vec![]));
    let first = claim(&store, 1).await;
    assert_eq!(next(&mut watch).await, WatchEvent::Changes(held(&first)));

    // A watch that is behind by more than etcd remembers: its connection is lost, and the history cut meanwhile. A
    // second store does both, so that the watch is not the first to be connected again.
    server.kill();
    server.start(&[&server]);
    let other = server.store().await;
    let second = claim(&store, 2).await;
    let revision = second[0].generation.number();
    let third = claim(&store, 3).await;
    drop(other);
    server.etcdctl(&["compact", &(revision + 1).to_string()]);
    let mut view = held(&first);
    let all = [first, second, third].concat();
    while view != held(&all) {
        match next(&mut watch).await {
            WatchEvent::Snapshot(states) => view = states,
            WatchEvent::Changes(states) => view.extend(states),
        }
    }
}

//! Who is there.

use core::time::Duration;

use netid::{EtcdStore, Owner};
use tokio::time::{Instant, sleep};

use crate::server::Server;

fn host(uid: &str) -> Owner {
    Owner::new("host", "rack-7", uid).unwrap()
}

/// Waits until the presence of an owner is as expected, and says how long that took.
async fn until(store: &EtcdStore, owner: &Owner, present: bool) -> Duration {
    let start = Instant::now();
    while store.is_present(owner).await.unwrap() != present {
        assert!(start.elapsed() < Duration::from_secs(30), "{owner} is not {present}");
        sleep(Duration::from_millis(50)).await;
    }
    start.elapsed()
}

pub(crate) async fn lasts_as_long_as_it_is_kept() {
    let store = Server::shared().store().await;
    assert_eq!(store.present().await.unwrap(), []);
    let one = store.announce(&host("uid/1"), Duration::from_secs(1)).await.unwrap();
    let two = store.announce(&host("uid/2"), Duration::from_secs(60)).await.unwrap();
    sleep(Duration::from_secs(4)).await;
    assert_eq!(store.present().await.unwrap(), [host("uid/1"), host("uid/2")]);
    assert!(one.is_current() && two.is_current());
    drop(one);
    until(&store, &host("uid/1"), false).await;
    assert_eq!(store.present().await.unwrap(), [host("uid/2")]);
}

pub(crate) async fn ends_when_it_is_withdrawn() {
    let store = Server::shared().store().await;
    let presence = store.announce(&host("a"), Duration::from_secs(3600)).await.unwrap();
    presence.withdraw().await.unwrap();
    assert!(!store.is_present(&host("a")).await.unwrap());
}

/// The process that comes after the one that withdraws has announced the same host, and is there still.
pub(crate) async fn ends_nobody_elses() {
    let store = Server::shared().store().await;
    let hour = Duration::from_secs(3600);
    let old = store.announce(&host("a"), hour).await.unwrap();
    let new = store.announce(&host("a"), hour).await.unwrap();
    old.withdraw().await.unwrap();
    assert!(store.is_present(&host("a")).await.unwrap());
    // What has ended by itself is withdrawn, too.
    let server = Server::shared();
    for lease in server.etcdctl(&["lease", "list"]).lines().skip(1) {
        server.etcdctl(&["lease", "revoke", lease]);
    }
    assert!(!store.is_present(&host("a")).await.unwrap());
    new.withdraw().await.unwrap();
}

/// A presence outlives the server's restart, and is announced anew when its lease ran out meanwhile.
pub(crate) async fn ends_with_its_host() {
    let server = Server::alone(&[]);
    let store = server.store().await;
    let presence = store.announce(&host("a"), Duration::from_secs(1)).await.unwrap();
    let key = server.etcdctl(&["get", "--prefix", "--keys-only", "/"]);
    let key = key.lines().find(|line| line.contains("/present/")).unwrap().to_owned();
    server.etcdctl(&["del", &key]);
    let lease = server.etcdctl(&["lease", "list"]);
    let lease = lease.lines().nth(1).unwrap().to_owned();
    server.etcdctl(&["lease", "revoke", &lease]);
    until(&store, &host("a"), true).await;
    server.kill();
    sleep(Duration::from_secs(2)).await;
    assert!(!presence.is_current());
    server.start(&[&server]);
    until(&store, &host("a"), true).await;
    drop(presence);
    until(&store, &host("a"), false).await;
}

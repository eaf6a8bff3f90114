//! Watches beyond what the conformance suite asks of every store.

use core::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use netid::{
    Claim, ClaimStore as _, ClaimWatch as _, EtcdError, EtcdOptions, EtcdStore, EtcdWatch,
    KeyState, WatchClaims as _, WatchEvent,
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

/// A record that somebody else wrote is reported, and forgotten when it is gone.
pub(crate) async fn goes_on_after_a_foreign_record() {
    let server = Server::alone(&[]);
    let options = server.options().with_root("/watched");
    let store = EtcdStore::connect(&options).await.unwrap();
    let mut watch = store.watch("").await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Snapshot(vec![]));
    server.etcdctl(&["put", "/watched/claims/name/web", "mine"]);
    let error = watch.next().await.unwrap_err();
    assert!(matches!(error, EtcdError::Corrupt { .. }), "{error:?}");
    server.etcdctl(&["del", "/watched/claims/name/web"]);
    let claims = claim(&store, 1).await;
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < Duration::from_secs(20), "it does not go on");
        match watch.next().await {
            Ok(WatchEvent::Snapshot(states)) => {
                assert!(states.is_empty() || states == held(&claims));
            }
            Ok(WatchEvent::Changes(states)) => assert_eq!(states, held(&claims)),
            Err(_) => continue,
        }
        break;
    }
}

/// Passes connections on, until so many bytes have come from the server; then all of them end, and new ones go through.
struct Cut {
    endpoint: String,
    left: Arc<AtomicI64>,
    open: Arc<AtomicBool>,
}

impl Cut {
    fn before(server: &Server) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let cut = Self {
            endpoint,
            left: Arc::new(AtomicI64::new(i64::MAX)),
            open: Arc::new(AtomicBool::new(true)),
        };
        let behind = server.client.trim_start_matches("http://").to_owned();
        let (left, open) = (Arc::clone(&cut.left), Arc::clone(&cut.open));
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                let server = TcpStream::connect(&behind).unwrap();
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let (left, open) = (Arc::clone(&left), Arc::clone(&open));
                thread::spawn(move || answers(server, client, &left, &open));
            }
        });
        cut
    }

    fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
    }

    fn open_for(&self, bytes: i64) {
        self.left.store(bytes, Ordering::SeqCst);
        self.open.store(true, Ordering::SeqCst);
    }
}

fn answers(mut server: TcpStream, mut client: TcpStream, left: &AtomicI64, open: &AtomicBool) {
    server.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut chunk = [0; 4096];
    while open.load(Ordering::SeqCst) {
        match server.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => {
                if client.write_all(&chunk[..length]).is_err() {
                    break;
                }
                if left.fetch_sub(i64::try_from(length).unwrap(), Ordering::SeqCst) < 0 {
                    left.store(i64::MAX, Ordering::SeqCst);
                    break;
                }
            }
            Err(_) => {}
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

/// etcd tells what was missed in pieces, and each of them says how far etcd itself has come. A connection that is lost
/// between two pieces is taken up behind the first of them.
pub(crate) async fn misses_nothing_between_two_pieces() {
    const MISSED: usize = 2_500;
    let server = Server::alone(&[]);
    let cut = Cut::before(&server);
    let near = server.options().with_root("/watched");
    let direct = EtcdStore::connect(&near).await.unwrap();
    let far = EtcdOptions::new([&*cut.endpoint]).with_root("/watched");
    let store = EtcdStore::connect(&far.with_deadline(Duration::from_secs(30))).await.unwrap();
    let mut watch = store.watch("").await.unwrap();
    assert_eq!(next(&mut watch).await, WatchEvent::Snapshot(vec![]));
    claim(&direct, 1).await;
    assert!(matches!(next(&mut watch).await, WatchEvent::Changes(_)));

    cut.close();
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..MISSED {
        let direct = direct.clone();
        asked.spawn(async move { claim(&direct, u16::try_from(number + 2).unwrap()).await });
    }
    assert_eq!(asked.join_all().await.len(), MISSED);
    // More than a piece, less than two.
    cut.open_for(250_000);
    let mut told = 0;
    while told < MISSED {
        match next(&mut watch).await {
            WatchEvent::Changes(states) => told += states.len(),
            WatchEvent::Snapshot(states) => panic!("a snapshot of {}", states.len()),
        }
    }
    assert_eq!(told, MISSED);
}

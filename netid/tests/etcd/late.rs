//! Requests that reach the server when nobody waits for them any more.

use core::slice::from_ref;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use netid::{
    Claim, ClaimError, ClaimStore as _, EtcdError, EtcdOptions, EtcdStore, ReleaseOutcome,
};

use crate::edge::{NOW, owner, port};
use crate::security::with_users;
use crate::server::Server;

const ROOT: &str = "/claims";

/// A way to a server on which requests can get stuck.
#[derive(Clone)]
struct Way {
    endpoint: String,
    stuck: Arc<AtomicBool>,
}

impl Way {
    /// For how long a way that is stuck takes more. What is sent later is lost, such as the word that nobody waits.
    const TAKES: Duration = Duration::from_millis(400);

    fn to(server: &Server) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let way = Self { endpoint, stuck: Arc::default() };
        let behind = server.client.trim_start_matches("http://").to_owned();
        let stuck = Arc::clone(&way.stuck);
        thread::spawn(move || {
            let client = listener.accept().unwrap().0;
            let server = TcpStream::connect(behind).unwrap();
            let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            pass_on(client, server, &stuck);
        });
        way
    }

    fn gets_stuck(&self) {
        self.stuck.store(true, Ordering::SeqCst);
    }

    /// Lets the server have what is stuck, and waits until it has answered.
    fn comes_free(&self, server: &Server) {
        let before = server.answered("Txn");
        self.stuck.store(false, Ordering::SeqCst);
        let start = Instant::now();
        while server.answered("Txn") == before {
            assert!(start.elapsed() < Duration::from_secs(30), "nothing came late");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn pass_on(mut client: TcpStream, mut server: TcpStream, stuck: &AtomicBool) {
    client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (mut chunk, mut held, mut since) = ([0; 4096], Vec::new(), None);
    loop {
        let length = match client.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => length,
            Err(_) => 0,
        };
        if stuck.load(Ordering::SeqCst) {
            if length > 0 && since.get_or_insert_with(Instant::now).elapsed() < Way::TAKES {
                held.extend(&chunk[..length]);
            }
        } else if since.is_some() {
            // What came in between is lost, so nothing after it makes sense.
            let _ = server.write_all(&held);
            since = None;
            client.shutdown(std::net::Shutdown::Read).unwrap();
        } else {
            server.write_all(&chunk[..length]).unwrap();
        }
    }
}

/// How to claim a key.
#[derive(Clone, Copy)]
enum By {
    Batch,
    One,
}

impl By {
    async fn claim(self, store: &EtcdStore) -> Result<Claim, ClaimError<EtcdError>> {
        match self {
            Self::Batch => Ok(store.claim(&owner("a"), &[port(1)], NOW).await?.swap_remove(0)),
            Self::One => store.claim_one(&owner("a"), "port/", &port(1), NOW).await,
        }
    }
}

/// A store whose next request gets stuck, and one that nothing happens to.
async fn stores(server: &Server) -> (EtcdStore, EtcdStore, Way) {
    let way = Way::to(server);
    let options = EtcdOptions::new([&*way.endpoint, &*server.client]).with_root(ROOT);
    let store = EtcdStore::connect(&options.with_attempt(Duration::from_secs(1))).await.unwrap();
    let options = EtcdOptions::new([&*server.client]).with_root(ROOT);
    let other = EtcdStore::connect(&options).await.unwrap();
    way.gets_stuck();
    (store, other, way)
}

async fn release(store: &EtcdStore, claim: &Claim) {
    let released = store.release(from_ref(claim), |_| Duration::ZERO, NOW).await.unwrap();
    assert_eq!(released, [(claim.key.clone(), ReleaseOutcome::Released)]);
}

pub(crate) async fn what_was_released_stays_released() {
    for by in [By::Batch, By::One] {
        let server = Server::alone(&[]);
        let (store, _, way) = stores(&server).await;
        let claim = by.claim(&store).await.unwrap();
        release(&store, &claim).await;
        way.comes_free(&server);
        assert_eq!(store.get(&claim.key).await.unwrap(), None);
    }
}

pub(crate) async fn what_was_refused_stays_refused() {
    for by in [By::Batch, By::One] {
        let server = Server::alone(&[]);
        let (store, other, way) = stores(&server).await;
        let taken = other.claim(&owner("b"), &[port(1)], NOW).await.unwrap().swap_remove(0);
        match by.claim(&store).await.unwrap_err() {
            ClaimError::Taken(_) => {}
            other => panic!("{other:?}"),
        }
        release(&other, &taken).await;
        way.comes_free(&server);
        assert_eq!(other.get(&taken.key).await.unwrap(), None);
    }
}

/// A server that refuses has not seen what another one was asked before, and cannot say what became of it.
pub(crate) async fn a_refusal_after_silence_is_no_answer() {
    for by in [By::Batch, By::One] {
        let (server, refusing) = (Server::alone(&[]), with_users());
        let way = Way::to(&server);
        let options = EtcdOptions::new([&*way.endpoint, &*refusing.client]).with_root(ROOT);
        let store =
            EtcdStore::connect(&options.with_attempt(Duration::from_secs(1))).await.unwrap();
        way.gets_stuck();
        match by.claim(&store).await {
            Err(ClaimError::Unknown(EtcdError::Refused { unclear: true, .. })) => {}
            other => panic!("{other:?}"),
        }
        way.comes_free(&server);
        let options = EtcdOptions::new([&*server.client]).with_root(ROOT);
        let other = EtcdStore::connect(&options).await.unwrap();
        assert_eq!(other.claims_of(&owner("a")).await.unwrap().len(), 1);
    }
}

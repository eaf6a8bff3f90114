//! What goes wrong, and what it costs when it goes right.

use core::num::NonZeroUsize;
use core::slice::from_ref;
use core::time::Duration;
use std::net::TcpListener;

use netid::{
    BlockSpace, Blocks, BlocksError, ClaimError, ClaimKey, ClaimStore as _, EtcdError, EtcdOptions,
    EtcdStore, KeyRange, MemoryStore, NetId, Owner, Protocol, WatchClaims as _,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::server::Server;

pub(crate) const NOW: Duration = Duration::from_secs(1_700_000_000);

pub(crate) fn owner(uid: &str) -> Owner {
    Owner::new("vm", "web", uid).unwrap()
}

pub(crate) fn port(port: u16) -> ClaimKey {
    ClaimKey::port(Protocol::Tcp, port)
}

async fn refused(options: &EtcdOptions) -> EtcdError {
    EtcdStore::connect(options).await.unwrap_err()
}

pub(crate) async fn refuses_options_that_do_not_fit() {
    assert_eq!(refused(&EtcdOptions::new([])).await, EtcdError::NoEndpoint);
    for endpoint in [
        "127.0.0.1:2379",
        "",
        "unix:///run/etcd",
        "http://",
        "http://a b",
        "http://127.0.0.1:2379/v3",
        "http://127.0.0.1:2379?user=vms",
        "http://127.0.0.1:2379,http://127.0.0.2:2379",
    ] {
        match refused(&EtcdOptions::new([endpoint])).await {
            EtcdError::Endpoint { endpoint: refused, .. } => assert_eq!(&*refused, endpoint),
            other => panic!("{endpoint}: {other:?}"),
        }
    }
    let https = refused(&EtcdOptions::new(["https://127.0.0.1:2379"])).await;
    assert_eq!(https, EtcdError::Tls { endpoint: "https://127.0.0.1:2379".into() });
}

pub(crate) async fn refuses_another_format() {
    let server = Server::shared();
    let options = server.options().with_root("/test/format");
    server.etcdctl(&["put", "/test/format/format", "netid claims 2"]);
    let error = refused(&options).await;
    let found = "netid claims 2".into();
    assert_eq!(error, EtcdError::Format { found, expected: "netid claims 1" });
    assert_eq!(
        server.etcdctl(&["get", "--print-value-only", "/test/format/format"]),
        "netid claims 2\n"
    );
}

pub(crate) async fn refuses_large_batches() {
    let store = Server::shared().store().await;
    let batch: Vec<_> = (1..=43).map(port).collect();
    let too_large = EtcdError::BatchTooLarge { len: 43, max: EtcdStore::MAX_BATCH };
    let error = store.claim(&owner("a"), &batch, NOW).await.unwrap_err();
    assert_eq!(error, ClaimError::Store(too_large));
    assert_eq!(store.claims_of(&owner("a")).await.unwrap(), []);

    // The largest fits, also when each of its keys has rested.
    let batch = &batch[1..];
    let twice = [batch, batch].concat();
    let claims = store.claim(&owner("a"), &twice, NOW).await.unwrap();
    assert_eq!(claims.len(), 84);
    let released = store.release(&claims[..42], |_| NOW, NOW).await.unwrap();
    assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
    let claims = store.claim(&owner("b"), batch, NOW * 2).await.unwrap();
    assert_eq!(claims.len(), 42);
    store.bind(&claims).await.unwrap();
}

pub(crate) async fn reports_foreign_records() {
    let server = Server::shared();
    let store = EtcdStore::connect(&server.options().with_root("/test/foreign")).await.unwrap();
    server.etcdctl(&["put", "/test/foreign/claims/name/web", "mine"]);
    let error = store.get(&ClaimKey::name("web").unwrap()).await.unwrap_err();
    match error {
        EtcdError::Corrupt { key, .. } => assert_eq!(&*key, "/test/foreign/claims/name/web"),
        other => panic!("{other:?}"),
    }
    let batch = [ClaimKey::name("web").unwrap()];
    assert!(store.claim(&owner("a"), &batch, NOW).await.is_err());
    assert_eq!(
        server.etcdctl(&["get", "--print-value-only", "/test/foreign/claims/name/web"]),
        "mine\n"
    );
    server.etcdctl(&["put", "/test/foreign/claims/not a key", "mine"]);
    assert!(store.list("not", None, NonZeroUsize::MAX).await.is_err());
}

/// That the owner has one is known, and what it is cannot be read: that is not the same as having none.
pub(crate) async fn does_not_deny_what_cannot_be_read() {
    let server = Server::shared();
    let store = EtcdStore::connect(&server.options().with_root("/test/unread")).await.unwrap();
    store.claim_one(&owner("a"), "port/", &port(1), NOW).await.unwrap();
    server.etcdctl(&["put", "/test/unread/claims/port/tcp/00001", "mine"]);
    match store.claim_one(&owner("a"), "port/", &port(2), NOW).await {
        Err(ClaimError::Unknown(EtcdError::Corrupt { .. })) => {}
        other => panic!("{other:?}"),
    }
}

/// A page of what rests is not asked for row by row.
pub(crate) async fn finds_what_stands_behind_much_that_rests() {
    let server = Server::alone(&[]);
    let store = server.store().await;
    for first in (1..=400).step_by(40) {
        let batch: Vec<_> = (first..first + 40).map(port).collect();
        let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
        let _cooling = store.release(&claims, |_| NOW, NOW).await.unwrap();
    }
    let last = [port(500), port(501), port(502)];
    let last = store.claim(&owner("a"), &last, NOW).await.unwrap();
    let before = server.answered("Range");
    let mut after = None;
    for claim in &last {
        let one = NonZeroUsize::MIN;
        let found = store.list("port/", after, one).await.unwrap();
        assert_eq!(found, from_ref(claim));
        after = Some(&claim.key);
    }
    let reads = server.answered("Range") - before;
    assert!(reads <= 20, "{reads} reads");
}

/// A time that no clock reaches is no time that is up.
pub(crate) async fn tries_for_as_long_as_it_is_told() {
    let options = Server::shared().options().with_root("/test/for-ever");
    let options = options.with_deadline(Duration::MAX).with_attempt(Duration::MAX);
    let store = EtcdStore::connect(&options).await.unwrap();
    store.claim(&owner("a"), &[port(1)], NOW).await.unwrap();
}

/// A password in a URL would be sent and shown as it is, and not be used.
pub(crate) async fn refuses_credentials_in_an_endpoint() {
    for endpoint in ["http://vms:secret@127.0.0.1:2379", "http://secret@[::1]:2379/"] {
        let error = refused(&EtcdOptions::new([endpoint])).await;
        assert!(matches!(error, EtcdError::Endpoint { .. }), "{error:?}");
        assert!(error.to_string().contains("with_user"), "{error}");
        assert!(!format!("{error:?} {error}").contains("secret"), "{error}");
    }
}

pub(crate) async fn keeps_apart_what_is_under_different_roots() {
    let server = Server::shared();
    let key = [ClaimKey::name("web").unwrap()];
    let near = EtcdStore::connect(&server.options().with_root("/test/near")).await.unwrap();
    let nearer = EtcdStore::connect(&server.options().with_root("/test/near2/")).await.unwrap();
    near.claim(&owner("a"), &key, NOW).await.unwrap();
    nearer.claim(&owner("b"), &key, NOW).await.unwrap();
    for (store, uid) in [(near, "a"), (nearer, "b")] {
        let claims = store.list("", None, NonZeroUsize::MAX).await.unwrap();
        assert_eq!(claims.len(), 1);
        assert_eq!(claims[0].owner.uid(), uid);
    }
}

pub(crate) async fn says_when_nobody_listens() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    // An address that nobody can have is no other case.
    for endpoint in [&*endpoint, "http://255.255.255.255:2379"] {
        let options = EtcdOptions::new([endpoint]).with_deadline(Duration::from_millis(300));
        match refused(&options).await {
            EtcdError::Unanswered { attempts, unclear: false, last } => {
                assert!(attempts > 1);
                assert!(last.starts_with(&format!("{endpoint}: ")), "{last}");
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn starts_without_etcd() {
    let server = Server::alone(&[]);
    let options = server.options().with_deadline(Duration::from_secs(1));
    let local = MemoryStore::new();
    let open = async || {
        let shared = EtcdStore::connect_lazy(&options).await.unwrap();
        let ids = KeyRange::ids(NetId::new(0), NetId::new(u32::MAX)).unwrap();
        let host = Owner::new("host", "a", "a").unwrap();
        let space = BlockSpace::new(ids).unwrap();
        let blocks = Blocks::open(shared.clone(), local.clone(), host, space).await.unwrap();
        (shared, blocks)
    };
    let mut rng = StdRng::seed_from_u64(1);
    let (_, blocks) = open().await;
    blocks.claim(&owner("0"), &mut rng, NOW).await.unwrap();

    // The host starts again while etcd is away, and has the rest of its block.
    server.kill();
    let (shared, blocks) = open().await;
    for uid in 1..256 {
        blocks.claim(&owner(&uid.to_string()), &mut rng, NOW).await.unwrap();
    }
    let error = blocks.claim(&owner("256"), &mut rng, NOW).await.unwrap_err();
    assert!(matches!(error, BlocksError::SharedClaim(ClaimError::Store(_))), "{error:?}");
    match shared.claim(&owner("a"), &[port(1)], NOW).await.unwrap_err() {
        ClaimError::Store(EtcdError::Unanswered { unclear: false, .. }) => {}
        other => panic!("{other:?}"),
    }

    // What is unused is kept while it cannot be given back.
    let claims = local.list("id/", None, NonZeroUsize::MAX).await.unwrap();
    assert_eq!(claims.len(), 256);
    blocks.release(&claims, |_| Duration::ZERO, NOW).await.unwrap();
    assert!(blocks.return_unused(0, NOW).await.is_err());
    assert_eq!(blocks.leased().len(), 1);
    for uid in 0..256 {
        blocks.claim(&owner(&uid.to_string()), &mut rng, NOW).await.unwrap();
    }

    server.start(&[&server]);
    server.wait();
    blocks.claim(&owner("256"), &mut rng, NOW).await.unwrap();
    assert_eq!(blocks.leased().len(), 2);
    let claims = local.list("id/", None, NonZeroUsize::MAX).await.unwrap();
    blocks.release(&claims, |_| Duration::ZERO, NOW).await.unwrap();
    assert_eq!(blocks.return_unused(0, NOW).await.unwrap(), 2);
    assert_eq!(shared.claims_of(&Owner::new("host", "a", "a").unwrap()).await.unwrap(), []);
    server.remove();
}

pub(crate) async fn refuses_another_format_at_the_first_operation() {
    let server = Server::shared();
    let options = server.options().with_root("/test/lazy");
    server.etcdctl(&["put", "/test/lazy/format", "netid claims 2"]);
    let store = EtcdStore::connect_lazy(&options).await.unwrap();
    let found = "netid claims 2".into();
    let error = EtcdError::Format { found, expected: "netid claims 1" };
    let claim = store.claim(&owner("a"), &[port(1)], NOW).await;
    assert_eq!(claim, Err(ClaimError::Store(error.clone())));
    assert_eq!(store.claims_of(&owner("a")).await, Err(error.clone()));
    assert_eq!(store.announce(&owner("a"), NOW).await.unwrap_err(), error);
    assert_eq!(store.watch("").await.unwrap_err(), error);
    assert_eq!(
        server.etcdctl(&["get", "--prefix", "--keys-only", "/test/lazy/"]).trim(),
        "/test/lazy/format"
    );
}

pub(crate) async fn goes_on_at_the_next_endpoint() {
    // One that refuses, one that never answers, and one that works.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let refusing = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let [silent_url, refusing_url] =
        [&silent, &refusing].map(|listener| format!("http://{}", listener.local_addr().unwrap()));
    drop(refusing);
    let server = Server::shared();
    let options = EtcdOptions::new([&*refusing_url, &*silent_url, &*server.client])
        .with_root("/test/next")
        .with_attempt(Duration::from_millis(300));
    let store = EtcdStore::connect(&options).await.unwrap();
    let claims = store.claim(&owner("a"), &[port(1)], NOW).await.unwrap();
    assert_eq!(store.claims_of(&owner("a")).await.unwrap(), claims);
}

pub(crate) async fn gives_up_at_the_deadline() {
    let server = Server::alone(&[]);
    let options = server.options().with_attempt(Duration::from_millis(100));
    let options = options.with_deadline(Duration::from_millis(500));
    let patient = options.clone().with_deadline(Duration::from_secs(30));
    let patient = EtcdStore::connect(&patient).await.unwrap();
    let store = EtcdStore::connect(&options).await.unwrap();
    server.signal("-STOP");
    match store.claim(&owner("a"), &[port(1)], NOW).await {
        Err(ClaimError::Unknown(EtcdError::Unanswered { unclear: true, .. })) => {}
        other => panic!("{other:?}"),
    }
    server.signal("-CONT");
    // Whether it was claimed or not, claiming the same again is the answer.
    let claims = patient.claim(&owner("a"), &[port(1)], NOW).await.unwrap();
    assert_eq!(patient.claims_of(&owner("a")).await.unwrap(), claims);
    assert!(patient.claim(&owner("b"), &[port(1)], NOW).await.unwrap_err().taken().is_some());
}

pub(crate) async fn does_not_claim_twice_for_an_owner() {
    let store = Server::shared().store().await;
    let owner = owner("a");
    let asking = (1..=64).map(|number| {
        let (store, owner) = (store.clone(), owner.clone());
        tokio::spawn(async move { store.claim_one(&owner, "port/", &port(number), NOW).await })
    });
    let mut given = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        given.push(asked.await.unwrap().unwrap());
    }
    assert_eq!(store.claims_of(&owner).await.unwrap(), from_ref(&given[0]));
    assert!(given.iter().all(|claim| *claim == given[0]));
}

pub(crate) async fn forgets_only_what_has_passed() {
    let server = Server::shared();
    let store = EtcdStore::connect(&server.options().with_root("/test/forget")).await.unwrap();
    let mut claims = Vec::new();
    for first in (1..1_200).step_by(40) {
        let batch: Vec<_> = (first..first + 40).map(port).collect();
        claims.extend(store.claim(&owner("a"), &batch, NOW).await.unwrap());
    }
    let even =
        |key: &ClaimKey| Duration::from_secs(u64::from(key.as_str().ends_with(['0', '2', '4'])));
    let released = store.release(&claims, even, NOW).await.unwrap();
    assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
    let held = store.claim(&owner("a"), &[port(9999)], NOW).await.unwrap();
    assert_eq!(store.forget_cooldowns(NOW + Duration::from_secs(1)).await.unwrap(), 360);
    let left = server.etcdctl(&["get", "--prefix", "--keys-only", "/test/forget/"]);
    let left: Vec<_> = left.lines().filter(|line| !line.is_empty()).collect();
    let own = [
        "/test/forget/claims/port/tcp/09999",
        "/test/forget/format",
        "/test/forget/owners/a/port/tcp/09999",
    ];
    assert_eq!(left, own);
    assert_eq!(store.claims_of(&owner("a")).await.unwrap(), held);
}

/// Claims, repetitions and releases are one transaction each, whatever the batch.
pub(crate) async fn needs_one_transaction_for_a_claim() {
    let server = Server::alone(&[]);
    let store = server.store().await;
    let batch: Vec<_> = (1..=20).map(port).collect();
    let before = server.answered("Txn");
    let claims = store.claim(&owner("a"), &batch, NOW).await.unwrap();
    assert_eq!(server.answered("Txn") - before, 1);
    store.claim(&owner("a"), &batch, NOW).await.unwrap();
    assert_eq!(server.answered("Txn") - before, 2);
    assert!(store.claim(&owner("b"), &batch, NOW).await.is_err());
    assert_eq!(server.answered("Txn") - before, 3);
    let released = store.release(&claims, |_| NOW, NOW).await.unwrap();
    assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
    assert_eq!(server.answered("Txn") - before, 4);
    assert_eq!(server.answered("Range"), 0);
}

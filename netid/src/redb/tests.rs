//! What only shows from inside: disks that fail, and bytes that no store wrote.

use alloc::format;
use alloc::string::ToString as _;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::slice::from_ref;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::{env, fs, process};

use ::redb::{Database, ReadableDatabase as _, StorageBackend, TableDefinition};
use tokio::task::JoinSet;

use super::file::{self, File};
use super::table::CLAIMS;
use super::{RedbError, RedbStore};
use crate::claim::{
    BindError, Claim, ClaimError, ClaimKey, ClaimStore as _, ClaimWatch as _, KeyState, Owner,
    WatchClaims as _, WatchEvent,
};

const NOW: Duration = Duration::from_secs(1_700_000_000);

/// A disk in memory that outlasts the databases on it, and that fails when it is told to.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    bytes: Mutex<Vec<u8>>,
    /// Nothing is written any more.
    is_broken: AtomicBool,
    /// What is written arrives, and the disk does not say so.
    is_mute: AtomicBool,
    /// It cannot be opened.
    is_gone: AtomicBool,
}

impl Disk {
    fn open(&self) -> Result<Database, RedbError> {
        if self.0.is_gone.load(Ordering::SeqCst) {
            return Err(RedbError::Damaged { what: "the disk is gone".into() });
        }
        file::builder()
            .create_with_backend(self.clone())
            .map_err(|error| RedbError::Database(Arc::new(error)))
    }

    fn fail_if(flag: &AtomicBool) -> io::Result<()> {
        if flag.load(Ordering::SeqCst) { Err(io::Error::other("as told")) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.0.bytes.lock().unwrap()[start..][..out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::fail_if(&self.0.is_broken)?;
        self.0.bytes.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::fail_if(&self.0.is_broken)?;
        Self::fail_if(&self.0.is_mute)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        Self::fail_if(&self.0.is_broken)?;
        let start = usize::try_from(offset).unwrap();
        self.0.bytes.lock().unwrap()[start..][..data.len()].copy_from_slice(data);
        Ok(())
    }
}

/// A store on a disk.
fn store() -> (RedbStore, Disk) {
    let disk = Disk::default();
    let database = disk.open().unwrap();
    file::format_database(&database).unwrap();
    let again = disk.clone();
    (RedbStore::start(File::new(database, move || again.open())).unwrap(), disk)
}

fn name(name: &str) -> ClaimKey {
    ClaimKey::name(name).unwrap()
}

fn owner(uid: &str) -> Owner {
    Owner::new("vm", "", uid).unwrap()
}

async fn everything(store: &RedbStore) -> Vec<Claim> {
    store.list("", None, NonZeroUsize::MAX).await.unwrap()
}

#[tokio::test]
async fn nothing_is_claimed_while_the_disk_is_broken() {
    let (store, disk) = store();
    let before = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
    disk.0.is_broken.store(true, Ordering::SeqCst);

    // All that share a commit are told that it failed, and nobody that it was done.
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let store = store.clone();
        tasks.spawn(async move {
            let name = number.to_string();
            store.claim(&owner(&name), &[ClaimKey::name(&name).unwrap()], NOW).await
        });
    }
    for answer in tasks.join_all().await {
        assert!(matches!(answer, Err(ClaimError::Store(_) | ClaimError::Unknown(_))), "{answer:?}");
    }
    assert!(matches!(store.bind(&before).await, Err(BindError::Store(_))));
    assert!(store.release(&before, |_| Duration::ZERO, NOW).await.is_err());

    disk.0.is_broken.store(false, Ordering::SeqCst);
    let after = store.claim(&owner("b"), &[name("b")], NOW).await.unwrap();
    assert!(after[0].generation > before[0].generation);
    assert_eq!(everything(&store).await, [&before[..], &after].concat());
    store.bind(&before).await.unwrap();
}

/// The answer of the disk is lost, not the record: asking again gives what was claimed.
#[tokio::test]
async fn a_claim_of_unknown_fate_is_found_by_claiming_again() {
    let (store, disk) = store();
    let batch = [name("a"), name("b")];
    let mut found = 0;
    for turn in 0..20 {
        let ours = owner(&turn.to_string());
        disk.0.is_mute.store(true, Ordering::SeqCst);
        let answer = store.claim(&ours, &batch, NOW).await;
        assert!(matches!(answer, Err(ClaimError::Unknown(_) | ClaimError::Store(_))), "{answer:?}");
        disk.0.is_mute.store(false, Ordering::SeqCst);
        let claims = store.claim(&ours, &batch, NOW).await.unwrap();
        found += usize::from(everything(&store).await == claims);
        let released = store.release(&claims, |_| Duration::ZERO, NOW).await.unwrap();
        assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
    }
    assert_eq!(found, 20);
}

#[tokio::test]
async fn a_commit_that_failed_is_of_unknown_fate() {
    let (store, disk) = store();
    disk.0.is_mute.store(true, Ordering::SeqCst);
    let answer = store.claim(&owner("a"), &[name("a")], NOW).await;
    assert!(matches!(answer, Err(ClaimError::Unknown(RedbError::Database(_)))), "{answer:?}");
}

#[tokio::test]
async fn a_disk_that_is_gone_is_asked_for_again() {
    let (store, disk) = store();
    let claims = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
    disk.0.is_broken.store(true, Ordering::SeqCst);
    disk.0.is_gone.store(true, Ordering::SeqCst);
    assert!(store.claim(&owner("b"), &[name("b")], NOW).await.is_err());
    assert!(store.get(&name("a")).await.is_err());
    assert!(store.watch("").await.is_err());
    let again = store.claim(&owner("b"), &[name("b")], NOW).await;
    assert!(matches!(again, Err(ClaimError::Store(_))), "surely not done: {again:?}");

    disk.0.is_broken.store(false, Ordering::SeqCst);
    disk.0.is_gone.store(false, Ordering::SeqCst);
    store.bind(&claims).await.unwrap();
    assert_eq!(everything(&store).await.len(), 1);
}

#[tokio::test]
async fn who_watches_begins_anew_after_a_failure() {
    let (store, disk) = store();
    let mut watch = store.watch("").await.unwrap();
    assert_eq!(watch.next().await.unwrap(), WatchEvent::Snapshot(vec![]));
    disk.0.is_mute.store(true, Ordering::SeqCst);
    assert!(store.claim(&owner("a"), &[name("a")], NOW).await.is_err());
    disk.0.is_mute.store(false, Ordering::SeqCst);
    let claims = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
    let expected = WatchEvent::Snapshot(claims.into_iter().map(KeyState::Held).collect());
    assert_eq!(watch.next().await.unwrap(), expected);
}

#[tokio::test]
async fn a_watch_goes_on_after_an_error() {
    let (store, disk) = store();
    let mut watch = store.watch("").await.unwrap();
    assert_eq!(watch.next().await.unwrap(), WatchEvent::Snapshot(vec![]));
    for flag in [&disk.0.is_broken, &disk.0.is_gone] {
        flag.store(true, Ordering::SeqCst);
    }
    assert!(store.claim(&owner("a"), &[name("a")], NOW).await.is_err());
    assert!(watch.next().await.is_err());
    assert!(watch.next().await.is_err());
    for flag in [&disk.0.is_broken, &disk.0.is_gone] {
        flag.store(false, Ordering::SeqCst);
    }
    let claims = store.claim(&owner("b"), &[name("b")], NOW).await.unwrap();
    let expected = WatchEvent::Snapshot(claims.into_iter().map(KeyState::Held).collect());
    assert_eq!(watch.next().await.unwrap(), expected);
}

/// Writes something into the table, behind the back of a store that is open afterwards.
fn with_bytes(entries: &[(&[u8], &[u8])]) -> RedbStore {
    let disk = Disk::default();
    let database = disk.open().unwrap();
    file::format_database(&database).unwrap();
    let transaction = database.begin_write().unwrap();
    for (key, value) in entries {
        transaction.open_table(CLAIMS).unwrap().insert(*key, *value).unwrap();
    }
    transaction.commit().unwrap();
    RedbStore::start(File::new(database, move || disk.open())).unwrap()
}

fn damaged<T: core::fmt::Debug>(answer: &Result<T, RedbError>) {
    assert!(matches!(answer, Err(RedbError::Damaged { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_damaged_record_is_an_error_of_those_who_need_it() {
    let store = with_bytes(&[(b"kname/a", b"{}"), (b"o\x01aname/a", b"")]);
    damaged(&store.get(&name("a")).await);
    damaged(&store.list("name/", None, NonZeroUsize::MAX).await);
    damaged(&store.claims_of(&owner("a")).await);
    damaged(&store.watch("").await);

    // One that shares the commit is not affected, and one of a batch fails with all of it.
    let (batch, other) = ([name("b"), name("a")], [name("c")]);
    let (a, b) = (owner("a"), owner("b"));
    let (first, second) = tokio::join!(store.claim(&a, &batch, NOW), store.claim(&b, &other, NOW));
    assert!(matches!(first, Err(ClaimError::Store(RedbError::Damaged { .. }))), "{first:?}");
    let claims = second.unwrap();
    assert_eq!(store.get(&name("b")).await.unwrap(), None);
    assert_eq!(store.list("name/b", None, NonZeroUsize::MAX).await.unwrap(), []);
    assert_eq!(store.get(&name("c")).await.unwrap().as_ref(), Some(&claims[0]));

    let one = store.claim_one(&a, "name/", &name("d"), NOW).await;
    assert!(matches!(one, Err(ClaimError::Store(RedbError::Damaged { .. }))), "{one:?}");
    let proof = Claim::new(name("a"), a, claims[0].generation, NOW);
    let both = [claims[0].clone(), proof];
    damaged(&store.release(&both, |_| Duration::ZERO, NOW).await);
    assert!(matches!(store.bind(&both).await, Err(BindError::Store(_))));
    let left = store.get(&name("c")).await.unwrap();
    assert_eq!(left.as_ref(), Some(&claims[0]), "neither released nor bound");
}

#[tokio::test]
async fn a_damaged_index_is_an_error() {
    let deadline = b"d\0\0\0\0\0\0\0\x01\0\0\0\0name/a";
    for entries in [
        &[(&deadline[..], &b""[..])][..],
        &[(b"d", b"")],
        &[(b"d\0\0\0\0\0\0\0\x01\0\0\0\0a", b"")],
    ] {
        let store = with_bytes(entries);
        damaged(&store.forget_cooldowns(NOW).await);
        // It is in nobody else's way.
        assert!(store.claim(&owner("a"), &[name("b")], NOW).await.is_ok());
    }
    for index in [&b"o\x01aname/a"[..], b"o\x01a", b"o\x01aname/", b"o\x01a\xFF"] {
        let store = with_bytes(&[(index, b"")]);
        damaged(&store.claims_of(&owner("a")).await);
        assert_eq!(store.claims_of(&owner("aname/a")).await.unwrap(), []);
    }
}

#[tokio::test]
async fn generations_end_with_an_error() {
    for last in [&b""[..], b"1", &[0; 9], &[0xFF; 8]] {
        let store = with_bytes(&[(b"g", last)]);
        let answer = store.claim(&owner("a"), from_ref(&name("a")), NOW).await;
        assert!(matches!(answer, Err(ClaimError::Store(RedbError::Damaged { .. }))), "{answer:?}");
        assert_eq!(store.get(&name("a")).await.unwrap(), None);
    }
    let store = with_bytes(&[(b"g", &(u64::MAX - 1).to_be_bytes())]);
    let claims = store.claim(&owner("a"), &[name("a")], NOW).await.unwrap();
    assert_eq!(claims[0].generation.number(), u64::MAX);
    assert!(store.claim(&owner("a"), &[name("b")], NOW).await.is_err());
}

/// A path of a test, with nothing there.
struct Path(PathBuf);

impl Path {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(env::temp_dir().join(format!("netid-test-{}-{count}.redb", process::id())))
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// Databases that are somebody else's, and one of ours from the future.
#[test]
fn other_databases_are_left_alone() {
    let table = TableDefinition::<&str, u64>::new("netid");
    let texts = TableDefinition::<&str, &str>::new("netid");
    let path = Path::new();
    for (case, expected) in [
        "is a redb database without claims; give another path",
        "is a redb database without claims; give another path",
        "is a redb database without claims; give another path",
        "has claims in format 2, and this program knows format 1; use a version that knows it",
    ]
    .into_iter()
    .enumerate()
    {
        let database = Database::create(&path.0).unwrap();
        let transaction = database.begin_write().unwrap();
        match case {
            0 => drop(transaction.open_table(CLAIMS).unwrap()),
            1 => drop(transaction.open_table(texts).unwrap().insert("format", "1").unwrap()),
            2 => drop(transaction.open_table(table).unwrap().insert("other", 1).unwrap()),
            _ => drop(transaction.open_table(table).unwrap().insert("format", 2).unwrap()),
        }
        transaction.commit().unwrap();
        drop(database);
        let before = fs::read(&path.0).unwrap();
        let error = RedbStore::open(&path.0).unwrap_err();
        assert_eq!(error.to_string(), format!("{} {expected}", path.0.display()));
        assert!(fs::read(&path.0).unwrap() == before);
        assert!(Database::open(&path.0).unwrap().begin_read().is_ok());
        fs::remove_file(&path.0).unwrap();
    }
    fs::write(&path.0, "").unwrap();
}

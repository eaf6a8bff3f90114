//! A durable claim in a file, beside the least that a durable record costs, and what many claims at once share.
//!
//! ```text
//! cargo bench -p benches --bench netid_redb
//! ```

use core::time::Duration;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use benches::measure::{Options, Pair, time};
use benches::report::{self, Report};
use netid::{ClaimKey, ClaimStore as _, NetId, Owner, RedbStore};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// How many claim at the same time.
const CLAIMERS: u32 = 64;
/// How many claims there are before anything is measured.
const PRESENT: u32 = 10_000;
const NOW: Duration = Duration::from_secs(1_700_000_000);

fn main() {
    let options = Options::from_args();
    let mut report = Report::new("netid_redb");
    if options.wants_bar("claims") {
        bars(&mut report, &options);
    }
    if options.wants_group("claims") {
        compare(&mut options.criterion());
    }
    report.finish();
}

/// A folder on the disk that holds the target folder.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = report::folder().join(format!("claims-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder in the target folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the folder removed");
    }
}

/// A store with claims in it, and a counter for more.
struct Claims {
    store: RedbStore,
    runtime: Runtime,
    next: u32,
}

impl Claims {
    fn new(folder: &Folder) -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let store = RedbStore::open(folder.0.join("claims.redb")).expect("a new file");
        let mut claims = Self { store, runtime, next: 0 };
        while claims.next < PRESENT {
            claims.together(1000);
        }
        claims
    }

    fn pick(&mut self) -> (Owner, ClaimKey) {
        let number = self.next;
        self.next += 1;
        // Ids that look random, as those of a host do.
        let id = NetId::new(number.wrapping_mul(0x9E37_79B1));
        let owner =
            Owner::new("vm", "my-awesome-vm-a1b2", &format!("0b5f3a52-6a57-4d0e-8f5f-{id}"));
        (owner.expect("an owner"), ClaimKey::id(id))
    }

    fn one(&mut self) {
        let (owner, key) = self.pick();
        let claims = self.runtime.block_on(self.store.claim(&owner, &[key], NOW));
        assert_eq!(claims.expect("a claim").len(), 1);
    }

    /// So many tasks, one claim each, all at once.
    fn together(&mut self, count: u32) {
        let picked: Vec<_> = (0..count).map(|_| self.pick()).collect();
        let store = &self.store;
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for (owner, key) in picked {
                let store = store.clone();
                tasks.spawn(async move { store.claim(&owner, &[key], NOW).await });
            }
            while let Some(claims) = tasks.join_next().await {
                assert_eq!(claims.expect("no panic").expect("a claim").len(), 1);
            }
        });
    }
}

/// The least that a durable record costs: 64 bytes written, and the disk asked whether they are there.
struct Log {
    file: File,
    end: u64,
}

impl Log {
    const RECORD: [u8; 64] = [0xA5; 64];

    /// A log in a file that has `len` bytes already, or grows.
    fn new(folder: &Folder, len: usize) -> Self {
        let path = folder.0.join(format!("log-{len}"));
        fs::write(&path, vec![0; len]).expect("a file");
        let file = OpenOptions::new().write(true).open(path).expect("the file");
        file.sync_all().expect("the file synchronised");
        Self { file, end: 0 }
    }

    fn append(&mut self) {
        self.file.write_all_at(&Self::RECORD, self.end).expect("a record");
        self.file.sync_data().expect("the record synchronised");
        self.end += 64;
    }
}

fn bars(report: &mut Report, options: &Options) {
    let folder = Folder::new();
    let mut claims = Claims::new(&folder);
    let (mut growing, mut ready) = (Log::new(&folder, 0), Log::new(&folder, 4 << 20));

    let rounds = options.samples(2000, 300);
    let (mut beside_growing, mut beside_ready) = (Pair::default(), Pair::default());
    for round in 0..rounds {
        beside_growing.take(round, || time(|| claims.one()), || time(|| growing.append()));
        beside_ready.take(round, || time(|| claims.one()), || time(|| ready.append()));
    }
    report.at_most("durable claim / append and fdatasync", &beside_growing, 2.2);
    report.told("durable claim / write into a file of full length and fdatasync", &beside_ready);

    let mut shared = Pair::default();
    for round in 0..options.samples(400, 60) {
        let alone = time(|| claims.one());
        let each = time(|| claims.together(CLAIMERS)) / CLAIMERS;
        shared.take(round, || each, || alone);
    }
    report.faster("one claimer / each of 64 claimers", &shared, 8.0);
}

fn compare(_: &mut criterion::Criterion) {}

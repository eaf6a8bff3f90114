//! A durable claim in a file, beside the least that a durable record costs, and what many claims at once share.
//!
//! ```text
//! cargo bench -p benches --features stores --bench netid_redb
//! ```

use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use benches::measure::{Options, Pair, time};
use benches::report::{self, Report};
use criterion::{BenchmarkId, Criterion};
use netid::{Claim, ClaimKey, ClaimStore as _, NetId, Owner, RedbStore};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// How many claim at the same time.
const CLAIMERS: u32 = 64;
/// How many claims each of them makes, one after the other.
const EACH: u32 = 16;
/// How many claims there are besides: those of a host with 250 machines, which the bars are for, and of one with ten
/// times as many.
const POPULATIONS: [u32; 2] = [1_000, 10_000];
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

/// A store with claims in it. What is measured is released again, so that there are always as many.
struct Claims {
    store: RedbStore,
    runtime: Runtime,
    next: Cell<u32>,
    made: RefCell<Vec<Claim>>,
}

impl Claims {
    fn new(folder: &Folder, present: u32) -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let store =
            RedbStore::open(folder.0.join(format!("claims-{present}"))).expect("a new file");
        let claims = Self { store, runtime, next: Cell::new(0), made: RefCell::default() };
        claims.together(present, 1);
        claims.made.take();
        claims
    }

    fn pick(&self) -> (Owner, ClaimKey) {
        let number = self.next.replace(self.next.get() + 1);
        // Ids that look random, as those of a host do.
        let id = NetId::new(number.wrapping_mul(0x9E37_79B1));
        let owner =
            Owner::new("vm", "my-awesome-vm-a1b2", &format!("0b5f3a52-6a57-4d0e-8f5f-{id}"));
        (owner.expect("an owner"), ClaimKey::id(id))
    }

    fn one(&self) {
        let (owner, key) = self.pick();
        let claims = self.runtime.block_on(self.store.claim(&owner, &[key], NOW));
        self.made.borrow_mut().extend(claims.expect("a claim"));
    }

    /// So many tasks that each make some claims, one after the other.
    fn together(&self, claimers: u32, each: u32) {
        let picked = (0..claimers).map(|_| (0..each).map(|_| self.pick()).collect());
        let picked: Vec<Vec<_>> = picked.collect();
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for batch in picked {
                let store = self.store.clone();
                tasks.spawn(async move {
                    let mut made = Vec::with_capacity(batch.len());
                    for (owner, key) in batch {
                        let claims = store.claim(&owner, &[key], NOW).await;
                        made.extend(claims.expect("a claim"));
                    }
                    made
                });
            }
            while let Some(made) = tasks.join_next().await {
                self.made.borrow_mut().extend(made.expect("no panic"));
            }
        });
    }

    /// Releases what was made since it was done last.
    fn clear(&self) {
        // The next commit does what the release has left over, and is not measured either.
        let made = self.made.take();
        let released = self.store.release(&made, |_| Duration::ZERO, NOW);
        let released = self.runtime.block_on(released).expect("a release");
        assert!(released.iter().all(|(_, outcome)| outcome.is_released()));
        self.one();
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

/// Each measured in alternation with what it is compared with, on the same disk.
fn bars(report: &mut Report, options: &Options) {
    let [host, large] = POPULATIONS;
    for present in POPULATIONS {
        let folder = Folder::new();
        let claims = Claims::new(&folder, present);
        let (mut growing, mut ready) = (Log::new(&folder, 0), Log::new(&folder, 4 << 20));

        let (mut append, mut write) = (Pair::default(), Pair::default());
        for round in 0..options.samples(1000, 200) {
            append.take(round, || time(|| claims.one()), || time(|| growing.append()));
            write.take(round, || time(|| claims.one()), || time(|| ready.append()));
            if round.is_multiple_of(100) {
                claims.clear();
            }
        }
        let what = format!("durable claim / append and fdatasync, {present} present");
        if present == host {
            report.at_most(what, &append, 2.2);
            report.told("durable claim / write into a ready file and fdatasync", &write);
        } else {
            report.told(what, &append);
        }

        let mut shared = Pair::default();
        for round in 0..options.samples(60, 15) {
            claims.clear();
            shared.take(
                round,
                || time(|| claims.together(CLAIMERS, EACH)) / (CLAIMERS * EACH),
                || time(|| (0..EACH).for_each(|_| claims.one())) / EACH,
            );
        }
        let what = format!("one claimer / each of {CLAIMERS}, {present} present");
        if present == large {
            report.told_faster(what, &shared);
        } else {
            report.faster(what, &shared, 8.0);
        }
    }
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut Criterion) {
    let folder = Folder::new();
    let claims = Claims::new(&folder, POPULATIONS[0]);
    let mut log = Log::new(&folder, 0);
    let mut group = criterion.benchmark_group("claims");
    group.bench_function("one", |bencher| bencher.iter(|| claims.one()));
    group.bench_function(BenchmarkId::new("together", CLAIMERS), |bencher| {
        bencher.iter(|| claims.together(CLAIMERS, EACH));
    });
    group.bench_function("append", |bencher| bencher.iter(|| log.append()));
    claims.clear();
    group.finish();
}

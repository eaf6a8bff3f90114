//! Claims in etcd beside the same transactions sent bare, how many it takes where almost everything is held, and ids
//! from leased blocks beside claims one by one.
//!
//! ```text
//! cargo bench -p benches --features stores --bench netid_etcd
//! ```

use core::cell::Cell;
use core::time::Duration;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use benches::bare::Bare;
use benches::crowd::{Crowd, Crowded};
use benches::etcd::Etcd;
use benches::measure::{Options, Pair, time};
use benches::report::{Direction, Report};
use criterion::{BenchmarkId, Criterion};
use netid::{
    BlockSpace, Blocks, Claim, ClaimKey, ClaimStore as _, Claimer, EtcdOptions, EtcdStore,
    KeyRange, MemoryStore, NetId, Owner, RedbStore, Vni, VniRange, WatchClaims,
};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

const NOW: Duration = Duration::from_secs(1_700_000_000);
/// How many claim at the same time.
const CLAIMERS: u32 = 64;
/// How many claims each of them makes, one after the other.
const EACH: u32 = 8;
/// How many controllers share a range of VNIs, each with a view of its own.
const CONTROLLERS: u32 = 4;
/// How many claims one client makes between two looks at the clock.
const SINGLE: u32 = 32;

fn main() {
    let options = Options::from_args();
    let mut report = Report::new("netid_etcd");
    let (bars, group) = (options.wants_bar("etcd"), options.wants_group("etcd"));
    if (bars || group)
        && let Some(etcd) = Etcd::start()
    {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let claims = Claims::new(&etcd, &runtime);
        if bars {
            beside_bare(&mut report, &options, &etcd, &claims);
            crowded(&mut report, &options, &etcd, &runtime);
            blocks(&mut report, &options, &etcd, &claims);
        }
        if group {
            compare(&mut options.criterion(), &claims);
        }
    }
    report.finish();
}

/// Claims by the store and the same sent bare, each under a root of its own.
struct Claims<'a> {
    runtime: &'a Runtime,
    store: EtcdStore,
    bare: Arc<Bare>,
    owner: Owner,
    /// What the store writes about a claim.
    value: Arc<[u8]>,
    /// How many keys were claimed by each of the two.
    claimed: [Cell<u32>; 2],
}

impl<'a> Claims<'a> {
    fn new(etcd: &Etcd, runtime: &'a Runtime) -> Self {
        let owner = Owner::new("vm", "my-awesome-vm-a1b2", "0b5f3a52-6a57-4d0e-8f5f-0123456789ab");
        let owner = owner.expect("an owner");
        let store = runtime.block_on(store(etcd, "/ours"));
        let (bare, value) = runtime.block_on(async {
            let bare = Bare::new(&etcd.endpoint(), "/bare");
            let claims = store.claim(&owner, &[key(0)], NOW).await.expect("a claim");
            let value = bare.value(format!("/ours/claims/{}", claims[0].key)).await;
            bare.claim(owner.uid(), key(0).as_str(), &value).await;
            (bare, value)
        });
        let (bare, value) = (Arc::new(bare), value.into());
        Self { runtime, store, bare, owner, value, claimed: [Cell::new(1), Cell::new(1)] }
    }

    fn pick(&self, side: usize, count: u32) -> Vec<ClaimKey> {
        let first = self.claimed[side].get();
        self.claimed[side].set(first + count);
        (first..first + count).map(key).collect()
    }

    /// So many tasks that each claim some keys, one after the other.
    fn ours(&self, claimers: u32, each: u32) {
        let picked = (0..claimers).map(|_| self.pick(0, each)).collect();
        self.runtime.block_on(at_once(picked, |keys| {
            let (store, owner) = (self.store.clone(), self.owner.clone());
            async move {
                for key in keys {
                    let claims = store.claim(&owner, &[key], NOW).await;
                    assert_eq!(claims.expect("a claim").len(), 1);
                }
            }
        }));
    }

    /// The same sent bare.
    fn bare(&self, claimers: u32, each: u32) {
        let picked = (0..claimers).map(|_| self.pick(1, each)).collect();
        self.runtime.block_on(at_once(picked, |keys| {
            let (bare, owner) = (Arc::clone(&self.bare), self.owner.clone());
            let value = Arc::clone(&self.value);
            async move {
                for key in keys {
                    bare.claim(owner.uid(), key.as_str(), &value).await;
                }
            }
        }));
    }
}

/// Runs a task for each, all at the same time.
async fn at_once<T, F>(items: Vec<T>, task: impl Fn(T) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut tasks: JoinSet<_> = items.into_iter().map(task).collect();
    let mut done = Vec::with_capacity(tasks.len());
    while let Some(output) = tasks.join_next().await {
        done.push(output.expect("no panic"));
    }
    done
}

async fn store(etcd: &Etcd, root: &str) -> EtcdStore {
    let options = EtcdOptions::new([&*etcd.endpoint()]).with_root(root);
    EtcdStore::connect(&options).await.expect("a store")
}

fn key(number: u32) -> ClaimKey {
    // Ids that look random, as those of many hosts do.
    ClaimKey::id(NetId::new(number.wrapping_mul(0x9E37_79B1)))
}

/// The store and the bare transactions in alternation, each with keys that nobody has.
fn beside_bare(report: &mut Report, options: &Options, etcd: &Etcd, claims: &Claims<'_>) {
    let received = |run: &dyn Fn()| {
        let before = (etcd.received(), etcd.transactions());
        run();
        (etcd.received() - before.0, etcd.transactions() - before.1)
    };
    let ours = received(&|| claims.ours(1, SINGLE));
    let bare = received(&|| claims.bare(1, SINGLE));
    assert_eq!(ours, bare, "bytes and transactions");
    assert_eq!(ours.1, u64::from(SINGLE));

    let mut one = Pair::default();
    for round in 0..options.samples(100, 20) {
        one.take(
            round,
            || time(|| claims.ours(1, SINGLE)) / SINGLE,
            || time(|| claims.bare(1, SINGLE)) / SINGLE,
        );
    }
    report.faster("bare transaction / claim, one claimer", &one, 0.9);

    let mut many = Pair::default();
    for round in 0..options.samples(100, 20) {
        many.take(
            round,
            || time(|| claims.ours(CLAIMERS, EACH)) / (CLAIMERS * EACH),
            || time(|| claims.bare(CLAIMERS, EACH)) / (CLAIMERS * EACH),
        );
    }
    report.faster(format!("bare transaction / claim, each of {CLAIMERS}"), &many, 0.9);
}

/// Claims of any VNI where almost all are held, by controllers that know of one another only what the store tells.
fn crowded(report: &mut Report, options: &Options, etcd: &Etcd, runtime: &Runtime) {
    let (claimers, max) = if options.quick { (256, 1 << 20) } else { (1024, Vni::MAX.number()) };
    let max = Vni::new(max).expect("a VNI");
    let range = VniRange::new(VniRange::DEFAULT.min(), max).expect("not backwards");
    let range = KeyRange::vnis(range);
    let crowd = Crowd::new(range.clone(), 16 * u64::from(claimers));
    let controllers: Vec<_> = (0..CONTROLLERS)
        .map(|number| {
            let store = runtime.block_on(store(etcd, "/crowd"));
            let store = Crowded::new(store, crowd.clone());
            let claimer = Claimer::new(store, range.clone());
            // The first claim reads all there is.
            let first = runtime.block_on(claim_vni(&claimer, number));
            (Arc::new(claimer), first)
        })
        .collect();
    let mut keys: BTreeSet<_> = controllers.iter().map(|(_, first)| first.key.clone()).collect();
    let refused = || controllers.iter().map(|(claimer, _)| claimer.store().refused()).sum::<u64>();
    assert_eq!(refused(), 0);

    let mut numbers = CONTROLLERS..;
    let mut told = Vec::new();
    for _ in 0..4 {
        let owners: Vec<_> = numbers.by_ref().take(claimers as usize).collect();
        let before = etcd.transactions() + refused();
        let mut claims = Vec::new();
        let elapsed = time(|| {
            claims = runtime.block_on(at_once(owners, |number| {
                let claimer = Arc::clone(&controllers[(number % CONTROLLERS) as usize].0);
                async move { claim_vni(&claimer, number).await }
            }));
        });
        told.push((etcd.transactions() + refused() - before, elapsed));
        keys.extend(claims.into_iter().map(|claim| claim.key));
    }
    assert_eq!(keys.len(), 4 + 4 * claimers as usize, "each its own");
    assert!(keys.iter().all(|key| !crowd.holds(range.number(key).expect("of the range"))));
    let listed = controllers[0].0.store().list("vni/", None, NonZeroUsize::MAX);
    let listed = runtime.block_on(listed).expect("a list");
    assert!(listed.iter().map(|claim| &claim.key).eq(&keys));

    let worst = told.iter().map(|(transactions, _)| *transactions).max().expect("some");
    let all: u64 = told.iter().map(|(transactions, _)| *transactions).sum();
    let per_claim =
        |count: u64, claims: u32| f64::from(u32::try_from(count).expect("few")) / f64::from(claims);
    let elapsed = told.iter().map(|(_, elapsed)| *elapsed).sum::<Duration>() / (4 * claimers);
    let bits = range.capacity().next_power_of_two().ilog2();
    let held = 1.0 - per_claim(range.capacity(), 16 * claimers).recip();
    let what = format!("transactions for a VNI of {bits} bits, {:.1} % held", held * 100.0);
    report.add(
        format!("{what}, {claimers} claimers"),
        per_claim(all, 4 * claimers),
        (Direction::AtMost, Some(1.1)),
        told.len(),
        (elapsed, Duration::ZERO),
    );
    report.add(
        format!("{what}, worst of {} times", told.len()),
        per_claim(worst, claimers),
        (Direction::AtMost, None),
        told.len(),
        (elapsed, Duration::ZERO),
    );
}

async fn claim_vni(claimer: &Claimer<Crowded<EtcdStore>>, number: u32) -> Claim {
    let owner = Owner::new("network", "", &format!("u{number}")).expect("an owner");
    let mut rng = SmallRng::seed_from_u64(number.into());
    claimer.claim(&owner, &mut rng, NOW).await.expect("a vacant VNI")
}

/// Ids from blocks that are leased in etcd, each claimed in a store of the host, beside ids claimed in etcd.
fn blocks(report: &mut Report, options: &Options, etcd: &Etcd, claims: &Claims<'_>) {
    let runtime = claims.runtime;
    let folder = benches::report::folder().with_file_name(format!("ids-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder in the target folder");
    let lasting = RedbStore::open(folder.join("claims.redb")).expect("a new file");
    let fleeting = Host::new(etcd, runtime, "a", MemoryStore::new());
    let lasting = Host::new(etcd, runtime, "b", lasting);

    let mut pairs = [Pair::default(), Pair::default(), Pair::default()];
    let size = BlockSpace::SIZE.get();
    for round in 0..options.samples(40, 8) {
        let one = || time(|| claims.ours(1, SINGLE)) / SINGLE;
        let many = || time(|| claims.ours(CLAIMERS, EACH)) / (CLAIMERS * EACH);
        let [memory, file, shared] = &mut pairs;
        memory.take(round, || time(|| fleeting.block(1)) / size, one);
        file.take(round, || time(|| lasting.block(1)) / size, one);
        shared.take(round, || time(|| lasting.block(CLAIMERS)) / size, many);
    }
    let [memory, file, shared] = pairs;
    let what = "claim / id of a leased block";
    report.faster(format!("{what}, handed out in memory"), &memory, 50.0);
    report.told_faster(format!("{what}, handed out in a file"), &file);
    report.told_faster(format!("{what}, handed out in a file, each of {CLAIMERS}"), &shared);
    drop(lasting);
    std::fs::remove_dir_all(folder).expect("the folder removed");
}

/// A host that hands out ids.
struct Host<'a, L: WatchClaims> {
    runtime: &'a Runtime,
    ids: Arc<Blocks<EtcdStore, L>>,
    handed_out: Cell<u32>,
}

impl<'a, L: WatchClaims + 'static> Host<'a, L> {
    fn new(etcd: &Etcd, runtime: &'a Runtime, uid: &str, local: L) -> Self {
        let range = KeyRange::ids(NetId::new(0), NetId::new(u32::MAX)).expect("not backwards");
        let space = BlockSpace::new(range).expect("short keys");
        let space = space.with_permutation(*b"sixteen byte key");
        let owner = Owner::new("host", uid, uid).expect("an owner");
        let ids = runtime.block_on(async {
            Blocks::open(store(etcd, "/blocks").await, local, owner, space).await.expect("blocks")
        });
        let host = Self { runtime, ids: Arc::new(ids), handed_out: Cell::new(0) };
        // The first lease looks at what there is.
        host.block(1);
        host
    }

    /// As many ids as a block has, by so many tasks at once: one of them has to wait for a lease.
    fn block(&self, claimers: u32) {
        let each = BlockSpace::SIZE.get() / claimers;
        let first = self.handed_out.replace(self.handed_out.get() + claimers * each);
        let firsts = (0..claimers).map(|claimer| first + claimer * each).collect();
        self.runtime.block_on(at_once(firsts, |first| {
            let ids = Arc::clone(&self.ids);
            async move {
                let mut rng = SmallRng::seed_from_u64(first.into());
                for number in first..first + each {
                    let uid = format!("0b5f3a52-6a57-4d0e-8f5f-{number:012x}");
                    let owner = Owner::new("vm", "my-awesome-vm-a1b2", &uid).expect("an owner");
                    ids.claim(&owner, &mut rng, NOW).await.expect("an id");
                }
            }
        }));
    }
}

/// The same under criterion, to compare commits with.
fn compare(criterion: &mut Criterion, claims: &Claims<'_>) {
    let mut group = criterion.benchmark_group("etcd");
    group.bench_function("claim", |bencher| bencher.iter(|| claims.ours(1, 1)));
    group.bench_function("bare", |bencher| bencher.iter(|| claims.bare(1, 1)));
    group.bench_function(BenchmarkId::new("claims", CLAIMERS), |bencher| {
        bencher.iter(|| claims.ours(CLAIMERS, EACH));
    });
    group.bench_function(BenchmarkId::new("bares", CLAIMERS), |bencher| {
        bencher.iter(|| claims.bare(CLAIMERS, EACH));
    });
    group.finish();
}

//! What a look finds, what a sweep releases, and what neither touches.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::num::NonZeroUsize;
use core::slice::from_ref;
use core::time::Duration;

use netid::{
    BindError, Claim, ClaimKey, ClaimStore, Collector, LiveOwners, Liveness, LookError, LookReport,
    MemoryStore, Owner, ReleaseOutcome, SweepOutcome, Swept,
};

use crate::block_on;

const MINUTE: Duration = Duration::from_secs(60);
const START: Duration = Duration::from_secs(1_700_000_000);

/// So many minutes after the start.
fn at(minutes: u32) -> Duration {
    START + MINUTE * minutes
}

fn just_before(minutes: u32) -> Duration {
    at(minutes).checked_sub(Duration::from_nanos(1)).unwrap()
}

/// Ten minutes for what is pending, five to be missing.
fn vms() -> Collector {
    Collector::new("vm").with_pending_grace(MINUTE * 10)
}

fn vm(uid: &str) -> Owner {
    Owner::new("vm", &format!("name of {uid}"), uid).unwrap()
}

fn key(text: &str) -> ClaimKey {
    text.parse().unwrap()
}

fn claim<S: ClaimStore>(store: &S, owner: &Owner, keys: &[&str], now: Duration) -> Vec<Claim> {
    let keys: Vec<_> = keys.iter().map(|text| key(text)).collect();
    block_on(store.claim(owner, &keys, now)).unwrap()
}

fn bound<S: ClaimStore>(store: &S, owner: &Owner, keys: &[&str], now: Duration) -> Vec<Claim> {
    let claims = claim(store, owner, keys, now);
    block_on(store.bind(&claims)).unwrap();
    claims
}

/// Looks while these owners exist.
fn look<S: ClaimStore>(
    collector: &mut Collector,
    store: &S,
    live: &[&str],
    now: Duration,
) -> LookReport {
    let live = if live.is_empty() { LiveOwners::none() } else { live.iter().collect() };
    block_on(collector.look(store, async || Ok::<_, Infallible>(live), || now)).unwrap()
}

/// Sweeps while these owners exist.
fn sweep<S: ClaimStore>(
    collector: &mut Collector,
    store: &S,
    live: &[&str],
    now: Duration,
) -> Vec<Swept<S::Error, Infallible>> {
    let ask = async |owner: Owner| {
        Ok(if live.contains(&owner.uid()) { Liveness::Alive } else { Liveness::Gone })
    };
    block_on(collector.sweep(store, ask, |_| Duration::ZERO, now))
}

/// Who is suspect and who is due, by uid.
fn found(report: &LookReport) -> (Vec<&str>, Vec<&str>) {
    let waiting = report.suspects.iter().filter(|suspect| !suspect.is_due);
    (
        waiting.map(|suspect| suspect.owner.uid()).collect(),
        report.due().map(|suspect| suspect.owner.uid()).collect(),
    )
}

#[test]
fn a_pending_claim_is_left_alone_for_its_grace() {
    let (store, mut collector) = (MemoryStore::new(), vms());
    claim(&store, &vm("a"), &["name/a"], at(0));
    for minute in [0, 5, 9] {
        let report = look(&mut collector, &store, &[], at(minute));
        assert_eq!((report.young, found(&report)), (1, (vec![], vec![])), "{minute}");
    }
    let almost = look(&mut collector, &store, &[], just_before(10));
    assert_eq!(found(&almost), (vec![], vec![]));
    assert_eq!(found(&look(&mut collector, &store, &[], at(10))), (vec!["a"], vec![]));
    let early = look(&mut collector, &store, &[], just_before(15));
    assert_eq!(found(&early), (vec!["a"], vec![]));
    assert_eq!(found(&look(&mut collector, &store, &[], at(15))), (vec![], vec!["a"]));
    assert_eq!(sweep(&mut collector, &store, &[], at(15)).len(), 1);
    assert_eq!(block_on(store.get(&key("name/a"))).unwrap(), None);
}

#[test]
fn five_minutes_and_five_unless_told() {
    let (store, mut collector) = (MemoryStore::new(), Collector::new("vm"));
    claim(&store, &vm("a"), &["name/a"], at(0));
    assert_eq!(look(&mut collector, &store, &[], just_before(5)).young, 1);
    assert_eq!(found(&look(&mut collector, &store, &[], at(5))), (vec!["a"], vec![]));
    assert_eq!(found(&look(&mut collector, &store, &[], just_before(10))), (vec!["a"], vec![]));
    assert_eq!(found(&look(&mut collector, &store, &[], at(10))), (vec![], vec!["a"]));
}

#[test]
fn a_bound_claim_waits_for_an_owner_that_restarts() {
    let (store, mut collector) = (MemoryStore::new(), vms());
    bound(&store, &vm("a"), &["name/a"], at(0));
    for minute in [100, 101, 104] {
        let report = look(&mut collector, &store, &[], at(minute));
        assert_eq!(found(&report), (vec!["a"], vec![]), "{minute}");
        assert!(sweep(&mut collector, &store, &[], at(minute)).is_empty());
    }
    // It is back, and missing again: the time begins anew.
    assert_eq!(found(&look(&mut collector, &store, &["a"], at(105))), (vec![], vec![]));
    assert_eq!(found(&look(&mut collector, &store, &[], at(106))), (vec!["a"], vec![]));
    assert_eq!(found(&look(&mut collector, &store, &[], at(110))), (vec!["a"], vec![]));
    assert_eq!(found(&look(&mut collector, &store, &[], at(111))), (vec![], vec!["a"]));
}

#[test]
fn one_look_is_never_enough() {
    let store = MemoryStore::new();
    let zero = Duration::ZERO;
    let mut collector = vms().with_pending_grace(zero).with_absence(zero);
    claim(&store, &vm("a"), &["name/a"], at(0));
    assert_eq!(found(&look(&mut collector, &store, &[], at(0))), (vec!["a"], vec![]));
    let mut restarted = vms().with_pending_grace(zero).with_absence(zero);
    assert_eq!(found(&look(&mut restarted, &store, &[], at(0))), (vec!["a"], vec![]));
    assert_eq!(found(&look(&mut collector, &store, &[], at(0))), (vec![], vec!["a"]));
}

#[test]
fn whatever_an_owner_does_begins_anew() {
    type Sign = fn(&MemoryStore, &[Claim]);
    let signs: [(&str, Sign); 5] = [
        ("bound", |store, claims| block_on(store.bind(claims)).unwrap()),
        ("bound in part", |store, claims| block_on(store.bind(&claims[..1])).unwrap()),
        ("added", |store, _| drop(bound(store, &vm("a"), &["name/c"], at(10)))),
        ("released", |store, claims| {
            drop(block_on(store.release(&claims[..1], |_| MINUTE, at(10))).unwrap());
        }),
        ("claimed anew", |store, claims| {
            drop(block_on(store.release(claims, |_| MINUTE, at(10))).unwrap());
            bound(store, &vm("a"), &["name/a", "name/b"], at(0));
        }),
    ];
    for (sign, change) in signs {
        let (store, mut collector) = (MemoryStore::new(), vms());
        let claims = claim(&store, &vm("a"), &["name/a", "name/b"], at(0));
        look(&mut collector, &store, &[], at(10));
        change(&store, &claims);
        let report = look(&mut collector, &store, &[], at(20));
        assert_eq!(found(&report), (vec!["a"], vec![]), "{sign}");
        assert_eq!(report.suspects[0].first_seen, at(20), "{sign}");

        // The same between the last look and the sweep: nothing is released.
        let (store, mut collector) = (MemoryStore::new(), vms());
        let claims = claim(&store, &vm("a"), &["name/a", "name/b"], at(0));
        look(&mut collector, &store, &[], at(10));
        look(&mut collector, &store, &[], at(20));
        change(&store, &claims);
        let held = block_on(store.claims_of(&vm("a"))).unwrap();
        let swept = sweep(&mut collector, &store, &[], at(20));
        assert!(matches!(swept[..], [Swept { outcome: SweepOutcome::Changed, .. }]), "{sign}");
        assert_eq!(block_on(store.claims_of(&vm("a"))).unwrap(), held, "{sign}");
        assert!(sweep(&mut collector, &store, &[], at(20)).is_empty(), "{sign}");
    }
}

#[test]
fn a_slow_creation_that_renews_is_never_suspect() {
    let (store, mut collector) = (MemoryStore::new(), vms());
    let mut claims = claim(&store, &vm("a"), &["name/a", "name/b"], at(0));
    for minute in 1..100 {
        let report = look(&mut collector, &store, &[], at(minute));
        assert_eq!((report.young, found(&report)), (1, (vec![], vec![])));
        if minute % 9 == 0 {
            claims = block_on(store.renew(&claims, at(minute))).unwrap();
        }
    }
    // It stops: the grace runs from the last renewal.
    assert_eq!(found(&look(&mut collector, &store, &[], at(108))), (vec![], vec![]));
    assert_eq!(found(&look(&mut collector, &store, &[], at(109))), (vec!["a"], vec![]));
}

#[test]
fn a_creation_that_lost_its_claims_is_told() {
    let (store, mut collector) = (MemoryStore::new(), vms());
    let claims = claim(&store, &vm("a"), &["name/a"], at(0));
    look(&mut collector, &store, &[], at(10));
    look(&mut collector, &store, &[], at(15));
    sweep(&mut collector, &store, &[], at(15));
    for answer in [block_on(store.bind(&claims)), block_on(store.renew(&claims, at(11))).map(drop)]
    {
        assert_eq!(answer, Err(BindError::Lost { key: key("name/a"), holder: None }));
    }
}

#[test]
fn an_owner_is_judged_by_all_that_it_holds() {
    let (store, mut collector) = (MemoryStore::new(), vms());
    bound(&store, &vm("a"), &["name/a", "name/b"], at(0));
    claim(&store, &vm("a"), &["port/tcp/00001"], at(95));
    for minute in [100, 104] {
        let report = look(&mut collector, &store, &[], at(minute));
        assert_eq!((report.young, found(&report)), (1, (vec![], vec![])), "{minute}");
    }
    assert_eq!(found(&look(&mut collector, &store, &[], at(105))), (vec!["a"], vec![]));
    assert_eq!(found(&look(&mut collector, &store, &[], at(109))), (vec!["a"], vec![]));
    look(&mut collector, &store, &[], at(110));
    let swept = sweep(&mut collector, &store, &[], at(110));
    let released = ["name/a", "name/b", "port/tcp/00001"]
        .map(|text| (key(text), ReleaseOutcome::Released))
        .into();
    assert_eq!(swept[0].outcome, SweepOutcome::Released(released));
}

#[test]
fn a_name_used_again_does_not_shield_the_first_owner() {
    let (store, mut collector) = (MemoryStore::new(), vms());
    let of = |uid| Owner::new("vm", "web", uid).unwrap();
    bound(&store, &of("u1"), &["name/a"], at(0));
    bound(&store, &of("u2"), &["name/b"], at(0));
    look(&mut collector, &store, &["u2"], at(10));
    look(&mut collector, &store, &["u2"], at(15));
    sweep(&mut collector, &store, &["u2"], at(15));
    assert_eq!(block_on(store.get(&key("name/a"))).unwrap(), None);
    assert!(block_on(store.get(&key("name/b"))).unwrap().is_some());
}

#[test]
fn only_the_kind_and_the_prefix_are_touched() {
    let store = MemoryStore::new();
    let mut collector = Collector::new("host").with_prefix("block/");
    let host = Owner::new("host", "h1", "a").unwrap();
    bound(&store, &host, &["block/1", "block/2", "name/h1"], at(0));
    // Keys of the same prefix that a machine holds, also under the uid of the host.
    bound(&store, &vm("b"), &["block/3"], at(0));
    bound(&store, &vm("a"), &["block/4"], at(0));
    look(&mut collector, &store, &[], at(10));
    let report = look(&mut collector, &store, &[], at(15));
    assert_eq!((report.claims, report.owners), (2, 1));
    let swept = sweep(&mut collector, &store, &[], at(15));
    let released = ["block/1", "block/2"].map(|text| (key(text), ReleaseOutcome::Released));
    assert_eq!(swept[0].outcome, SweepOutcome::Released(released.into()));
    let left = block_on(store.list("", None, NonZeroUsize::MAX)).unwrap();
    let left: Vec<_> = left.iter().map(|claim| claim.key.as_str()).collect();
    assert_eq!(left, ["block/3", "block/4", "name/h1"]);
}

#[test]
fn nothing_is_known_without_a_list_of_owners() {
    let (store, mut collector) = (MemoryStore::new(), vms());
    bound(&store, &vm("a"), &["name/a", "name/b"], at(0));
    for minute in [10, 20, 30] {
        let failed = block_on(collector.look(&store, async || Err("timeout"), || at(minute)));
        assert_eq!(failed, Err(LookError::Owners("timeout")));
        let empty = async || Ok::<_, &str>(LiveOwners::default());
        let empty = block_on(collector.look(&store, empty, || at(minute)));
        assert_eq!(empty, Err(LookError::NoOwners { claims: 2 }));
        assert!(empty.unwrap_err().to_string().contains("LiveOwners::none()"));
        assert!(sweep(&mut collector, &store, &[], at(minute)).is_empty());
    }
    // What failed was no look, and takes none back either.
    assert_eq!(found(&look(&mut collector, &store, &[], at(40))), (vec!["a"], vec![]));
    block_on(collector.look(&store, async || Err("timeout"), || at(45))).unwrap_err();
    assert!(sweep(&mut collector, &store, &[], at(45)).is_empty());
    assert_eq!(found(&look(&mut collector, &store, &[], at(45))), (vec![], vec!["a"]));
}

#[test]
fn an_empty_list_is_fine_where_nothing_is_claimed() {
    let (store, mut collector) = (MemoryStore::new(), vms());
    bound(&store, &Owner::new("host", "", "h").unwrap(), &["block/1"], at(0));
    let empty = async || Ok::<_, Infallible>(LiveOwners::default());
    let report = block_on(collector.look(&store, empty, || at(0))).unwrap();
    assert_eq!(report.to_string(), "0 claims of 0 owners: 0 alive, 0 young, 0 suspect, 0 due");
}

#[test]
fn a_clock_that_is_set_back_only_delays() {
    let (store, mut collector) = (MemoryStore::new(), vms());
    claim(&store, &vm("a"), &["name/a"], at(100));
    bound(&store, &vm("b"), &["name/b"], at(100));
    // Before they were claimed, as the collector's clock has it.
    for minute in [0, 50, 99] {
        let report = look(&mut collector, &store, &[], at(minute));
        assert_eq!((report.young, found(&report)), (2, (vec![], vec![])), "{minute}");
    }
    assert_eq!(found(&look(&mut collector, &store, &[], at(200))), (vec!["a", "b"], vec![]));
    let back = look(&mut collector, &store, &[], at(150));
    assert_eq!(found(&back), (vec!["a", "b"], vec![]));
    assert_eq!(back.suspects[0].first_seen, at(150));
    assert_eq!(found(&look(&mut collector, &store, &[], at(155))), (vec![], vec!["a", "b"]));
    // The end of time overflows nothing.
    let mut late = vms().with_pending_grace(Duration::MAX);
    assert_eq!(look(&mut late, &store, &[], Duration::MAX).young, 1);
}

#[test]
fn an_owner_that_is_asked_about_is_spared_unless_it_is_gone() {
    let (store, mut collector) = (MemoryStore::new(), vms());
    for uid in ["a", "b", "c"] {
        bound(&store, &vm(uid), &[&format!("name/{uid}")], at(0));
    }
    look(&mut collector, &store, &[], at(10));
    look(&mut collector, &store, &[], at(15));
    let asked = RefCell::new(Vec::new());
    let answer = async |owner: Owner| {
        asked.borrow_mut().push(owner.uid().to_owned());
        match owner.uid() {
            "a" => Err("no answer"),
            "b" => Ok(Liveness::Alive),
            _ => Ok(Liveness::Gone),
        }
    };
    let swept = block_on(collector.sweep(&store, answer, |_| MINUTE, at(15)));
    assert_eq!(*asked.borrow(), ["a", "b", "c"]);
    let lines: Vec<_> = swept.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "vm name of a (uid a): may exist, nothing released: no answer",
            "vm name of b (uid b): exists, nothing released",
            "vm name of c (uid c): released name/c",
        ],
    );
    // The cooldown was given on.
    assert!(block_on(store.claim(&vm("d"), &[key("name/c")], at(15))).is_err());
    // Only the one without an answer is still due.
    let swept = sweep(&mut collector, &store, &[], at(15));
    assert_eq!(swept.len(), 1);
    assert_eq!(swept[0].to_string(), "vm name of a (uid a): released name/a");
    assert!(block_on(store.get(&key("name/b"))).unwrap().is_some());
}

#[test]
fn what_somebody_else_released_meanwhile_is_reported() {
    let (store, mut collector) = (MemoryStore::new(), vms());
    let claims = bound(&store, &vm("a"), &["name/a", "name/b", "name/c"], at(0));
    look(&mut collector, &store, &[], at(10));
    look(&mut collector, &store, &[], at(15));
    // Another collector is faster, between the question and the release.
    let answer = async |_: Owner| {
        drop(store.release(&claims[..2], |_| Duration::ZERO, at(15)).await);
        drop(store.claim(&vm("b"), from_ref(&claims[1].key), at(15)).await);
        Ok::<_, Infallible>(Liveness::Gone)
    };
    let swept = block_on(collector.sweep(&store, answer, |_| Duration::ZERO, at(15)));
    assert_eq!(
        swept[0].to_string(),
        "vm name of a (uid a): was already released: name/a, \
         has changed, not released: name/b, released name/c",
    );
    assert_eq!(block_on(store.claims_of(&vm("b"))).unwrap().len(), 1);
}

#[test]
fn pages_of_any_size_find_the_same() {
    for page in [1, 2, 3, 7, 8, 9, 1000] {
        let store = MemoryStore::new();
        let page = NonZeroUsize::new(page).unwrap();
        let mut collector = vms().with_page(page);
        for at in 0..8_u32 {
            let (uid, text) = (format!("u{}", at % 3), format!("name/{at}"));
            bound(&store, &vm(&uid), &[&text], START);
        }
        let report = look(&mut collector, &store, &["u1"], START);
        assert_eq!((report.claims, report.owners, report.alive), (8, 3, 1));
        assert_eq!(found(&report), (vec!["u0", "u2"], vec![]));
        let keys: Vec<_> = report.suspects[1].claims.iter().map(|c| c.key.as_str()).collect();
        assert_eq!(keys, ["name/2", "name/5"]);
    }
}

#[test]
fn a_look_that_takes_long_makes_nothing_older() {
    let (store, mut collector) = (MemoryStore::new(), vms());
    claim(&store, &vm("a"), &["name/a"], at(0));
    bound(&store, &vm("b"), &["name/b"], at(0));
    let clock = Cell::new(at(9));
    let mut slow = |minutes| {
        let list = async || {
            clock.set(clock.get() + MINUTE * minutes);
            Ok::<_, Infallible>(LiveOwners::none())
        };
        block_on(collector.look(&store, list, || clock.get())).unwrap()
    };
    // It was nine minutes old when it was read.
    let report = slow(20);
    assert_eq!((report.young, found(&report)), (1, (vec!["b"], vec![])));
    assert_eq!((report.now, report.suspects[0].first_seen), (at(29), at(29)));
    assert_eq!(found(&slow(20)), (vec!["a", "b"], vec![]));
    assert_eq!(found(&slow(5)), (vec!["a"], vec!["b"]));
    assert_eq!(found(&slow(0)), (vec![], vec!["a", "b"]));
}

/// What any runtime asks of a task.
#[test]
fn looks_and_sweeps_can_be_spawned() {
    async fn collect(store: MemoryStore, live: Vec<String>) -> usize {
        let mut collector = vms().with_absence(MINUTE);
        for minute in [10, 11] {
            let list = async || {
                tokio::task::yield_now().await;
                Ok::<LiveOwners, Infallible>(live.iter().collect())
            };
            collector.look(&store, list, || at(minute)).await.unwrap();
        }
        let ask = async |owner: Owner| {
            tokio::task::yield_now().await;
            let is_alive = live.iter().any(|uid| uid == owner.uid());
            Ok::<_, Infallible>(if is_alive { Liveness::Alive } else { Liveness::Gone })
        };
        collector.sweep(&store, ask, |_| Duration::ZERO, at(11)).await.len()
    }
    let store = MemoryStore::new();
    bound(&store, &vm("a"), &["name/a"], at(0));
    bound(&store, &vm("b"), &["name/b"], at(0));
    let task = collect(store.clone(), vec!["a".into()]);
    assert_eq!(block_on(async { tokio::spawn(task).await.unwrap() }), 1);
    assert_eq!(block_on(store.claims_of(&vm("b"))).unwrap(), []);
}

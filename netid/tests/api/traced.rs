//! What a traced store tells.

use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use netid::{ClaimKey, ClaimStore as _, MemoryStore, Owner, TracedStore, WatchClaims as _};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::block_on;
use crate::edge::{Failing, Failure};

const NOW: Duration = Duration::from_secs(1_700_000_000);

/// Writes each event on a line, behind the span it is in.
#[derive(Clone, Default)]
struct Lines(Arc<Inner>);

#[derive(Default)]
struct Inner {
    lines: Mutex<Vec<String>>,
    spans: Mutex<BTreeMap<u64, String>>,
    entered: Mutex<Vec<u64>>,
    count: AtomicU64,
}

impl Lines {
    fn take(&self) -> Vec<String> {
        core::mem::take(&mut *self.0.lines.lock().unwrap())
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => write!(self.0, " {value:?}").unwrap(),
            name => write!(self.0, " {name}={value:?}").unwrap(),
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.0.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut text = Fields(span.metadata().name().into());
        span.record(&mut text);
        self.0.spans.lock().unwrap().insert(id, text.0);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let inside = *self.0.entered.lock().unwrap().last().unwrap();
        let span = self.0.spans.lock().unwrap()[&inside].clone();
        let mut text = Fields(format!("{span}: {}", event.metadata().level()));
        event.record(&mut text);
        self.0.lines.lock().unwrap().push(text.0);
    }

    fn enter(&self, span: &Id) {
        self.0.entered.lock().unwrap().push(span.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.0.entered.lock().unwrap().pop();
    }
}

/// What is told of some operations, one line for each.
fn lines_of(operations: impl Future<Output = ()>) -> Vec<String> {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || block_on(operations));
    lines.take()
}

fn owner(uid: &str) -> Owner {
    Owner::new("vm", "web", uid).unwrap()
}

fn name(name: &str) -> ClaimKey {
    ClaimKey::name(name).unwrap()
}

#[test]
fn operations_are_told() {
    let lines = lines_of(async {
        let store = TracedStore::new(MemoryStore::new());
        drop(store.watch("name/").await.unwrap());
        let (a, b) = (owner("a"), owner("b"));
        let claims = store.claim(&a, &[name("x"), name("y")], NOW).await.unwrap();
        store.claim(&b, &[name("z"), name("y")], NOW).await.unwrap_err();
        store.claim_one(&b, "name/", &name("z"), NOW).await.unwrap();
        store.claim_one(&b, "name/", &name("w"), NOW).await.unwrap();
        store.renew(&claims, NOW).await.unwrap();
        store.bind(&claims).await.unwrap();
        store.release(&claims[..1], |_| Duration::from_secs(1), NOW).await.unwrap();
        store.release(&claims, |_| Duration::ZERO, NOW).await.unwrap();
        store.release_unchanged(&claims[1..], |_| Duration::ZERO, NOW).await.unwrap();
        store.claim(&b, &[name("x")], NOW).await.unwrap_err();
        store.bind(&claims).await.unwrap_err();
        store.get(&name("z")).await.unwrap();
        store.get(&name("x")).await.unwrap();
        store.list("name/", Some(&name("a")), 7.try_into().unwrap()).await.unwrap();
        store.claims_of(&b).await.unwrap();
        store.release_all(&b, |_| Duration::ZERO, NOW).await.unwrap();
        store.forget_cooldowns(NOW + Duration::from_secs(1)).await.unwrap();
    });
    let told = [
        r#"watch prefix="name/": DEBUG watching"#,
        r#"claim owner.kind="vm" owner.uid="a" keys=2 first="name/x": DEBUG claimed claims=2"#,
        r#"claim owner.kind="vm" owner.uid="b" keys=2 first="name/z": DEBUG taken key="name/y" holder=vm web (uid a)"#,
        r#"claim_one owner.kind="vm" owner.uid="b" prefix="name/" key="name/z": DEBUG claimed"#,
        r#"claim_one owner.kind="vm" owner.uid="b" prefix="name/" key="name/w": DEBUG has one held="name/z""#,
        r#"renew owner.kind="vm" owner.uid="a" keys=2 first="name/x": DEBUG renewed claims=2"#,
        r#"bind owner.kind="vm" owner.uid="a" keys=2 first="name/x": DEBUG bound"#,
        r#"release owner.kind="vm" owner.uid="a" keys=1 first="name/x": DEBUG released released=1 not_held=0 held_by_other=0"#,
        r#"release owner.kind="vm" owner.uid="a" keys=2 first="name/x": DEBUG released released=1 not_held=1 held_by_other=0"#,
        r#"release_unchanged owner.kind="vm" owner.uid="a" keys=1 first="name/y": DEBUG released released=0 not_held=1 held_by_other=0"#,
        r#"claim owner.kind="vm" owner.uid="b" keys=1 first="name/x": DEBUG cooling key="name/x" until=1700000001s"#,
        r#"bind owner.kind="vm" owner.uid="a" keys=2 first="name/x": WARN lost key="name/x""#,
        r#"get key="name/z": DEBUG got holder=vm web (uid b)"#,
        r#"get key="name/x": DEBUG got"#,
        r#"list prefix="name/" after="name/a" limit=7: DEBUG listed claims=1"#,
        r#"claims_of owner.kind="vm" owner.uid="b": DEBUG listed claims=1"#,
        r#"release_all owner.kind="vm" owner.uid="b": DEBUG released released=1 not_held=0 held_by_other=0"#,
        r"forget_cooldowns: DEBUG forgot forgotten=1",
    ];
    assert_eq!(lines, told);
}

#[test]
fn failures_are_told() {
    let lines = lines_of(async {
        // The last one is the first.
        let plan = Mutex::new(vec![Failure::Before, Failure::After, Failure::Before]);
        let store = TracedStore::new(Failing { store: MemoryStore::new(), plan });
        store.claim(&owner("a"), &[name("x")], NOW).await.unwrap_err();
        store.claim(&owner("a"), &[name("x")], NOW).await.unwrap_err();
        store.claim_one(&owner("a"), "port/", &name("y"), NOW).await.unwrap_err();
    });
    let claim = r#"claim owner.kind="vm" owner.uid="a" keys=1 first="name/x": WARN"#;
    let one = r#"claim_one owner.kind="vm" owner.uid="a" prefix="port/" key="name/y": WARN"#;
    let told = [
        format!("{claim} failed error=no connection"),
        format!("{claim} unknown error=no connection"),
        format!("{one} failed error=no connection"),
    ];
    assert_eq!(lines, told);
}

//! Limits, failing stores, auto traits and serialised forms.

use core::convert::Infallible;
use core::num::NonZeroUsize;
use core::slice::from_ref;
use core::time::Duration;
use std::error::Error as _;
use std::fmt::Debug;
use std::sync::Mutex;

use netid::{
    AttemptsError, BindError, Claim, ClaimError, ClaimKey, ClaimState, ClaimStore, Generation,
    IdPermutation, MemoryStore, NameScheme, NetId, Owner, OwnerError, OwnerField, RangePermutation,
    ReleaseOutcome, Role, claim_with,
};

use crate::block_on;

fn owner(uid: &str) -> Owner {
    Owner::new("vm", "web", uid).unwrap()
}

#[test]
fn owners_have_limits() {
    let long = "x".repeat(Owner::MAX_LEN + 1);
    for (part, owner) in
        [(OwnerField::Kind, Owner::new("", "n", "u")), (OwnerField::Uid, Owner::new("k", "n", ""))]
    {
        assert_eq!(owner, Err(OwnerError::Empty { part }));
    }
    for (part, owner) in [
        (OwnerField::Kind, Owner::new(&long, "n", "u")),
        (OwnerField::Name, Owner::new("k", &long, "u")),
        (OwnerField::Uid, Owner::new("k", "n", &long)),
    ] {
        let text = long.as_str().into();
        assert_eq!(owner, Err(OwnerError::TooLong { part, text }));
    }
    let full = &long[1..];
    assert!(Owner::new(full, full, full).is_ok());
    assert!(Owner::new("k", "", "u").is_ok());
}

#[test]
fn a_proof_is_key_uid_and_generation() {
    let key = |name| ClaimKey::name(name).unwrap();
    let claim =
        |name, uid, generation| Claim::new(key(name), owner(uid), Generation::new(generation), NOW);
    let proof = claim("a", "u", 1);
    assert!(proof.is_same(&proof.clone().with_state(ClaimState::Bound)));
    for other in [claim("b", "u", 1), claim("a", "v", 1), claim("a", "u", 2)] {
        assert!(!proof.is_same(&other));
    }
}

#[test]
fn constants_are_made_at_compile_time() {
    const IDS: IdPermutation = IdPermutation::new([7; 16]);
    const ID: NetId = IDS.id(1);
    const TAP: netid::DeviceName = NameScheme::UNDERSCORED.name(Role::Tap, ID);
    const PARSED: Option<(Role, NetId)> = NameScheme::UNDERSCORED.parse(TAP.as_str());
    assert_eq!(PARSED, Some((Role::Tap, ID)));
}

#[test]
#[should_panic(expected = "eight digits")]
fn a_wrong_literal_panics() {
    let _ = NetId::from_static("A1B2C3D4");
}

#[test]
fn everything_can_be_sent_between_threads() {
    fn sent<T: Send + Sync + 'static>() {}
    fn copied<T: Copy + Debug + Eq + std::hash::Hash>() {}
    fn future<F: Send>(_: F) {}
    sent::<MemoryStore>();
    sent::<Claim>();
    sent::<ClaimError<std::io::Error>>();
    sent::<NameScheme<netid::VmId>>();
    sent::<RangePermutation>();
    copied::<NetId>();
    copied::<netid::VmId>();
    copied::<netid::DeviceName>();
    copied::<netid::Vni>();
    copied::<netid::VniRange>();
    let (store, owner, now) = (MemoryStore::new(), owner("a"), Duration::ZERO);
    future(store.claim(&owner, &[], now));
    future(store.bind(&[]));
    future(store.release(&[], |_| now, now));
    future(store.release_all(&owner, |_| now, now));
    future(claim_with(&store, &owner, vec![], now, |_| None));
}

/// A store that does what it is asked and then fails to say so, once for each planned failure.
pub(crate) struct Failing {
    pub(crate) store: MemoryStore,
    pub(crate) plan: Mutex<Vec<Failure>>,
}

#[derive(Clone, Copy)]
pub(crate) enum Failure {
    Before,
    After,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("no connection")]
pub(crate) struct NoConnection;

impl Failing {
    fn next(&self) -> Option<Failure> {
        self.plan.lock().unwrap().pop()
    }
}

fn lift<T>(result: Result<T, Infallible>) -> Result<T, NoConnection> {
    result.map_err(|never| match never {})
}

fn lost(error: BindError<Infallible>) -> BindError<NoConnection> {
    match error {
        BindError::Lost { key, holder } => BindError::Lost { key, holder },
        other => panic!("{other:?}"),
    }
}

impl ClaimStore for Failing {
    type Error = NoConnection;

    async fn claim(
        &self,
        owner: &Owner,
        keys: &[ClaimKey],
        now: Duration,
    ) -> Result<Vec<Claim>, ClaimError<NoConnection>> {
        let failure = self.next();
        if matches!(failure, Some(Failure::Before)) {
            return Err(ClaimError::Store(NoConnection));
        }
        match self.store.claim(owner, keys, now).await {
            Err(ClaimError::Taken(taken)) => Err(ClaimError::Taken(taken)),
            Err(other) => panic!("{other:?}"),
            Ok(_) if failure.is_some() => Err(ClaimError::Unknown(NoConnection)),
            Ok(claims) => Ok(claims),
        }
    }

    async fn claim_one(
        &self,
        owner: &Owner,
        _prefix: &str,
        key: &ClaimKey,
        now: Duration,
    ) -> Result<Claim, ClaimError<NoConnection>> {
        Ok(self.claim(owner, from_ref(key), now).await?.remove(0))
    }

    async fn renew(
        &self,
        claims: &[Claim],
        now: Duration,
    ) -> Result<Vec<Claim>, BindError<NoConnection>> {
        self.store.renew(claims, now).await.map_err(lost)
    }

    async fn bind(&self, claims: &[Claim]) -> Result<(), BindError<NoConnection>> {
        self.store.bind(claims).await.map_err(lost)
    }

    async fn release<F: Fn(&ClaimKey) -> Duration + Send>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, NoConnection> {
        lift(self.store.release(claims, cooldown, now).await)
    }

    async fn release_unchanged<F: Fn(&ClaimKey) -> Duration + Send>(
        &self,
        claims: &[Claim],
        cooldown: F,
        now: Duration,
    ) -> Result<Vec<(ClaimKey, ReleaseOutcome)>, NoConnection> {
        lift(self.store.release_unchanged(claims, cooldown, now).await)
    }

    async fn get(&self, key: &ClaimKey) -> Result<Option<Claim>, NoConnection> {
        lift(self.store.get(key).await)
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ClaimKey>,
        limit: NonZeroUsize,
    ) -> Result<Vec<Claim>, NoConnection> {
        lift(self.store.list(prefix, after, limit).await)
    }

    async fn claims_of(&self, owner: &Owner) -> Result<Vec<Claim>, NoConnection> {
        lift(self.store.claims_of(owner).await)
    }

    async fn forget_cooldowns(&self, now: Duration) -> Result<usize, NoConnection> {
        lift(self.store.forget_cooldowns(now).await)
    }
}

const NOW: Duration = Duration::from_secs(9);

fn id(number: u32) -> Vec<ClaimKey> {
    vec![ClaimKey::id(NetId::new(number))]
}

#[test]
fn an_unknown_outcome_is_settled_by_claiming_the_same_again() {
    let plan = Mutex::new(vec![Failure::After, Failure::Before]);
    let store = Failing { store: MemoryStore::new(), plan };
    block_on(async {
        let failed = store.claim(&owner("a"), &id(1), NOW).await;
        assert_eq!(failed, Err(ClaimError::Store(NoConnection)));
        assert_eq!(store.claims_of(&owner("a")).await, Ok(vec![]));

        let unknown = store.claim(&owner("a"), &id(1), NOW).await;
        assert_eq!(unknown, Err(ClaimError::Unknown(NoConnection)));
        let found = store.claims_of(&owner("a")).await.unwrap();
        assert_eq!(store.claim(&owner("a"), &id(1), NOW).await, Ok(found));
    });
}

#[test]
fn only_taken_is_answered_by_another_batch() {
    for failure in [Failure::Before, Failure::After] {
        let store = Failing { store: MemoryStore::new(), plan: Mutex::default() };
        block_on(store.claim(&owner("a"), &[id(0), id(1)].concat(), NOW)).unwrap();
        let mut asked = Vec::new();
        // The first two attempts find the id taken, the third fails.
        let outcome = block_on(claim_with(&store, &owner("b"), id(0), NOW, |taken| {
            asked.push(taken.key.clone());
            if asked.len() == 2 {
                store.plan.lock().unwrap().push(failure);
            }
            Some(id(u32::try_from(asked.len()).unwrap()))
        }));
        let AttemptsError { attempts, source, .. } = outcome.unwrap_err();
        assert_eq!(attempts, 3);
        match failure {
            Failure::Before => assert_eq!(source, ClaimError::Store(NoConnection)),
            Failure::After => assert_eq!(source, ClaimError::Unknown(NoConnection)),
        }
        assert_eq!(asked, [id(0), id(1)].concat());
    }
}

#[test]
fn a_cooldown_says_when_it_ends() {
    let store = MemoryStore::new();
    let claims = block_on(store.claim(&owner("a"), &id(1), NOW)).unwrap();
    let released = block_on(store.release(&claims, |_| NOW, NOW)).unwrap();
    assert!(released[0].1.is_released());
    let error = block_on(store.claim(&owner("b"), &id(1), NOW)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "id/00000001 is in its cooldown until 18s after the Unix epoch; claim another"
    );
}

#[test]
fn a_search_ends_with_what_was_in_the_way() {
    let store = MemoryStore::new();
    block_on(store.claim(&owner("a"), &id(1), NOW)).unwrap();
    let error = block_on(claim_with(&store, &owner("b"), id(1), NOW, |_| None)).unwrap_err();
    assert_eq!(error.to_string(), "nothing claimed in 1 attempt");
    assert_eq!(
        error.source().unwrap().to_string(),
        "id/00000001 is held by vm web (uid a); claim another"
    );
    let mut left = 3;
    let error = block_on(claim_with(&store, &owner("b"), id(1), NOW, |_| {
        left -= 1;
        (left > 0).then(|| id(1))
    }));
    assert_eq!(error.unwrap_err().attempts, 3);
}

#[cfg(feature = "serde")]
mod serialised {
    use core::fmt::Debug;

    use netid::{Claim, ClaimKey, ClaimState, DeviceName, Generation, NetId, VmId, Vni, VniRange};
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::{NOW, owner};

    fn is<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: &str) {
        assert_eq!(serde_json::to_string(value).unwrap(), json);
        assert_eq!(serde_json::from_str::<T>(json).unwrap(), *value);
    }

    fn is_not<T: DeserializeOwned + Debug>(json: &str, message: &str) {
        let error = serde_json::from_str::<T>(json).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn values_have_their_text_form() {
        is(&NetId::new(0x1e23_4567), r#""1e234567""#);
        is(&VmId::new(NetId::new(1), 2), r#""vm-000000010002""#);
        is(&DeviceName::from_static("eth0"), r#""eth0""#);
        is(&ClaimKey::name("web").unwrap(), r#""name/web""#);
        is(&Vni::new(300).unwrap(), "300");
        is(&VniRange::DEFAULT, r#"{"min":200,"max":16777215}"#);
        is(&netid::Role::VethHost, r#""veth-host""#);
        is(&owner("u"), r#"{"kind":"vm","name":"web","uid":"u"}"#);
        let key = ClaimKey::name("web").unwrap();
        let claim = Claim::new(key, owner("u"), Generation::new(7), NOW);
        is(
            &claim.with_state(ClaimState::Bound),
            concat!(
                r#"{"key":"name/web","owner":{"kind":"vm","name":"web","uid":"u"},"#,
                r#""generation":7,"state":"bound","since":{"secs":9,"nanos":0}}"#,
            ),
        );
    }

    #[test]
    fn what_is_read_is_checked() {
        is_not::<NetId>(r#""A1B2C3D4""#, "is not a network id");
        is_not::<NetId>("12345678", "expected a string");
        is_not::<DeviceName>(r#""tap%d""#, "cannot name a device");
        is_not::<ClaimKey>(r#""port/tcp/80""#, "five digits");
        is_not::<Vni>("16777216", "is not a VNI");
        is_not::<VniRange>(r#"{"min":2,"max":1}"#, "is backwards");
        is_not::<netid::Owner>(r#"{"kind":"vm","name":"","uid":""}"#, "is empty");
    }
}

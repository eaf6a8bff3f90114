//! A program that claims and releases is killed at random, again and again: what it was told is in the file.
//!
//! ```text
//! NETID_KILLS=10000 cargo test -p netid --features redb --test killed
//! ```

mod child;
mod doctored;
mod history;

use core::num::NonZeroUsize;
use core::time::Duration;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread;

use libtest_mimic::{Arguments, Failed, Trial};
use netid::{
    ClaimKey, ClaimState, ClaimStore as _, ClaimWatch as _, KeyState, Owner, RedbError, RedbStore,
    WatchClaims as _, WatchEvent,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::history::{Held, State};

/// Tells the program that it is the one to be killed: where the file is.
const FILE: &str = "NETID_KILLED_FILE";
/// And how late it is, in seconds, which is the number of its round too.
const NOW: &str = "NETID_KILLED_NOW";

/// After so many kills a new file is begun, since being killed while making it is of interest too.
const KILLS_PER_FILE: u64 = 25;

fn main() {
    if let (Some(file), Ok(now)) = (env::var_os(FILE), env::var(NOW)) {
        child::run(Path::new(&file), now.parse().unwrap());
    }
    let kills = env::var("NETID_KILLS").map_or(200, |kills| kills.parse().unwrap());
    let mut trials = vec![Trial::test("nothing_acknowledged_is_lost", move || kill(kills))];
    trials.extend(doctored::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn kill(kills: u64) -> Result<(), Failed> {
    let mut told = 0_u64;
    for first in (0..kills).step_by(usize::try_from(KILLS_PER_FILE).unwrap()) {
        let folder = Folder::new();
        let file = folder.0.join("claims.redb");
        let mut state = State::default();
        for round in first..kills.min(first + KILLS_PER_FILE) {
            let mut rng = StdRng::seed_from_u64(round);
            let now = round + 1;
            let report = live_and_die(&file, now, &mut rng);
            let acknowledged = |line: &&str| line.starts_with(['b', 'c', 'r']);
            told += report.lines().filter(acknowledged).count() as u64;
            let after = look(&file, &report, now)
                .and_then(|after| history::check(&state, &report, after, now))
                .map_err(|fault| format!("round {round}: {fault}\n{report}"))?;
            state = after;
        }
    }
    // A round in which nothing happens would prove nothing.
    if told > kills / 2 { Ok(()) } else { Err(format!("only {told} answers").into()) }
}

/// Lets the program run for a while, kills it, and gives what it has said.
fn live_and_die(file: &Path, now: u64, rng: &mut StdRng) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(FILE, file).env(NOW, now.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut victim = Victim(command.spawn().unwrap());
    let mut pipe = victim.0.stdout.take().unwrap();
    let life = if rng.next_u32().is_multiple_of(8) {
        // While it opens the file, if not before.
        Duration::from_micros(u64::from(rng.next_u32() % 8_000))
    } else {
        let mut ready = [0; 2];
        pipe.read_exact(&mut ready).unwrap();
        assert_eq!(&ready, b"+\n");
        if rng.next_u32().is_multiple_of(8) {
            let error = RedbStore::open(file).unwrap_err();
            assert!(matches!(error, RedbError::AlreadyOpen { .. }), "{error:?}");
        }
        Duration::from_micros(u64::from(rng.next_u32() % 30_000))
    };
    let reader = thread::spawn(move || {
        let mut report = String::new();
        pipe.read_to_string(&mut report).unwrap();
        report
    });
    thread::sleep(life);
    drop(victim);
    let mut report = reader.join().unwrap();
    // A line that was not ended was not said.
    report.truncate(report.rfind('\n').map_or(0, |end| end + 1));
    report.trim_start_matches("+\n").into()
}

/// Opens what is left and reads all of it, in every way there is.
fn look(file: &Path, report: &str, now: u64) -> Result<State, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let failed = |error| format!("{error:?}");
        let store = RedbStore::open(file).map_err(failed)?;
        let mut state = State::default();
        let claims = store.list("", None, NonZeroUsize::MAX).await.map_err(failed)?;
        let mut by_owner: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for claim in &claims {
            if store.get(&claim.key).await.map_err(failed)?.as_ref() != Some(claim) {
                return Err(format!("{} is held in the list only", claim.key));
            }
            by_owner.entry(claim.owner.uid().into()).or_default().push(claim.clone());
            let held = Held {
                owner: claim.owner.uid().into(),
                generation: claim.generation.number(),
                bound: claim.state == ClaimState::Bound,
            };
            state.held.insert(history::number(&claim.key), held);
        }
        // The index by owner knows the same, also of those who hold nothing any more.
        for owner in report.lines().filter_map(|line| line.split(' ').nth(1)) {
            by_owner.entry(owner.into()).or_default();
        }
        for (uid, claims) in by_owner {
            let owner = Owner::new("vm", "", &uid).unwrap();
            if store.claims_of(&owner).await.map_err(failed)? != claims {
                return Err(format!("the index of {uid} is not {claims:?}"));
            }
        }
        let mut watch = store.watch("").await.map_err(failed)?;
        let WatchEvent::Snapshot(states) = watch.next().await.map_err(failed)? else {
            return Err("no snapshot".into());
        };
        for key_state in &states {
            if let KeyState::Cooling { key, until } = key_state {
                state.cooling.insert(history::number(key), until.as_secs());
            }
        }
        if states.len() != state.held.len() + state.cooling.len() {
            return Err("the snapshot has other claims than the list".into());
        }
        // And the index by deadline; those of this round are left for the next one.
        let passed = state.cooling.values().filter(|until| **until <= now).count();
        if now.is_multiple_of(3) {
            let forgotten = store.forget_cooldowns(Duration::from_secs(now)).await;
            if forgotten.map_err(failed)? != passed {
                return Err(format!("not {passed} cooldowns have passed"));
            }
            state.cooling.retain(|_, until| *until > now);
        }
        Ok(state)
    })
}

/// What is killed, whatever happens to the test.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("netid-killed-{}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The key of a number.
fn key(number: u16) -> ClaimKey {
    ClaimKey::port(netid::Protocol::Tcp, number)
}

//! Every combination of evidence after every previous state, against a naive oracle.

use core::num::NonZeroU32;
use core::time::Duration;

use vmstatus::address::{Candidate, Confidence, Source};
use vmstatus::console::{Trouble, TroubleKind};
use vmstatus::{
    Escaped, Evidence, Exit, Folder, Generation, Machine, ObserveError, Process, Ssh, SshAnswer,
    Status, Thresholds, derive,
};

const BEFORE: Generation = Generation::new(1, 0);
const BOOT: Generation = Generation::new(1, 1);
const AFTER: Generation = Generation::new(1, 2);
const IP: [u8; 4] = [192, 0, 2, 7];

const fn at(second: u64) -> Duration {
    Duration::from_secs(1_700_000_000 + second)
}

const FOLDERS: [Folder; 3] = [Folder::Unknown, Folder::Absent, Folder::Present];
const PROCESSES: [Process; 6] = [
    Process::Unknown,
    Process::Absent,
    Process::Exited(Exit::Code(0)),
    Process::Exited(Exit::Signal(11)),
    Process::Paused,
    Process::Alive,
];

fn addresses(boot: Generation) -> [Option<Candidate>; 5] {
    let of = |ip: [u8; 4], source, boot| Some(Candidate::new(ip.into(), source, at(50), boot));
    [
        None,
        of(IP, Source::Console, boot),
        of(IP, Source::Console, Generation::new(0, 9)),
        of(IP, Source::Cache, boot),
        of([169, 254, 1, 1], Source::Neighbour, boot),
    ]
}

fn answers(boot: Generation) -> [Ssh; 5] {
    let answered = |ip: [u8; 4], boot| {
        let banner = "SSH-2.0-x".parse().unwrap();
        Ssh::Answered(SshAnswer::new(banner, (ip, 22).into(), at(50), boot))
    };
    [
        Ssh::NotAsked,
        Ssh::Silent,
        answered([127, 0, 0, 1], boot),
        answered(IP, boot),
        answered(IP, Generation::new(0, 9)),
    ]
}

fn troubles() -> [Option<(Trouble, Duration)>; 5] {
    let of = |kind, second| Some((Trouble::new(kind, Escaped::from("line")), at(second)));
    [
        None,
        of(TroubleKind::HungTask, 40),
        of(TroubleKind::HungTask, 60),
        of(TroubleKind::Panic, 40),
        of(TroubleKind::Panic, 60),
    ]
}

/// 3 × 6 × 5 × 5 × 5 = 2,250 pieces of evidence.
fn all_evidence(boot: Generation) -> Vec<Evidence> {
    let mut all = Vec::new();
    for folder in FOLDERS {
        for process in PROCESSES {
            for address in addresses(boot) {
                for ssh in answers(boot) {
                    for trouble in troubles() {
                        let mut evidence =
                            Evidence::new(folder, process, boot).with_ssh(ssh.clone());
                        if let Some(address) = address {
                            evidence = evidence.with_address(address);
                        }
                        if let Some((trouble, seen)) = trouble {
                            evidence = evidence.with_trouble(trouble, seen);
                        }
                        all.push(evidence);
                    }
                }
            }
        }
    }
    all
}

/// The status in words, by rules written down a second time and in another way.
fn oracle(evidence: &Evidence, trouble_seen: Option<Duration>) -> &'static str {
    let boot = evidence.generation();
    let answer = match evidence.ssh() {
        Ssh::Answered(answer) if answer.generation() == boot => Some(answer),
        _ => None,
    };
    let trouble = evidence.trouble().filter(|_| {
        answer.is_none_or(|answer| trouble_seen.is_some_and(|seen| seen > answer.at()))
    });
    let panicked = trouble.is_some_and(|trouble| trouble.kind() == TroubleKind::Panic);
    let address = evidence.address().is_some_and(|address| {
        address.generation() == boot
            && !address.ip().is_link_local()
            && (address.source() != Source::Cache
                || answer.is_some_and(|answer| answer.from().ip() == address.ip()))
    });
    let alive = evidence.process() == Process::Alive;
    let paused = evidence.process() == Process::Paused;
    let failed = evidence.process() == Process::Exited(Exit::Signal(11));
    let blind = evidence.folder() == Folder::Unknown && evidence.process() == Process::Unknown;
    [
        (evidence.folder() == Folder::Absent || blind, "missing"),
        (failed, "crashed"),
        (paused, "paused"),
        (panicked, "crashed"),
        (!alive, "stopped"),
        (trouble.is_some(), "degraded"),
        (!address, "initializing"),
        (answer.is_none(), "booting"),
    ]
    .iter()
    .find_map(|(holds, status)| holds.then_some(*status))
    .unwrap_or("running")
}

#[test]
fn derive_agrees_with_the_oracle_on_all_evidence() {
    let all = all_evidence(BOOT);
    assert_eq!(all.len(), 2250);
    for (evidence, trouble) in all.iter().zip(troubles().iter().cycle()) {
        let seen = trouble.as_ref().map(|(_, seen)| *seen);
        assert_eq!(derive(evidence).as_str(), oracle(evidence, seen), "{evidence:?}");
    }
}

/// A machine in each of the ten states, in the generation `BOOT`, and what it has observed.
fn machines() -> Vec<(Machine, Vec<Evidence>)> {
    let alive = Evidence::new(Folder::Present, Process::Alive, BOOT);
    let of = |process| Evidence::new(Folder::Present, process, BOOT);
    let addressed = alive.clone().with_address(addresses(BOOT)[1].unwrap());
    let answered = addressed.clone().with_ssh(answers(BOOT)[2].clone());
    let silent = addressed.clone().with_ssh(Ssh::Silent);
    let trouble = |index: usize| {
        let (trouble, seen) = troubles()[index].clone().unwrap();
        alive.clone().with_trouble(trouble, seen)
    };
    let histories: [(&str, &[&Evidence]); 10] = [
        ("missing", &[&Evidence::new(Folder::Absent, Process::Absent, BOOT)]),
        ("stopped", &[&of(Process::Absent)]),
        ("initializing", &[&alive]),
        ("booting", &[&addressed]),
        ("running", &[&answered]),
        ("paused", &[&answered, &of(Process::Paused)]),
        ("degraded", &[&answered, &silent, &silent, &silent]),
        ("degraded", &[&trouble(2)]),
        ("crashed", &[&trouble(4)]),
        ("crashed", &[&of(Process::Exited(Exit::Signal(11)))]),
    ];
    histories
        .into_iter()
        .map(|(state, history)| {
            let mut machine = Machine::new(at(0));
            for evidence in history {
                machine.observe(evidence, at(1)).unwrap();
            }
            assert_eq!(machine.status().as_str(), state);
            (machine, history.iter().map(|evidence| (*evidence).clone()).collect())
        })
        .collect()
}

/// Whether a machine that runs has every right to: the address and the banner of this boot are
/// among what it was shown since its process was last known to be gone.
fn assert_proven(machine: &Machine, shown: &[Evidence]) {
    let Status::Running(running) = machine.status() else { return };
    let boot = machine.generation();
    assert_eq!(running.generation(), boot);
    assert_eq!(running.address().generation(), boot);
    assert_eq!(running.ipv4(), core::net::Ipv4Addr::from(IP));
    let answer = |evidence: &Evidence| match evidence.ssh() {
        Ssh::Answered(answer) if answer.generation() == boot => Some(answer.from().ip()),
        _ => None,
    };
    let of_boot = |evidence: &&Evidence| evidence.generation() == boot;
    let answers: Vec<_> = shown.iter().filter(of_boot).filter_map(answer).collect();
    assert!(!answers.is_empty(), "{shown:?}");
    let addressed = shown.iter().filter(of_boot).filter_map(Evidence::address).any(|address| {
        address.generation() == boot
            && address.ip() == running.ipv4()
            && (address.confidence() > Confidence::Unconfirmed || answers.contains(&IP.into()))
    });
    assert!(addressed, "{shown:?}");
}

#[test]
fn all_evidence_after_all_states() {
    let machines = machines();
    let mut observed = 0;
    for boot in [BEFORE, BOOT, AFTER] {
        for evidence in all_evidence(boot) {
            for (before, history) in &machines {
                let (mut machine, mut shown) = (before.clone(), history.clone());
                // Three times, so that every threshold is reached.
                for second in 100..103 {
                    observed += 1;
                    let from = machine.status().clone();
                    let earlier = machine.clone();
                    let outcome = machine.observe(&evidence, at(second));
                    if outcome.is_ok() {
                        shown.push(evidence.clone());
                    }
                    match outcome {
                        Ok(Some(transition)) => {
                            assert_eq!(transition.from(), &from);
                            assert_eq!(transition.to(), machine.status());
                            assert_eq!(transition.generation(), boot);
                            assert_eq!(machine.since(), at(second));
                            assert!(
                                transition.is_new_boot() || from.may_become(transition.to()),
                                "{transition}"
                            );
                        }
                        Ok(None) => assert_eq!(machine.status().as_str(), from.as_str()),
                        Err(ObserveError::OlderGeneration { .. }) => assert_eq!(boot, BEFORE),
                        Err(ObserveError::Illegal { from, to, .. }) => {
                            assert!(!from.may_become(&to));
                            assert_eq!(machine.status(), earlier.status());
                            assert_eq!(machine.last_observed(), earlier.last_observed());
                        }
                        Err(error) => panic!("{error}"),
                    }
                    assert_proven(&machine, &shown);
                    if !machine.status().is_alive() {
                        shown.clear();
                    }
                }
                assert_eq!(boot == BEFORE, machine.generation() > boot);
            }
        }
    }
    assert_eq!(observed, 3 * 2250 * 10 * 3);
}

#[test]
fn refusals_are_typed_and_change_nothing() {
    let mut machine = machines().swap_remove(9).0;
    let alive = |boot| Evidence::new(Folder::Present, Process::Alive, boot);
    let refusal = machine.observe(&alive(BOOT), at(2)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "crashed cannot become initializing within generation 1.1; a new start needs a new generation"
    );
    assert!(matches!(
        machine.observe(&alive(BEFORE), at(2)),
        Err(ObserveError::OlderGeneration { observed: BEFORE, known: BOOT })
    ));
    assert!(matches!(
        machine.observe(&alive(AFTER), at(0)),
        Err(ObserveError::TimeWentBack { .. })
    ));
    assert_eq!((machine.status().as_str(), machine.generation()), ("crashed", BOOT));
    assert!(machine.observe(&alive(Generation::new(2, 0)), at(2)).unwrap().is_some());
}

#[test]
fn thresholds_are_the_callers() {
    let of = |number| NonZeroU32::new(number).unwrap();
    for (up, down) in [(1, 1), (1, 3), (2, 5)] {
        let mut machine = Machine::new(at(0)).with_thresholds(Thresholds::new(of(up), of(down)));
        let look = |machine: &mut Machine, process| {
            let evidence = Evidence::new(Folder::Present, process, BOOT);
            machine.observe(&evidence, at(1)).unwrap().is_some()
        };
        // The first observation of a generation is a new boot and counts at once.
        look(&mut machine, Process::Absent);
        for number in 1..=up {
            assert_eq!(look(&mut machine, Process::Alive), number == up);
        }
        for number in 1..=down {
            assert_eq!(look(&mut machine, Process::Absent), number == down);
        }
    }
}

#[test]
fn looks_that_fail_are_not_failures() {
    let mut machine = machines().swap_remove(4).0;
    let unknown = Evidence::new(Folder::Unknown, Process::Unknown, BOOT);
    for second in 2..100 {
        assert_eq!(machine.observe(&unknown, at(second)), Ok(None));
    }
    assert_eq!(machine.status().as_str(), "running");
}

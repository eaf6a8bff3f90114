//! What holds for any input: mutated fixtures, cut anywhere.

use proptest::prelude::*;
use proptest::sample::select;
use vmstatus::console::Scanner;
use vmstatus::registry::Registry;
use vmstatus::{SshBanner, lease, neighbour};

use crate::fixtures::{CONSOLES, LEASES, NEIGHBOURS};

/// Everything that a scanner tells, as text.
fn report(scanner: &Scanner) -> String {
    let boot = scanner.boot();
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {} {}",
        boot.network(),
        boot.primary(),
        boot.cloud_init(),
        boot.host_keys(),
        boot.login_prompt(),
        boot.trouble(),
        scanner.boots(),
        scanner.offset(),
    )
}

/// One change of a text: where, how many bytes go, and which come.
type Change = (prop::sample::Index, usize, Vec<u8>);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        select(vec![
            "\n",
            "\r",
            "\r\n",
            "|",
            " | ",
            "\0",
            "\x1b[0m",
            "ci-info:",
            "[   1.2] x\n",
            "+"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, bytes), 0..6)
}

fn mutate(text: &str, changes: &[Change]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (place, gone, come) in changes {
        let from = place.index(bytes.len() + 1);
        let to = (from + gone).min(bytes.len());
        bytes.splice(from..to, come.iter().copied());
    }
    bytes
}

/// The text without the control bytes that no terminal shows, so that what is read can be found
/// in it.
fn visible(bytes: &[u8]) -> String {
    bytes
        .iter()
        .filter(|byte| matches!(byte, b' '..=b'~' | b'\n'))
        .map(|byte| char::from(*byte))
        .collect()
}

/// The text without what begins an escape sequence, which is undone by reading it.
fn without_escapes(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.retain(|byte| !matches!(byte, 0x1b | b'['));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 20_000 }))]

    /// Pieces of any size give the same answer as the whole.
    #[test]
    fn chunking_changes_nothing(
        first in select(CONSOLES.to_vec()),
        second in select(CONSOLES.to_vec()),
        changes in changes(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let log = mutate(&format!("{first}\n{second}"), &changes);
        let mut whole = Scanner::new();
        whole.push(&log);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(log.len() + 1)).collect();
        cuts.extend([0, log.len()]);
        cuts.sort_unstable();
        let mut pieces = Scanner::new();
        for cut in cuts.windows(2) {
            pieces.push(&log[cut[0]..cut[1]]);
        }
        prop_assert_eq!(report(&whole), report(&pieces));
        let mut bytes = Scanner::new();
        for byte in &log {
            bytes.push(&[*byte]);
        }
        prop_assert_eq!(report(&whole), report(&bytes));
    }

    /// What the console is said to show stands in it.
    #[test]
    fn the_console_answers_from_its_text(
        log in select(CONSOLES.to_vec()),
        changes in changes(),
    ) {
        let log = without_escapes(mutate(log, &changes));
        let text = visible(&log);
        let mut scanner = Scanner::new();
        scanner.push(&log);
        let boot = scanner.boot();
        for interface in boot.network().map(vmstatus::console::Network::interfaces).unwrap_or_default() {
            prop_assert!(text.contains(interface.name()));
            for ip in interface.ipv4() {
                prop_assert!(text.contains(&ip.to_string()), "{} not in {}", ip, text);
            }
            for ip in interface.ipv6() {
                prop_assert!(text.contains(ip.as_str()), "{} not in {}", ip, text);
            }
        }
        for key in boot.host_keys() {
            prop_assert!(text.contains(key.blob()));
        }
        if let Some(host) = boot.login_prompt() {
            prop_assert!(text.contains(host));
        }
    }

    /// Tables and leases: no panic, and every address stands in the text.
    #[test]
    fn tables_answer_from_their_text(
        table in select(NEIGHBOURS.iter().chain(&LEASES).copied().collect::<Vec<_>>()),
        changes in changes(),
    ) {
        let bytes = mutate(table, &changes);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        for entry in neighbour::parse(&bytes) {
            prop_assert!(text.contains(&entry.ip().to_string()) || entry.ip().is_ipv6());
        }
        for lease in lease::parse(&bytes) {
            prop_assert!(text.contains(&lease.ip().to_string()) || lease.ip().is_ipv6());
            if let Some(name) = lease.hostname() {
                prop_assert!(text.contains(&name.to_lowercase()) || text.contains('\\'));
            }
        }
    }

    /// Any bytes at all are read without a panic.
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let mut scanner = Scanner::new();
        scanner.push(&bytes);
        let _ = report(&scanner);
        let _ = (neighbour::parse(&bytes), lease::parse(&bytes), Registry::parse(&bytes).is_ok());
        if let Ok(banner) = SshBanner::new(&bytes) {
            prop_assert!(banner.as_str().starts_with("SSH-"));
        }
        let _ = SshBanner::find(&bytes).is_ok();
    }

    /// A banner cut anywhere is either not there yet or the same.
    #[test]
    fn a_banner_does_not_change_as_it_arrives(
        before in prop::collection::vec("[ -~]{0,20}", 0..4),
        software in "[!-~]{1,30}",
        cut in any::<prop::sample::Index>(),
    ) {
        let lines = before.iter().filter(|line| !line.starts_with("SSH-"));
        let before = lines.fold(String::new(), |text, line| text + line + "\r\n");
        let sent = format!("{before}SSH-2.0-{software}\r\nrest");
        let whole = SshBanner::find(sent.as_bytes()).unwrap();
        prop_assert_eq!(whole.as_ref().unwrap().software(), software);
        let cut = SshBanner::find(&sent.as_bytes()[..cut.index(sent.len())]).unwrap();
        prop_assert!(cut.is_none() || cut == whole);
    }
}

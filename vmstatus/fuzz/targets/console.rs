//! A console log in two pieces says what it says in one, and nothing that is not in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vmstatus::console::{Interest, Scanner};

/// What a terminal shows of the log, its lines put together.
fn shown(log: &[u8]) -> String {
    log.iter().filter(|byte| matches!(byte, b' '..=b'~')).map(|byte| char::from(*byte)).collect()
}

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, log) = input;
    let mut whole = Scanner::new();
    whole.push(log);
    let mut pieces = Scanner::new();
    let (first, second) = log.split_at(cut % (log.len() + 1));
    pieces.push(first);
    let _ = pieces.boot();
    pieces.push(second);
    let (boot, same) = (whole.boot(), pieces.boot());
    assert_eq!(boot.network(), same.network());
    assert_eq!(boot.primary(), same.primary());
    assert_eq!(boot.host_keys(), same.host_keys());
    assert_eq!(boot.login_prompt(), same.login_prompt());
    assert_eq!(boot.trouble(), same.trouble());
    assert_eq!(
        (boot.cloud_init(), boot.has_ended(), whole.boots(), whole.offset()),
        (same.cloud_init(), same.has_ended(), pieces.boots(), pieces.offset()),
    );
    let mut tables = Scanner::new().with_interest(Interest::Tables);
    tables.push(log);
    let _ = tables.boot();

    // Escape sequences may go within a word, and take letters with them.
    if log.iter().any(|byte| matches!(byte, 0x1b | b'[')) {
        return;
    }
    let shown = shown(log);
    for interface in boot.network().map(|network| network.interfaces()).unwrap_or_default() {
        assert!(shown.contains(interface.name()));
        assert!(interface.ipv4().iter().all(|ip| shown.contains(&ip.to_string())));
        assert!(interface.ipv6().iter().all(|ip| shown.contains(ip.as_str())));
    }
    assert!(boot.host_keys().iter().all(|key| shown.contains(key.blob())));
    assert!(boot.login_prompt().is_none_or(|host| shown.contains(host)));
});

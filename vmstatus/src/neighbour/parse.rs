use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::entry::Neighbour;
use super::{bsd, iproute, tabular};

/// Reads a neighbour table in any of the formats of this module.
///
/// Total: lines that are no entry (heads, prompts, host names in place of addresses) are skipped.
/// Order and repetitions are kept, incomplete entries too.
#[must_use]
pub fn parse(bytes: &[u8]) -> Vec<Neighbour> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}');
    if let Some(entries) = iproute::parse_json(text) {
        return entries;
    }
    // Windows gives the interface in a line above its entries.
    let mut above = None;
    let mut entries = Vec::new();
    for line in text.lines() {
        let line = line.trim_matches(|c: char| c.is_whitespace() || c.is_control());
        if let Some(interface) = windows_interface(line) {
            above = Some(interface);
        } else if let Some(entry) = bsd::parse_line(line) {
            entries.push(entry);
        } else {
            entries.extend(parse_words(line, above));
        }
    }
    entries
}

/// An address with an optional zone, such as `fe80::1%en0`.
pub(super) fn parse_ip(word: &str) -> Option<IpAddr> {
    word.split('%').next()?.parse().ok()
}

fn parse_words(line: &str, above: Option<&str>) -> Option<Neighbour> {
    let (first, rest) = line.split_once(|c: char| c.is_ascii_whitespace())?;
    let ip = parse_ip(first)?;
    let rest = rest.trim();
    if rest.starts_with("dev ") {
        iproute::parse_line(ip, rest)
    } else {
        tabular::parse_line(ip, rest, above)
    }
}

/// The address in `Interface: 192.168.1.5 --- 0x7`, whatever the language.
fn windows_interface(line: &str) -> Option<&str> {
    let (interface, index) = line.split_once(" --- ")?;
    let digits = index.trim().strip_prefix("0x")?;
    let address =
        interface.rsplit([' ', ':', '\u{a0}', '\u{ff1a}']).find(|word| !word.is_empty())?;
    (digits.bytes().all(|byte| byte.is_ascii_hexdigit()) && parse_ip(address).is_some())
        .then_some(address)
}

use alloc::borrow::Cow;
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
    let text = decode(bytes);
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

/// Windows' PowerShell writes UTF-16 into a file, with a byte order mark; all else is ASCII where it
/// counts.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let Some(units) = bytes.strip_prefix(b"\xff\xfe") else {
        return String::from_utf8_lossy(bytes);
    };
    let units = units
        .chunks_exact(2)
        .map(|pair| pair.iter().rev().fold(0, |unit, byte| unit << 8 | u16::from(*byte)));
    let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    Cow::Owned(text.collect())
}

/// An address with an optional zone, such as `fe80::1%en0`.
pub(super) fn parse_ip(word: &str) -> Option<IpAddr> {
    word.split('%').next()?.parse().ok()
}

fn parse_words(line: &str, above: Option<&str>) -> Option<Neighbour> {
    let (first, rest) = line.split_once(|c: char| c.is_ascii_whitespace())?;
    let ip = parse_ip(first)?;
    let rest = rest.trim();
    if iproute::is_rest(rest) {
        iproute::parse_line(ip, rest)
    } else {
        tabular::parse_line(ip, rest, above)
    }
}

/// What stands in the place of a MAC: `(incomplete)` in any language, or a MAC that somebody has
/// made unreadable.
pub(super) fn is_placeholder(word: &str) -> bool {
    (word.starts_with('(') || word.starts_with('<')) || word.split([':', '-']).count() == 6
}

/// The address in `Interface: 192.168.1.5 --- 0x7`, whatever the language, or in `Interface:
/// 192.168.1.5 on Interface 0x2` of early versions.
fn windows_interface(line: &str) -> Option<&str> {
    let (interface, index) =
        line.split_once(" --- ").or_else(|| line.split_once(" on Interface "))?;
    let index = index.trim();
    let digits = index.strip_prefix("0x").unwrap_or(index);
    let address =
        interface.rsplit([' ', ':', '\u{a0}', '\u{ff1a}']).find(|word| !word.is_empty())?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_number && parse_ip(address).is_some()).then_some(address)
}

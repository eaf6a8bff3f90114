use super::entry::{Neighbour, NeighbourState};
use super::parse::{is_placeholder, parse_ip};
use crate::mac::parse_mac;

/// A line of `arp -a` or `arp -an` on macOS, the BSDs, Linux or busybox:
/// `? (192.168.64.2) at 52:54:0:2a:12:b6 on bridge100 ifscope [bridge]`.
///
/// Linux has its own words for `at` and `on` in other languages, so only their places count.
pub(super) fn parse_line(line: &str) -> Option<Neighbour> {
    let (address, rest) = line.match_indices('(').find_map(|(start, _)| {
        let inner = line.get(start.saturating_add(1)..)?;
        // No address is longer, so that a line of brackets is not searched again and again.
        let end = inner.bytes().take(64).position(|byte| byte == b')')?;
        Some((parse_ip(inner.get(..end)?)?, inner.get(end..)?.strip_prefix(") ")?))
    })?;
    let mut words = rest.split_ascii_whitespace();
    let (_at, place) = (words.next()?, words.next()?);
    let mac = parse_mac(place.as_bytes());
    if mac.is_none() && !is_placeholder(place) {
        return None;
    }
    let interface = interface(words.clone());
    let permanent = words.any(|word| word.eq_ignore_ascii_case("permanent") || word == "PERM");
    let state = if permanent { NeighbourState::Permanent } else { NeighbourState::Unknown };
    let entry = Neighbour::read(address, mac, state);
    Some(match interface {
        Some(interface) => entry.with_interface(interface),
        None => entry,
    })
}

/// The word after `on`. Where Linux has another word for it, the interface is the last one, after the
/// hardware type in brackets and flags in capitals: `[ether] PERM auf eth0`.
fn interface<'a>(words: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    if let Some(interface) = words.clone().skip_while(|word| *word != "on").nth(1) {
        return Some(interface);
    }
    let is_flag =
        |word: &&str| word.starts_with('[') || word.bytes().all(|byte| byte.is_ascii_uppercase());
    let mut words = words.skip_while(is_flag);
    let (_on, interface) = (words.next()?, words.next()?);
    // AIX says `[ethernet] stored in bucket 5`, and no interface.
    words.next().is_none().then_some(interface)
}

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
    let interface = words.clone().skip_while(|word| *word != "on").nth(1).or_else(|| {
        // `[ether] auf eth0`
        words.clone().skip_while(|word| !word.starts_with('[')).nth(2)
    });
    let permanent = words.any(|word| word.eq_ignore_ascii_case("permanent") || word == "PERM");
    let state = if permanent { NeighbourState::Permanent } else { NeighbourState::Unknown };
    let entry = Neighbour::read(address, mac, state);
    Some(match interface {
        Some(interface) => entry.with_interface(interface),
        None => entry,
    })
}

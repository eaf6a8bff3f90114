use super::entry::{Neighbour, NeighbourState};
use super::parse::parse_ip;
use crate::mac::parse_mac;

/// A line of `arp -a` or `arp -an` on macOS, the BSDs, Linux or busybox:
/// `? (192.168.64.2) at 52:54:0:2a:12:b6 on bridge100 ifscope [bridge]`.
pub(super) fn parse_line(line: &str) -> Option<Neighbour> {
    let (address, rest) = line
        .match_indices('(')
        .find_map(|(start, _)| line.get(start.saturating_add(1)..)?.split_once(") at "))?;
    let ip = parse_ip(address)?;
    let mut words = rest.split_ascii_whitespace();
    let mac = parse_mac(words.next()?.as_bytes());
    let interface = words.clone().skip_while(|word| *word != "on").nth(1);
    let permanent = words.any(|word| word.eq_ignore_ascii_case("permanent") || word == "PERM");
    let state = if permanent { NeighbourState::Permanent } else { NeighbourState::Unknown };
    let entry = Neighbour::read(ip, mac, state);
    Some(match interface {
        Some(interface) => entry.with_interface(interface),
        None => entry,
    })
}

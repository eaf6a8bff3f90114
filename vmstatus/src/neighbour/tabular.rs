use core::net::IpAddr;

use super::entry::{Neighbour, NeighbourState};
use super::parse::is_placeholder;
use crate::mac::parse_mac;

/// Bits of the flags in `/proc/net/arp` (`ATF_COM` and `ATF_PERM` of `<linux/if_arp.h>`).
const COMPLETE: u32 = 0x2;
const PERMANENT: u32 = 0x4;

/// The rest of a line of a table after its address: `/proc/net/arp`, Linux's `arp -n` and `-e`,
/// OpenBSD's `arp -an`, macOS's `arp -l`, `ndp -an`, `ip -brief neigh`, or Windows's `arp -a`.
pub(super) fn parse_line(ip: IpAddr, rest: &str, above: Option<&str>) -> Option<Neighbour> {
    let mut words = rest.split_ascii_whitespace();
    let first = words.next()?;
    if first.starts_with("0x") {
        return parse_proc(ip, words);
    }
    if let (Some(mac), true) = (parse_mac(first.as_bytes()), first.contains('-')) {
        let entry = Neighbour::read(ip, Some(mac), NeighbourState::Unknown);
        return Some(match above {
            Some(interface) => entry.with_interface(interface),
            None => entry,
        });
    }
    if is_placeholder(first) || parse_mac(first.as_bytes()).is_some() {
        // OpenBSD has the interface next, Linux (for an incomplete entry) as well; macOS's `arp -l`
        // has times before it.
        let entry = Neighbour::read(ip, parse_mac(first.as_bytes()), NeighbourState::Unknown);
        return Some(match words.find(|word| !is_time(word)) {
            Some(interface) => entry.with_interface(interface),
            None => entry,
        });
    }
    // Linux: hardware type, MAC, flags (C complete, M permanent, P published), mask, interface.
    let second = words.next()?;
    let mac = parse_mac(second.as_bytes());
    if mac.is_none() && !is_placeholder(second) {
        return None;
    }
    let flags = words.next();
    let permanent = flags.is_some_and(|flags| flags.contains('M'));
    let state = if permanent { NeighbourState::Permanent } else { NeighbourState::Unknown };
    let interface = match flags {
        Some(_) => words.last(),
        // `ip -brief neigh` has the interface in the first column, and none after the MAC.
        None => Some(first).filter(|word| *word != "ether"),
    };
    let entry = Neighbour::read(ip, mac, state);
    Some(match interface {
        Some(interface) => entry.with_interface(interface),
        None => entry,
    })
}

/// How long an entry still holds: `1m13s`, `expired`, `(none)`.
fn is_time(word: &str) -> bool {
    let is_duration = word.starts_with(|first: char| first.is_ascii_digit())
        && word.bytes().all(|byte| byte.is_ascii_digit() || b"dhms".contains(&byte));
    is_duration || matches!(word, "expired" | "(none)")
}

/// `0x1 0x2 52:54:00:12:34:56 * virbr0`, the hardware type taken off already.
fn parse_proc<'a>(ip: IpAddr, mut words: impl Iterator<Item = &'a str>) -> Option<Neighbour> {
    let flags = u32::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    let mac = parse_mac(words.next()?.as_bytes());
    let interface = words.nth(1)?;
    let mac = mac.filter(|_| flags & COMPLETE != 0);
    let state =
        if flags & PERMANENT != 0 { NeighbourState::Permanent } else { NeighbourState::Unknown };
    Some(Neighbour::read(ip, mac, state).with_interface(interface))
}

use alloc::vec::Vec;
use core::net::IpAddr;

use serde_json::Value;

use super::entry::{Neighbour, NeighbourState};
use super::parse::parse_ip;
use crate::json;
use crate::mac::parse_mac;

/// Whether a line of `ip neigh` goes on so after its address. Asked for one device, `ip` leaves its
/// name out.
pub(super) fn is_rest(rest: &str) -> bool {
    rest.split_ascii_whitespace().next().is_some_and(|word| {
        matches!(word, "dev" | "lladdr" | "proxy") || NeighbourState::parse(word).is_some()
    })
}

/// The rest of a line of `ip neigh` after its address:
/// `dev eth0 lladdr 52:54:00:12:34:56 router STALE`.
pub(super) fn parse_line(ip: IpAddr, rest: &str) -> Option<Neighbour> {
    let mut words = rest.split_ascii_whitespace();
    let mut interface = None;
    let (mut mac, mut state) = (None, NeighbourState::Unknown);
    let mut proxied = false;
    while let Some(word) = words.next() {
        match word {
            "dev" => interface = Some(words.next()?),
            "lladdr" => mac = parse_mac(words.next().unwrap_or_default().as_bytes()),
            // An address answered for on behalf of others; nobody is there.
            "proxy" => proxied = true,
            _ => state = NeighbourState::parse(word).unwrap_or(state),
        }
    }
    let entry = Neighbour::read(ip, mac, state);
    (!proxied).then(|| match interface {
        Some(interface) => entry.with_interface(interface),
        None => entry,
    })
}

/// What `ip -json neigh` prints: a list of objects, or several lists in a row.
pub(super) fn parse_json(text: &str) -> Option<Vec<Neighbour>> {
    Some(json::objects(text)?.iter().filter_map(parse_object).collect())
}

fn parse_object(object: &Value) -> Option<Neighbour> {
    let text = |key| object.get(key).and_then(Value::as_str);
    let ip = parse_ip(text("dst")?)?;
    let mac = text("lladdr").and_then(|mac| parse_mac(mac.as_bytes()));
    if object.get("proxy").is_some() {
        return None;
    }
    let state = match object.get("state") {
        Some(Value::Array(states)) => states.first().and_then(Value::as_str),
        Some(Value::String(state)) => Some(state.as_str()),
        _ => None,
    };
    let state = state.and_then(NeighbourState::parse).unwrap_or(NeighbourState::Unknown);
    let entry = Neighbour::read(ip, mac, state);
    Some(match text("dev") {
        Some(interface) => entry.with_interface(interface),
        None => entry,
    })
}

use alloc::vec::Vec;
use core::net::IpAddr;

use serde_json::Value;

use super::entry::{Neighbour, NeighbourState};
use super::parse::parse_ip;
use crate::mac::parse_mac;

/// The rest of a line of `ip neigh` after its address:
/// `dev eth0 lladdr 52:54:00:12:34:56 router STALE`.
pub(super) fn parse_line(ip: IpAddr, rest: &str) -> Option<Neighbour> {
    let mut words = rest.split_ascii_whitespace();
    let interface = words.by_ref().skip_while(|word| *word != "dev").nth(1)?;
    let (mut mac, mut state) = (None, NeighbourState::Unknown);
    let mut proxied = false;
    while let Some(word) = words.next() {
        match word {
            "lladdr" => mac = parse_mac(words.next().unwrap_or_default().as_bytes()),
            // An address answered for on behalf of others; nobody is there.
            "proxy" => proxied = true,
            _ => state = NeighbourState::parse(word).unwrap_or(state),
        }
    }
    (!proxied).then(|| Neighbour::read(ip, mac, state).with_interface(interface))
}

/// What `ip -json neigh` prints: a list of objects, or several lists in a row.
pub(super) fn parse_json(text: &str) -> Option<Vec<Neighbour>> {
    if !text.trim_start().starts_with(['[', '{']) {
        return None;
    }
    let mut entries = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match value {
            Ok(Value::Array(list)) => entries.extend(list.iter().filter_map(parse_object)),
            Ok(object @ Value::Object(_)) => entries.extend(parse_object(&object)),
            // The rest is torn; what was whole before it counts.
            _ => break,
        }
    }
    Some(entries)
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

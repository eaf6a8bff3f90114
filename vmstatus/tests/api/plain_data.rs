//! What goes out as JSON, and that nothing unproven comes in.

use core::time::Duration;

use vmstatus::console::Scanner;
use vmstatus::neighbour::{Neighbour, NeighbourState};
use vmstatus::{Evidence, Folder, Generation, Machine, Process, SshBanner, lease, parse_mac};

use crate::fixtures::{BOTH_ROWS, DNSMASQ};

#[test]
fn a_transition_is_an_object() {
    let mut machine = Machine::new(Duration::ZERO);
    let evidence = Evidence::new(Folder::Present, Process::Alive, Generation::new(1, 0))
        .with_mac(parse_mac(b"52:54:0:15:7a:e3").unwrap());
    let transition = machine.observe(&evidence, Duration::from_secs(5)).unwrap().unwrap();
    assert_eq!(
        serde_json::to_value(&transition).unwrap(),
        serde_json::json!({
            "from": {"status": "missing"},
            "to": {"status": "initializing"},
            "since": {"secs": 5, "nanos": 0},
            "lasted": {"secs": 5, "nanos": 0},
            "reason": {"no-address": {"mac": "52:54:00:15:7a:e3"}},
            "generation": {"start": 1, "boot": 0},
            "previous": {"start": 0, "boot": 0},
        })
    );
}

#[test]
fn interfaces_are_objects() {
    let mut scanner = Scanner::new();
    scanner.push(BOTH_ROWS.as_bytes());
    let boot = scanner.boot();
    assert_eq!(
        serde_json::to_value(&boot.network().unwrap().interfaces()[0]).unwrap(),
        serde_json::json!({
            "name": "ens3",
            "up": true,
            "ipv4": ["192.168.1.77"],
            "ipv6": ["fe80::5054:ff:fe15:7ae3/64"],
            "mac": "52:54:00:15:7a:e3",
        })
    );
}

#[test]
fn values_go_through_validation() {
    let banner: SshBanner = serde_json::from_str(r#""SSH-2.0-x""#).unwrap();
    assert_eq!(serde_json::to_string(&banner).unwrap(), r#""SSH-2.0-x""#);
    assert!(serde_json::from_str::<SshBanner>(r#""HTTP/1.1 200""#).is_err());
    let mac = parse_mac(b"52:54:0:0:0:7").unwrap();
    let entry = Neighbour::new([192, 0, 2, 7].into(), mac, NeighbourState::Stale);
    let json = serde_json::to_string(&entry).unwrap();
    assert_eq!(serde_json::from_str::<Neighbour>(&json).unwrap(), entry);
    assert!(serde_json::from_str::<Neighbour>(&json.replace("52:54", "xx:54")).is_err());
    for lease in lease::parse(DNSMASQ.as_bytes()) {
        let json = serde_json::to_string(&lease).unwrap();
        assert_eq!(serde_json::from_str::<lease::Lease>(&json).unwrap(), lease);
    }
}

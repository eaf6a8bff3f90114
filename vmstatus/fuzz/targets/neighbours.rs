//! Every entry of a neighbour table stands in it.

#![no_main]

use core::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use vmstatus::neighbour;

fuzz_target!(|table: &[u8]| {
    let text = String::from_utf8_lossy(table);
    // JSON may write any letter as an escape.
    let literal = !text.contains('\\');
    for entry in neighbour::parse(table) {
        if let (IpAddr::V4(ip), true) = (entry.ip(), literal) {
            assert!(text.contains(&ip.to_string()));
        }
        assert!(!literal || entry.interface().is_none_or(|name| text.contains(name)));
    }
});

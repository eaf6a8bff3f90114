//! Every lease of a file stands in it.

#![no_main]

use core::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use vmstatus::lease;

fuzz_target!(|file: &[u8]| {
    let text = String::from_utf8_lossy(file);
    // JSON may write any letter as an escape.
    let literal = !text.contains('\\') || !text.contains('[');
    for lease in lease::parse(file) {
        if let (IpAddr::V4(ip), true) = (lease.ip(), literal) {
            assert!(text.contains(&ip.to_string()));
        }
        assert!(!literal || lease.hostname().is_none_or(|name| text.contains(name)));
        assert!(!literal || lease.client_id().is_none_or(|id| text.contains(id)));
    }
});

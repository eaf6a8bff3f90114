//! What a server sends in two pieces is what it sends in one, and a registry is read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vmstatus::SshBanner;
use vmstatus::registry::Registry;

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, sent) = input;
    let _ = Registry::parse(sent).is_ok();
    let whole = SshBanner::find(sent);
    let (first, _) = sent.split_at(cut % (sent.len() + 1));
    match SshBanner::find(first) {
        Ok(None) => {}
        // What was found or refused early stays so.
        Ok(Some(banner)) => assert_eq!(whole, Ok(Some(banner))),
        Err(_) => assert!(whole.is_err()),
    }
});

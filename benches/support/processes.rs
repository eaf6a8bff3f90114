//! What one would run instead: a program per change.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs `ip` with these words.
///
/// # Panics
/// When it fails or is not installed.
pub fn ip(words: &str) {
    run("ip", words, "");
}

/// Runs one `ip` for all these lines.
///
/// # Panics
/// When it fails or is not installed.
pub fn ip_batch(lines: &str) {
    run("ip", "-batch -", lines);
}

/// Runs one `nft` for this change.
///
/// # Panics
/// When it fails or is not installed.
pub fn nft(change: &str) {
    run("nft", "-f -", change);
}

/// Whether a program is installed; says so if it is not.
#[must_use]
#[expect(clippy::print_stderr, reason = "a comparison is never left out in silence")]
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        eprintln!("`{program}` is not installed: nothing is compared with it");
    }
    found
}

fn run(program: &str, words: &str, input: &str) {
    let mut child = Command::new(program)
        .args(words.split_whitespace())
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).expect("a program that reads");
    }
    let status = child.wait().expect("a program that ends");
    assert!(status.success(), "{program} {words}: {status}");
}

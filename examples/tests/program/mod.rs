//! Running an example as its user does.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The example, built beside this test by the same `cargo test`.
pub(crate) fn example(name: &str) -> Command {
    let own = std::env::current_exe().expect("a path of its own");
    let target = own.parent().and_then(|deps| deps.parent()).expect("a target folder");
    let program: PathBuf = target.join("examples").join(name);
    assert!(program.exists(), "{} is missing; run `cargo build --examples`", program.display());
    Command::new(program)
}

/// Runs it to its end with this on its standard input. Whatever it is given, it must not panic.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a process");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A program that does not read its input is none the worse for it.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("an end");
    writer.join().expect("a writer");
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    output
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

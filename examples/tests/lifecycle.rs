//! `vm_lifecycle` as its user runs it, and as it dies.
//!
//! The binary enters its own user, network and mount namespaces, makes a named namespace in there, and runs the
//! example in that: what the example leaves when it is killed is still there for the next run.

use hostnet::{Host, Netns, Owner, Sandbox};
use libtest_mimic::{Arguments, Failed, Trial};
use std::error::Error;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

type Outcome = Result<(), Box<dyn Error>>;

/// From the first claim to the last step of the teardown.
const MOMENTS: [&str; 12] = [
    "claimed",
    "planned",
    "apply:1",
    "apply:4",
    "apply:9",
    "applied",
    "started",
    "initializing",
    "booting",
    "running",
    "remove:2",
    "remove:6",
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Err(error) = Sandbox::enter() {
        eprintln!("the example's tests cannot run here: {error}");
        return ExitCode::FAILURE;
    }
    let lacking = hostnet::check_tun().err();
    if let Some(what) = &lacking {
        eprintln!("the example's tests cannot run here: {what}");
    }
    let mut trials: Vec<Trial> = MOMENTS
        .iter()
        .map(|moment| Trial::test(format!("killed_at_{moment}"), move || killed(moment)))
        .collect();
    trials.push(Trial::test("every_status_is_seen_and_nothing_is_left", || run(whole)));
    trials.push(Trial::test("bad_input_is_refused_with_a_way_out", || run(refusals)));
    let trials = trials
        .into_iter()
        // Never in silence: listed as ignored with the reason above, and a failure in CI.
        .map(|trial| trial.with_ignored_flag(lacking.is_some() && std::env::var_os("CI").is_none()))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(test: fn() -> Outcome) -> Result<(), Failed> {
    test().map_err(|error| Failed::from(error.to_string()))
}

/// Killed at this moment, the next run finds what is left, says so, cleans it up and succeeds.
fn killed(moment: &str) -> Result<(), Failed> {
    in_named_netns(|name| {
        let dead = example(&["--netns", name, "--json", "--crash-at", moment])?;
        assert_eq!(dead.status.signal(), Some(9), "{moment}: {}", text(&dead));

        let left = left_in(name)?;
        let next = example(&["--netns", name, "--json"])?;
        assert!(next.status.success(), "{moment}: {}", text(&next));
        let says_so = text(&next).contains(r#""stage":"recover""#);
        assert_eq!(says_so, left > 0, "{moment}: {left} of ours were left\n{}", text(&next));
        assert_eq!(left_in(name)?, 0, "{moment}");
        Ok(())
    })
    .map_err(|error| Failed::from(error.to_string()))
}

fn whole() -> Outcome {
    let output = example(&["--json", "--name", "Zweites Gerät"])?;
    assert!(output.status.success(), "{}", text(&output));
    let lines: Vec<serde_json::Value> =
        text(&output).lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let statuses = lines.iter().filter(|l| l["stage"] == "status");
    let mut seen: Vec<&str> = statuses.filter_map(|l| l["to"].as_str()).collect();
    // A status is told again when more is known of it.
    seen.dedup();
    let learned = text(&output).contains("the console's IPv6 row tells the MAC");
    assert!(learned, "{}", text(&output));
    let first = ["missing", "stopped", "initializing", "booting", "running"];
    assert_eq!(seen[..first.len()], first, "{seen:?}");
    assert!(seen[first.len()..].contains(&"running"), "and a second boot: {seen:?}");
    let fact = |stage: &str, name: &str| {
        let found = lines.iter().find(|l| l["stage"] == stage && l["fact"] == name);
        found.and_then(|l| l["value"].as_str()).unwrap_or_default().to_owned()
    };
    assert!(fact("claims", "name").starts_with("zweites-ger-t-"), "{}", fact("claims", "name"));
    assert!(fact("claims", "address").starts_with("172.16.0.2 "));
    for proof in ["links", "addresses", "routes", "rules"] {
        assert_eq!(fact("proof", proof), "as before");
    }
    Ok(())
}

fn refusals() -> Outcome {
    for (arguments, says) in [
        (&["--gateway", "172.16.0.1/33"][..], "prefix length of 8 to 30"),
        (&["--gateway", "172.16.0.0/24"], "172.16.0.0"),
        (&["--ports", "32000-22001"], "22001"),
        (&["--tap", "tap_a1b2c3d4e5f6"], "at most 15 fit"),
        (&["--name", "192.168.1.1"], "start with a lower-case letter"),
        (&["--netns", "not-there"], "ip netns add not-there"),
        (&["--crash-at", "never"], "apply:N"),
    ] {
        let output = example(arguments)?;
        assert!(!output.status.success(), "{arguments:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(says), "{arguments:?} says: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
    // The smallest network has one address for a guest, and none while that one rests.
    let output = example(&["--gateway", "172.16.0.1/30"])?;
    assert!(output.status.success(), "{}", text(&output));
    // Nothing of the name survives: that is no error, and it is said.
    let output = example(&["--name", "🚀🚀🚀"])?;
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("no letter or digit of it survives"), "{}", text(&output));
    Ok(())
}

/// The example, built beside this test by the same `cargo test`.
fn example(arguments: &[&str]) -> Result<Output, Box<dyn Error>> {
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(|deps| deps.parent()).ok_or("no target folder")?;
    let program: PathBuf = target.join("examples").join("vm_lifecycle");
    if !program.exists() {
        return Err(
            format!("{} is missing; run `cargo build --examples`", program.display()).into()
        );
    }
    // What is killed leaves its folder behind; this one goes with the test.
    let folder = tempfile::tempdir()?;
    Ok(Command::new(program).args(arguments).env("TMPDIR", folder.path()).output()?)
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

fn in_named_netns(test: impl FnOnce(&str) -> Outcome) -> Outcome {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("lifecycle-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Netns::create(&name)?;
    let result = test(&name);
    Netns::remove(&name)?;
    result
}

/// How many networks and VMs of the example's are in the namespace.
fn left_in(name: &str) -> Result<usize, Box<dyn Error>> {
    let host = Host::open_in(Owner::new("lifecycle")?, Netns::named(name)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(host.observe())?.subjects().len())
}

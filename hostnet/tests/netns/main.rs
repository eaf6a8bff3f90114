//! The real kernel. The binary enters its own user, network and mount namespaces before any thread starts, and
//! each test gets a fresh network namespace on a thread of its own: no root, no wrapper, no set-up.

mod adversary;
mod apply;
mod both;
mod both_grounds;
mod events;
mod foreign;
mod guests;
mod kill;
mod mishaps;
mod netns;
mod recovery;
mod rules;
mod shapes;
mod spoofing;
mod strangers;
mod traffic;
mod world;

use hostnet::Sandbox;
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    if let Ok(order) = std::env::var(kill::VICTIM) {
        return kill::victim(&order);
    }
    let arguments = Arguments::from_args();
    let sandbox = match Sandbox::enter() {
        Ok(sandbox) => Arc::new(sandbox),
        Err(error) => {
            eprintln!("hostnet's kernel tests cannot run here: {error}");
            return ExitCode::FAILURE;
        }
    };
    let tests: [&[world::Test]; 12] = [
        adversary::TESTS,
        apply::TESTS,
        both::TESTS,
        events::TESTS,
        foreign::TESTS,
        kill::TESTS,
        mishaps::TESTS,
        netns::TESTS,
        recovery::TESTS,
        shapes::TESTS,
        spoofing::TESTS,
        traffic::TESTS,
    ];
    let lacking = hostnet::check_tun().err();
    if let Some(what) = &lacking {
        eprintln!("kernel tests that make TAPs cannot run: {what}");
    }
    let trials = tests.into_iter().flatten().map(|test| {
        let sandbox = Arc::clone(&sandbox);
        let run = test.run;
        let trial = Trial::test(test.name, move || world::in_fresh_netns(&sandbox, run));
        // Never in silence: it is listed as ignored with the reason above, and fails in CI.
        trial.with_ignored_flag(lacking.is_some() && std::env::var_os("CI").is_none())
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

//! The store in etcd, against real servers that the tests start on the loopback device and stop.
//!
//! They need the program `etcd` (Debian: `apt-get install etcd-server`). Where it is missing the tests list themselves
//! as ignored; with `CI` in the environment they fail. The one that cuts the network needs `ip` and `unshare`, too, and
//! a kernel that gives user namespaces to everybody.

#[path = "../api/conformance/mod.rs"]
mod conformance;
#[path = "../api/world.rs"]
mod world;

mod claimers;
mod cluster;
mod edge;
mod history;
mod late;
mod partition;
mod presence;
mod random;
mod security;
mod server;
mod watch;

use libtest_mimic::{Arguments, Trial};

use crate::server::Server;

/// Runs a future to its end.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Tests that run futures, by module and name.
macro_rules! trials {
    ($($module:ident: $($test:ident),* $(,)?;)*) => {
        vec![$($(trial(concat!(stringify!($module), "::", stringify!($test)), || {
            block_on($module::$test());
        })),*),*]
    };
}

/// The conformance suite, each check under a root of its own in one server.
macro_rules! conformance_trials {
    (@; $($group:ident: $($check:ident),*;)*) => {
        vec![$($(trial(concat!("conformance::", stringify!($group), "::", stringify!($check)), || {
            block_on(async {
                conformance::$group::$check(Server::shared().store().await).await;
            });
        })),*),*]
    };
}

fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    trial_lacking(server::missing().then_some(server::HOW_TO_GET_IT), name, test)
}

/// A test that cannot run where something is lacking.
fn trial_lacking(
    lacking: Option<&'static str>,
    name: &str,
    test: impl FnOnce() + Send + 'static,
) -> Trial {
    let in_ci = std::env::var_os("CI").is_some();
    let trial = Trial::test(name, move || {
        if let Some(what) = lacking {
            return Err(what.into());
        }
        test();
        Ok(())
    });
    trial.with_ignored_flag(lacking.is_some() && !in_ci)
}

fn main() {
    if partition::is_inside() {
        return partition::inside();
    }
    let arguments = Arguments::from_args();
    if let Some(what) = partition::lacking() {
        eprintln!("{what}");
    }
    let mut all = conformance::every_check! { [conformance_trials] @; };
    all.extend(trials! {
        random: sequences_agree_with_the_model;
        edge: refuses_options_that_do_not_fit, refuses_another_format,
            refuses_another_format_at_the_first_operation, refuses_large_batches,
            reports_foreign_records, keeps_apart_what_is_under_different_roots,
            says_when_nobody_listens, goes_on_at_the_next_endpoint, starts_without_etcd, gives_up_at_the_deadline,
            does_not_claim_twice_for_an_owner, forgets_only_what_has_passed,
            needs_one_transaction_for_a_claim, does_not_deny_what_cannot_be_read,
            finds_what_stands_behind_much_that_rests, tries_for_as_long_as_it_is_told,
            refuses_credentials_in_an_endpoint;
        watch: goes_on_after_a_lost_connection, begins_anew_after_a_compaction,
            goes_on_after_a_foreign_record, misses_nothing_between_two_pieces;
        late: what_was_released_stays_released, what_was_refused_stays_refused,
            a_refusal_after_silence_is_no_answer;
        presence: lasts_as_long_as_it_is_kept, ends_when_it_is_withdrawn, ends_with_its_host,
            ends_nobody_elses;
        security: authenticates, refuses_a_wrong_password, respects_permissions,
            goes_on_when_users_change;
        history: impossible_histories_are_found;
        cluster: no_key_is_held_twice;
    });
    all.push(trial_lacking(
        partition::lacking(),
        "partition::no_key_is_held_twice",
        partition::no_key_is_held_twice,
    ));
    #[cfg(feature = "etcd-tls")]
    all.extend(trials! { security: speaks_tls, refuses_a_strange_certificate; });
    let conclusion = libtest_mimic::run(&arguments, all);
    Server::stop_shared();
    conclusion.exit();
}

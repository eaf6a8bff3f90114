//! What every store promises, checked through the trait alone. A store is added by one line below.

pub(crate) mod claiming;
pub(crate) mod listing;
pub(crate) mod releasing;
pub(crate) mod watching;

use core::time::Duration;

use netid::{Claim, ClaimKey, Owner, Protocol, ReleaseOutcome};

/// Hands the names of all checks to another macro, behind what that macro is to know besides.
macro_rules! every_check {
    ([$($then:tt)*] $($rest:tt)*) => {
        $($then)*! { $($rest)*
            claiming: gives_claims_in_order, is_all_or_none, names_the_first_key_in_the_way,
                is_idempotent, extends_what_is_held, takes_a_key_named_twice, takes_no_keys,
                goes_by_uid_alone, keeps_owners_of_any_content, binds_all_or_none, binds_again,
                does_not_bind_a_later_claim, gives_one_of_many, gives_the_first_of_several,
                refuses_one_that_is_taken, gives_one_that_is_held, renews_what_is_pending, renews_all_or_none,
                claims_large_batches;
            releasing: goes_by_proof, refuses_a_stale_generation, reports_each_claim,
                raises_generations, cools_until_the_deadline, lets_the_last_owner_return,
                cools_for_ever, cools_each_key_as_told, releases_everything_of_an_owner,
                forgets_what_has_passed, releases_many_at_once, goes_by_every_change_if_told;
            listing: finds_by_prefix_in_order, pages, hides_cooling_keys, lists_by_owner,
                keeps_apart_what_begins_alike;
            watching: begins_with_what_there_is, tells_every_change, tells_steps_whole,
                tells_what_it_was_asked_for, tells_each_change_once, catches_up_after_a_long_silence;
        }
    };
}

pub(crate) use every_check;

const NOW: Duration = Duration::from_secs(1_700_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn owner(uid: &str) -> Owner {
    Owner::new("vm", &format!("name of {uid}"), uid).unwrap()
}

fn name(name: &str) -> ClaimKey {
    ClaimKey::name(name).unwrap()
}

fn port(port: u16) -> ClaimKey {
    ClaimKey::port(Protocol::Tcp, port)
}

const fn no_cooldown(_: &ClaimKey) -> Duration {
    Duration::ZERO
}

fn keys(claims: &[Claim]) -> Vec<ClaimKey> {
    claims.iter().map(|claim| claim.key.clone()).collect()
}

fn outcomes(released: Vec<(ClaimKey, ReleaseOutcome)>) -> Vec<ReleaseOutcome> {
    released.into_iter().map(|(_, outcome)| outcome).collect()
}

//! Claims with the thread's generator.

use core::convert::Infallible;
use std::sync::{Arc, Mutex};
use vmname::{BaseName, Claim, ClaimError};

#[test]
fn an_error_of_the_store_stops_a_claim_at_once_and_is_its_source() {
    let mut asked = 0;
    let error = vmname::claim::<(), _>(BaseName::from_static("web"), |_| {
        asked += 1;
        if asked < 3 { Ok(Claim::Taken) } else { Err(std::io::Error::other("no quorum")) }
    })
    .unwrap_err();
    assert_eq!(asked, 3);
    assert!(matches!(error, ClaimError::Failed { attempts: 3, .. }));
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "no quorum");
}

/// What a task of a runtime with several threads needs: the future may move between them, although
/// the generator of a thread may not.
#[test]
fn an_asynchronous_claim_may_move_between_threads() {
    fn sendable<F: Future + Send + 'static>(future: F) -> F {
        future
    }
    let held = Arc::new(Mutex::new(Vec::new()));
    let store = Arc::clone(&held);
    let base = BaseName::from_static("web");
    let claimed = pollster::block_on(sendable(vmname::claim_async(base, async move |name| {
        std::future::ready(()).await;
        store.lock().unwrap().push(*name);
        Ok::<_, Infallible>(Claim::Claimed("receipt"))
    })))
    .unwrap();
    assert_eq!(claimed.receipt, "receipt");
    assert_eq!(*held.lock().unwrap(), [claimed.name]);
}

/// A closure may change what it borrows, across the points where it waits.
#[test]
fn an_asynchronous_closure_may_borrow_mutably() {
    let mut asked = Vec::new();
    let claimed =
        pollster::block_on(vmname::claim_async(BaseName::from_static("web"), async |name| {
            asked.push(*name);
            std::future::ready(()).await;
            Ok::<_, Infallible>(if asked.len() > 2 { Claim::Claimed(()) } else { Claim::Taken })
        }))
        .unwrap();
    assert_eq!((claimed.attempts, asked.last()), (3, Some(&claimed.name)));
}

//! Many at the same time: shared commits, threads, and executors of any kind.

use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::Wake;
use std::thread;
use std::time::Instant;

use netid::{
    ClaimError, ClaimKey, ClaimStore as _, ClaimWatch as _, Obstacle, Owner, RedbError, RedbStore,
    RedbWatch, WatchClaims as _, WatchEvent,
};
use tokio::task::JoinSet;

use super::{Folder, fresh};
use crate::block_on;

const NOW: Duration = Duration::from_secs(1_700_000_000);

fn owner(number: usize) -> Owner {
    Owner::new("vm", "", &format!("u{number}")).unwrap()
}

fn name(number: usize) -> ClaimKey {
    ClaimKey::name(&number.to_string()).unwrap()
}

/// More than fit into one commit, for each key twice: the first in the queue has it.
#[test]
fn of_many_at_once_each_key_has_one_holder() {
    const KEYS: usize = 700;
    let store = fresh();
    let holders = block_on(async {
        let mut tasks = JoinSet::new();
        for number in 0..2 * KEYS {
            let store = store.clone();
            tasks.spawn(async move {
                let batch = [name(number % KEYS)];
                (number, store.claim(&owner(number), &batch, NOW).await)
            });
        }
        tasks.join_all().await
    });
    let mut generations = BTreeSet::new();
    for (number, answer) in holders {
        match answer {
            Ok(claims) => assert!(generations.insert(claims[0].generation)),
            Err(ClaimError::Taken(taken)) => {
                let Obstacle::Held(holder) = taken.obstacle else { panic!("{:?}", taken.obstacle) };
                let other = owner((number + KEYS) % (2 * KEYS));
                assert_eq!(holder.owner, other);
                assert_eq!(block_on(store.claims_of(&other)).unwrap(), [holder]);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(generations.len(), KEYS);
}

/// Threads that claim overlapping batches and give them back.
#[test]
fn threads_never_hold_a_key_together() {
    let store = fresh();
    let holders: [Mutex<()>; 3] = Default::default();
    thread::scope(|scope| {
        for me in 0..4 {
            let (store, holders) = (store.clone(), &holders);
            scope.spawn(move || {
                for turn in 0..150 {
                    let pick = 1 + (turn * 3 + me) % 7;
                    let own: Vec<_> = (0..3).filter(|at| pick >> at & 1 == 1).collect();
                    let batch: Vec<_> = own.iter().map(|&at| name(at)).collect();
                    let claims = match block_on(store.claim(&owner(me), &batch, NOW)) {
                        Ok(claims) => claims,
                        Err(ClaimError::Taken(_)) => continue,
                        Err(error) => panic!("{error}"),
                    };
                    let locks: Vec<_> = own.iter().map(|&at| holders[at].try_lock()).collect();
                    assert!(locks.iter().all(Result::is_ok), "somebody else has one of them");
                    drop(locks);
                    let released = block_on(store.release(&claims, |_| Duration::ZERO, NOW));
                    assert!(released.unwrap().iter().all(|(_, outcome)| outcome.is_released()));
                }
            });
        }
    });
}

/// Nothing but a thread that sleeps until it is woken.
#[test]
fn any_executor_will_do() {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    fn wait_for<F: Future>(future: F) -> F::Output {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }
    let store = fresh();
    let mut watch = wait_for(store.watch("")).unwrap();
    let claims = wait_for(store.claim(&owner(1), &[name(1)], NOW)).unwrap();
    wait_for(store.bind(&claims)).unwrap();
    for _ in 0..3 {
        wait_for(watch.next()).unwrap();
    }
    assert_eq!(wait_for(store.claims_of(&owner(1))).unwrap().len(), 1);
}

/// Somebody who does not wait for the answer finds out by asking again.
#[test]
fn a_future_that_is_dropped_leaves_all_or_nothing() {
    let store = fresh();
    let batch = [name(1), name(2)];
    for turn in 0..20 {
        let (ours, context) = (owner(turn), &mut Context::from_waker(Waker::noop()));
        assert!(pin!(store.claim(&ours, &batch, NOW)).poll(context).is_pending());
        // What is asked now comes after it.
        let other = block_on(store.claim(&owner(100), &batch[..1], NOW));
        assert!(matches!(other, Err(ClaimError::Taken(_))), "{other:?}");
        assert_eq!(block_on(store.claims_of(&ours)).unwrap().len(), 2);
        let released = block_on(store.release_all(&ours, |_| Duration::ZERO, NOW)).unwrap();
        assert_eq!(released.len(), 2);
    }
}

#[test]
fn a_panic_of_the_caller_is_its_own() {
    let store = fresh();
    let claims = block_on(store.claim(&owner(1), &[name(1)], NOW)).unwrap();
    let released = catch_unwind(AssertUnwindSafe(|| {
        block_on(store.release(&claims, |_| panic!("the caller's"), NOW))
    }));
    assert!(released.is_err());
    assert_eq!(block_on(store.get(&name(1))).unwrap().as_ref(), Some(&claims[0]));
    let released = block_on(store.release(&claims, |_| Duration::ZERO, NOW)).unwrap();
    assert!(released[0].1.is_released());
}

/// An executor may run a task where it is woken, and so the last handle may end on the store's own thread.
#[test]
fn the_last_handle_may_end_on_the_thread_of_the_store() {
    struct Task(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            let mut task = self.0.lock().unwrap();
            let waker = Waker::from(Arc::clone(&self));
            let mut future = task.take().unwrap();
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                *task = Some(future);
            }
        }
    }
    let folder = Folder::new();
    let store = RedbStore::open(folder.file()).unwrap();
    let task = async move {
        store.claim(&owner(1), &[name(1)], NOW).await.unwrap();
        drop(store);
    };
    Arc::new(Task(Mutex::new(Some(Box::pin(task))))).wake();
    let start = Instant::now();
    let store = loop {
        match RedbStore::open(folder.file()) {
            Err(RedbError::AlreadyOpen { .. }) if start.elapsed() < Duration::from_secs(20) => {
                thread::yield_now();
            }
            opened => break opened.unwrap(),
        }
    };
    assert_eq!(block_on(store.claims_of(&owner(1))).unwrap().len(), 1);
}

#[test]
fn a_watch_keeps_the_file_open() {
    let folder = Folder::new();
    let store = RedbStore::open(folder.file()).unwrap();
    let mut watch = block_on(store.watch("")).unwrap();
    drop(store);
    assert!(RedbStore::open(folder.file()).is_err());
    assert_eq!(block_on(watch.next()).unwrap(), WatchEvent::Snapshot(vec![]));
    drop(watch);
    drop(RedbStore::open(folder.file()).unwrap());
}

#[test]
fn a_store_can_be_sent_and_shared() {
    const fn is_shared<T: Clone + Send + Sync + 'static>() {}
    const fn is_sent<T: Send + 'static>(_: &T) {}
    is_shared::<RedbStore>();
    is_shared::<RedbError>();
    let store = fresh();
    is_sent(&async move {
        let _watch: RedbWatch = store.watch("").await.unwrap();
        store.release_all(&owner(1), |_| NOW, NOW).await.unwrap();
        store.forget_cooldowns(NOW).await.unwrap();
    });
}

/// More than one commit forgets.
#[test]
fn all_cooldowns_that_have_passed_are_forgotten() {
    let store = fresh();
    let batch: Vec<_> = (0..2_500).map(name).collect();
    let claims = block_on(store.claim(&owner(1), &batch, NOW)).unwrap();
    let released = block_on(store.release(&claims, |_| Duration::from_secs(1), NOW)).unwrap();
    assert_eq!(released.len(), 2_500);
    let later = NOW + Duration::from_secs(1);
    assert_eq!(block_on(store.forget_cooldowns(NOW)).unwrap(), 0);
    // A change forgets some of them on the side.
    block_on(store.claim(&owner(2), &[name(9_999)], later)).unwrap();
    let left = block_on(store.forget_cooldowns(later)).unwrap();
    assert!((2_000..2_500).contains(&left), "{left}");
    assert_eq!(block_on(store.forget_cooldowns(later)).unwrap(), 0);
}

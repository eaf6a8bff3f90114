use alloc::boxed::Box;
use alloc::vec::Vec;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::watch::{KeyState, WatchEvent};

/// Those who watch a store of this process. The store keeps them where it makes its changes, so that
/// they hear of each in its order.
#[derive(Default)]
pub(crate) struct Subscribers(Vec<Subscriber>);

struct Subscriber {
    prefix: Box<str>,
    events: mpsc::Sender<WatchEvent>,
}

impl Subscribers {
    /// How many steps of the store are kept for somebody who does not ask.
    const BACKLOG: usize = 1024;

    /// Adds one, who hears the snapshot first. Its channel closes when it has missed something.
    pub(crate) fn add(
        &mut self,
        prefix: &str,
        snapshot: Vec<KeyState>,
    ) -> mpsc::Receiver<WatchEvent> {
        let (events, receiver) = mpsc::channel(Self::BACKLOG);
        if events.try_send(WatchEvent::Snapshot(snapshot)).is_ok() {
            self.0.push(Subscriber { prefix: prefix.into(), events });
        }
        receiver
    }

    /// Tells everybody what a step has changed; whoever has gone, or has not asked for too long, is dropped.
    pub(crate) fn tell(&mut self, changes: &[KeyState]) {
        if changes.is_empty() {
            return;
        }
        self.0.retain(|subscriber| {
            let ours = |change: &&KeyState| change.key().as_str().starts_with(&*subscriber.prefix);
            let changes: Vec<_> = changes.iter().filter(ours).cloned().collect();
            if changes.is_empty() {
                return !subscriber.events.is_closed();
            }
            match subscriber.events.try_send(WatchEvent::Changes(changes)) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Closed(_)) => false,
            }
        });
    }
}

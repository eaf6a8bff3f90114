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
        // While nothing changes, nobody else notices who has gone.
        self.0.retain(|subscriber| !subscriber.events.is_closed());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Also while nothing changes: a search in a range without vacant numbers looks at it each time.
    #[test]
    fn those_who_have_gone_are_forgotten() {
        let mut subscribers = Subscribers::default();
        let stays = subscribers.add("name/", Vec::new());
        for _ in 0..100 {
            drop(subscribers.add("name/", Vec::new()));
        }
        assert!(subscribers.0.len() <= 2, "{} are kept", subscribers.0.len());
        assert!(!stays.is_closed());
    }
}

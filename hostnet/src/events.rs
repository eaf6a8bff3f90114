use crate::backend::Neighbour;
use crate::observed::Link;
use core::fmt;
use std::net::IpAddr;
use tokio::sync::mpsc;

/// How many events wait for whoever listens; beyond that they wait in the kernel, which leaves out what it has no room for.
pub(crate) const WAITING: usize = 256;

/// Something that happened to a link or a neighbour in a network namespace, ours or not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Event {
    /// Everything there is: at the start, and again whenever the kernel had more to tell than was listened to. What was
    /// known before is to be forgotten. Addresses, routes and entries of the links are not told of.
    Everything {
        /// The links.
        links: Vec<Link>,
        /// The neighbours, each with the index of its link.
        neighbours: Vec<(u32, Neighbour)>,
    },
    /// A link is new or has changed. Its addresses, routes and entries are not told of.
    Link(Box<Link>),
    /// A link is gone.
    LinkGone {
        /// The index it had.
        index: u32,
        /// The name it had.
        name: String,
    },
    /// A neighbour is new or has changed.
    Neighbour {
        /// The index of its link.
        index: u32,
        /// The neighbour.
        neighbour: Neighbour,
    },
    /// A neighbour is forgotten.
    NeighbourGone {
        /// The index of its link.
        index: u32,
        /// Its address.
        address: IpAddr,
    },
}

/// The events of a network namespace, from [`Host::events`](crate::Host::events). Whoever drops it stops listening.
///
/// ```no_run
/// use hostnet::{Event, Host, Owner};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let host = Host::open(Owner::new("demo")?)?;
/// let mut events = host.events().await?;
/// while let Some(event) = events.next().await {
///     match event {
///         Event::Everything { links, .. } => println!("{} links", links.len()),
///         Event::Link(link) => println!("{} is {}", link.name, if link.up { "up" } else { "down" }),
///         Event::LinkGone { name, .. } => println!("{name} is gone"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Events {
    pub(crate) receiver: mpsc::Receiver<Event>,
    /// What tells the thread that listens to the kernel that nobody listens to it, by being dropped.
    pub(crate) _listening: Box<dyn Send + Sync>,
}

impl Events {
    /// The next event; none if the namespace cannot be listened to any more.
    ///
    /// It may be given up and asked again: no event is lost by that.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("waiting", &self.receiver.len()).finish_non_exhaustive()
    }
}

//! Listening to the kernel: one socket and one thread for each listener.

use super::netlink::{Netlink, Refusal, for_each_message};
use super::{links, neighbour};
use crate::events::{Event, Events, WAITING};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread;
use tokio::sync::mpsc;

/// `RTNLGRP_LINK`, `RTNLGRP_NEIGH`.
const GROUPS: [u32; 2] = [1, 3];
/// `RTM_NEWLINK`, `RTM_DELLINK`, `RTM_NEWNEIGH`, `RTM_DELNEIGH`.
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_NEIGHBOUR: u16 = 28;
const DELETE_NEIGHBOUR: u16 = 29;

/// Starts to listen in the network namespace of the calling thread.
pub(super) fn listen() -> io::Result<Events> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    for group in GROUPS {
        socket.add_membership(group)?;
    }
    // What is asked for has a socket of its own, so that answers and events do not mix.
    let route = Netlink::open(NETLINK_ROUTE)?;
    let (listening, gone) = UnixStream::pair()?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let listener = Listener { socket, route, gone, sender, space: vec![0; 64 * 1024] };
    thread::Builder::new().name("hostnet-events".to_owned()).spawn(move || listener.run())?;
    Ok(Events { receiver, _listening: Box::new(listening) })
}

struct Listener {
    socket: Socket,
    route: Netlink,
    /// Is closed at its other end when nobody listens any more.
    gone: UnixStream,
    sender: mpsc::Sender<Event>,
    space: Vec<u8>,
}

/// Why a listener ends.
struct Over;

impl From<Refusal> for Over {
    fn from(_: Refusal) -> Self {
        Self
    }
}

impl Listener {
    fn run(mut self) {
        // That it is over is told by the channel's being closed.
        let mut over = self.tell_everything().is_err();
        while !over && matches!(self.wait(), Ok(true)) {
            over = self.read().is_err();
        }
    }

    /// Waits for an event; false if nobody listens any more.
    fn wait(&self) -> io::Result<bool> {
        let mut watched = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.gone.as_fd(), PollFlags::POLLIN),
        ];
        loop {
            match poll(&mut watched, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) => break,
            }
        }
        let [_, gone] = watched;
        Ok(!gone.any().unwrap_or(true))
    }

    fn read(&mut self) -> Result<(), Over> {
        let mut space = self.space.as_mut_slice();
        match self.socket.recv(&mut space, libc::MSG_DONTWAIT) {
            Ok(len) => {
                let mut events = Vec::new();
                for_each_message(self.space.get(..len).unwrap_or_default(), |header, body| {
                    events.extend(event(header.message_type, body));
                    Ok(())
                })?;
                events.into_iter().try_for_each(|event| self.tell(event))
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.tell_everything(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(Over),
        }
    }

    fn tell_everything(&mut self) -> Result<(), Over> {
        let links = links::list(&mut self.route)?.into_iter().map(|found| found.link).collect();
        let neighbours = neighbour::everywhere(&mut self.route)?;
        self.tell(Event::Everything { links, neighbours })
    }

    fn tell(&self, event: Event) -> Result<(), Over> {
        self.sender.blocking_send(event).map_err(|_closed| Over)
    }
}

fn event(message_type: u16, body: &[u8]) -> Option<Event> {
    match message_type {
        NEW_LINK => links::parse(body).map(|found| Event::Link(Box::new(found.link))),
        DELETE_LINK => links::parse(body)
            .map(|found| Event::LinkGone { index: found.link.index, name: found.link.name }),
        NEW_NEIGHBOUR => {
            let entry = neighbour::parse(body)?;
            Some(Event::Neighbour { index: entry.index, neighbour: entry.neighbour? })
        }
        DELETE_NEIGHBOUR => {
            let entry = neighbour::parse(body)?;
            Some(Event::NeighbourGone { index: entry.index, address: entry.neighbour?.address })
        }
        _ => None,
    }
}

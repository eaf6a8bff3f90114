use super::message::{Message, messages};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect, recv,
    send, socket,
};
use std::os::fd::{AsRawFd as _, OwnedFd};

const SOL_NETLINK: libc::c_int = 270;

/// A netlink socket in the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    receive: Vec<u8>,
}

impl Socket {
    /// To the devices, addresses and routes.
    ///
    /// # Panics
    /// When there is no such socket to be had.
    #[must_use]
    pub fn route() -> Self {
        Self::open(SockProtocol::NetlinkRoute)
    }

    /// To the firewall.
    ///
    /// # Panics
    /// When there is no such socket to be had.
    #[must_use]
    pub fn netfilter() -> Self {
        Self::open(SockProtocol::NetlinkNetFilter)
    }

    fn open(protocol: SockProtocol) -> Self {
        let raw = SockType::Raw;
        let fd = socket(AddressFamily::Netlink, raw, SockFlag::SOCK_CLOEXEC, protocol)
            .expect("a netlink socket");
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).expect("a port of the socket's own");
        connect(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).expect("the kernel's end");
        let socket = Self { fd, receive: vec![0; 64 * 1024] };
        // As hostnet's sockets are set up: short error messages with the kernel's words.
        socket.turn_on(libc::NETLINK_EXT_ACK);
        socket.turn_on(libc::NETLINK_CAP_ACK);
        if protocol == SockProtocol::NetlinkRoute {
            socket.turn_on(libc::NETLINK_GET_STRICT_CHK);
        }
        socket
    }

    fn turn_on(&self, option: libc::c_int) {
        let on: libc::c_int = 1;
        let len = libc::socklen_t::try_from(size_of_val(&on)).expect("four bytes");
        // SAFETY: the descriptor is open, and the option is a number of that length, which lives through the call.
        let result = unsafe {
            libc::setsockopt(self.fd.as_raw_fd(), SOL_NETLINK, option, (&raw const on).cast(), len)
        };
        assert_eq!(result, 0, "netlink socket option {option}: {}", Errno::last());
    }

    /// Sends a request (with `NLM_F_ACK`) and gives the kernel's answer to it.
    ///
    /// # Errors
    /// What the kernel refused it with.
    ///
    /// # Panics
    /// When the socket fails.
    pub fn request(&mut self, message: &Message) -> Result<(), Errno> {
        self.send(message);
        self.each_until_end(|_| {})
    }

    /// Sends a request and gives every object of the answer to `each`.
    ///
    /// # Errors
    /// What the kernel refused it with.
    ///
    /// # Panics
    /// When the socket fails.
    pub fn dump(&mut self, message: &Message, each: impl FnMut(&[u8])) -> Result<(), Errno> {
        self.send(message);
        self.each_until_end(each)
    }

    fn send(&self, message: &Message) {
        send(self.fd.as_raw_fd(), message.bytes(), MsgFlags::empty()).expect("a message sent");
    }

    fn each_until_end(&mut self, mut each: impl FnMut(&[u8])) -> Result<(), Errno> {
        loop {
            let len =
                recv(self.fd.as_raw_fd(), &mut self.receive, MsgFlags::empty()).expect("an answer");
            for (kind, body) in messages(&self.receive[..len]) {
                match i32::from(kind) {
                    libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                        let code = i32::from_ne_bytes(*body.first_chunk().expect("a code"));
                        return if code == 0 { Ok(()) } else { Err(Errno::from_raw(-code)) };
                    }
                    _ => each(body),
                }
            }
        }
    }
}

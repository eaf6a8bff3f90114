use super::message::Message;
use super::socket::Socket;
use nix::libc;
use std::net::SocketAddrV4;

// Numbers of `linux/netfilter/nfnetlink.h` and `nf_tables.h`.
pub(super) const BATCH_BEGIN: u16 = 16;
pub(super) const BATCH_END: u16 = 17;
pub(super) const SUBSYSTEM: u16 = 10;
const NEWSETELEM: u16 = (SUBSYSTEM << 8) + 12;
const DELSETELEM: u16 = (SUBSYSTEM << 8) + 14;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const ELEM_KEY: u16 = 1;
const ELEM_DATA: u16 = 2;
const ELEM_USERDATA: u16 = 6;
const DATA_VALUE: u16 = 1;
pub(super) const INET: u8 = 1;
const TCP: u8 = 6;

/// The firewall, in the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Nft {
    socket: Socket,
    table: String,
}

/// An element of hostnet's map of forwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The port on the host.
    pub host_port: u16,
    /// Where it leads.
    pub to: SocketAddrV4,
    /// Whose it is.
    pub tag: String,
}

impl Nft {
    /// For the elements of a table that is there.
    #[must_use]
    pub fn new(table: impl Into<String>) -> Self {
        Self { socket: Socket::netfilter(), table: table.into() }
    }

    /// Adds one element in a transaction of its own, exclusively.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn add(&mut self, forward: &Forward) {
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let flags = u16::try_from(flags).expect("sixteen bits");
        let message = self.batch(NEWSETELEM, flags, |element| {
            let mut target = [0; 8];
            target[..4].copy_from_slice(&forward.to.ip().octets());
            target[4..6].copy_from_slice(&forward.to.port().to_be_bytes());
            // A comment as `nft` writes it: type, length, text and a closing NUL.
            let len = u8::try_from(forward.tag.len() + 1).expect("a short tag");
            let comment = [&[0, len], forward.tag.as_bytes(), &[0]].concat();
            key(element, forward)
                .nest(ELEM_DATA, |data| data.attribute(DATA_VALUE, &target))
                .attribute(ELEM_USERDATA, &comment)
        });
        self.socket.request(&message).expect("an element added");
    }

    /// Removes one element in a transaction of its own.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn remove(&mut self, forward: &Forward) {
        let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_ACK).expect("sixteen bits");
        let message = self.batch(DELSETELEM, flags, |element| key(element, forward));
        self.socket.request(&message).expect("an element removed");
    }

    fn batch(&self, kind: u16, flags: u16, element: impl FnOnce(Message) -> Message) -> Message {
        let [high, low] = SUBSYSTEM.to_be_bytes();
        let request = u16::try_from(libc::NLM_F_REQUEST).expect("sixteen bits");
        Message::new(BATCH_BEGIN, request)
            .header(&[0, 0, high, low])
            .then(kind, flags)
            .header(&[INET, 0, 0, 0])
            .text(LIST_TABLE, &self.table)
            .text(LIST_SET, "forward4")
            .nest(LIST_ELEMENTS, |list| list.nest(LIST_ELEMENT, element))
            .then(BATCH_END, request)
            .header(&[0, 0, high, low])
    }
}

/// Protocol and port, each padded to four bytes.
fn key(element: Message, forward: &Forward) -> Message {
    let [high, low] = forward.host_port.to_be_bytes();
    let key = [TCP, 0, 0, 0, high, low, 0, 0];
    element.nest(ELEM_KEY, |value| value.attribute(DATA_VALUE, &key))
}

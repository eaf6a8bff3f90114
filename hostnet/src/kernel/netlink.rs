//! A blocking netlink socket: one request, its answer, nothing in between.
//!
//! The kernel works a request off inside `sendmsg`, so when that returns the answer is there. Waiting for it
//! asynchronously would only add two changes of task to every request.

use crate::error::{Cause, Errno, OpError};
use core::fmt::Debug;
use nix::libc;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use rtnetlink::sys::{Socket, SocketAddr};

/// A dump that was interrupted by a change is asked for again this often.
const DUMP_ATTEMPTS: usize = 64;

/// `NLM_F_DUMP_INTR`: the dump mixes the states before and after a change.
const DUMP_INTERRUPTED: u16 = 0x10;
/// `NLM_F_CAPPED` and `NLM_F_ACK_TLVS`: how an error message is laid out.
const CAPPED: u16 = 0x100;
const ACK_TLVS: u16 = 0x200;
/// `NLMSGERR_ATTR_MSG`: the kernel's own words.
const ATTR_MSG: u16 = 1;

const HEADER_LEN: usize = 16;

/// Why a request was not answered with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The kernel said no.
    Kernel { errno: Errno, message: Option<String> },
    /// What it said could not be read.
    Unreadable(String),
}

impl Refusal {
    pub(super) const fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { errno, .. } => Some(*errno),
            Self::Unreadable(_) => None,
        }
    }

    pub(super) fn doing(self, doing: impl Into<String>) -> OpError {
        OpError::new(doing, self)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        let errno = error.raw_os_error().map_or(Errno::EIO, Errno::new);
        Self::Kernel { errno, message: None }
    }
}

impl From<Refusal> for Cause {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Kernel { errno, message } => Self::Errno { errno, message },
            Refusal::Unreadable(what) => Self::Protocol(what),
        }
    }
}

#[derive(Debug)]
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    send: Vec<u8>,
    receive: Space,
}

/// Where answers are received.
#[derive(Debug)]
pub(super) struct Space(Vec<u8>);

impl Default for Space {
    fn default() -> Self {
        Self(vec![0; 64 * 1024])
    }
}

impl Netlink {
    /// Opens a socket in the network namespace of the calling thread.
    pub(super) fn open(protocol: isize) -> std::io::Result<Self> {
        Self::open_with(protocol, Space::default())
    }

    /// The same, with the space that another socket has done with: it takes longer to have than all else.
    pub(super) fn open_with(protocol: isize, space: Space) -> std::io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        // Without it the kernel ignores what a dump is to be filtered by.
        if protocol == rtnetlink::sys::protocols::NETLINK_ROUTE {
            socket.set_netlink_get_strict_chk(true)?;
        }
        Ok(Self { socket, sequence: 0, send: Vec::new(), receive: space })
    }

    /// Closes the socket and gives its space away.
    pub(super) fn into_space(self) -> Space {
        self.receive
    }

    /// Sends a request and waits until it is done.
    pub(super) fn request<M>(&mut self, message: M, flags: u16) -> Result<(), Refusal>
    where
        M: NetlinkSerializable + NetlinkDeserializable + Debug,
    {
        self.start(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.answers::<M>(|_| {}).map(|_| ())
    }

    /// Sends bytes of a request that no crate has a type for, and waits until it is done.
    pub(super) fn request_raw(
        &mut self,
        message_type: u16,
        body: &[u8],
        flags: u16,
    ) -> Result<(), Refusal> {
        self.start_raw(message_type, body, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.raw_answers(|_, _| Ok(())).map(|_| ())
    }

    /// Asks for one object with such bytes and gives those after the netlink header.
    pub(super) fn ask_raw(
        &mut self,
        message_type: u16,
        body: &[u8],
        flags: u16,
    ) -> Result<Vec<u8>, Refusal> {
        self.start_raw(message_type, body, NLM_F_REQUEST | flags)?;
        self.one_object()
    }

    /// Asks for all objects with such bytes and lets each one's be read; asks again if something changed in between.
    pub(super) fn list_raw<T>(
        &mut self,
        message_type: u16,
        body: &[u8],
        mut read: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Refusal> {
        let start = |netlink: &mut Self, flags| netlink.start_raw(message_type, body, flags);
        self.whole_dump(start, |_, body| Ok(read(body)))
    }

    /// Asks for one object; what is not there is an error of the kernel.
    pub(super) fn get<M>(&mut self, message: M) -> Result<M, Refusal>
    where
        M: NetlinkSerializable + NetlinkDeserializable + Debug,
    {
        self.start(message, NLM_F_REQUEST)?;
        let mut found = None;
        self.read_answers(End::Object, |header, body| {
            found = Some(M::deserialize(header, body).map_err(|e| unreadable(&e))?);
            Ok(())
        })?;
        found.ok_or_else(no_object)
    }

    /// Asks for one object and gives the bytes after the netlink header.
    pub(super) fn get_raw<M: NetlinkSerializable>(
        &mut self,
        message: M,
    ) -> Result<Vec<u8>, Refusal> {
        self.start(message, NLM_F_REQUEST)?;
        self.one_object()
    }

    /// Asks for all objects; asks again if something changed in between.
    pub(super) fn dump<M>(&mut self, message: &M) -> Result<Vec<M>, Refusal>
    where
        M: NetlinkSerializable + NetlinkDeserializable + Debug + Clone,
    {
        let start = |netlink: &mut Self, flags| netlink.start(message.clone(), flags);
        self.whole_dump(start, |header, body| {
            M::deserialize(header, body).map(Some).map_err(|e| unreadable(&e))
        })
    }

    /// Asks for all objects and gives the bytes after each netlink header.
    pub(super) fn dump_raw<M>(&mut self, message: &M) -> Result<Vec<Vec<u8>>, Refusal>
    where
        M: NetlinkSerializable + Clone,
    {
        let start = |netlink: &mut Self, flags| netlink.start(message.clone(), flags);
        self.whole_dump(start, |_, body| Ok(Some(body.to_vec())))
    }

    fn whole_dump<T>(
        &mut self,
        mut start: impl FnMut(&mut Self, u16) -> Result<(), Refusal>,
        mut read: impl FnMut(&NetlinkHeader, &[u8]) -> Result<Option<T>, Refusal>,
    ) -> Result<Vec<T>, Refusal> {
        for _ in 0..DUMP_ATTEMPTS {
            start(self, NLM_F_REQUEST | NLM_F_DUMP)?;
            let mut found = Vec::new();
            let dump = self.raw_answers(|header, body| {
                found.extend(read(header, body)?);
                Ok(())
            })?;
            if dump == Dump::Whole {
                return Ok(found);
            }
        }
        Err(Refusal::Unreadable("the namespace never held still for a whole dump".to_owned()))
    }

    /// Reads the answer to a request for one object, which is that or an error, and nothing after it.
    fn one_object(&mut self) -> Result<Vec<u8>, Refusal> {
        let mut found = None;
        self.read_answers(End::Object, |_, body| {
            found = Some(body.to_vec());
            Ok(())
        })?;
        found.ok_or_else(no_object)
    }

    /// Sends messages that were put together already (an nf_tables batch) and collects every answer to them.
    ///
    /// The kernel answers each of `asking` messages that ask for it and each that failed; the first failure is returned.
    pub(super) fn batch(&mut self, bytes: &[u8], asking: usize) -> Result<(), Refusal> {
        self.socket.send(bytes, 0)?;
        let (mut failure, mut answers) = (None, 0);
        // Where one failed there may be fewer answers, or more.
        while failure.is_some() || answers < asking {
            let mut space = self.receive.0.as_mut_slice();
            match self.socket.recv(&mut space, libc::MSG_DONTWAIT) {
                Ok(len) => {
                    for_each_message(
                        self.receive.0.get(..len).unwrap_or_default(),
                        |header, body| {
                            if i32::from(header.message_type) == libc::NLMSG_ERROR {
                                answers += 1;
                                if let Err(refusal) = acknowledgement(header.flags, body) {
                                    failure.get_or_insert(refusal);
                                }
                            }
                            Ok(())
                        },
                    )?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    pub(super) const fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn start<M>(&mut self, message: M, flags: u16) -> Result<(), Refusal>
    where
        M: NetlinkSerializable,
    {
        let sequence = self.next_sequence();
        self.send.clear();
        append(&mut self.send, message, flags, sequence);
        self.socket.send(&self.send, 0)?;
        Ok(())
    }

    fn start_raw(&mut self, message_type: u16, body: &[u8], flags: u16) -> Result<(), Refusal> {
        let sequence = self.next_sequence();
        let len = HEADER_LEN + body.len();
        self.send.clear();
        self.send.extend(u32::try_from(len).unwrap_or(u32::MAX).to_ne_bytes());
        self.send.extend(message_type.to_ne_bytes());
        self.send.extend(flags.to_ne_bytes());
        self.send.extend(sequence.to_ne_bytes());
        self.send.extend(0_u32.to_ne_bytes());
        self.send.extend(body);
        self.socket.send(&self.send, 0)?;
        Ok(())
    }

    fn answers<M>(&mut self, mut each: impl FnMut(M)) -> Result<Dump, Refusal>
    where
        M: NetlinkDeserializable + Debug,
    {
        self.raw_answers(|header, body| {
            each(M::deserialize(header, body).map_err(|e| unreadable(&e))?);
            Ok(())
        })
    }

    /// Reads answers to the last request up to its end.
    fn raw_answers(
        &mut self,
        each: impl FnMut(&NetlinkHeader, &[u8]) -> Result<(), Refusal>,
    ) -> Result<Dump, Refusal> {
        self.read_answers(End::Acknowledgement, each)
    }

    fn read_answers(
        &mut self,
        last: End,
        mut each: impl FnMut(&NetlinkHeader, &[u8]) -> Result<(), Refusal>,
    ) -> Result<Dump, Refusal> {
        let mut dump = Dump::Whole;
        let mut end = None;
        while end.is_none() {
            let mut space = self.receive.0.as_mut_slice();
            let len = self.socket.recv(&mut space, libc::MSG_TRUNC)?;
            let Some(bytes) = self.receive.0.get(..len) else {
                return Err(Refusal::Unreadable(format!("an answer of {len} bytes")));
            };
            let sequence = self.sequence;
            for_each_message(bytes, |header, body| {
                // An answer to an earlier request that was given up.
                if header.sequence_number != sequence {
                    return Ok(());
                }
                if header.flags & DUMP_INTERRUPTED != 0 {
                    dump = Dump::Interrupted;
                }
                match i32::from(header.message_type) {
                    libc::NLMSG_ERROR => end = Some(acknowledgement(header.flags, body)),
                    libc::NLMSG_DONE => end = Some(done(body)),
                    _ => {
                        each(header, body)?;
                        if last == End::Object {
                            end = Some(Ok(()));
                        }
                    }
                }
                Ok(())
            })?;
        }
        end.unwrap_or(Ok(())).map(|()| dump)
    }
}

/// What the kernel's answer ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Acknowledgement,
    Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dump {
    Whole,
    Interrupted,
}

/// Appends one message, header and all, to `bytes`.
pub(super) fn append<M: NetlinkSerializable>(
    bytes: &mut Vec<u8>,
    message: M,
    flags: u16,
    sequence: u32,
) {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let start = bytes.len();
    // Messages start at multiples of four; `NLMSG_ALIGN`.
    bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
    message.serialize(bytes.get_mut(start..).unwrap_or_default());
}

/// Takes the messages in these bytes one by one.
pub(super) fn for_each_message(
    mut bytes: &[u8],
    mut each: impl FnMut(&NetlinkHeader, &[u8]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    while bytes.len() >= HEADER_LEN {
        let buffer = NetlinkBuffer::new_checked(&bytes).map_err(|e| unreadable(&e))?;
        let len = buffer.length() as usize;
        let mut header = NetlinkHeader::default();
        header.length = buffer.length();
        header.message_type = buffer.message_type();
        header.flags = buffer.flags();
        header.sequence_number = buffer.sequence_number();
        header.port_number = buffer.port_number();
        each(&header, bytes.get(HEADER_LEN..len).unwrap_or_default())?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(())
}

/// Reads an `nlmsgerr`: the code, the head of the request, and perhaps attributes with the kernel's words.
fn acknowledgement(flags: u16, body: &[u8]) -> Result<(), Refusal> {
    let code = leading_i32(body)?;
    if code == 0 {
        return Ok(());
    }
    let mut message = None;
    if flags & ACK_TLVS != 0 {
        let request = body.get(4..).unwrap_or_default();
        let skip = if flags & CAPPED != 0 {
            HEADER_LEN
        } else {
            u32::from_ne_bytes(request.first_chunk().copied().unwrap_or_default()) as usize
        };
        message = words(request.get(skip.next_multiple_of(4)..).unwrap_or_default());
    }
    Err(Refusal::Kernel { errno: Errno::new(code.saturating_neg()), message })
}

/// Reads the end of a dump, which carries an error code of its own.
fn done(body: &[u8]) -> Result<(), Refusal> {
    match leading_i32(body) {
        Ok(code) if code < 0 => {
            Err(Refusal::Kernel { errno: Errno::new(code.saturating_neg()), message: None })
        }
        _ => Ok(()),
    }
}

/// Finds the kernel's words among the attributes of an error.
fn words(mut attributes: &[u8]) -> Option<String> {
    while let Some(&[a, b, c, d]) = attributes.first_chunk() {
        let len = usize::from(u16::from_ne_bytes([a, b]));
        if u16::from_ne_bytes([c, d]) == ATTR_MSG {
            let text = attributes.get(4..len)?;
            let text = text.strip_suffix(&[0]).unwrap_or(text);
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        attributes = attributes.get(len.max(4).next_multiple_of(4)..)?;
    }
    None
}

fn leading_i32(body: &[u8]) -> Result<i32, Refusal> {
    body.first_chunk()
        .map(|bytes| i32::from_ne_bytes(*bytes))
        .ok_or_else(|| Refusal::Unreadable("an error message without a code".to_owned()))
}

fn no_object() -> Refusal {
    Refusal::Unreadable("no object in the answer".to_owned())
}

pub(super) fn unreadable(error: &impl ToString) -> Refusal {
    Refusal::Unreadable(error.to_string())
}

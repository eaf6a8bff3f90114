/// `NLA_F_NESTED`: what follows are attributes again.
const NESTED: u16 = 0x8000;

const HEADER_LEN: usize = 16;

/// A netlink message, or several in a row (a batch), as bytes.
#[derive(Debug, Default)]
pub struct Message {
    bytes: Vec<u8>,
    /// Where the last message of the row starts.
    start: usize,
}

impl Message {
    /// A message of this type with these flags; its family header and attributes follow.
    #[must_use]
    pub fn new(kind: u16, flags: u16) -> Self {
        Self::default().then(kind, flags)
    }

    /// Ends the message and starts another behind it.
    #[must_use]
    pub fn then(mut self, kind: u16, flags: u16) -> Self {
        self.start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        // Sequence number and port: the answers are read in order and nobody else is asked.
        self.bytes.extend([0; 8]);
        self.with_len()
    }

    /// The header of the family of messages: `ifinfomsg`, `ifaddrmsg`, `nfgenmsg`.
    #[must_use]
    pub fn header(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self.with_len()
    }

    /// An attribute.
    #[must_use]
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.push(kind, value);
        self.with_len()
    }

    /// An attribute that is a text with its closing NUL.
    #[must_use]
    pub fn text(self, kind: u16, text: &str) -> Self {
        self.nest_raw(kind, |message| {
            message.bytes.extend(text.as_bytes());
            message.bytes.push(0);
        })
    }

    /// An attribute that consists of attributes.
    #[must_use]
    pub fn nest(self, kind: u16, inside: impl FnOnce(Self) -> Self) -> Self {
        self.nest_raw(kind | NESTED, |message| {
            *message = inside(core::mem::take(message));
        })
    }

    /// The bytes to send.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn nest_raw(mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> Self {
        let at = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        fill(&mut self);
        let len = u16::try_from(self.bytes.len() - at).expect("a short attribute");
        self.bytes[at..at + 2].copy_from_slice(&len.to_ne_bytes());
        self.pad();
        self.with_len()
    }

    fn push(&mut self, kind: u16, value: &[u8]) {
        let len = u16::try_from(4 + value.len()).expect("a short attribute");
        self.bytes.extend(len.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Writes the length of the last message into its header.
    fn with_len(mut self) -> Self {
        let len = u32::try_from(self.bytes.len() - self.start).expect("a short message");
        self.bytes[self.start..self.start + 4].copy_from_slice(&len.to_ne_bytes());
        self
    }
}

/// The messages in an answer, each with its type and what is after its header.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let head = bytes.get(..HEADER_LEN)?;
        let len = u32::from_ne_bytes(*head.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        let body = bytes.get(HEADER_LEN..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The attributes in these bytes, each with its kind and value.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    core::iter::from_fn(move || {
        let &[a, b, c, d] = bytes.first_chunk()?;
        let len = usize::from(u16::from_ne_bytes([a, b]));
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & !NESTED, value))
    })
}

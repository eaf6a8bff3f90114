//! The tag that proves a device to be ours.

use crate::spec::{AttachmentId, NameError, NetworkName, Owner};
use core::fmt;
use core::ops::Range;
use core::str::FromStr;

/// What a device is a part of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Subject {
    /// A network.
    Network(NetworkName),
    /// One VM's attachment to a network.
    Attachment(AttachmentId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(name) => write!(f, "network `{name}`"),
            Self::Attachment(id) => write!(f, "attachment `{id}`"),
        }
    }
}

/// Which part of its subject a device or element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Role {
    /// The network's first bridge, or a routed network's device.
    Bridge,
    /// A further bridge of a network, numbered from 1.
    Shard(u8),
    /// The end, on a further bridge, of the veth pair that joins it to the first.
    Uplink(u8),
    /// The end of that pair on the first bridge.
    Downlink(u8),
    /// The network's VXLAN device.
    Vxlan,
    /// The guest's TAP.
    Tap,
    /// The end, on the host, of the veth pair that leads to a VM's namespace.
    HostEnd,
    /// The end of that pair inside the namespace.
    InnerEnd,
    /// The VM's namespace: the tag is on its `lo`.
    Namespace,
    /// Not a device, but an element of our table that carries the tag as its comment.
    Rules,
}

impl Role {
    const PLAIN: [(Self, &str); 7] = [
        (Self::Bridge, "bridge"),
        (Self::Vxlan, "vxlan"),
        (Self::Tap, "tap"),
        (Self::HostEnd, "veth"),
        (Self::InnerEnd, "inner"),
        (Self::Namespace, "netns"),
        (Self::Rules, "rules"),
    ];

    /// Whether it is a bridge, which can have ports.
    pub(crate) const fn is_bridge(self) -> bool {
        matches!(self, Self::Bridge | Self::Shard(_))
    }

    fn parse(text: &str) -> Option<Self> {
        let plain = Self::PLAIN.iter().find(|(_, name)| *name == text).map(|(role, _)| *role);
        let numbered = |name: &str| {
            let digits = text.strip_prefix(name)?;
            digits.parse().ok().filter(|number: &u8| number.to_string() == digits)
        };
        plain
            .or_else(|| numbered("shard").map(Self::Shard))
            .or_else(|| numbered("uplink").map(Self::Uplink))
            .or_else(|| numbered("downlink").map(Self::Downlink))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shard(n) => write!(f, "shard{n}"),
            Self::Uplink(n) => write!(f, "uplink{n}"),
            Self::Downlink(n) => write!(f, "downlink{n}"),
            plain => {
                let name = Self::PLAIN.iter().find(|(role, _)| role == plain);
                f.write_str(name.map_or("", |(_, name)| name))
            }
        }
    }
}

/// Who a device belongs to, what it is a part of, and which making of it this is.
///
/// The kernel keeps it as an *altname* of the device: unique in its namespace, untouched by a rename, and
/// usable in place of the name, so that "delete the device with this tag" is one step in which no
/// other device can be hit. The text is at most 127 bytes (`ALTIFNAMSIZ` less the closing NUL). The kernel looks at the
/// first 15 of them to find it, so a number stands there that differs from device to device.
///
/// ```
/// use hostnet::{AttachmentId, Owner, Role, Subject, Tag};
///
/// let tag = Tag::new(
///     Owner::new("demo")?,
///     Subject::Attachment(AttachmentId::new("a1b2c3d4")?),
///     Role::Tap,
///     7,
/// );
/// assert_eq!(tag.to_string(), "hostnet-de8b:demo:vm:a1b2c3d4:tap:7");
/// assert_eq!("hostnet-de8b:demo:vm:a1b2c3d4:tap:7".parse(), Ok(tag));
/// # Ok::<(), hostnet::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct Tag {
    owner: Owner,
    subject: Subject,
    role: Role,
    generation: u64,
}

/// Why a text is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// Not of the form `hostnet-NUMBER:OWNER:KIND:NAME:ROLE:GENERATION`.
    #[error("`{0}` is no tag; a tag reads hostnet-NUMBER:OWNER:net|vm:NAME:ROLE:GENERATION")]
    Form(String),
    /// The owner or the subject's name is not a valid one.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Tag {
    const PREFIX: &str = "hostnet";

    /// Puts a tag together.
    #[must_use]
    pub const fn new(owner: Owner, subject: Subject, role: Role, generation: u64) -> Self {
        Self { owner, subject, role, generation }
    }

    /// Who the device belongs to.
    #[must_use]
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// What the device is a part of.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Which of its subject's devices it is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Which making of the subject it belongs to.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The tag without its generation, which the device carries too: so that there is one of each role only, and
    /// it is found by whoever does not know its generation.
    pub(crate) fn identity(&self) -> String {
        let text = self.to_string();
        text.rsplit_once(':').map_or_else(String::new, |(identity, _)| identity.to_owned())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match &self.subject {
            Subject::Network(name) => ("net", name.as_str()),
            Subject::Attachment(id) => ("vm", id.as_str()),
        };
        let Self { owner, role, generation, .. } = self;
        let identity = format!("{owner}:{kind}:{name}:{role}");
        write!(f, "{}-{:04x}:{identity}:{generation:x}", Self::PREFIX, spread(&identity))
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let form = || TagError::Form(text.to_owned());
        let mut parts = text.split(':');
        let mut next = || parts.next().ok_or_else(form);
        let prefix = next()?;
        let owner = Owner::new(next()?)?;
        let subject = match (next()?, next()?) {
            ("net", name) => Subject::Network(NetworkName::new(name)?),
            ("vm", id) => Subject::Attachment(AttachmentId::new(id)?),
            _ => return Err(form()),
        };
        let role = Role::parse(next()?).ok_or_else(form)?;
        let digits = next()?;
        let generation = u64::from_str_radix(digits, 16).map_err(|_not_hex| form())?;
        let tag = Self { owner, subject, role, generation };
        // One text per tag: no leading zeros, signs or capitals, the right number in front, nothing after it.
        if parts.next().is_some() || !prefix.starts_with(Self::PREFIX) || tag.to_string() != text {
            return Err(form());
        }
        Ok(tag)
    }
}

impl TryFrom<String> for Tag {
    type Error = TagError;

    fn try_from(text: String) -> Result<Self, TagError> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.to_string()
    }
}

/// A number by which the kernel's table of names is filled evenly: it goes by the first bytes of a name only.
fn spread(identity: &str) -> u16 {
    let [a, b, ..] = fnv1a(identity.as_bytes()).to_be_bytes();
    u16::from_be_bytes([a, b])
}

/// The link group that devices of this owner are born in, before they carry their tag.
///
/// The group alone proves nothing, since anybody can move a device of theirs there: see [`BIRTH_INDEXES`].
#[must_use]
pub(crate) fn birth_group(owner: &Owner) -> u32 {
    let hash = fnv1a(owner.as_str().as_bytes());
    let [a, b, c, d, ..] = hash.to_be_bytes();
    // Far from the small numbers that people use, and positive, since `ip` reads groups as signed.
    (u32::from_be_bytes([a, b, c, d]) >> 2 | 0x4000_0000) & !1
}

/// The indexes that devices are born with before they carry their tag: drawn at random, far from those that the kernel
/// counts up.
///
/// An index is given at birth and never changes. A device without a tag that has one of these, is in its owner's birth
/// group and is of a kind that is not tagged at birth is one whose making was cut short.
pub(crate) const BIRTH_INDEXES: Range<u32> = 0x2000_0000..0x4000_0000;

/// The link group of the devices that guests are behind which are kept to their own addresses.
#[must_use]
pub(crate) fn guest_group(owner: &Owner) -> u32 {
    birth_group(owner) ^ 1
}

/// 64-bit FNV-1a: small, stable for ever, and needed only to spread short names.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_tag_fits_an_altname() {
        let tag = Tag::new(
            Owner::new(&"o".repeat(Owner::MAX_LEN)).unwrap(),
            Subject::Network(NetworkName::new(&"n".repeat(NetworkName::MAX_LEN)).unwrap()),
            Role::Bridge,
            u64::MAX,
        );
        assert!(tag.to_string().len() <= 127, "{}", tag.to_string().len());
        assert_eq!(tag.to_string().parse(), Ok(tag));
    }

    #[test]
    fn only_the_exact_form_is_a_tag() {
        "hostnet-9526:o:vm:a:tap:0".parse::<Tag>().unwrap();
        for bad in [
            "",
            "hostnet",
            "other-9526:o:vm:a:tap:0",
            "hostnet:o:vm:a:tap:0",
            "hostnet-9527:o:vm:a:tap:0",
            "hostnet-9526:o:vm:a:tap",
            "hostnet-9526:o:vm:a:tap:0:1",
            "hostnet-9526:o:vm:a:tap:00",
            "hostnet-9526:o:vm:a:tap:+1",
            "hostnet-9526:o:vm:a:tap:A",
            "hostnet-9526:o:vm:a:tap:10000000000000000",
            "hostnet-ad09:o:vm:a:bond:0",
            "hostnet-9526:o:host:a:tap:0",
            "hostnet-9526:O:vm:a:tap:0",
            "hostnet-9526:o:vm::tap:0",
        ] {
            bad.parse::<Tag>().unwrap_err();
        }
    }
}

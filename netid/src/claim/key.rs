use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::iter;
use core::net::IpAddr;
use core::str::FromStr;

use super::key_rules::{self, KeyError, KeyFault};
use crate::id::NetId;
use crate::vni::Vni;

/// What is claimed: a kind and a value, written as a path.
///
/// | Constructor | Text |
/// |---|---|
/// | [`name`](Self::name) | `name/my-awesome-vm-a1b2` |
/// | [`id`](Self::id) | `id/a1b2c3d4` |
/// | [`address`](Self::address) | `address/172.16.0.2` |
/// | [`port`](Self::port) | `port/tcp/22001` |
/// | [`vni`](Self::vni) | `vni/00004096` |
/// | [`new`](Self::new) | `disk/rack-7/0001` |
///
/// A text is at most [`MAX_LEN`](Self::MAX_LEN) bytes of printable ASCII, in segments with `/` between
/// them, none of them empty. The first is the kind: a lower-case letter, then lower-case letters,
/// digits and `-`. Equal texts are equal keys, keys sort as their texts do, and numbers are padded
/// with zeros so that this is their order too.
///
/// Two spellings of one thing would be two keys, so `id`, `address`, `port` and `vni` take only the
/// one that their constructors write, however a key is made.
///
/// A thing that is unique only somewhere is claimed with that place as its scope: the ports of a
/// host, the names of a zone, the addresses of a network ([`with_scope`](Self::with_scope)).
///
/// ```
/// use netid::{ClaimKey, KeyError, Protocol};
///
/// let ssh = ClaimKey::port(Protocol::Tcp, 22001);
/// assert_eq!(ssh.as_str(), "port/tcp/22001");
/// assert_eq!((ssh.kind(), ssh.value()), (ClaimKey::PORT, "tcp/22001"));
/// assert_eq!("port/tcp/22001".parse(), Ok(ssh.clone()));
/// assert_eq!(ssh.with_scope("host-17")?.as_str(), "port/host-17/tcp/22001");
///
/// assert!(ClaimKey::name("web/1").is_err(), "a separator does not become part of a value");
/// assert!("address/010.0.0.1".parse::<ClaimKey>().is_err(), "another spelling of 10.0.0.1");
/// # Ok::<(), KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimKey(Arc<str>);

impl ClaimKey {
    /// The most bytes a text can have.
    pub const MAX_LEN: usize = 255;
    /// The kind of [`name`](Self::name).
    pub const NAME: &str = "name";
    /// The kind of [`id`](Self::id).
    pub const ID: &str = "id";
    /// The kind of [`address`](Self::address).
    pub const ADDRESS: &str = "address";
    /// The kind of [`port`](Self::port).
    pub const PORT: &str = "port";
    /// The kind of [`vni`](Self::vni).
    pub const VNI: &str = "vni";

    /// A key of any kind; the segments are what follows the kind.
    ///
    /// # Errors
    /// When there is no segment, one is empty or holds `/`, the kind or the length is not as described
    /// above, or a kind with a fixed spelling is spelt otherwise.
    ///
    /// ```
    /// use netid::ClaimKey;
    ///
    /// assert_eq!(ClaimKey::new("disk", &["rack-7", "0001"])?.as_str(), "disk/rack-7/0001");
    /// assert!(ClaimKey::new("disk", &["rack-7/0001"]).is_err());
    /// # Ok::<(), netid::KeyError>(())
    /// ```
    pub fn new(kind: &str, segments: &[&str]) -> Result<Self, KeyError> {
        let mut text = String::from(kind);
        // Once joined, a separator inside a segment could not be told from one between two.
        let mut separator = kind.find('/');
        for segment in segments {
            text.push('/');
            separator = separator.or_else(|| Some(text.len().wrapping_add(segment.find('/')?)));
            text.push_str(segment);
        }
        match separator {
            Some(at) => Err(KeyError::new(text, KeyFault::Separator { at })),
            None => Self::from_text(text),
        }
    }

    /// The key of a name.
    ///
    /// # Errors
    /// When the name is empty, too long, or not printable ASCII without `/`.
    pub fn name(name: &str) -> Result<Self, KeyError> {
        Self::new(Self::NAME, &[name])
    }

    /// The key of a network id, and so of the device names and the MAC made from it.
    #[must_use]
    pub fn id(id: NetId) -> Self {
        Self(format!("{}/{id}", Self::ID).into())
    }

    /// The key of an address. An IPv4 address inside an IPv6 one (`::ffff:10.0.0.1`) is the IPv4
    /// address.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self(format!("{}/{}", Self::ADDRESS, address.to_canonical()).into())
    }

    /// The key of a port.
    #[must_use]
    pub fn port(protocol: Protocol, port: u16) -> Self {
        Self(format!("{}/{protocol}/{port:05}", Self::PORT).into())
    }

    /// The key of a VNI.
    #[must_use]
    pub fn vni(vni: Vni) -> Self {
        Self(format!("{}/{:08}", Self::VNI, vni.number()).into())
    }

    /// The same kind and value within a scope, which becomes the segment behind the kind.
    ///
    /// # Errors
    /// When the scope is empty or not printable ASCII without `/`, or the key becomes too long.
    pub fn with_scope(self, scope: &str) -> Result<Self, KeyError> {
        let segments: Vec<_> = iter::once(scope).chain(self.value().split('/')).collect();
        Self::new(self.kind(), &segments)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What comes before the first `/`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.parts().0
    }

    /// What comes behind the first `/`.
    #[must_use]
    pub fn value(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or_default()
    }

    fn from_text(text: String) -> Result<Self, KeyError> {
        match key_rules::check(&text) {
            Ok(()) => Ok(Self(text.into())),
            Err(fault) => Err(KeyError::new(text, fault)),
        }
    }
}

impl FromStr for ClaimKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_text(text.into())
    }
}

impl TryFrom<&str> for ClaimKey {
    type Error = KeyError;

    fn try_from(text: &str) -> Result<Self, KeyError> {
        text.parse()
    }
}

/// What a store has kept as bytes.
impl TryFrom<&[u8]> for ClaimKey {
    type Error = KeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyError> {
        Self::from_text(String::from_utf8_lossy(bytes).into())
    }
}

impl AsRef<str> for ClaimKey {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// Keys compare as their texts do, so that a map of keys can be searched by text.
impl Borrow<str> for ClaimKey {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ClaimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for ClaimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClaimKey({})", self.as_str())
    }
}

/// The protocol of a [`ClaimKey::port`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The protocol as keys spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

//! DNS zones, and the scope in which names are unique.

use crate::VmName;
use crate::rules::LABEL_MAX;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

/// The DNS zone that names are subdomains of, such as `vms.example.org`.
///
/// Labels of 1 to 63 letters, digits and hyphens, no hyphen at the ends of one, the last one not a
/// number (it would make the whole look like an IPv4 address), 189 characters in all: so every
/// [`VmName`] fits before it within the 253 that a domain name may have (RFC 1035, section 2.3.4).
/// Letters are made lower-case, a dot at the end is taken off.
///
/// ```
/// use vmname::{Zone, ZoneError};
///
/// assert_eq!("VMs.Example.org.".parse::<Zone>()?, "vms.example.org".parse()?);
/// assert!(matches!("vms..org".parse::<Zone>(), Err(ZoneError::LabelLength { .. })));
/// # Ok::<(), ZoneError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(Box<str>);

impl Zone {
    /// The most characters of a zone: those of a domain name less the longest [`VmName`] and a dot.
    pub const MAX_LEN: usize = 253 - VmName::MAX_LEN - 1;

    /// Checks a zone.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, with the zone and the label that breaks it.
    pub fn new(zone: &str) -> Result<Self, ZoneError> {
        let text = zone.strip_suffix('.').unwrap_or(zone);
        if text.len() > Self::MAX_LEN {
            return Err(ZoneError::TooLong { zone: zone.into() });
        }
        let refused = |label: &str| (Box::from(zone), Box::from(label));
        for label in text.split('.') {
            let bytes = label.as_bytes();
            if !(1..=LABEL_MAX).contains(&bytes.len()) {
                let (zone, label) = refused(label);
                return Err(ZoneError::LabelLength { zone, label });
            }
            let inside = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
            if !bytes.iter().all(inside) || bytes.starts_with(b"-") || bytes.ends_with(b"-") {
                let (zone, label) = refused(label);
                return Err(ZoneError::Label { zone, label });
            }
        }
        match text.rsplit('.').next() {
            Some(last) if last.bytes().all(|byte| byte.is_ascii_digit()) => {
                let (zone, label) = refused(last);
                Err(ZoneError::Number { zone, label })
            }
            _ => Ok(Self(text.to_ascii_lowercase().into())),
        }
    }

    /// The zone as text, without a final dot.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(zone: &str) -> Result<Self, ZoneError> {
        Self::new(zone)
    }
}

impl TryFrom<&str> for Zone {
    type Error = ZoneError;

    fn try_from(zone: &str) -> Result<Self, ZoneError> {
        Self::new(zone)
    }
}

/// Why a text is no [`Zone`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZoneError {
    /// The zone leaves no room for a name.
    #[error("a zone of {} characters: use at most {}", zone.len(), Zone::MAX_LEN)]
    TooLong {
        /// The refused zone.
        zone: Box<str>,
    },
    /// A label is empty or too long.
    #[error("the label {label:?} of the zone {zone:?} is refused: use 1 to 63 characters")]
    LabelLength {
        /// The refused zone.
        zone: Box<str>,
        /// The label at fault.
        label: Box<str>,
    },
    /// A label holds something else than letters, digits and hyphens between them.
    #[error(
        "the label {label:?} of the zone {zone:?} is refused: use letters, digits and hyphens \
         between them"
    )]
    Label {
        /// The refused zone.
        zone: Box<str>,
        /// The label at fault.
        label: Box<str>,
    },
    /// The last label is a number.
    #[error("the zone {zone:?} ends with the number {label:?}: end it with a top-level domain")]
    Number {
        /// The refused zone.
        zone: Box<str>,
        /// The label at fault.
        label: Box<str>,
    },
}

/// The scope in which a name is claimed: two machines of one scope never share it.
///
/// The scope of an *owner* is enough where a name is shown to its owner alone. As soon as names are
/// subdomains, two owners with the same one are in each other's way: when 10,000 owners have one
/// machine called `web` each, four hexadecimal digits make about 763 pairs of equal names. There,
/// claim in the scope of the *zone*.
///
/// ```
/// use vmname::{Scope, VmName, Zone};
///
/// let zone: Zone = "vms.example.org".parse()?;
/// let name = VmName::from_static("web-a1b2");
/// assert_eq!(Scope::Zone(&zone).key(&name), "zone/vms.example.org/web-a1b2");
/// assert_eq!(Scope::Owner("team/7").key(&name), "owner/team/7/web-a1b2");
/// # Ok::<(), vmname::ZoneError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope<'a> {
    /// Unique among the machines of one owner, whose id may be any text.
    Owner(&'a str),
    /// Unique among the machines of one DNS zone, whoever owns them.
    Zone(&'a Zone),
}

impl Scope<'_> {
    /// The key under which a store with create-if-absent keeps the claim of `name`.
    ///
    /// Different scopes and names have different keys: a name has no `/`, so the key can be read
    /// from both ends.
    #[must_use]
    pub fn key(self, name: &VmName) -> String {
        let (kind, scope) = match self {
            Self::Owner(owner) => ("owner", owner),
            Self::Zone(zone) => ("zone", zone.as_str()),
        };
        [kind, scope, name.as_str()].join("/")
    }
}

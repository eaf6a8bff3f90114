//! Whole names.

use crate::rules::{BASE_MAX, LABEL_MAX, check_name};
use crate::sanitize::{fold, prefixed};
use crate::text::{Inline, key_traits};
use crate::{NameError, Suffix, Zone};
use alloc::string::String;
use core::str::FromStr;

/// The name of one virtual machine, the same everywhere: in lists, as host name, as subdomain and
/// in cloud-init.
///
/// 2 to 63 characters of `a` to `z`, `0` to `9` and `-`, the first a letter, the last no hyphen, no
/// `--` at positions 3 and 4, no UUID, none of the [`RESERVED`](crate::RESERVED) words. It is
/// stored inline and can be copied.
///
/// A name is made from a [`BaseName`](crate::BaseName) by a claim ([`Namer`](crate::Namer)) or with
/// a given suffix; by code, for a machine of the system's own, with [`system`](Self::system); or
/// read back with [`parse`](str::parse). A record that was not made here may hold anything: read it
/// as an [`ExistingName`](crate::ExistingName).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VmName {
    text: Inline<LABEL_MAX>,
}

impl VmName {
    /// The most characters of a name.
    pub const MAX_LEN: usize = LABEL_MAX;

    /// The name of a machine of the system's own, made by code, as it is: no sanitising, no
    /// suffix.
    ///
    /// ```
    /// use vmname::{Rule, VmName};
    ///
    /// let relay = VmName::system("relay-us-east-a1b2c3d4")?;
    /// assert_eq!(relay, "relay-us-east-a1b2c3d4");
    /// assert_eq!(VmName::system("localhost").unwrap_err().rule(), Rule::Reserved);
    /// # Ok::<(), vmname::NameError<VmName>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first [`Rule`](crate::Rule) that is broken, where, by which character, and a proposal.
    pub fn system(text: &str) -> Result<Self, NameError<Self>> {
        match check_name(text) {
            Ok(()) => Ok(Self { text: Inline::copy(text.as_bytes()) }),
            Err(rule) => Err(NameError::new(rule, text, Self::nearest(text))),
        }
    }

    /// As [`system`](Self::system), from a literal.
    ///
    /// ```
    /// # use vmname::VmName;
    /// const RELAY: VmName = VmName::from_static("relay");
    /// ```
    ///
    /// # Panics
    ///
    /// If the text breaks a rule. In a `const` that is an error of the compiler.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        match check_name(text) {
            Ok(()) => Self { text: Inline::copy(text.as_bytes()) },
            #[expect(clippy::panic, reason = "documented, for literals")]
            Err(rule) => panic!("{}", rule.as_str()),
        }
    }

    /// Valid by construction: the suffix leaves neither a hyphen at the end, nor two in a row, nor
    /// room for a UUID, and no reserved word has a hyphen.
    pub(crate) const fn from_parts(base: &Inline<BASE_MAX>, suffix: Suffix) -> Self {
        Self { text: Inline::copy(base.as_bytes()).join(b"-").join(suffix.as_bytes()) }
    }

    const fn nearest(refused: &str) -> Self {
        let text = fold(refused);
        if check_name(text.as_str()).is_ok() {
            Self { text }
        } else {
            Self { text: prefixed(refused) }
        }
    }

    /// The name as text.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The fully qualified domain name in a zone, without a final dot: at most 253 characters, as
    /// a [`Zone`] leaves room for every name.
    ///
    /// ```
    /// use vmname::{VmName, Zone};
    ///
    /// let zone: Zone = "vms.example.org".parse()?;
    /// let name = VmName::from_static("my-awesome-vm-a1b2");
    /// assert_eq!(name.fqdn(&zone), "my-awesome-vm-a1b2.vms.example.org");
    /// # Ok::<(), vmname::ZoneError>(())
    /// ```
    #[must_use]
    pub fn fqdn(&self, zone: &Zone) -> String {
        [self.as_str(), zone.as_str()].join(".")
    }
}

key_traits!(VmName);

impl FromStr for VmName {
    type Err = NameError<Self>;

    fn from_str(text: &str) -> Result<Self, NameError<Self>> {
        Self::system(text)
    }
}

impl TryFrom<&str> for VmName {
    type Error = NameError<Self>;

    fn try_from(text: &str) -> Result<Self, NameError<Self>> {
        Self::system(text)
    }
}

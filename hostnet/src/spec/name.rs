use core::fmt;
use core::str::FromStr;

/// Why a text cannot be a device name or a label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing was given.
    #[error("{what} is empty; give it at least one character")]
    Empty {
        /// Which kind of name was asked for.
        what: &'static str,
    },
    /// More bytes than the kernel, or a tag, can hold.
    #[error("{what} `{name}` has {} bytes, at most {max} fit; shorten it", name.len())]
    TooLong {
        /// Which kind of name was asked for.
        what: &'static str,
        /// The refused text.
        name: String,
        /// How many bytes fit.
        max: usize,
    },
    /// A character that does not belong there.
    #[error("{what} {name:?} has {character:?} at byte {at}; use {allowed}")]
    Character {
        /// Which kind of name was asked for.
        what: &'static str,
        /// The refused text.
        name: String,
        /// The first offending character.
        character: char,
        /// Where it stands, counted in bytes from 0.
        at: usize,
        /// What may be used instead.
        allowed: &'static str,
    },
    /// A name that the kernel keeps for itself.
    #[error("{what} `{name}` is reserved by the kernel; choose another")]
    Reserved {
        /// Which kind of name was asked for.
        what: &'static str,
        /// The refused text.
        name: String,
    },
}

/// A network device's name: 1 to 15 bytes, as the kernel takes it.
///
/// The kernel refuses `/`, `:` and white space (`dev_valid_name` in `net/core/dev.c`), cuts a longer
/// name silently in `TUNSETIFF`, and reads `%d` as "pick a number". All of these are refused here, and so is
/// whatever would mean something else to a shell or as an option: letters, digits, `_`, `.` and `-` are left.
///
/// ```
/// use hostnet::DeviceName;
///
/// let tap = DeviceName::new("tap_a1b2c3d4")?;
/// assert_eq!(tap.as_str(), "tap_a1b2c3d4");
/// assert!(DeviceName::new("tap_a1b2c3d4e5f6").is_err(), "16 bytes");
/// assert!(DeviceName::new("tap%d").is_err(), "the kernel would number it");
/// # Ok::<(), hostnet::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct DeviceName(Box<str>);

impl DeviceName {
    /// The most bytes a device name can have: `IFNAMSIZ` less the closing NUL.
    pub const MAX_LEN: usize = 15;

    const WHAT: &str = "device name";
    const ALLOWED: &str = "letters, digits, `_` and `.`, and `-` but not at the start";

    /// Checks a device name.
    ///
    /// # Errors
    /// When it is empty, longer than [`MAX_LEN`](Self::MAX_LEN) bytes, `.`, `..`, `lo`, `all` or `default`, starts with
    /// `-`, or holds anything but ASCII letters, digits, `_`, `.` and `-`.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check_length(Self::WHAT, name, Self::MAX_LEN)?;
        let mut first = true;
        check_characters(Self::WHAT, name, Self::ALLOWED, |c| {
            let start = core::mem::replace(&mut first, false);
            c.is_ascii_alphanumeric() || matches!(c, '_' | '.') || (c == '-' && !start)
        })?;
        // `all` and `default` are entries of /proc/sys/net/ipv4/conf, not devices.
        if matches!(name, "." | ".." | "lo" | "all" | "default") {
            return Err(NameError::Reserved { what: Self::WHAT, name: name.to_owned() });
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Declares a label: lower-case letters, digits, and `-`, `_`, `.` inside.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
        pub struct $name(Box<str>);

        impl $name {
            /// The most bytes that fit.
            pub const MAX_LEN: usize = $max;

            /// Checks the text.
            ///
            /// # Errors
            /// When it is empty, longer than [`MAX_LEN`](Self::MAX_LEN), or holds anything but lower-case ASCII letters,
            /// digits and, except at the ends, `-`, `_` and `.`.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check_label($what, text, $max)?;
                Ok(Self(text.into()))
            }

            /// The label as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        text_impls!($name);
    };
}

/// The trait impls that every validated text shares.
macro_rules! text_impls {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }
    };
}

text_impls!(DeviceName);

label! {
    /// Who the devices belong to: one orchestrator or launcher on this host, at most 20 bytes.
    ///
    /// Two programs with different owners never touch each other's devices, addresses or rules.
    ///
    /// ```
    /// let owner = hostnet::Owner::new("scalebox")?;
    /// assert_eq!(owner.to_string(), "scalebox");
    /// # Ok::<(), hostnet::NameError>(())
    /// ```
    Owner, "owner", 20
}

label! {
    /// The name of a network, at most 63 bytes. It is not the bridge's device name.
    NetworkName, "network name", 63
}

label! {
    /// What one VM's place on the network is called, at most 63 bytes: a network id or the VM's name.
    AttachmentId, "attachment id", 63
}

label! {
    /// The name of a network namespace under /run/netns, at most 63 bytes.
    ///
    /// ```
    /// let name = hostnet::NamespaceName::new("ns_vm_a1b2c3d4")?;
    /// assert_eq!(name.as_str(), "ns_vm_a1b2c3d4");
    /// # Ok::<(), hostnet::NameError>(())
    /// ```
    NamespaceName, "namespace name", 63
}

fn check_label(what: &'static str, text: &str, max: usize) -> Result<(), NameError> {
    const ALLOWED: &str =
        "lower-case letters and digits, with `-`, `_` and `.` only between two of them";
    check_length(what, text, max)?;
    let last = text.len() - 1;
    let mut at = 0;
    check_characters(what, text, ALLOWED, |c| {
        let inside = at > 0 && at < last;
        at += c.len_utf8();
        c.is_ascii_lowercase() || c.is_ascii_digit() || (inside && matches!(c, '-' | '_' | '.'))
    })
}

fn check_length(what: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    match name.len() {
        0 => Err(NameError::Empty { what }),
        len if len > max => Err(NameError::TooLong { what, name: name.to_owned(), max }),
        _ => Ok(()),
    }
}

fn check_characters(
    what: &'static str,
    name: &str,
    allowed: &'static str,
    mut permitted: impl FnMut(char) -> bool,
) -> Result<(), NameError> {
    match name.char_indices().find(|(_, c)| !permitted(*c)) {
        None => Ok(()),
        Some((at, character)) => {
            Err(NameError::Character { what, name: name.to_owned(), character, at, allowed })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_follow_the_kernel() {
        for good in ["br0", "tap_a1b2c3d4", "a", "tap-a1b2c3d4e5", "123456789012345"] {
            assert_eq!(DeviceName::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "1234567890123456",
            "a/b",
            "a:b",
            "a b",
            "tap%d",
            "é",
            ".",
            "..",
            "lo",
            "all",
            "a\nb",
            "-rf",
            "a;reboot",
            "$(id)",
            "a|b",
            "#x",
            "it's",
            "tap\"x",
            "*",
        ] {
            DeviceName::new(bad).unwrap_err();
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let error = DeviceName::new("tap_a1b2c3d4e5f6").unwrap_err();
        assert_eq!(
            error.to_string(),
            "device name `tap_a1b2c3d4e5f6` has 16 bytes, at most 15 fit; shorten it"
        );
        let error = Owner::new("my owner").unwrap_err();
        assert!(error.to_string().contains("' ' at byte 2"), "{error}");
    }

    #[test]
    fn labels_keep_their_ends_clean() {
        for good in ["a", "a1b2c3d4", "my-awesome-vm-a1b2", "a.b_c"] {
            AttachmentId::new(good).unwrap();
        }
        for bad in ["", "-a", "a-", "A", "a:b", "a/b", "ä", ".", "a\u{0}b"] {
            AttachmentId::new(bad).unwrap_err();
        }
    }
}

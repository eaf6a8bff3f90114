//! Names from records that were not made here.

use crate::{NameError, VmName};
use alloc::boxed::Box;
use alloc::string::String;
use core::convert::Infallible;
use core::fmt;
use core::str::FromStr;

/// The name in a record of an existing machine, whatever it is.
///
/// Reading never fails, so that a machine with a name of earlier days, or of another tool, can
/// still be listed, stopped and deleted. Where a [`VmName`] is needed, [`canonical`] says whether it
/// is one.
///
/// ```
/// use vmname::{ExistingName, VmName};
///
/// let ours = ExistingName::from("web-a1b2");
/// assert_eq!(ours.canonical()?, VmName::from_static("web-a1b2"));
///
/// let legacy = ExistingName::from("Bob's VM (old)");
/// assert_eq!(legacy.as_str(), "Bob's VM (old)");
/// assert_eq!(legacy.canonical().unwrap_err().proposal(), "bob-s-vm-old");
/// # Ok::<(), vmname::NameError<VmName>>(())
/// ```
///
/// [`canonical`]: Self::canonical
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExistingName(Box<str>);

impl ExistingName {
    /// The name as it is recorded. It may hold anything: escape it where that matters.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as one of ours.
    ///
    /// # Errors
    ///
    /// The rule that it breaks, and a proposal to rename it to.
    pub fn canonical(&self) -> Result<VmName, NameError<VmName>> {
        self.0.parse()
    }
}

impl AsRef<str> for ExistingName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ExistingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<&str> for ExistingName {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for ExistingName {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<VmName> for ExistingName {
    fn from(name: VmName) -> Self {
        name.as_str().into()
    }
}

impl FromStr for ExistingName {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

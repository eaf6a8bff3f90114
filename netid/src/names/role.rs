use core::fmt;

/// What a name is for.
///
/// ```
/// use netid::Role;
///
/// assert_eq!(Role::VethNamespace.to_string(), "namespace's end of the veth pair");
/// assert_eq!(Role::ALL.len(), 5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Role {
    /// The TAP that the virtual machine is attached to.
    Tap,
    /// The host's end of a veth pair.
    VethHost,
    /// The end of a veth pair that lives in the network namespace.
    VethNamespace,
    /// A bridge.
    Bridge,
    /// The network namespace itself, as under `/run/netns`. It is not a device, but its name keeps to
    /// the same rules.
    Namespace,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Tap, Self::VethHost, Self::VethNamespace, Self::Bridge, Self::Namespace];

    /// The role in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tap => "TAP",
            Self::VethHost => "host's end of the veth pair",
            Self::VethNamespace => "namespace's end of the veth pair",
            Self::Bridge => "bridge",
            Self::Namespace => "network namespace",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

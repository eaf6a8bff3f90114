use core::marker::PhantomData;

use super::device::DeviceName;
use super::prefix::{Prefix, Prefixes, SchemeError};
use super::role::Role;
use crate::hex;
use crate::id::NetId;
use crate::vm_id::VmId;

/// How the devices of a machine are called: a prefix for the role and digits of the id.
///
/// A scheme is checked when it is built, so every name it makes is a [`DeviceName`], and no name can
/// be read in two ways. `I` is the kind of id: a [`NetId`] gives eight digits, a [`VmId`] ten.
///
/// | Role | [`UNDERSCORED`](Self::UNDERSCORED) | [`DASHED`](Self::DASHED) |
/// |---|---|---|
/// | TAP | `tap_a1b2c3d4` | `tap-a1b2c3d4e5` |
/// | host's end of the veth pair | `vh_a1b2c3d4` | `vh-a1b2c3d4e5` |
/// | namespace's end | `vn_a1b2c3d4` | `vn-a1b2c3d4e5` |
/// | bridge | `br_a1b2c3d4` | `br-a1b2c3d4e5` |
/// | namespace | `ns_vm_a1b2c3d4` | `ns-a1b2c3d4e5` |
///
/// The names of devices in the underscored scheme have at most 12 bytes, which also suits programs
/// that fail beyond 13 (the ISC DHCP client), and a double click selects them whole.
///
/// A name is not a proof of ownership: anybody can make a device that is called like one of ours.
///
/// ```
/// use netid::{NameScheme, NetId, Prefixes, Role, SchemeError};
///
/// let id = NetId::from_static("a1b2c3d4");
/// assert_eq!(NameScheme::UNDERSCORED.name(Role::VethHost, id).as_str(), "vh_a1b2c3d4");
/// assert_eq!(NameScheme::UNDERSCORED.parse("vh_a1b2c3d4"), Some((Role::VethHost, id)));
/// assert_eq!(NameScheme::UNDERSCORED.parse("veth12345678"), None);
///
/// let prefixes = Prefixes {
///     tap: "fc-",
///     veth_host: "fch-",
///     veth_namespace: "fcn-",
///     bridge: "fcbr-",
///     namespace: "fcns-",
/// };
/// let scheme = NameScheme::<NetId>::new(prefixes)?;
/// assert_eq!(scheme.name(Role::Tap, id).as_str(), "fc-a1b2c3d4");
///
/// assert_eq!(
///     NameScheme::<NetId>::new(Prefixes { bridge: "fc-b", ..prefixes }),
///     Err(SchemeError::End { role: Role::Bridge }),
/// );
/// # Ok::<(), SchemeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameScheme<I = NetId> {
    tap: Prefix,
    veth_host: Prefix,
    veth_namespace: Prefix,
    bridge: Prefix,
    namespace: Prefix,
    id: PhantomData<I>,
}

impl NameScheme<NetId> {
    /// `tap_`, `vh_`, `vn_`, `br_`, `ns_vm_` and the eight digits of a [`NetId`].
    pub const UNDERSCORED: Self = Self::from_static(Prefixes {
        tap: "tap_",
        veth_host: "vh_",
        veth_namespace: "vn_",
        bridge: "br_",
        namespace: "ns_vm_",
    });

    /// The name of a role's device.
    #[must_use]
    #[inline]
    pub const fn name(&self, role: Role, id: NetId) -> DeviceName {
        self.join(role, hex::encode(id.number()) as u128)
    }
}

impl NameScheme<VmId> {
    /// `tap-`, `vh-`, `vn-`, `br-`, `ns-` and the first ten digits of a [`VmId`].
    pub const DASHED: Self = Self::from_static(Prefixes {
        tap: "tap-",
        veth_host: "vh-",
        veth_namespace: "vn-",
        bridge: "br-",
        namespace: "ns-",
    });

    /// The name of a role's device.
    #[must_use]
    #[inline]
    pub const fn name(&self, role: Role, id: VmId) -> DeviceName {
        let first_ten = !(u128::MAX << (8 * <VmId as SchemeId>::DIGITS));
        self.join(role, id.word() & first_ten)
    }
}

impl<I: SchemeId> NameScheme<I> {
    /// Makes a scheme.
    ///
    /// # Errors
    /// When a prefix is empty, leaves no room for the digits, holds anything but ASCII letters, digits,
    /// `-` and `_`, does not start with a letter, ends with a hexadecimal digit, or starts with
    /// another role's prefix.
    pub const fn new(prefixes: Prefixes<'_>) -> Result<Self, SchemeError> {
        macro_rules! check {
            ($role:ident, $text:expr) => {
                match Prefix::check(Role::$role, $text, I::DIGITS) {
                    Ok(prefix) => prefix,
                    Err(error) => return Err(error),
                }
            };
        }
        let scheme = Self {
            tap: check!(Tap, prefixes.tap),
            veth_host: check!(VethHost, prefixes.veth_host),
            veth_namespace: check!(VethNamespace, prefixes.veth_namespace),
            bridge: check!(Bridge, prefixes.bridge),
            namespace: check!(Namespace, prefixes.namespace),
            id: PhantomData,
        };
        let mut roles: &[Role] = &Role::ALL;
        while let [first, others @ ..] = roles {
            let mut seconds = others;
            while let [second, rest @ ..] = seconds {
                if scheme.prefix(*first).overlaps(scheme.prefix(*second)) {
                    let (first, second) = (*first, *second);
                    return Err(SchemeError::Overlap { first, second });
                }
                seconds = rest;
            }
            roles = others;
        }
        Ok(scheme)
    }

    /// The scheme of literals.
    ///
    /// # Panics
    /// When [`new`](Self::new) would fail; in a constant, that is a compile-time error.
    #[must_use]
    #[expect(clippy::panic, reason = "documented: wrong literals are a programming error")]
    pub const fn from_static(prefixes: Prefixes<'static>) -> Self {
        match Self::new(prefixes) {
            Ok(scheme) => scheme,
            Err(_) => panic!("these prefixes do not make a scheme: see NameScheme::new"),
        }
    }

    /// The role and the claimed id of a name, or none if the scheme did not make it.
    ///
    /// Every name the scheme makes is read back, and nothing else: another number of digits, a capital
    /// letter, a foreign prefix give none. With ten digits, the last two are not part of the claimed
    /// id.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "eight digits are 32 bits")]
    pub const fn parse(&self, name: &str) -> Option<(Role, NetId)> {
        let Some(word) = DeviceName::word(name) else {
            return None;
        };
        let mut roles: &[Role] = &Role::ALL;
        while let [role, rest @ ..] = roles {
            let prefix = self.prefix(*role);
            if prefix.starts(word) {
                let Some((_, digits)) = name.as_bytes().split_at_checked(prefix.len as usize)
                else {
                    return None;
                };
                if digits.len() != I::DIGITS {
                    return None;
                }
                let tail = const { 4 * (I::DIGITS - NetId::DIGITS) };
                return match hex::decode(digits) {
                    Some(number) => Some((*role, NetId::new((number >> tail) as u32))),
                    None => None,
                };
            }
            roles = rest;
        }
        None
    }

    #[inline]
    const fn prefix(&self, role: Role) -> Prefix {
        match role {
            Role::Tap => self.tap,
            Role::VethHost => self.veth_host,
            Role::VethNamespace => self.veth_namespace,
            Role::Bridge => self.bridge,
            Role::Namespace => self.namespace,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most fifteen")]
    #[inline]
    const fn join(&self, role: Role, digits: u128) -> DeviceName {
        let prefix = self.prefix(role);
        let word = prefix.word | (digits << prefix.shift());
        DeviceName::from_word(word, prefix.len.wrapping_add(I::DIGITS as u8))
    }
}

/// The kinds of id that a [`NameScheme`] can be for: [`NetId`] and [`VmId`].
pub trait SchemeId: sealed::Sealed + Copy {
    /// How many digits of the id a name has.
    const DIGITS: usize;
}

impl SchemeId for NetId {
    const DIGITS: usize = Self::DIGITS;
}

impl SchemeId for VmId {
    const DIGITS: usize = 10;
}

mod sealed {
    #[expect(unnameable_types, reason = "so that nobody else can implement it")]
    pub trait Sealed {}
    impl Sealed for crate::id::NetId {}
    impl Sealed for crate::vm_id::VmId {}
}

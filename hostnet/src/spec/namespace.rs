use super::{DeviceName, NamespaceName};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network namespace of one VM's own, in which its VMM runs: the TAP is inside, and a veth pair leads out.
///
/// The attachment's addresses are those of the namespace's end of the pair. Whatever comes to them is handed on to the
/// guest, which has an address of its own on the TAP, the same in every namespace: so a snapshot can be resumed
/// many times. What the guest or the VMM sends takes the attachment's address.
///
/// ```
/// use hostnet::{DeviceName, Namespace, NamespaceName};
///
/// let namespace = Namespace::new(
///     NamespaceName::new("ns_vm_a1b2c3d4")?,
///     DeviceName::new("vh_a1b2c3d4")?,
///     DeviceName::new("vn_a1b2c3d4")?,
/// );
/// assert_eq!(namespace.guest4().to_string(), "192.168.127.2/30");
/// assert_eq!(namespace.gateway4().to_string(), "192.168.127.1");
/// # Ok::<(), hostnet::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Namespace {
    name: NamespaceName,
    host_end: DeviceName,
    inner_end: DeviceName,
}

impl Namespace {
    /// A namespace of this name under /run/netns, where `ip netns` finds it, with the names of the veth pair's ends:
    /// the one on the host, and the one inside.
    #[must_use]
    pub const fn new(name: NamespaceName, host_end: DeviceName, inner_end: DeviceName) -> Self {
        Self { name, host_end, inner_end }
    }

    /// The namespace's name.
    #[must_use]
    pub const fn name(&self) -> &NamespaceName {
        &self.name
    }

    /// The veth pair's end on the host.
    #[must_use]
    pub const fn host_end(&self) -> &DeviceName {
        &self.host_end
    }

    /// The veth pair's end inside.
    #[must_use]
    pub const fn inner_end(&self) -> &DeviceName {
        &self.inner_end
    }

    /// The guest's IPv4 address on the TAP, with its prefix length.
    #[must_use]
    pub const fn guest4(&self) -> Ipv4Net {
        Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 127, 2), 30)
    }

    /// The guest's IPv4 router: the TAP's own address.
    #[must_use]
    pub const fn gateway4(&self) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, 127, 1)
    }

    /// The guest's IPv6 address on the TAP, with its prefix length.
    #[must_use]
    pub const fn guest6(&self) -> Ipv6Net {
        Ipv6Net::new_assert(Ipv6Addr::new(0xfd7f, 0, 0, 0, 0, 0, 0, 2), 126)
    }

    /// The guest's IPv6 router: the TAP's own address.
    #[must_use]
    pub const fn gateway6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd7f, 0, 0, 0, 0, 0, 0, 1)
    }

    /// The guest's address in the family of the attachment's address, and the TAP's address with its prefix length.
    pub(crate) const fn inner(&self, family_of: IpAddr) -> (IpAddr, IpNet) {
        match family_of {
            IpAddr::V4(_) => (
                IpAddr::V4(self.guest4().addr()),
                IpNet::V4(Ipv4Net::new_assert(self.gateway4(), self.guest4().prefix_len())),
            ),
            IpAddr::V6(_) => (
                IpAddr::V6(self.guest6().addr()),
                IpNet::V6(Ipv6Net::new_assert(self.gateway6(), self.guest6().prefix_len())),
            ),
        }
    }
}

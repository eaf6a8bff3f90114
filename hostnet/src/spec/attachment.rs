use super::is_unicast;
use super::{AttachmentId, DeviceName, Forward, Namespace, NetworkName, Rate, SpecError};
use macaddr::MacAddr6;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One VM's place on a network: its TAP, its addresses and the ports that lead to it.
///
/// ```
/// use hostnet::{Attachment, AttachmentId, DeviceName, Forward, NetworkName};
/// use std::num::NonZeroU16;
///
/// let attachment = Attachment::tap(
///     AttachmentId::new("a1b2c3d4")?,
///     NetworkName::new("default")?,
///     DeviceName::new("tap_a1b2c3d4")?,
///     "AA:FC:A1:B2:C3:D4".parse()?,
///     "172.16.0.2".parse()?,
/// )?
/// .with_forward(Forward::tcp(NonZeroU16::new(22001).unwrap(), NonZeroU16::new(22).unwrap()));
/// assert_eq!(attachment.host_mac().to_string(), "FE:FC:A1:B2:C3:D4");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Unchecked", into = "Unchecked"))]
pub struct Attachment {
    id: AttachmentId,
    generation: u64,
    network: NetworkName,
    tap: DeviceName,
    tap_options: TapOptions,
    mac: MacAddr6,
    address4: Option<Ipv4Addr>,
    address6: Option<Ipv6Addr>,
    forwards: Vec<Forward>,
    namespace: Option<Namespace>,
    rate_to_guest: Option<Rate>,
    rate_from_guest: Option<Rate>,
}

/// How the TAP is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct TapOptions {
    /// The user who may open the TAP without `CAP_NET_ADMIN`.
    pub uid: Option<u32>,
    /// The group whose members may open it.
    pub gid: Option<u32>,
    /// Whether several queues can be opened (`IFF_MULTI_QUEUE`).
    pub multi_queue: bool,
    /// Whether every frame carries a virtio header (`IFF_VNET_HDR`), as most VMMs want it.
    pub vnet_hdr: bool,
}

impl TapOptions {
    /// Lets this user open the TAP.
    #[must_use]
    pub const fn with_uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }

    /// Lets this group open the TAP.
    #[must_use]
    pub const fn with_gid(mut self, gid: u32) -> Self {
        self.gid = Some(gid);
        self
    }

    /// Allows several queues.
    #[must_use]
    pub const fn with_multi_queue(mut self) -> Self {
        self.multi_queue = true;
        self
    }

    /// Puts a virtio header in front of every frame.
    #[must_use]
    pub const fn with_vnet_hdr(mut self) -> Self {
        self.vnet_hdr = true;
        self
    }
}

impl Attachment {
    /// A TAP on the network's bridge for a guest with this MAC and address.
    ///
    /// # Errors
    /// When the MAC is a group address or all zeros.
    pub fn tap(
        id: AttachmentId,
        network: NetworkName,
        tap: DeviceName,
        mac: MacAddr6,
        address: IpAddr,
    ) -> Result<Self, SpecError> {
        if !is_unicast(mac) {
            return Err(SpecError::GuestMac { id, mac });
        }
        let bare = Self {
            id,
            generation: 0,
            network,
            tap,
            tap_options: TapOptions::default(),
            mac,
            address4: None,
            address6: None,
            forwards: Vec::new(),
            namespace: None,
            rate_to_guest: None,
            rate_from_guest: None,
        };
        bare.with_address(address)
    }

    /// Adds an address of the other family. Forwards lead to both.
    ///
    /// # Errors
    /// When there is one of its family already.
    pub fn with_address(mut self, address: IpAddr) -> Result<Self, SpecError> {
        let present = self.addresses().find(|a| a.is_ipv4() == address.is_ipv4());
        if let Some(present) = present {
            return Err(SpecError::SecondAddress { id: self.id, address, present });
        }
        match address {
            IpAddr::V4(address) => self.address4 = Some(address),
            IpAddr::V6(address) => self.address6 = Some(address),
        }
        Ok(self)
    }

    /// Which making of this attachment it is: the generation of the claim on its id. A device of another
    /// generation is never taken for this one.
    #[must_use]
    pub const fn with_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// Sets how the TAP is made.
    #[must_use]
    pub const fn with_tap_options(mut self, options: TapOptions) -> Self {
        self.tap_options = options;
        self
    }

    /// Adds a port forward.
    #[must_use]
    pub fn with_forward(mut self, forward: Forward) -> Self {
        self.forwards.push(forward);
        self
    }

    /// Puts the TAP into a network namespace of the VM's own; the attachment's addresses are that namespace's then.
    #[must_use]
    pub fn with_namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// Limits how fast packets reach the guest. What comes faster waits for a moment and is dropped then.
    #[must_use]
    pub const fn with_rate_to_guest(mut self, rate: Rate) -> Self {
        self.rate_to_guest = Some(rate);
        self
    }

    /// Limits how fast the guest sends. What comes faster is dropped.
    #[must_use]
    pub const fn with_rate_from_guest(mut self, rate: Rate) -> Self {
        self.rate_from_guest = Some(rate);
        self
    }

    /// The attachment's id.
    #[must_use]
    pub const fn id(&self) -> &AttachmentId {
        &self.id
    }

    /// The generation its devices carry.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The network it is on.
    #[must_use]
    pub const fn network(&self) -> &NetworkName {
        &self.network
    }

    /// The TAP's device name.
    #[must_use]
    pub const fn tap_name(&self) -> &DeviceName {
        &self.tap
    }

    /// How the TAP is made.
    #[must_use]
    pub const fn tap_options(&self) -> TapOptions {
        self.tap_options
    }

    /// The guest's MAC.
    #[must_use]
    pub const fn mac(&self) -> MacAddr6 {
        self.mac
    }

    /// The MAC of the TAP itself: the guest's with `FE` as its first byte.
    ///
    /// It must differ from the guest's, or the bridge would take the guest's frames for its own.
    #[must_use]
    pub const fn host_mac(&self) -> MacAddr6 {
        let mut mac = self.mac.into_array();
        mac[0] = if mac[0] == 0xFE { 0xFA } else { 0xFE };
        let [first, rest @ ..] = mac;
        MacAddr6::new(first, rest[0], rest[1], rest[2], rest[3], rest[4])
    }

    /// The guest's addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<> {
        self.address4.map(IpAddr::V4).into_iter().chain(self.address6.map(IpAddr::V6))
    }

    /// The ports of the host that lead to it.
    #[must_use]
    pub fn forwards(&self) -> &[Forward] {
        &self.forwards
    }

    /// The VM's own network namespace, if it has one.
    #[must_use]
    pub const fn namespace(&self) -> Option<&Namespace> {
        self.namespace.as_ref()
    }

    /// The name of the device on the host that its packets come in by: the TAP, or the namespace's veth end.
    #[must_use]
    pub fn port_name(&self) -> &DeviceName {
        self.namespace.as_ref().map_or(&self.tap, Namespace::host_end)
    }

    /// How fast packets may reach the guest.
    #[must_use]
    pub const fn rate_to_guest(&self) -> Option<Rate> {
        self.rate_to_guest
    }

    /// How fast the guest may send.
    #[must_use]
    pub const fn rate_from_guest(&self) -> Option<Rate> {
        self.rate_from_guest
    }

    /// The link-local address of a routed network's end, which is the guest's IPv6 router there.
    #[must_use]
    pub fn router6(&self) -> Ipv6Addr {
        super::link_local(self.host_mac())
    }
}

/// An attachment as it is written down.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct Unchecked {
    id: AttachmentId,
    #[serde(default)]
    generation: u64,
    network: NetworkName,
    tap: DeviceName,
    #[serde(default)]
    tap_options: TapOptions,
    mac: MacAddr6,
    addresses: Vec<IpAddr>,
    #[serde(default)]
    forwards: Vec<Forward>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<Namespace>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_to_guest: Option<Rate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_from_guest: Option<Rate>,
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for Attachment {
    type Error = SpecError;

    fn try_from(raw: Unchecked) -> Result<Self, SpecError> {
        let mut addresses = raw.addresses.into_iter();
        let first = addresses.next().ok_or_else(|| SpecError::NoAddress { id: raw.id.clone() })?;
        let mut attachment = Self::tap(raw.id, raw.network, raw.tap, raw.mac, first)?;
        for address in addresses {
            attachment = attachment.with_address(address)?;
        }
        Ok(Self {
            generation: raw.generation,
            tap_options: raw.tap_options,
            forwards: raw.forwards,
            namespace: raw.namespace,
            rate_to_guest: raw.rate_to_guest,
            rate_from_guest: raw.rate_from_guest,
            ..attachment
        })
    }
}

#[cfg(feature = "serde")]
impl From<Attachment> for Unchecked {
    fn from(attachment: Attachment) -> Self {
        Self {
            addresses: attachment.addresses().collect(),
            id: attachment.id,
            generation: attachment.generation,
            network: attachment.network,
            tap: attachment.tap,
            tap_options: attachment.tap_options,
            mac: attachment.mac,
            forwards: attachment.forwards,
            namespace: attachment.namespace,
            rate_to_guest: attachment.rate_to_guest,
            rate_from_guest: attachment.rate_from_guest,
        }
    }
}

//! The single steps a plan is made of.

use crate::firewall::{Element, TableName};
use crate::spec::{DeviceName, Family, Owner, TapOptions};
use crate::tag::{Tag, birth_group};
use core::fmt;
use ipnet::IpNet;
use macaddr::MacAddr6;

/// One step of a plan. `Display` gives the `ip`, `nft` or `sysctl` command it stands for.
///
/// Devices are addressed by their tag wherever they exist already.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case", tag = "op"))]
#[non_exhaustive]
pub enum Op {
    /// Turn on forwarding in the namespace. Others may rely on it, so it is never turned off again.
    ///
    /// A host that forwards IPv6 stops to heed router advertisements and would lose its default route; devices
    /// that do heed them are told to go on (`accept_ra=2`) first.
    EnableForwarding {
        /// Of which version of IP.
        family: Family,
    },
    /// Make our own nf_tables table with its sets, map, chains and fixed rules.
    CreateTable {
        /// The table.
        table: TableName,
    },
    /// Delete our table if nothing is in its sets.
    RemoveTable {
        /// The table.
        table: TableName,
    },
    /// Make a bridge with a fixed MAC, tag it and bring it up.
    CreateBridge {
        /// The device's name.
        name: DeviceName,
        /// Its MAC.
        mac: MacAddr6,
        /// Its MTU in bytes, if not the kernel's default.
        mtu: Option<u32>,
        /// The tag it gets.
        tag: Tag,
    },
    /// Delete a bridge whose making was cut short before it had its tag.
    DeleteHalfMade {
        /// The device's name.
        name: String,
        /// Its index.
        index: u32,
        /// Whose it would have been.
        owner: Owner,
    },
    /// Make a persistent TAP, exclusively, and tag it.
    CreateTap {
        /// The device's name.
        name: DeviceName,
        /// The MAC of the host's side.
        mac: MacAddr6,
        /// Its MTU in bytes, if not the kernel's default.
        mtu: Option<u32>,
        /// How it is made.
        options: TapOptions,
        /// The tag it gets.
        tag: Tag,
    },
    /// Make a device a port of a bridge and bring it up.
    AttachPort {
        /// The device.
        port: Tag,
        /// The bridge.
        bridge: Tag,
        /// Where the device was before.
        was: PortState,
    },
    /// Put a device back to where it was.
    RestorePort {
        /// The device.
        port: Tag,
        /// Where it was.
        to: PortState,
    },
    /// Change a property of a device.
    SetLink {
        /// The device.
        tag: Tag,
        /// What changes.
        change: LinkChange,
    },
    /// Give a device an address.
    AddAddress {
        /// The device.
        tag: Tag,
        /// The address with its prefix length.
        address: IpNet,
    },
    /// Take an address from a device.
    RemoveAddress {
        /// The device.
        tag: Tag,
        /// The address with its prefix length.
        address: IpNet,
    },
    /// Put an element into a set or map of our table.
    AddElement {
        /// The table.
        table: TableName,
        /// The element.
        element: Element,
        /// What it belongs to.
        tag: Tag,
    },
    /// Take an element out of a set or map of our table, if it still belongs to `tag`.
    RemoveElement {
        /// The table.
        table: TableName,
        /// The element.
        element: Element,
        /// What it belongs to.
        tag: Tag,
    },
    /// Delete the device with this tag.
    DeleteLink {
        /// The device.
        tag: Tag,
    },
}

/// Of which bridge a device is a port, and whether it is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PortState {
    /// The bridge's index, if it is a port of one.
    pub master: Option<u32>,
    /// Whether it is up.
    pub up: bool,
}

/// A change to a device that can be turned back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LinkChange {
    /// Its name, as somebody changed it, back to the one that is wanted.
    Name {
        /// The name it has, which may be one that nobody would choose.
        from: String,
        /// The name it gets.
        to: String,
    },
    /// Its MAC.
    Mac {
        /// The MAC it has.
        from: MacAddr6,
        /// The MAC it gets.
        to: MacAddr6,
    },
    /// Its MTU in bytes.
    Mtu {
        /// The MTU it has.
        from: u32,
        /// The MTU it gets.
        to: u32,
    },
    /// From down to up.
    Up,
    /// From up to down.
    Down,
}

impl LinkChange {
    /// The change back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        match self.clone() {
            Self::Name { from, to } => Self::Name { from: to, to: from },
            Self::Mac { from, to } => Self::Mac { from: to, to: from },
            Self::Mtu { from, to } => Self::Mtu { from: to, to: from },
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

impl Op {
    /// Whose objects the step is about; nobody's where a setting is shared.
    pub(crate) const fn owner(&self) -> Option<&Owner> {
        match self {
            Self::EnableForwarding { .. } => None,
            Self::CreateTable { table }
            | Self::RemoveTable { table }
            | Self::AddElement { table, .. }
            | Self::RemoveElement { table, .. } => Some(table.owner()),
            Self::DeleteHalfMade { owner, .. } => Some(owner),
            Self::CreateBridge { tag, .. }
            | Self::CreateTap { tag, .. }
            | Self::AttachPort { port: tag, .. }
            | Self::RestorePort { port: tag, .. }
            | Self::SetLink { tag, .. }
            | Self::AddAddress { tag, .. }
            | Self::RemoveAddress { tag, .. }
            | Self::DeleteLink { tag } => Some(tag.owner()),
        }
    }

    /// The step that undoes this one, if it can and may be undone.
    ///
    /// A shared setting is not turned back, for others may have come to rely on it; a deletion is not undone,
    /// since nothing is deleted that is still wanted.
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        Some(match self {
            Self::EnableForwarding { .. }
            | Self::RemoveTable { .. }
            | Self::DeleteHalfMade { .. }
            | Self::RestorePort { .. }
            | Self::DeleteLink { .. } => return None,
            Self::CreateTable { table } => Self::RemoveTable { table: table.clone() },
            Self::CreateBridge { tag, .. } | Self::CreateTap { tag, .. } => {
                Self::DeleteLink { tag: tag.clone() }
            }
            Self::AttachPort { port, was, .. } => {
                Self::RestorePort { port: port.clone(), to: *was }
            }
            Self::SetLink { tag, change } => {
                Self::SetLink { tag: tag.clone(), change: change.inverse() }
            }
            Self::AddAddress { tag, address } => {
                Self::RemoveAddress { tag: tag.clone(), address: *address }
            }
            Self::RemoveAddress { tag, address } => {
                Self::AddAddress { tag: tag.clone(), address: *address }
            }
            Self::AddElement { table, element, tag } => Self::RemoveElement {
                table: table.clone(),
                element: element.clone(),
                tag: tag.clone(),
            },
            Self::RemoveElement { table, element, tag } => Self::AddElement {
                table: table.clone(),
                element: element.clone(),
                tag: tag.clone(),
            },
        })
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnableForwarding { family: Family::V4 } => {
                f.write_str("sysctl -w net.ipv4.ip_forward=1")
            }
            Self::EnableForwarding { family: Family::V6 } => {
                f.write_str("for f in /proc/sys/net/ipv6/conf/*/accept_ra; do case $f in */all/*|*/default/*) ;; \
                     *) if grep -qx 1 $f; then echo 2 >$f; fi ;; esac; done\n")?;
                f.write_str("sysctl -w net.ipv6.conf.all.forwarding=1")
            }
            Self::CreateTable { table } => write!(f, "nft -f - <<'EOF'\n{}EOF", table.ruleset()),
            Self::RemoveTable { table } => write!(f, "nft 'delete table inet {table}'"),
            Self::CreateBridge { name, mac, mtu, tag } => {
                let group = birth_group(tag.owner());
                write!(
                    f,
                    "ip link add {name} address {mac}{} group {group} type bridge",
                    Mtu(*mtu)
                )?;
                write!(f, "\nip link property add dev {name} altname '{tag}'")?;
                write!(f, "\nsysctl -w net.ipv6.conf.{name}.addr_gen_mode=1")?;
                write!(f, "\nsysctl -w net.ipv4.conf.{name}.promote_secondaries=1")?;
                write!(f, "\nsysctl -w net.ipv4.conf.{name}.route_localnet=1")?;
                write!(f, "\nip link set '{tag}' up")
            }
            Self::DeleteHalfMade { name, .. } => write!(f, "ip link del '{name}'"),
            Self::CreateTap { name, mac, mtu, options, tag } => {
                write!(f, "ip tuntap add dev {name} mode tap")?;
                if let Some(uid) = options.uid {
                    write!(f, " user {uid}")?;
                }
                if let Some(gid) = options.gid {
                    write!(f, " group {gid}")?;
                }
                f.write_str(if options.vnet_hdr { " vnet_hdr" } else { "" })?;
                f.write_str(if options.multi_queue { " multi_queue" } else { "" })?;
                write!(f, "\nip link property add dev {name} altname '{tag}'")?;
                write!(f, "\nsysctl -w net.ipv6.conf.{name}.addr_gen_mode=1")?;
                write!(f, "\nip link set {name} address {mac}{}", Mtu(*mtu))
            }
            Self::AttachPort { port, bridge, .. } => {
                write!(f, "ip link set '{port}' master '{bridge}' up")
            }
            Self::RestorePort { port, to } => {
                write!(f, "ip link set '{port}'")?;
                match to.master {
                    Some(index) => write!(f, " master if{index}")?,
                    None => f.write_str(" nomaster")?,
                }
                f.write_str(if to.up { " up" } else { " down" })
            }
            Self::SetLink { tag, change } => match change {
                LinkChange::Name { to, .. } => write!(f, "ip link set '{tag}' name '{to}'"),
                LinkChange::Mac { to, .. } => write!(f, "ip link set '{tag}' address {to}"),
                LinkChange::Mtu { to, .. } => write!(f, "ip link set '{tag}' mtu {to}"),
                LinkChange::Up => write!(f, "ip link set '{tag}' up"),
                LinkChange::Down => write!(f, "ip link set '{tag}' down"),
            },
            Self::AddAddress { tag, address } => {
                let nodad = if address.addr().is_ipv6() { " nodad" } else { "" };
                write!(f, "ip address add {address} dev '{tag}'{nodad}")
            }
            Self::RemoveAddress { tag, address } => {
                write!(f, "ip address del {address} dev '{tag}'")
            }
            Self::AddElement { table, element, tag } => write!(
                f,
                "nft 'add element inet {table} {} {{ {} }}'",
                element.set(),
                element.with_comment(tag)
            ),
            Self::RemoveElement { table, element, .. } => {
                write!(
                    f,
                    "nft 'delete element inet {table} {} {{ {} }}'",
                    element.set(),
                    element.key()
                )
            }
            Self::DeleteLink { tag } => write!(f, "ip link del '{tag}'"),
        }
    }
}

/// ` mtu N`, or nothing.
struct Mtu(Option<u32>);

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |mtu| write!(f, " mtu {mtu}"))
    }
}

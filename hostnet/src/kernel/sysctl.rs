//! Settings that are changed by writing to /proc/sys/net only, which shows those of the calling thread's namespace.

use super::attributes::{append, attribute};
use super::netlink::{Netlink, Refusal};
use crate::error::Errno;
use crate::spec::Family;
use rtnetlink::packet_core::DefaultNla;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};

/// `RTM_GETNETCONF`, `NETCONFA_IFINDEX` with what stands for all devices, and `NETCONFA_FORWARDING`.
const GET_NETCONF: u16 = 82;
const IFINDEX: u16 = 1;
const ALL: i32 = -1;
const FORWARDING: u16 = 2;
/// The length of `netconfmsg` with its padding.
const NETCONFMSG_LEN: usize = 4;

/// Which versions of IP the namespace forwards packets of.
pub(super) fn forwarding(netlink: &mut Netlink) -> Result<BTreeSet<Family>, Refusal> {
    let mut families = BTreeSet::new();
    for (number, family) in [(2, Family::V4), (10, Family::V6)] {
        let mut body = vec![number, 0, 0, 0];
        append(&mut body, &[DefaultNla::new(IFINDEX, ALL.to_ne_bytes().to_vec())]);
        match netlink.ask_raw(GET_NETCONF, &body, 0) {
            Ok(answer) => {
                let settings = answer.get(NETCONFMSG_LEN..).unwrap_or_default();
                if attribute(settings, FORWARDING).and_then(super::attributes::number) != Some(0) {
                    families.insert(family);
                }
            }
            // A kernel without IPv6 forwards none.
            Err(Refusal::Kernel { errno: Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT, .. }) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(families)
}

/// Makes the namespace forward packets of one version of IP.
pub(super) fn enable_forwarding(family: Family) -> Result<(), Refusal> {
    if family == Family::V6 {
        keep_router_advertisements()?;
    }
    Ok(fs::write(path(family), "1")?)
}

/// Lets a device answer for the IPv6 addresses that it is told to. `is_its_name` is asked once the setting is at hand: the
/// name may have become another device's meanwhile.
pub(super) fn enable_proxy_ndp(
    name: &str,
    is_its_name: impl FnOnce() -> Result<bool, Refusal>,
) -> Result<(), Refusal> {
    let path = format!("/proc/sys/net/ipv6/conf/{name}/proxy_ndp");
    let mut setting = match fs::OpenOptions::new().write(true).open(path) {
        Ok(setting) => setting,
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if is_its_name()? {
        setting.write_all(b"1")?;
    }
    Ok(())
}

const fn path(family: Family) -> &'static str {
    match family {
        Family::V4 => "/proc/sys/net/ipv4/ip_forward",
        Family::V6 => "/proc/sys/net/ipv6/conf/all/forwarding",
    }
}

/// With `accept_ra=1` a device drops what it learned from routers as soon as the host forwards; 2 keeps it.
fn keep_router_advertisements() -> Result<(), Refusal> {
    for device in fs::read_dir("/proc/sys/net/ipv6/conf")? {
        let device = device?;
        // What later devices start with is not ours to change.
        if device.file_name() == "all" || device.file_name() == "default" {
            continue;
        }
        let setting = device.path().join("accept_ra");
        let kept = fs::read_to_string(&setting).and_then(|value| match value.trim() {
            "1" => fs::write(&setting, "2"),
            _ => Ok(()),
        });
        match kept {
            // The device is gone by now.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

//! The few settings that have no netlink message. /proc/sys/net shows those of the calling thread's namespace.

use super::netlink::Refusal;
use crate::spec::Family;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};

/// Which versions of IP the namespace forwards packets of.
pub(super) fn forwarding() -> Result<BTreeSet<Family>, Refusal> {
    let mut families = BTreeSet::new();
    for family in [Family::V4, Family::V6] {
        match fs::read_to_string(path(family)) {
            Ok(value) if value.trim() != "0" => {
                families.insert(family);
            }
            // A kernel without IPv6 forwards none.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
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

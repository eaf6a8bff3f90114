//! The few settings that have no netlink message. /proc/sys/net shows those of the calling thread's namespace.

use super::netlink::Refusal;
use std::fs;

const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Whether the namespace forwards IPv4 packets.
pub(super) fn ip_forward() -> Result<bool, Refusal> {
    Ok(fs::read_to_string(IP_FORWARD)?.trim() != "0")
}

/// Makes the namespace forward IPv4 packets.
pub(super) fn enable_ip_forward() -> Result<(), Refusal> {
    Ok(fs::write(IP_FORWARD, "1")?)
}

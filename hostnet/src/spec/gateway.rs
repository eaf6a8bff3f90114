//! Which addresses can be gateways, and what is derived from a network's name and MAC.

use super::{NetworkError, NetworkName};
use ipnet::IpNet;
use macaddr::MacAddr6;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) fn check_gateway(gateway: IpNet) -> Result<(), NetworkError> {
    let (longest, example) = match gateway {
        IpNet::V4(_) => (30, "172.16.0.1/16"),
        IpNet::V6(_) => (126, "fd00:16::1/64"),
    };
    if gateway.prefix_len() > longest {
        return Err(NetworkError::PrefixTooLong { gateway, longest });
    }
    let address = gateway.addr();
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let unspecified = gateway.network().is_unspecified();
    if address.is_loopback() || address.is_multicast() || link_local || unspecified {
        return Err(NetworkError::NotUnicast { gateway, example });
    }
    // IPv6 has no broadcast; its first address is every router's (RFC 4291, 2.6.1).
    let last = gateway.addr().is_ipv4() && address == gateway.broadcast();
    if last || address == gateway.network() {
        let example = match gateway.trunc() {
            IpNet::V4(prefix) => {
                let first = Ipv4Addr::from(u32::from(prefix.network()).saturating_add(1));
                IpNet::new(first.into(), prefix.prefix_len())
            }
            IpNet::V6(prefix) => {
                let first = Ipv6Addr::from(u128::from(prefix.network()).saturating_add(1));
                IpNet::new(first.into(), prefix.prefix_len())
            }
        };
        return Err(NetworkError::GatewayReserved { gateway, example: example.unwrap_or(gateway) });
    }
    Ok(())
}

pub(super) fn is_unicast(mac: MacAddr6) -> bool {
    mac.is_unicast() && !mac.is_nil()
}

/// The link-local address with this MAC in its lower half (RFC 4291, appendix A).
pub(crate) fn link_local(mac: MacAddr6) -> Ipv6Addr {
    let mac = mac.into_array();
    let (oui, rest) = mac.split_at(3);
    let interface = oui.iter().chain(&[0xff, 0xfe]).chain(rest);
    let mut address = [0; 16];
    address.iter_mut().zip([0xfe, 0x80]).for_each(|(to, from)| *to = from);
    address.iter_mut().skip(8).zip(interface).for_each(|(to, from)| *to = *from);
    address[8] ^= 0b10;
    address.into()
}

/// A locally administered unicast MAC from the network's name (64-bit FNV-1a, cut to five bytes).
pub(super) fn derived_mac(name: &NetworkName) -> MacAddr6 {
    let hash = crate::tag::fnv1a(name.as_str().as_bytes());
    let mut mac = [0x02; 6];
    mac.iter_mut().skip(1).zip(hash.to_be_bytes()).for_each(|(to, from)| *to = from);
    MacAddr6::from(mac)
}

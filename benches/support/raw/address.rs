use super::link::{CREATE, Route, byte};
use super::message::Message;
use nix::libc;
use std::net::Ipv4Addr;

// Numbers of `linux/if_addr.h` and `linux/rtnetlink.h`.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;

impl Route {
    /// Gives a device an address.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn add_address(&mut self, index: u32, address: Ipv4Addr, len: u8) {
        let [a, b, c, d] = index.to_ne_bytes();
        let message = Message::new(libc::RTM_NEWADDR, CREATE)
            .header(&[byte(libc::AF_INET), len, 0, 0, a, b, c, d])
            .attribute(IFA_LOCAL, &address.octets())
            .attribute(IFA_ADDRESS, &address.octets());
        self.done(&message, "address");
    }

    /// A route to a prefix, through a device or a router.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn add_route(&mut self, (to, len): (Ipv4Addr, u8), via: Via) {
        const MAIN: u8 = 254;
        const STATIC: u8 = 4;
        const UNICAST: u8 = 1;
        let scope = match via {
            Via::Device(_) => 253,
            Via::Router(_) => 0,
        };
        let family = byte(libc::AF_INET);
        let message = Message::new(libc::RTM_NEWROUTE, CREATE)
            .header(&[family, len, 0, 0, MAIN, STATIC, scope, UNICAST, 0, 0, 0, 0]);
        let message = if len == 0 { message } else { message.attribute(RTA_DST, &to.octets()) };
        let message = match via {
            Via::Device(index) => message.attribute(RTA_OIF, &index.to_ne_bytes()),
            Via::Router(router) => message.attribute(RTA_GATEWAY, &router.octets()),
        };
        self.done(&message, "route");
    }
}

/// Where a route leads.
#[derive(Debug, Clone, Copy)]
pub enum Via {
    /// The prefix is on this device's wire.
    Device(u32),
    /// This router knows.
    Router(Ipv4Addr),
}

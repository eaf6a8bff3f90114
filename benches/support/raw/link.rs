use super::message::{Message, attributes};
use super::socket::Socket;
use super::tap::Tap;
use nix::errno::Errno;
use nix::libc;
use std::os::fd::{AsRawFd as _, BorrowedFd};

// Numbers of `linux/rtnetlink.h`, `linux/if_link.h` and `linux/veth.h`.
const NEWLINKPROP: u16 = 108;
const IFLA_IFALIAS: u16 = 20;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const BRPORT_ISOLATED: u16 = 33;
const VETH_INFO_PEER: u16 = 1;
const INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;
const SKIP_STATS: u32 = 8;
/// A link group of the floor's own, where hostnet has its owner's.
const BIRTH_GROUP: u32 = 0x5000_0000;

const ACK: u16 = number(libc::NLM_F_REQUEST | libc::NLM_F_ACK);
pub(super) const CREATE: u16 = ACK | number(libc::NLM_F_CREATE | libc::NLM_F_EXCL);
const DUMP: u16 = number(libc::NLM_F_REQUEST | libc::NLM_F_DUMP);

/// The kernel's devices, in the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Route {
    socket: Socket,
}

/// What hostnet tells the kernel of a TAP.
#[derive(Debug, Clone)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The MAC of the host's end.
    pub mac: [u8; 6],
    /// Its tag.
    pub tag: String,
}

/// What a minimal parser takes from one device of a dump.
#[derive(Debug, Clone)]
pub struct Dumped {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its altname.
    pub tag: Option<String>,
    /// The bridge it is a port of.
    pub master: Option<u32>,
}

impl Default for Route {
    fn default() -> Self {
        Self { socket: Socket::route() }
    }
}

impl Route {
    /// The index of the device of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn index(&mut self, name: &str) -> u32 {
        self.find(name).unwrap_or_else(|| panic!("no device {name}"))
    }

    /// Whether there is a device of this name, and its index.
    pub fn find(&mut self, name: &str) -> Option<u32> {
        let message = link(libc::RTM_GETLINK, ACK, 0, Flags::Same)
            .attribute(IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes())
            .text(IFLA_IFNAME, name);
        let mut found = None;
        let _ = self.socket.dump(&message, |body| found = Some(index_of(body)));
        found
    }

    /// A TAP as hostnet makes it: born exclusively, set up in one message, tagged, made persistent, let go of.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn create_tap(&mut self, port: &Port) {
        let tap = Tap::create(&port.name);
        self.set_up(port);
        self.tag(&port.name, &port.tag);
        tap.persist();
    }

    /// Makes a device an isolated port of a bridge, and then brings it up.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn attach(&mut self, tag: &str, bridge: u32) {
        let message = link(libc::RTM_SETLINK, ACK, 0, Flags::Same)
            .attribute(IFLA_MASTER, &bridge.to_ne_bytes())
            .text(IFLA_ALT_IFNAME, tag);
        self.done(&message, "attach");
        let message = link(libc::RTM_NEWLINK, ACK, 0, Flags::Up)
            .nest(IFLA_LINKINFO, |info| {
                info.text(INFO_SLAVE_KIND, "bridge")
                    .nest(INFO_SLAVE_DATA, |port| port.attribute(BRPORT_ISOLATED, &[1]))
            })
            .text(IFLA_ALT_IFNAME, tag);
        self.done(&message, "isolate");
    }

    /// Makes a device a port of a bridge, in one message, and brings it up.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn attach_index(&mut self, index: u32, bridge: u32) {
        let message = link(libc::RTM_SETLINK, ACK, index, Flags::Up)
            .attribute(IFLA_MASTER, &bridge.to_ne_bytes());
        self.done(&message, "attach");
    }

    /// Brings a device up.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn up(&mut self, name: &str) {
        let message = link(libc::RTM_SETLINK, ACK, 0, Flags::Up).text(IFLA_IFNAME, name);
        self.done(&message, "up");
    }

    /// Changes nothing about a device, under the kernel's network lock: what somebody else would have to wait for.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn touch(&mut self, index: u32) {
        let message = link(libc::RTM_SETLINK, ACK, index, Flags::Same)
            .attribute(IFLA_GROUP, &0_u32.to_ne_bytes());
        self.done(&message, "touch");
    }

    /// Sets a device up and tags it, as hostnet does with what was not made by a TAP's descriptor.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn adopt(&mut self, port: &Port) {
        self.set_up(port);
        self.tag(&port.name, &port.tag);
    }

    /// Alias with the time, MAC, and no IPv6 addresses of its own, in one message.
    fn set_up(&mut self, port: &Port) {
        let message = link(libc::RTM_SETLINK, ACK, 0, Flags::Same)
            .text(IFLA_IFALIAS, "hostnet: made at 1795000000")
            .nest(IFLA_AF_SPEC, no_ipv6)
            .text(IFLA_IFNAME, &port.name)
            .attribute(IFLA_ADDRESS, &port.mac)
            .attribute(IFLA_GROUP, &BIRTH_GROUP.to_ne_bytes());
        self.done(&message, "set up");
    }

    /// Tags a device, with the generation and without.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn tag(&mut self, name: &str, tag: &str) {
        let (identity, _) = tag.rsplit_once(':').expect("a generation");
        let message = link(NEWLINKPROP, CREATE, 0, Flags::Same)
            .text(IFLA_IFNAME, name)
            .nest(IFLA_PROP_LIST, |list| {
                list.text(IFLA_ALT_IFNAME, tag).text(IFLA_ALT_IFNAME, identity)
            });
        self.done(&message, "tag");
    }

    /// Deletes the device with this tag.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn delete(&mut self, tag: &str) {
        let message = link(libc::RTM_DELLINK, ACK, 0, Flags::Same).text(IFLA_ALT_IFNAME, tag);
        self.done(&message, "delete");
    }

    /// Puts a device into a group.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn set_group(&mut self, index: u32, group: u32) {
        let message = link(libc::RTM_SETLINK, ACK, index, Flags::Same)
            .attribute(IFLA_GROUP, &group.to_ne_bytes());
        self.done(&message, "mark");
    }

    /// Puts the device with this tag into a group.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn set_group_by_tag(&mut self, tag: &str, group: u32) {
        let message = link(libc::RTM_SETLINK, ACK, 0, Flags::Same)
            .attribute(IFLA_GROUP, &group.to_ne_bytes())
            .text(IFLA_ALT_IFNAME, tag);
        self.done(&message, "mark");
    }

    /// Deletes all devices of a group at once.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn delete_group(&mut self, group: u32) {
        let message = link(libc::RTM_DELLINK, ACK, 0, Flags::Same)
            .attribute(IFLA_GROUP, &group.to_ne_bytes());
        self.done(&message, "sweep");
    }

    /// Deletes every device but those of these names, and `lo`: for what is between two measurements.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn clear(&mut self, keep: &[&str]) {
        const GROUP: u32 = 0x3000_0000;
        let gone: Vec<_> = self
            .dump()
            .into_iter()
            .filter(|link| link.name != "lo" && !keep.contains(&link.name.as_str()))
            .collect();
        for link in &gone {
            self.set_group(link.index, GROUP);
        }
        if !gone.is_empty() {
            self.delete_group(GROUP);
        }
    }

    /// Every device, read with a parser that takes index, name, altname and bridge and nothing else.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn dump(&mut self) -> Vec<Dumped> {
        let message = link(libc::RTM_GETLINK, DUMP, 0, Flags::Same)
            .attribute(IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
        let mut links = Vec::new();
        let dumped = self.socket.dump(&message, |body| links.push(parse(body)));
        dumped.expect("a dump");
        links
    }

    /// A bridge with a fixed MAC, up.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn create_bridge(&mut self, name: &str) {
        let message = link(libc::RTM_NEWLINK, CREATE, 0, Flags::Up)
            .text(IFLA_IFNAME, name)
            .attribute(IFLA_ADDRESS, &[0x02, 0, 0, 0, 0, 1])
            .nest(IFLA_LINKINFO, |info| info.text(INFO_KIND, "bridge"));
        self.done(&message, "bridge");
    }

    /// A veth pair. The main end is born, up, in the namespace of this socket, the other one, down, in `netns`.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn create_veth(
        &mut self,
        (here, here_mac): (&str, [u8; 6]),
        (there, there_mac): (&str, [u8; 6]),
        netns: BorrowedFd<'_>,
    ) {
        let message = link(libc::RTM_NEWLINK, CREATE, 0, Flags::Up)
            .text(IFLA_IFNAME, here)
            .attribute(IFLA_ADDRESS, &here_mac)
            .nest(IFLA_LINKINFO, |info| {
                info.text(INFO_KIND, "veth").nest(INFO_DATA, |data| {
                    data.nest(VETH_INFO_PEER, |peer| {
                        peer.header(&[0; 16])
                            .text(IFLA_IFNAME, there)
                            .attribute(IFLA_ADDRESS, &there_mac)
                            .attribute(IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes())
                    })
                })
            });
        self.done(&message, "veth");
    }

    pub(super) fn done(&mut self, message: &Message, doing: &str) {
        self.socket.request(message).unwrap_or_else(|errno: Errno| panic!("{doing}: {errno}"));
    }
}

#[derive(Clone, Copy)]
enum Flags {
    Same,
    Up,
}

/// A message about a device: `ifinfomsg`.
fn link(kind: u16, flags: u16, index: u32, state: Flags) -> Message {
    let up = match state {
        Flags::Same => 0,
        Flags::Up => libc::IFF_UP,
    };
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&up.to_ne_bytes());
    header[12..16].copy_from_slice(&up.to_ne_bytes());
    Message::new(kind, flags).header(&header)
}

fn no_ipv6(message: Message) -> Message {
    message.nest(byte(libc::AF_INET6).into(), |settings| {
        settings.attribute(INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE])
    })
}

fn index_of(body: &[u8]) -> u32 {
    u32::from_ne_bytes(body[4..8].try_into().expect("four bytes"))
}

fn parse(body: &[u8]) -> Dumped {
    let text = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(bytes)).into_owned()
    };
    let mut link = Dumped { index: index_of(body), name: String::new(), tag: None, master: None };
    for (kind, value) in attributes(&body[16..]) {
        match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_MASTER => link.master = value.first_chunk().map(|b| u32::from_ne_bytes(*b)),
            IFLA_PROP_LIST => {
                link.tag = attributes(value)
                    .find(|(kind, _)| *kind == IFLA_ALT_IFNAME)
                    .map(|(_, name)| text(name));
            }
            _ => {}
        }
    }
    link
}

/// A flag of `libc`, which has them as signed numbers, in the width that netlink has.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "netlink's flags are sixteen bits wide"
)]
const fn number(flags: libc::c_int) -> u16 {
    flags as u16
}

pub(super) fn byte(number: libc::c_int) -> u8 {
    u8::try_from(number).expect("a small number")
}

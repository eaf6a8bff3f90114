//! Steps as the commands they stand for.

use super::{DeviceSetup, LinkChange, LinkSetting, Op, Rules, VethEnd};
use crate::firewall::{Element, TableFamily, TableName};
use crate::spec::{Family, TapOptions};
use crate::tag::{Role, Tag, birth_group};
use core::fmt;

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut commands = Commands { inside: String::new(), list: Vec::new() };
        commands.op(self);
        f.write_str(&commands.list.join("\n"))
    }
}

/// Whole commands, in order; one may have several lines.
struct Commands {
    /// What comes before a command that is to be run in a namespace.
    inside: String,
    list: Vec<String>,
}

impl Commands {
    fn add(&mut self, command: impl fmt::Display) {
        self.list.push(format!("{}{command}", self.inside));
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::EnableForwarding { family: Family::V4 } => {
                self.add("sysctl -w net.ipv4.ip_forward=1");
            }
            Op::EnableForwarding { family: Family::V6 } => {
                self.add(
                    "sh -c 'for f in /proc/sys/net/ipv6/conf/*/accept_ra; do case $f in */all/*|*/default/*) ;; \
                     *) if grep -qx 1 $f; then echo 2 >$f; fi ;; esac; done'",
                );
                self.add("sysctl -w net.ipv6.conf.all.forwarding=1");
            }
            Op::CreateTable { table, rules } => self.rules(table, rules),
            Op::RepairTable { table, rules } => {
                for family in TableFamily::ALL {
                    if matches!(rules, Rules::Host) || family == TableFamily::Inet {
                        self.add(format_args!("nft 'flush table {family} {table}'"));
                    }
                }
                self.rules(table, rules);
            }
            Op::RemoveTable { table } => {
                // The namespace of a VM has the one family only.
                self.add(format_args!("nft 'delete table inet {table}'"));
                if self.inside.is_empty() {
                    self.add(format_args!("nft 'delete table bridge {table}'"));
                }
            }
            Op::AddElement { table, element, tag } => {
                self.element("add", table, element, &element.with_comment(tag));
            }
            Op::RemoveElement { table, element, .. } => {
                self.element("delete", table, element, &element.key());
            }
            Op::CreateNamespace { name, inside, tag } => {
                self.add(format_args!("ip netns add {name}"));
                self.inside = format!("ip netns exec {name} ");
                self.add("ip link set lo up");
                self.add(
                    "ip link set lo alias \"hostnet: of netns $(stat -Lc %i /proc/$$/ns/net)\"",
                );
                self.tag("lo", tag);
                for op in inside {
                    self.op(op);
                }
                self.inside.clear();
            }
            Op::InNamespace { name, inside, .. } => {
                self.inside = format!("ip netns exec {name} ");
                for op in inside {
                    self.op(op);
                }
                self.inside.clear();
            }
            Op::DeleteNamespace { name, .. } => self.add(format_args!("ip netns del {name}")),
            _ => self.device(op),
        }
    }

    fn rules(&mut self, table: &TableName, rules: &Rules) {
        let text = match rules {
            Rules::Host => table.ruleset(),
            Rules::Gate(gate) => gate.ruleset(table),
        };
        self.add(format_args!("nft -f - <<'EOF'\n{text}EOF"));
    }

    fn element(&mut self, verb: &str, table: &TableName, element: &Element, text: &str) {
        let (family, set) = (element.family(), element.set());
        self.add(format_args!("nft '{verb} element {family} {table} {set} {{ {text} }}'"));
    }

    fn device(&mut self, op: &Op) {
        match op {
            Op::CreateBridge { name, mac, mtu, tag } => {
                let group = birth_group(tag.owner());
                self.add(format_args!(
                    "ip link add {name} address {mac} mtu {mtu} group {group} type bridge"
                ));
                self.tag(name.as_str(), tag);
                self.add(format_args!("sysctl -w net.ipv6.conf.{name}.addr_gen_mode=1"));
                // A shard has no addresses, so nothing leaves by it that the host made.
                if tag.role() == Role::Bridge {
                    self.add(format_args!("sysctl -w net.ipv4.conf.{name}.promote_secondaries=1"));
                    self.add(format_args!("sysctl -w net.ipv4.conf.{name}.route_localnet=1"));
                }
                self.add(format_args!("ip link set '{tag}' up"));
            }
            Op::DeleteHalfMade { name, .. } => self.add(format_args!("ip link del '{name}'")),
            Op::CreateTap { name, mac, mtu, options, setup, tag } => {
                self.add(format_args!("ip tuntap add dev {name} mode tap{}", TapFlags(*options)));
                self.tag(name.as_str(), tag);
                self.set_up(name.as_str(), *setup);
                self.add(format_args!(
                    "ip link set {name} address {mac} mtu {mtu} group {}",
                    setup.group
                ));
            }
            Op::CreateVeth { here, there, mtu } => self.veth(here, there, *mtu),
            Op::CreateVxlan { vxlan, mtu, tag } => {
                let learning = if vxlan.learns() { "learning" } else { "nolearning" };
                let name = vxlan.device();
                self.add(format_args!(
                    "ip link add {name} mtu {mtu} group {} type vxlan id {} local {} dstport {} {learning}",
                    birth_group(tag.owner()),
                    vxlan.vni(),
                    vxlan.local(),
                    vxlan.port()
                ));
                self.tag(name.as_str(), tag);
                self.add(format_args!("sysctl -w net.ipv6.conf.{name}.addr_gen_mode=1"));
            }
            Op::AttachPort { port, bridge, isolated, .. } => {
                self.add(format_args!("ip link set '{port}' master '{bridge}'"));
                self.isolation(port, *isolated);
                self.add(format_args!("ip link set '{port}' up"));
            }
            Op::RestorePort { port, to } => {
                let master =
                    to.master.map_or_else(|| "nomaster".to_owned(), |i| format!("master if{i}"));
                let state = if to.up { "up" } else { "down" };
                self.add(format_args!("ip link set '{port}' {master} {state}"));
                if to.master.is_some() {
                    self.isolation(port, to.isolated);
                }
            }
            Op::SetLink { tag, change } => self.change(tag, change),
            Op::AddAddress { tag, address } => {
                let nodad = if address.addr().is_ipv6() { " nodad" } else { "" };
                self.add(format_args!("ip address add {address} dev '{tag}'{nodad}"));
            }
            Op::RemoveAddress { tag, address } => {
                self.add(format_args!("ip address del {address} dev '{tag}'"));
            }
            Op::AddRoute { tag, route } => {
                self.add(format_args!("ip route add {route} dev '{tag}' proto {}", Op::PROTOCOL));
            }
            Op::RemoveRoute { tag, route } => {
                self.add(format_args!("ip route del {route} dev '{tag}' proto {}", Op::PROTOCOL));
            }
            Op::AddNeighbour { tag, entry } => match entry.mac {
                Some(mac) => self.add(format_args!(
                    "ip neigh replace {} lladdr {mac} nud permanent dev '{tag}' protocol {}",
                    entry.address,
                    Op::PROTOCOL
                )),
                None => self.add(format_args!(
                    "ip neigh add proxy {} nud permanent dev '{tag}' protocol {}",
                    entry.address,
                    Op::PROTOCOL
                )),
            },
            Op::RemoveNeighbour { tag, entry } => {
                let proxy = if entry.mac.is_none() { "proxy " } else { "" };
                self.add(format_args!("ip neigh del {proxy}{} dev '{tag}'", entry.address));
            }
            Op::AddPeer { tag, peer } => self.add(format_args!(
                "bridge fdb append {} dev '{tag}' dst {} self permanent",
                peer.mac, peer.host
            )),
            Op::RemovePeer { tag, peer } => self.add(format_args!(
                "bridge fdb del {} dev '{tag}' dst {} self",
                peer.mac, peer.host
            )),
            Op::DeleteLink { tag } => self.add(format_args!("ip link del '{tag}'")),
            // Everything that is not about one device is in `op`.
            _ => {}
        }
    }

    fn tag(&mut self, name: &str, tag: &Tag) {
        self.add(format_args!(
            "ip link property add dev {name} altname '{tag}' altname '{}'",
            tag.identity()
        ));
    }

    fn set_up(&mut self, name: &str, setup: DeviceSetup) {
        self.add(format_args!("sysctl -w net.ipv6.conf.{name}.addr_gen_mode=1"));
        if setup.proxy {
            for setting in LinkSetting::OF_ROUTED {
                self.add(format_args!("sysctl -w net.ipv4.conf.{name}.{setting}=1"));
            }
            self.add(format_args!("sysctl -w net.ipv4.neigh.{name}.proxy_delay=0"));
            self.add(format_args!("sysctl -w net.ipv6.neigh.{name}.proxy_delay=0"));
            self.add(format_args!("sysctl -w net.ipv6.conf.{name}.proxy_ndp=1"));
        }
    }

    fn veth(&mut self, here: &VethEnd, there: &VethEnd, mtu: u32) {
        let end = |end: &VethEnd| {
            let mac = end.mac.map_or_else(String::new, |mac| format!(" address {mac}"));
            format!("{}{mac} mtu {mtu} group {}", end.name, end.setup.group)
        };
        // In a namespace, the other end is born where this shell is.
        let outside = if self.inside.is_empty() { "" } else { " netns $$" };
        self.add(format_args!(
            "ip link add {} up type veth peer {}{outside}",
            end(here),
            end(there)
        ));
        self.set_up(here.name.as_str(), here.setup);
        self.tag(here.name.as_str(), &here.tag);
        let inside = core::mem::take(&mut self.inside);
        self.set_up(there.name.as_str(), there.setup);
        self.tag(there.name.as_str(), &there.tag);
        self.inside = inside;
    }

    fn isolation(&mut self, port: &Tag, isolated: bool) {
        let on = if isolated { "on" } else { "off" };
        self.add(format_args!("ip link set '{port}' type bridge_slave isolated {on}"));
    }

    fn change(&mut self, tag: &Tag, change: &LinkChange) {
        match change {
            LinkChange::Name { to, .. } => {
                self.add(format_args!("ip link set '{tag}' name '{to}'"));
            }
            LinkChange::Mac { to, .. } => {
                self.add(format_args!("ip link set '{tag}' address {to}"));
            }
            LinkChange::Mtu { to, .. } => self.add(format_args!("ip link set '{tag}' mtu {to}")),
            LinkChange::Group { to, .. } => {
                self.add(format_args!("ip link set '{tag}' group {to}"));
            }
            LinkChange::Isolation { to, .. } => self.isolation(tag, *to),
            LinkChange::Rate { device, to: Some(rate), .. } => self.add(format_args!(
                "tc qdisc replace dev '{device}' root tbf rate {}bps burst {} limit {}",
                rate.bytes_per_second(),
                rate.burst(),
                rate.queue()
            )),
            LinkChange::Rate { device, to: None, .. } => {
                self.add(format_args!("tc qdisc del dev '{device}' root"));
            }
            LinkChange::Setting { device, setting, to, .. } => self.add(format_args!(
                "sysctl -w 'net.ipv4.conf.{}.{setting}={}'",
                device.replace('.', "/"),
                u8::from(*to)
            )),
            LinkChange::Up => self.add(format_args!("ip link set '{tag}' up")),
            LinkChange::Down => self.add(format_args!("ip link set '{tag}' down")),
        }
    }
}

/// How a TAP is made, as `ip tuntap` is told.
struct TapFlags(TapOptions);

impl fmt::Display for TapFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(options) = self;
        if let Some(uid) = options.uid {
            write!(f, " user {uid}")?;
        }
        if let Some(gid) = options.gid {
            write!(f, " group {gid}")?;
        }
        f.write_str(if options.vnet_hdr { " vnet_hdr" } else { "" })?;
        f.write_str(if options.multi_queue { " multi_queue" } else { "" })
    }
}

impl Op {
    /// Our number in the protocol fields of routes and neighbours: the `h` of hostnet, which nobody else has.
    pub(crate) const PROTOCOL: u8 = b'h';
}

impl fmt::Display for super::Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        self.source.map_or(Ok(()), |source| write!(f, " src {source}"))
    }
}

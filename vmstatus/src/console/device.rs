/// What a network device is to the question "where can this guest be reached?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A network card, a bond, a team or a VLAN.
    Ordinary,
    /// A bridge of the guest's own, which may hold the address of the card below it. It counts
    /// only when it carries the default route.
    Bridge,
    /// Loopback, tunnels, and what containers and hypervisors inside the guest have made.
    Internal,
}

/// Names that begin so and continue as they like.
const INTERNAL: &[&str] = &[
    "docker",
    "cni",
    "veth",
    "flannel",
    "cali",
    "cilium",
    "lxc",
    "lxdbr",
    "incusbr",
    "virbr",
    "vnet",
    "podman",
    "nerdctl",
    "crio",
    "cbr",
    "kube",
    "nodelocaldns",
    "weave",
    "vxlan",
    "genev",
    "ovs-system",
    "ovn",
    "antrea",
    "nomad",
    "azure",
    "tun",
    "tap",
    "macvtap",
    "wg",
    "tailscale",
    "zt",
    "utun",
    "ppp",
    "gre",
    "erspan",
    "sit",
    "ip6tnl",
    "tunl",
    "ip_vti",
    "ip6_vti",
    "ip6gre",
    "dummy",
    "ifb",
    "teql",
    "pflog",
    "pfsync",
    "gif",
    "stf",
    "vmnet",
    "vboxnet",
    "nlmon",
];

/// Names that begin so and continue with digits.
const BRIDGES: &[&str] = &["br", "bridge", "vmbr", "xenbr", "ovsbr"];

impl Class {
    pub(super) fn of(name: &str) -> Self {
        // A VLAN or an alias is of the class of what it sits on.
        let base = name.split(['.', ':', '@']).next().unwrap_or(name);
        if numbered(base, "lo")
            || INTERNAL.iter().any(|prefix| base.starts_with(prefix))
            || is_container_bridge(base)
            || is_pod_interface(base)
        {
            Self::Internal
        } else if base.starts_with("br-") || BRIDGES.iter().any(|prefix| numbered(base, prefix)) {
            Self::Bridge
        } else {
            Self::Ordinary
        }
    }
}

/// Whether the device shares the card of another one: a VLAN or an alias.
pub(super) fn is_on_another(name: &str) -> bool {
    name.contains(['.', ':'])
}

/// Docker and its kin name a network's bridge `br-` and twelve hexadecimal digits.
fn is_container_bridge(name: &str) -> bool {
    name.strip_prefix("br-")
        .is_some_and(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Amazon's CNI names the host's end of a pod `eni` and eleven hexadecimal digits.
fn is_pod_interface(name: &str) -> bool {
    name.strip_prefix("eni")
        .is_some_and(|id| id.len() == 11 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::Class;

    #[test]
    fn classes() {
        for name in
            ["eth0", "enp1s0", "ens3", "vtnet0", "bond0.100", "wlan0", "en0", "hn0", "team1"]
        {
            assert_eq!(Class::of(name), Class::Ordinary, "{name}");
        }
        for name in ["br0", "bridge0", "vmbr1", "br-ex"] {
            assert_eq!(Class::of(name), Class::Bridge, "{name}");
        }
        for name in [
            "lo",
            "lo0",
            "docker0",
            "cni0",
            "br-001903b485d3",
            "veth9e3c1a2@if4",
            "flannel.1",
            "tailscale0",
            "wg0",
            "virbr0",
            "vnet0:11",
            "eni0123456789a",
            "cali12ab",
        ] {
            assert_eq!(Class::of(name), Class::Internal, "{name}");
        }
    }
}

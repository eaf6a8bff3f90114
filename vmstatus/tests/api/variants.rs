//! The same things said differently: what a log looks like on other systems, screens and networks.

use vmstatus::console::{CloudInit, Scanner};

const HEAD: &str = "\
ci-info: ++++Net device info++++
ci-info: +--------+------+---------+------+-------+------------+
ci-info: | Device |  Up  | Address | Mask | Scope | Hw-Address |
ci-info: +--------+------+---------+------+-------+------------+
";
const LO: &str = "ci-info: |   lo   | True | 127.0.0.1 | 255.0.0.0 | host | . |\n";
const ROUTES: &str = "\
ci-info: +--------+------+---------+------+-------+------------+
ci-info: ++++Route IPv4 info++++
ci-info: +-------+-------------+---------+---------+-----------+-------+
ci-info: | Route | Destination | Gateway | Genmask | Interface | Flags |
ci-info: +-------+-------------+---------+---------+-----------+-------+
";

fn scan(log: impl AsRef<[u8]>) -> Scanner {
    let mut scanner = Scanner::new();
    scanner.push(log.as_ref());
    scanner
}

/// Name, address and the last octet of the MAC of the primary interface.
fn primary(log: impl AsRef<[u8]>) -> (String, Option<String>, Option<u8>) {
    let scanner = scan(log);
    let boot = scanner.boot();
    let primary = boot.primary().expect("an interface");
    (
        primary.name.into(),
        primary.ipv4.map(|ip| ip.to_string()),
        primary.mac.map(|mac| mac.as_bytes()[5]),
    )
}

fn is(
    name: &str,
    ipv4: Option<&str>,
    mac: impl Into<Option<u8>>,
) -> (String, Option<String>, Option<u8>) {
    (name.into(), ipv4.map(Into::into), mac.into())
}

fn row(name: &str, ipv4: &str, mac: u8) -> String {
    format!(
        "ci-info: | {name} | True | {ipv4} | 255.255.255.0 | global | 52:54:00:00:00:{mac:02x} |\n"
    )
}

fn default_route(name: &str) -> String {
    format!("{ROUTES}ci-info: | 0 | 0.0.0.0 | 192.0.2.1 | 0.0.0.0 | {name} | UG |\n")
}

#[test]
fn devices_of_every_name() {
    for name in [
        "eth0",
        "enp1s0",
        "ens3f0np0",
        "enP2p1s0",
        "eno1",
        "eth0.100",
        "bond0",
        "bond0.7",
        "wlan0",
        "team0",
        "enx525400000007",
        "vtnet0",
        "em0",
        "hn0",
        "ena0",
        "venet0:0",
        "net0",
    ] {
        let log = format!("{HEAD}{LO}{}", row(name, "192.0.2.7", 7));
        assert_eq!(primary(log), is(name, Some("192.0.2.7"), 7));
    }
}

#[test]
fn what_containers_make_is_never_primary() {
    for name in [
        "docker0",
        "cni0",
        "br-0a1b2c3d4e5f",
        "veth0a1b2c3",
        "virbr0",
        "flannel.1",
        "cali0a1b2c3d4e5",
        "lxdbr0",
        "tailscale0",
        "wg0",
        "kube-ipvs0",
        "docker_gwbridge",
        "tunl0@NONE",
        "cilium_host",
        "podman0",
        "ifb0",
        "dummy0",
    ] {
        let log = format!("{HEAD}{}{LO}", row(name, "172.17.0.1", 1));
        assert_eq!(scan(&log).boot().primary(), None, "{name}");
        // Not even with the default route.
        let log = format!("{log}{}", default_route(name));
        assert_eq!(scan(&log).boot().primary(), None, "{name}");
        let log = format!(
            "{HEAD}{}{}{}",
            row(name, "172.17.0.1", 1),
            row("zz9", "192.0.2.7", 7),
            default_route(name)
        );
        assert_eq!(primary(&log), is("zz9", Some("192.0.2.7"), 7), "{name}");
    }
}

#[test]
fn a_card_that_is_half_of_a_pair_has_its_peer_in_its_name() {
    let rows =
        format!("{HEAD}{}{}", row("eth0@if7", "192.0.2.7", 7), row("eth1@if9", "192.0.2.9", 9));
    assert_eq!(primary(&rows), is("eth0@if7", Some("192.0.2.7"), 7));
    assert_eq!(
        primary(format!("{rows}{}", default_route("eth1"))),
        is("eth1@if9", Some("192.0.2.9"), 9)
    );
}

#[test]
fn a_route_over_a_device_without_a_row_does_not_decide() {
    let log = format!("{HEAD}{}{}", row("eth0", "192.0.2.7", 7), default_route("eth9"));
    assert_eq!(primary(log), is("eth0", Some("192.0.2.7"), 7));
}

#[test]
fn the_head_says_where_the_columns_are() {
    let log = "\
ci-info: ++++Net device info++++
ci-info: | Hw-Address | Device | Up | Mask | Address |
ci-info: | 52:54:00:00:00:07 | eth0 | True | 255.255.255.0 | 192.0.2.7 |
ci-info: | 52:54:00:00:00:09 | eth1 | True | 255.255.255.0 | 192.0.2.9 |
ci-info: +----+
ci-info: ++++Route IPv4 info++++
ci-info: | Route | Interface | Destination | Genmask | Gateway | Metric | Flags |
ci-info: | 0 | eth1 | 0.0.0.0 | 0.0.0.0 | 192.0.2.1 | 100 | UG |
";
    assert_eq!(primary(log), is("eth1", Some("192.0.2.9"), 9));
    // One more column than any version has.
    let log = "\
ci-info: ++++Net device info++++
ci-info: | Device | Up | Address | Mask | Scope | MTU | Hw-Address |
ci-info: | eth0 | True | 192.0.2.7 | 255.255.255.0 | global | 1500 | 52:54:00:00:00:07 |
";
    assert_eq!(primary(log), is("eth0", Some("192.0.2.7"), 7));
}

/// A log as a screen of so many columns shows it.
fn wrapped(log: &str, columns: usize) -> String {
    let mut screen = String::new();
    for line in log.lines() {
        for part in line.as_bytes().chunks(columns) {
            screen += core::str::from_utf8(part).unwrap();
            screen += "\r\n";
        }
    }
    screen
}

#[test]
fn rows_that_a_screen_has_wrapped_are_put_together() {
    let log = "\
ci-info: +++++++++++++++++++++++++++++++++++Net device info++++++++++++++++++++++++++++++++++++
ci-info: +--------+------+----------------------------+---------------+--------+-------------------+
ci-info: | Device |  Up  |          Address           |      Mask     | Scope  |     Hw-Address    |
ci-info: +--------+------+----------------------------+---------------+--------+-------------------+
ci-info: |  ens3  | True |        192.168.1.77        | 255.255.255.0 | global | 52:54:00:15:7a:e3 |
ci-info: |  ens4  | True |        192.168.2.77        | 255.255.255.0 | global | 52:54:00:15:7a:e4 |
ci-info: |   lo   | True |         127.0.0.1          |   255.0.0.0   |  host  |         .         |
ci-info: +--------+------+----------------------------+---------------+--------+-------------------+
ci-info: +++++++++++++++++++++++++++Route IPv4 info+++++++++++++++++++++++++++
ci-info: +-------+-------------+---------------+---------------+-----------+-------+
ci-info: | Route | Destination |    Gateway    |    Genmask    | Interface | Flags |
ci-info: +-------+-------------+---------------+---------------+-----------+-------+
ci-info: |   0   |   0.0.0.0   | 192.168.2.254 |    0.0.0.0    |    ens4   |   UG  |
ci-info: +-------+-------------+---------------+---------------+-----------+-------+
";
    for columns in 72..120 {
        assert_eq!(
            primary(wrapped(log, columns)),
            is("ens4", Some("192.168.2.77"), 0xe4),
            "{columns}"
        );
        let prefixed = log.replace("ci-info:", "[   12.345678] cloud-init[501]: ci-info:");
        let cut = wrapped(&prefixed, columns + 20);
        assert_eq!(primary(cut), is("ens4", Some("192.168.2.77"), 0xe4), "{columns}");
    }
    // Where the cut goes through an address the row is torn: what is told stands in the log.
    for columns in 60..72 {
        let scanner = scan(wrapped(log, columns));
        let ipv4 = scanner.boot().primary().and_then(|primary| primary.ipv4);
        assert!(ipv4.is_none_or(|ip| ip.octets()[3] == 77), "{columns}");
    }
}

#[test]
fn a_cut_row_takes_nothing_but_its_rest() {
    let first = "ci-info: | eth0 | True | 192.0.2.7 | 255.255.255.0 |\n";
    for rest in [
        "[   12.3] eth0: link up\n",
        "[   12.3] | global | 52:54:00:00:00:66 |\n",
        " glo bal | 52:54:00:00:00:66 |\n",
        " global | 52:54:00:00:00:66\n",
        " global | 52:54:00:00:00:66 | more |\n",
        "x\n global | 52:54:00:00:00:66 |\n",
    ] {
        assert_eq!(scan(format!("{HEAD}{first}{rest}")).boot().primary(), None, "{rest}");
    }
    let whole = format!("{HEAD}{first} global | 52:54:00:00:00:07 |\n");
    assert_eq!(primary(whole), is("eth0", Some("192.0.2.7"), 7));
    // An address in two parts is none.
    let cut = format!(
        "{HEAD}ci-info: | eth0 | True | 192.0.2.7\n7 | 255.255.255.0 | global | 52:54:00:00:00:07 |\n"
    );
    assert_eq!(scan(cut).boot().primary(), None);
}

#[test]
fn an_address_that_somebody_has_hidden_leaves_the_mac() {
    for hidden in ["192.0.2.xxx", "x.x.x.x", "REDACTED", "192.0.2"] {
        let log = format!("{HEAD}{}{LO}", row("eth0", hidden, 7));
        assert_eq!(primary(log), is("eth0", None, 7));
    }
    let masked = row("eth0", "192.0.2.7", 7).replace("00:00:00:07", "xx:xx:xx:xx");
    assert_eq!(primary(format!("{HEAD}{masked}")), is("eth0", Some("192.0.2.7"), None));
}

#[test]
fn addresses_in_every_notation() {
    for cell in ["192.0.2.7", "192.0.2.7/24", "192.0.2.7/32", "addr:192.0.2.7"] {
        for mask in ["255.255.255.0", "255.255.255.255", "0xffffff00", ".", "24"] {
            let log = format!(
                "{HEAD}ci-info: | eth0 | True | {cell} | {mask} | . | 52:54:00:00:00:07 |\n"
            );
            assert_eq!(primary(log), is("eth0", Some("192.0.2.7"), 7), "{cell} {mask}");
        }
    }
    assert_eq!(primary(format!("{HEAD}{}", row("eth0", "192.0.2.7/33", 7))), is("eth0", None, 7));
}

#[test]
fn only_ipv6_gives_the_mac_of_the_card_with_the_route() {
    let rows = "\
ci-info: | eth0 | True | fe80::1/64 | . | link | 52:54:00:00:00:01 |
ci-info: | eth1 | True | fe80::2/64 | . | link | 52:54:00:00:00:02 |
ci-info: | eth1 | True | 2001:db8::2/64 | . | global | 52:54:00:00:00:02 |
ci-info: | eth2 | True | 2001:db8::3/64 | . | global | 52:54:00:00:00:03 |
";
    assert_eq!(primary(format!("{HEAD}{rows}")), is("eth1", None, 2));
    let routes = "\
ci-info: +---+
ci-info: +++++++++++++++++++Route IPv6 info+++++++++++++++++++
ci-info: +-------+-------------+---------+-----------+-------+
ci-info: | Route | Destination | Gateway | Interface | Flags |
ci-info: +-------+-------------+---------+-----------+-------+
ci-info: |   0   |  fe80::/64  |    ::   |    eth0   |   U   |
ci-info: |   1   |    ::/0     | fe80::9 |    eth2   |   UG  |
";
    assert_eq!(primary(format!("{HEAD}{rows}{routes}")), is("eth2", None, 3));
}

#[test]
fn a_link_local_ipv4_address_says_less_than_a_global_ipv6_one() {
    let link_local = row("eth1", "169.254.0.1", 1);
    let global = "ci-info: | eth2 | True | 2001:db8::2/64 | . | global | 52:54:00:00:00:02 |\n";
    assert_eq!(primary(format!("{HEAD}{link_local}{global}")), is("eth2", None, 2));
    let alone = "ci-info: | eth2 | True | fe80::2/64 | . | link | 52:54:00:00:00:02 |\n";
    assert_eq!(primary(format!("{HEAD}{alone}{link_local}")), is("eth1", None, 1));
}

#[test]
fn prefixes_of_every_kind() {
    for prefix in [
        "",
        "[    7.027994] cloud-init[582]: ",
        "<14>Jan  6 10:00:00 ec2: ",
        "Jan  6 10:00:00 fargo cloud-init[582]: ",
        "Jan 06 10:00:00 fargo [CLOUDINIT] ",
        "[2025-01-06 10:00:00] ",
        "2025-01-06T10:00:00.123456+00:00 fargo cloud-init: ",
        "    qemu: ",
        "> ",
        "{\"log\":\"",
        "\u{2502} ",
    ] {
        let log = format!("{HEAD}{}{LO}", row("eth0", "192.0.2.7", 7))
            .replace("ci-info:", &format!("{prefix}ci-info:"));
        assert_eq!(primary(&log), is("eth0", Some("192.0.2.7"), 7), "{prefix}");
        assert_eq!(
            primary(log.replace('\n', "\r\r\n")),
            is("eth0", Some("192.0.2.7"), 7),
            "{prefix}"
        );
        assert_eq!(primary(log.replace('\n', "\r")), is("eth0", Some("192.0.2.7"), 7), "{prefix}");
        assert_eq!(
            primary(log.replace('\n', "\\n\",\"stream\":\"stderr\"}\n")),
            is("eth0", Some("192.0.2.7"), 7)
        );
    }
}

#[test]
fn the_last_of_several_tables_counts() {
    let first = format!("{HEAD}{}{}", row("eth0", "192.0.2.7", 7), default_route("eth0"));
    let second = format!("{HEAD}{}{}", row("eth1", "192.0.2.9", 9), default_route("eth1"));
    assert_eq!(primary(format!("{first}{second}")), is("eth1", Some("192.0.2.9"), 9));
    let boot = "[    0.000000] Linux version 6.8.0\n";
    assert_eq!(primary(format!("{boot}{first}{boot}{second}")), is("eth1", Some("192.0.2.9"), 9));
    // A table that is not there yet does not wipe out the one before.
    assert_eq!(primary(format!("{first}{HEAD}")), is("eth0", Some("192.0.2.7"), 7));
}

#[test]
fn version_0_6_with_and_without_blank_fields() {
    for (rows, name, ipv4, mac) in [
        (
            "eth0  : 1 10.0.0.2        255.255.255.0   fa:16:3e:00:00:07",
            "eth0",
            Some("10.0.0.2"),
            7,
        ),
        ("eth0  : 1 .               .               fa:16:3e:00:00:07", "eth0", None, 7),
        ("eth0  : 1                                 fa:16:3e:00:00:07", "eth0", None, 7),
        ("eth0  : 0 10.0.0.2        255.255.255.0   fa:16:3e:00:00:07", "eth0", None, 7),
        (
            "enp0s3: 1 10.0.0.2        255.255.255.255 fa:16:3e:00:00:07",
            "enp0s3",
            Some("10.0.0.2"),
            7,
        ),
    ] {
        let log =
            format!("ci-info: lo    : 1 127.0.0.1       255.0.0.0       .\nci-info: {rows}\n");
        assert_eq!(primary(log), is(name, ipv4, mac), "{rows}");
    }
}

#[test]
fn cirros_of_all_versions() {
    let log = "\
=== network info ===
if-info: lo,up,127.0.0.1,8,::1
if-info: eth0,up,192.0.2.21,24,fe80::f816:3eff:fe57:3a24
[    9.100000] random: nonblocking pool is initialized

ip-route:default via 192.0.2.1 dev eth0
=== datasource: None None ===
";
    assert_eq!(primary(log), is("eth0", Some("192.0.2.21"), None));
    // An address that may go on is not told.
    for cut in ["if-info: eth0,up,192.0.2.2", "if-info: eth0,up,192.0.2.2\n", "if-info: eth0,up"] {
        assert_eq!(scan(format!("=== network info ===\n{cut}")).boot().primary(), None, "{cut}");
    }
    // Lines are listened to for a while, not for ever.
    let silence = "no news\n".repeat(300);
    let late = "if-info: eth0,up,6.6.6.6,24,\n";
    assert_eq!(scan(format!("=== network info ===\n{silence}{late}")).boot().primary(), None);
}

#[test]
fn login_prompts_of_every_system() {
    for (line, host) in [
        ("fargo login: ", Some("fargo")),
        ("fargo login:", Some("fargo")),
        ("fargo.example.org login: root", Some("fargo.example.org")),
        ("[2025-01-06 10:00:00] fargo login: ", Some("fargo")),
        ("\x1b[1;32mfargo login: \x1b[0m", Some("fargo")),
        ("login: ", Some("")),
        ("Last login: Mon Jan  6 10:00:00 2025 from 192.0.2.1", None),
        ("Last failed login: Mon Jan  6 10:00:00 2025", None),
        ("systemd-logind[9]: new login: x", None),
        ("fargo login:x", None),
    ] {
        assert_eq!(scan(line).boot().login_prompt(), host, "{line}");
        assert_eq!(scan(format!("{line}\r\n")).boot().login_prompt(), host, "{line}");
    }
}

#[test]
fn cloud_init_finishes_in_many_words() {
    for line in [
        "Cloud-init v. 24.1.3 finished at Mon, 06 Jan 2025 10:00:20 +0000. Datasource DataSourceNoCloud.  Up 20.01 seconds",
        "[   20.0] cloud-init[612]: Cloud-init v. 0.7.5 finished at Mon, 06 Jan 2014 10:00:20 +0000.",
        "cloud-init boot finished at Mon, 05 Dec 2011 10:00:09 +0000. Up 11.02 seconds",
        "[\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mCloud-init target\x1b[0m.",
        "[  OK  ] Reached target cloud-init.target - Cloud-init target.",
    ] {
        assert_eq!(scan(format!("{line}\n")).boot().cloud_init(), CloudInit::Finished, "{line}");
    }
    for line in [
        "[   20.0] cloud-init[612]: Cloud-init v. 24.1.3 running 'modules:final' at Mon, 06 Jan 2025",
        "[  OK  ] Reached target Cloud-config availability.",
    ] {
        assert_ne!(scan(format!("{line}\n")).boot().cloud_init(), CloudInit::Finished, "{line}");
    }
}

#[test]
fn control_bytes_within_a_row_do_not_hide_it() {
    let log = format!("{HEAD}{}", row("eth0", "192.0.2.7", 7));
    for (place, _) in log.match_indices(|_| true) {
        for control in ["\0", "\0\0\0", "\x1b[0m", "\x1b[1;32m", "\x1b(B"] {
            let mut noisy = log.clone();
            noisy.insert_str(place, control);
            assert_eq!(primary(&noisy), is("eth0", Some("192.0.2.7"), 7), "{noisy:?}");
        }
    }
    // After every byte.
    let wide: String = log.chars().flat_map(|c| [c, '\0']).collect();
    assert_eq!(primary(wide), is("eth0", Some("192.0.2.7"), 7));
}

#[test]
fn a_guest_that_claims_a_million_cards_is_not_listened_to() {
    let rows: String =
        (0..5000).map(|number| row(&format!("eth{number}"), "192.0.2.7", 7)).collect();
    let many =
        (0..200).map(|octet| row("eth0", &format!("192.0.2.{octet}"), 7)).collect::<String>();
    let scanner = scan(format!("{HEAD}{rows}{many}{}", default_route("eth1").repeat(100)));
    let boot = scanner.boot();
    let network = boot.network().unwrap();
    assert_eq!(network.interfaces().len(), 1024);
    assert_eq!(network.interfaces()[0].ipv4().len(), 64);
    assert_eq!(network.default_routes().count(), 1);
}

//! Torn, spoofed, hostile and contradictory input.

use core::time::Duration;

use vmstatus::address::{Candidate, Confidence, Rejection, Resolver, Source};
use vmstatus::console::Scanner;
use vmstatus::neighbour::{Neighbour, NeighbourState};
use vmstatus::registry::{Registry, RegistryError};
use vmstatus::{BannerError, Escaped, Generation, SshAnswer, SshBanner, neighbour, parse_mac};

use crate::fixtures::*;

const HEAD: &str = "\
ci-info: ++++Net device info++++
ci-info: +--------+------+---------+------+-------+------------+
ci-info: | Device |  Up  | Address | Mask | Scope | Hw-Address |
ci-info: +--------+------+---------+------+-------+------------+
";

/// The primary IPv4 address that the console shows, if any.
fn ipv4(log: impl AsRef<[u8]>) -> Option<String> {
    let mut scanner = Scanner::new();
    scanner.push(log.as_ref());
    scanner.boot().primary()?.ipv4.map(|ip| ip.to_string())
}

#[test]
fn a_row_that_a_user_prints_changes_nothing() {
    let spoof = "ci-info: |  ens3  | True | 6.6.6.6 | 255.0.0.0 | global | 52:54:00:15:7a:e3 |\n";
    assert_eq!(ipv4(format!("{BOTH_ROWS}\n$ echo\n{spoof}")).as_deref(), Some("192.168.1.77"));
    assert_eq!(ipv4(format!("{IPV6_ONLY}{spoof}")), None);
    assert_eq!(ipv4(format!("{IPV6_ONLY}fargo login: \n{spoof}")), None);
    assert_eq!(ipv4(format!("[ 0.000000] Linux version 6.8.0\n{spoof}")), None);
    let plain = "ci-info: ens3  : 1 6.6.6.6  255.0.0.0  52:54:00:15:7a:e3\n";
    assert_eq!(ipv4(format!("{BOTH_ROWS}\n{plain}")).as_deref(), Some("192.168.1.77"));
    assert_eq!(ipv4(format!("{PLAIN}demo login: \n{plain}")).as_deref(), Some("203.0.113.5"));
    let cirros = "if-info: eth1,up,6.6.6.6,24,\n";
    assert_eq!(ipv4(format!("{CIRROS}\n{cirros}")).as_deref(), Some("192.0.2.150"));
    let keys = "ci-info: ++++Authorized keys for user ubuntu++++\n";
    assert_eq!(ipv4(format!("{IPV6_ONLY}{keys}{spoof}")), None);
}

#[test]
fn torn_rows_are_not_read() {
    let whole =
        "ci-info: | eth0 | True | 192.0.2.33 | 255.255.255.0 | global | 52:54:00:00:00:33 |";
    for cut in 0..whole.len() {
        let log = format!("{HEAD}{}", &whole[..cut]);
        assert_eq!(ipv4(&log), None, "{log}");
        assert_eq!(ipv4(format!("{log}\n")), None, "{log}");
        let torn = format!("{HEAD}{}[   12.3] random: crng init done\n{whole}\n", &whole[..cut]);
        assert_eq!(ipv4(&torn).as_deref(), Some("192.0.2.33"), "{torn}");
    }
    // The closing bar makes the row whole, with or without a line end.
    assert_eq!(ipv4(format!("{HEAD}{whole}")).as_deref(), Some("192.0.2.33"));
    assert_eq!(ipv4(format!("{HEAD}{whole}[ 12.3] eth0: up")).as_deref(), Some("192.0.2.33"));
    let two = format!("{HEAD}{whole}{}\n", whole.replace("eth0", "eth1").replace(".33", ".34"));
    let mut scanner = Scanner::new();
    scanner.push(two.as_bytes());
    assert_eq!(scanner.boot().network().unwrap().interfaces().len(), 2);
}

#[test]
fn kernel_lines_between_rows_do_not_matter() {
    let noisy = BOTH_ROWS.replace('\n', "\n[   9.1] e1000: link up\n\n");
    assert_eq!(ipv4(noisy).as_deref(), Some("192.168.1.77"));
}

#[test]
fn bytes_that_no_terminal_shows_do_not_matter() {
    let plain = "| eth0 | True | 192.0.2.33 | 255.255.255.0 | global | 52:54:00:00:00:33 |";
    for row in [
        "| \x1b[0;32meth0\x1b[0m | True | 192.0.2.33 | 255.255.255.0 | global | 52:54:00:00:00:33 |",
        "| [0;32meth0[0m | True | 192.0.2.33 | 255.255.255.0 | global | 52:54:00:00:00:33 |",
        "| eth0 | Tr\0ue | 192\0.0.2.33 | 255.255.255.0 | global | 52:54:00:00:00:33 |\0",
        "\x1b]0;title\x07| eth0 | True | 192.0.2.33 | 255.255.255.0 | global | 52:54:00:00:00:33 |",
        "|\teth0\t| True | 192.0.2.33 | 255.255.255.0 | global | 52:54:00:00:00:33 |",
    ] {
        assert_eq!(ipv4(format!("{HEAD}ci-info: {row}\n")).as_deref(), Some("192.0.2.33"), "{row}");
    }
    // Also inside the words that the scan looks for.
    let hidden = format!("{HEAD}ci-info: {plain}\n").replace("ci-info", "c\0i-\x1b[1minfo");
    assert_eq!(ipv4(hidden).as_deref(), Some("192.0.2.33"));
    let mut invalid = vec![0xff, 0xfe, b'\n', 0];
    invalid.extend_from_slice(format!("{HEAD}\u{fc} ci-info: {plain} \u{fc}\n").as_bytes());
    assert_eq!(ipv4(invalid).as_deref(), Some("192.0.2.33"));
}

#[test]
fn addresses_that_no_host_has_are_not_primary() {
    for address in ["127.0.0.9", "169.254.17.3", "0.0.0.0", "255.255.255.255", "224.0.0.1", "."] {
        let row = format!(
            "ci-info: | eth0 | True | {address} | 255.0.0.0 | link | 52:54:00:00:00:01 |\n"
        );
        let mut scanner = Scanner::new();
        scanner.push(format!("{HEAD}{row}").as_bytes());
        let boot = scanner.boot();
        let primary = boot.primary().unwrap();
        assert_eq!((primary.ipv4, primary.mac.is_some()), (None, true), "{address}");
    }
}

#[test]
fn the_default_route_decides_and_bridges_need_it() {
    let rows = "\
ci-info: | br0  | True | 192.0.2.1 | 255.255.255.0 | global | 52:54:00:00:00:01 |
ci-info: | eno1 | True | . | . | . | 52:54:00:00:00:01 |
ci-info: +------+------+
ci-info: ++++Route IPv4 info++++
ci-info: | Route | Destination | Gateway | Genmask | Interface | Flags |
";
    assert_eq!(ipv4(format!("{HEAD}{rows}")), None);
    let half = "ci-info: | 0 | 0.0.0.0 | 192.0.2.9 | 128.0.0.0 | br0 | UG |\n";
    assert_eq!(ipv4(format!("{HEAD}{rows}{half}")), None);
    let default = "ci-info: | 0 | 0.0.0.0 | 192.0.2.9 | 0.0.0.0 | br0 | UG |\n";
    assert_eq!(ipv4(format!("{HEAD}{rows}{default}")).as_deref(), Some("192.0.2.1"));
    // A default route through a tunnel says nothing about where the guest is reached.
    let tunnel = "ci-info: | 0 | 0.0.0.0 | 10.8.0.1 | 0.0.0.0 | wg0 | UG |\n";
    let log = CONTAINERS.to_owned() + "ci-info: ++++Route IPv4 info++++\n" + tunnel;
    assert_eq!(ipv4(log).as_deref(), Some("198.51.100.7"));
}

#[test]
fn a_down_card_has_no_address_to_reach() {
    let row =
        "ci-info: | eth0 | False | 192.0.2.3 | 255.255.255.0 | global | 52:54:00:00:00:03 |\n";
    assert_eq!(ipv4(format!("{HEAD}{row}")), None);
}

#[test]
fn a_log_without_its_head_still_counts_until_the_next_boot() {
    let tail = BOTH_ROWS.split_once("Hw-Address    |\n").unwrap().1;
    assert_eq!(ipv4(tail).as_deref(), Some("192.168.1.77"));
    assert_eq!(ipv4(format!("{tail}\n{IPV6_ONLY}")), None);
}

#[test]
fn a_new_boot_drops_the_old_address() {
    let mut scanner = Scanner::new();
    scanner.push(BOTH_ROWS.as_bytes());
    assert_eq!(scanner.boots(), 1);
    scanner.push(b"\n[  99.9] reboot: Restarting system\n");
    assert!(scanner.boot().has_ended());
    assert!(scanner.boot().network().is_some());
    scanner.push(b"SeaBIOS (version 1.16.2)\n");
    assert_eq!(scanner.boots(), 2);
    assert!(scanner.boot().network().is_none());
    scanner.push(b"[    0.000000] Linux version 6.8.0\n");
    assert_eq!((scanner.boots(), scanner.boot().login_prompt()), (2, None));
}

#[test]
fn tables_alone_tell_boots_apart() {
    let table = |log: &str| {
        log.lines().filter(|l| l.contains("ci-info")).collect::<Vec<_>>().join("\n") + "\n"
    };
    let mut scanner = Scanner::new();
    scanner.push(table(IPV6_ONLY).as_bytes());
    assert_eq!((scanner.boots(), scanner.boot().primary().unwrap().ipv4), (1, None));
    scanner.push(table(BOTH_ROWS).as_bytes());
    assert_eq!(scanner.boots(), 2);
    assert_eq!(scanner.boot().primary().unwrap().ipv4, Some([192, 168, 1, 77].into()));
    // A title without rows is no table yet: the last whole one stands.
    scanner.push(HEAD.as_bytes());
    assert_eq!(scanner.boots(), 2);
    assert!(scanner.boot().network().is_some());
}

#[test]
fn a_line_without_end_is_held_to_its_limit() {
    let mut scanner = Scanner::new();
    for _ in 0..64 {
        scanner.push(&[b'x'; 1024]);
    }
    scanner.push(b" Kernel panic - not syncing: far out\n");
    assert_eq!(scanner.boot().trouble(), None);
    assert_eq!(scanner.offset(), 64 * 1024 + 37);
    scanner.restart();
    assert_eq!(scanner.offset(), 0);
}

#[test]
fn host_keys_need_their_frame_and_their_own_name() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTEx root@fargo\n";
    let keys = |log: String| {
        let mut scanner = Scanner::new();
        scanner.push(log.as_bytes());
        scanner.boot().host_keys().len()
    };
    let framed = |key: &str| {
        format!("-----BEGIN SSH HOST KEY KEYS-----\n{key}-----END SSH HOST KEY KEYS-----\n")
    };
    assert_eq!(keys(framed(key)), 1);
    assert_eq!(keys(framed(&key.repeat(2))), 1);
    assert_eq!(keys(key.into()), 0);
    assert_eq!(keys(framed(&key.replace("ed25519", "rsa"))), 0);
    assert_eq!(keys(framed("ssh-rsa AAAA root@fargo\n")), 0);
}

#[test]
fn banners_are_what_rfc_4253_says() {
    for good in [
        "SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.5",
        "SSH-1.99-Cisco-1.25",
        "SSH-2.0-dropbear_2022.83\r\n",
    ] {
        let banner: SshBanner = good.parse().unwrap();
        assert_eq!(banner.as_str(), good.trim_end());
    }
    let err = |line: &[u8]| SshBanner::new(line).unwrap_err();
    assert!(matches!(err(b"SSH-1.5-old"), BannerError::NotSsh { .. }));
    assert!(matches!(err(b"SSH-2.0-"), BannerError::NoSoftware { .. }));
    assert!(matches!(err(b"SSH-2.0- x"), BannerError::NoSoftware { .. }));
    assert!(matches!(err(b"SSH-2.0-x\x1b[2J"), BannerError::NotPrintable { .. }));
    assert!(matches!(err("SSH-2.0-\u{e9}".as_bytes()), BannerError::NotPrintable { .. }));
    let long = [b"SSH-2.0-".as_slice(), &[b'x'; 246]].concat();
    assert!(matches!(err(&long), BannerError::TooLong { length: 254 }));
    assert!(SshBanner::new(&long[..253]).is_ok());
    assert_eq!(
        err(b"\x1b[2J\xff\r\n").to_string(),
        r"`\x1b[2J\xff` does not start with SSH-2.0- or SSH-1.99-; point the probe at an SSH server"
    );
    let many = "hello\n".repeat(33);
    assert!(matches!(
        SshBanner::find(format!("{many}SSH-2.0-x\r\n").as_bytes()),
        Err(BannerError::TooManyLines { .. })
    ));
    assert!(
        SshBanner::find(format!("{}SSH-2.0-x\r\n", "hello\n".repeat(32)).as_bytes())
            .unwrap()
            .is_some()
    );
    assert!(SshBanner::find(&[b'x'; 256]).is_err());
    assert!(SshBanner::find(b"SSH-2.0-x").unwrap().is_none());
}

#[test]
fn text_of_others_is_safe_to_print() {
    let text = Escaped::from_bytes(&[0x1b; 300]);
    assert_eq!(text.as_str(), r"\x1b".repeat(256) + "...");
}

const NOW: Duration = Duration::from_secs(1_700_000_000);
const BOOT: Generation = Generation::new(1, 2);

fn candidate(last: u8, source: Source) -> Candidate {
    Candidate::new([192, 168, 64, last].into(), source, NOW, BOOT)
}

#[test]
fn sources_are_preferred_in_their_order() {
    use Source::{Cache, Console, Dns, Lease, Neighbour};
    let all =
        [Dns, Neighbour, Cache, Lease, Console].map(|source| candidate(source as u8 + 2, source));
    for (count, chosen) in [(5, Console), (4, Lease), (2, Neighbour), (1, Dns)] {
        let resolution = Resolver::new(BOOT, NOW).resolve(&all[..count]);
        assert_eq!(resolution.chosen().unwrap().source(), chosen);
        assert_eq!(resolution.others().len(), count - 1);
    }
}

#[test]
fn a_cached_address_needs_a_second_witness() {
    let cache = candidate(9, Source::Cache);
    let resolver = Resolver::new(BOOT, NOW);
    let resolution = resolver.resolve(&[cache]);
    assert_eq!(resolution.chosen(), None);
    assert_eq!(
        resolution.to_string(),
        "no IPv4 address; registry cache says 192.168.64.9 (unconfirmed)"
    );
    // The neighbour table confirms it.
    let resolution = resolver.resolve(&[cache, candidate(9, Source::Neighbour)]);
    assert_eq!(resolution.chosen().unwrap().confidence(), Confidence::Confirmed);
    assert!(resolution.others().is_empty());
    // A name that is as old does not.
    let resolution = resolver.resolve(&[cache, candidate(9, Source::Dns)]);
    assert_eq!(resolution.chosen().unwrap().source(), Source::Dns);
    // A banner from the address itself does, but not one of another boot or place.
    let answer = |ip: [u8; 4], boot| {
        SshAnswer::new("SSH-2.0-x".parse().unwrap(), (ip, 22).into(), NOW, boot)
    };
    for (answer, confirmed) in [
        (answer([192, 168, 64, 9], BOOT), true),
        (answer([192, 168, 64, 9], Generation::new(1, 1)), false),
        (answer([127, 0, 0, 1], BOOT), false),
    ] {
        let resolution = resolver.clone().with_answer(&answer).resolve(&[cache]);
        assert_eq!(resolution.chosen().is_some(), confirmed);
    }
}

#[test]
fn candidates_that_cannot_be_right_are_refused_with_a_reason() {
    let (ours, other) = (parse_mac(b"2:0:0:0:0:1").unwrap(), parse_mac(b"2:0:0:0:0:2").unwrap());
    let resolver =
        Resolver::new(BOOT, NOW).with_subnet("192.168.64.0/24".parse().unwrap()).with_mac(ours);
    let of = |ip: [u8; 4], boot| Candidate::new(ip.into(), Source::Lease, NOW, boot);
    let good = candidate(7, Source::Lease);
    for (bad, why) in [
        (of([169, 254, 1, 1], BOOT), Rejection::NotAHost),
        (of([192, 168, 64, 7], Generation::new(1, 1)), Rejection::OlderBoot),
        (of([192, 168, 64, 7], Generation::new(2, 0)), Rejection::NewerBoot),
        (of([10, 130, 128, 252], BOOT), Rejection::OutsideSubnets),
        (good.with_mac(other), Rejection::OtherMac),
        (good.with_expiry(NOW), Rejection::Expired),
    ] {
        let resolution = resolver.resolve(&[bad]);
        assert_eq!(resolution.refused(), [(bad, why)]);
        assert_eq!(resolution.chosen(), None);
    }
    let good = good.with_mac(ours).with_expiry(NOW + Duration::from_secs(1));
    assert_eq!(resolver.resolve(&[good]).chosen(), Some(good));
}

#[test]
fn of_two_neighbours_with_one_mac_the_fresh_one_is_chosen() {
    let mac = parse_mac(b"52:54:00:15:7a:e3").unwrap();
    let entry = |last: u8, state| Neighbour::new([192, 168, 64, last].into(), mac, state);
    let table = [
        entry(5, NeighbourState::Stale),
        entry(6, NeighbourState::Reachable),
        entry(7, NeighbourState::Failed),
        Neighbour::incomplete([192, 168, 64, 8].into()),
    ];
    let candidates: Vec<_> = neighbour::by_mac(&table, mac)
        .filter_map(|entry| Candidate::from_neighbour(entry, NOW, BOOT))
        .collect();
    let resolution = Resolver::new(BOOT, NOW).with_mac(mac).resolve(&candidates);
    assert_eq!(
        resolution.to_string(),
        "192.168.64.6 from the neighbour table (52:54:00:15:7a:e3, confirmed); \
         neighbour table says 192.168.64.5"
    );
}

#[test]
fn a_registry_may_be_incomplete_but_not_torn() {
    let registry = Registry::parse(
        br#"{"vms": {"a": {"ip_address": "192.0.2.7", "mac_address": "52:54:0:0:0:7"}, "b": {"ip_address": null}, "c": 7}}"#,
    )
    .unwrap();
    assert_eq!(registry.iter().count(), 3);
    let record = registry.vm("a").unwrap();
    assert_eq!(record.mac, parse_mac(b"52:54:00:00:00:07"));
    let candidate = record.candidate(NOW, BOOT).unwrap();
    assert_eq!(candidate.confidence(), Confidence::Unconfirmed);
    assert_eq!(registry.vm("b").unwrap().candidate(NOW, BOOT), None);
    assert!(registry.vm("d").is_none());
    assert!(matches!(Registry::parse(b"{\"vms\": {"), Err(RegistryError::Json(_))));
    assert!(matches!(Registry::parse(b"[]"), Err(RegistryError::NoVms)));
}

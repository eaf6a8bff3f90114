//! Neighbour tables and lease files in other languages, versions and states of repair.

use core::time::Duration;

use vmstatus::address::Candidate;
use vmstatus::lease::{self, Expiry, Lease};
use vmstatus::{Generation, neighbour, parse_mac};

/// The only entry of a table: address, last octet of the MAC, interface, state.
fn entry(table: &str) -> Option<String> {
    let entries = neighbour::parse(table.as_bytes());
    assert!(entries.len() < 2, "{table}");
    entries.first().map(|entry| {
        let mac = entry.mac().map_or_else(|| "-".into(), |mac| mac.as_bytes()[5].to_string());
        format!("{} {mac} {} {}", entry.ip(), entry.interface().unwrap_or("-"), entry.state())
    })
}

#[test]
fn one_line_of_every_arp() {
    for (line, expected) in [
        ("? (192.0.2.7) at 52:54:0:0:0:7 on en0 ifscope [ethernet]", "192.0.2.7 7 en0 unknown"),
        (
            "? (192.0.2.7) at 52:54:0:0:0:7 on en0 ifscope permanent [ethernet]",
            "192.0.2.7 7 en0 permanent",
        ),
        (
            "vm.lan (192.0.2.7) at 52:54:0:0:0:7 on em0 expires in 9 seconds [ethernet]",
            "192.0.2.7 7 em0 unknown",
        ),
        ("vm (a) (192.0.2.7) at 52:54:0:0:0:7 [ether] on eth0", "192.0.2.7 7 eth0 unknown"),
        (
            "$ arp -a ? (192.0.2.7) at 52:54:0:0:0:7 on bridge100 [bridge]",
            "192.0.2.7 7 bridge100 unknown",
        ),
        ("? (192.0.2.7) auf 52:54:00:00:00:07 [ether] auf eth0", "192.0.2.7 7 eth0 unknown"),
        ("? (192.0.2.7) \u{e0} 52:54:00:00:00:07 [ether] sur eth0", "192.0.2.7 7 eth0 unknown"),
        ("? (192.0.2.7) em <incompleto> em eth0", "192.0.2.7 - eth0 incomplete"),
        ("? (192.0.2.7) auf 52:54:00:00:00:07 [ether] PERM auf eth0", "192.0.2.7 7 eth0 permanent"),
        ("? (192.0.2.7) at 52:54:0:0:0:7 [ethernet] stored in bucket 5", "192.0.2.7 7 - unknown"),
        ("192.0.2.7  52:54:0:0:0:7  1m13s  58s  bridge100  1", "192.0.2.7 7 bridge100 unknown"),
        ("192.0.2.7  (incomplete)  (none)  (none)  en0", "192.0.2.7 - en0 incomplete"),
        ("192.0.2.7  52:54:0:0:0:7  expired  expired  en0", "192.0.2.7 7 en0 unknown"),
        ("192.0.2.7       eth0      52:54:00:00:00:07", "192.0.2.7 7 eth0 unknown"),
        // Torn off after the MAC, and after the flags.
        ("192.0.2.7       ether     52:54:00:00:00:07", "192.0.2.7 7 - unknown"),
        ("192.0.2.7       ether     52:54:00:00:00:07   C", "192.0.2.7 7 - unknown"),
        ("? (192.0.2.7) at (incomplete) on en0 ifscope [ethernet]", "192.0.2.7 - en0 incomplete"),
        ("? (192.0.2.7) at (no entry) on en0", "192.0.2.7 - en0 incomplete"),
        ("? (192.0.2.7) at <from_interface> PERM PUP on eth0", "192.0.2.7 - eth0 incomplete"),
        (
            "192.0.2.7                (unvollst\u{e4}ndig)                      eth0",
            "192.0.2.7 - eth0 incomplete",
        ),
        ("192.0.2.7 ether 52:54:00:00:00:07 CM eth0", "192.0.2.7 7 eth0 permanent"),
        ("192.0.2.7 lladdr 52:54:00:00:00:07 STALE", "192.0.2.7 7 - stale"),
        ("192.0.2.7  FAILED", "192.0.2.7 - - failed"),
        (
            "192.0.2.7 dev eth0 lladdr 52:54:00:00:00:07 extern_learn NOARP",
            "192.0.2.7 7 eth0 noarp",
        ),
        (
            "192.0.2.7 dev vnet0 lladdr 52:54:00:00:00:07 used 1/2/3 probes 4 DELAY",
            "192.0.2.7 7 vnet0 delay",
        ),
        (
            "192.0.2.7        0x1         0xc         00:00:00:00:00:00     *        eth0",
            "192.0.2.7 - eth0 incomplete",
        ),
    ] {
        assert_eq!(entry(line).as_deref(), Some(expected), "{line}");
        assert_eq!(entry(&format!("{line}\r\n")).as_deref(), Some(expected), "{line}");
    }
    for line in [
        "? (192.0.2.7) -- no entry",
        "vm (192.0.2.7)",
        "(192.0.2.7) at the door",
        "192.0.2.7",
        "gateway ether 52:54:00:00:00:07 C eth0",
        "Entries: 4 Skipped: 0 Found: 4",
        "192.0.2.7 dev eth0 proxy",
        "No ARP Entries Found.",
    ] {
        assert_eq!(entry(line), None, "{line}");
    }
}

#[test]
fn windows_in_many_languages_and_versions() {
    for head in [
        "Interface: 192.0.2.1 --- 0x7",
        "Schnittstelle: 192.0.2.1 --- 0x7",
        "Interface\u{a0}: 192.0.2.1 --- 0x7",
        "Interfaccia: 192.0.2.1 --- 0x7",
        "\u{63a5}\u{53e3}: 192.0.2.1 --- 0x7",
        "\u{30a4}\u{30f3}\u{30bf}\u{30fc}\u{30d5}\u{30a7}\u{30a4}\u{30b9}: 192.0.2.1 --- 0x7",
        "Interface: 192.0.2.1 --- 2",
        "Interface: 192.0.2.1 on Interface 0x1000003",
    ] {
        let table = format!(
            "{head}\r\n  Internet  Physical  Type\r\n  192.0.2.7  52-54-00-00-00-07  x\r\n"
        );
        assert_eq!(entry(&table).as_deref(), Some("192.0.2.7 7 192.0.2.1 unknown"), "{head}");
    }
}

#[test]
fn windows_in_utf_16() {
    let table =
        "\u{feff}\r\nInterface: 192.0.2.1 --- 0x7\r\n  192.0.2.7  52-54-00-00-00-07  dynamic\r\n";
    let bytes: Vec<u8> = table.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for length in [bytes.len(), bytes.len() - 1] {
        let entries = neighbour::parse(&bytes[..length]);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].mac(), parse_mac(b"52:54:00:00:00:07"));
        assert_eq!(entries[0].interface(), Some("192.0.2.1"));
    }
}

#[test]
fn json_below_a_prompt_and_with_its_end_torn_off() {
    let lists = r#"[{"dst":"192.0.2.7","dev":"eth0","lladdr":"52:54:00:00:00:07","state":["STALE"]}]
[ {"dst":"192.0.2.8","dev":"eth0","state":["FAILED"]} ]"#;
    let leases = r#"[
  { "ip-address": "192.0.2.7", "mac-address": "52:54:00:00:00:07" },
  { "ip-address": "192.0.2.8", "mac-address": "52:54:00:00:00:08" }
]"#;
    for prompt in ["", "$ sudo cat x\n", "[root@host ~]# cat x\n", "\n\n", "[1] 812\n"] {
        for after in ["", "\n$ ", "\n[root@host ~]# \n"] {
            let of = |json| format!("{prompt}{json}{after}");
            assert_eq!(neighbour::parse(of(lists).as_bytes()).len(), 2, "{prompt}{after}");
            assert_eq!(lease::parse(of(leases).as_bytes()).len(), 2, "{prompt}{after}");
        }
        // Without its last object's end, the list has one less.
        let (lists, leases) = (&lists[..lists.len() - 4], &leases[..leases.len() - 4]);
        assert_eq!(neighbour::parse(format!("{prompt}{lists}").as_bytes()).len(), 1);
        assert_eq!(lease::parse(format!("{prompt}{leases}").as_bytes()).len(), 1);
    }
    assert_eq!(lease::parse(b"[\n\n]\n"), []);
    // A time stamp does not begin a list.
    assert_eq!(lease::parse(b"[ 12.3] x\n0 52:54:00:00:00:07 192.0.2.7 * *\n").len(), 1);
}

fn leases(file: &str) -> Vec<Lease> {
    lease::parse(file.as_bytes())
}

#[test]
fn isc_leases_however_the_lines_are_broken() {
    let file = r#"
server-duid "\000\001;}";
failover peer "x" state { my state normal at 2 2024/01/01 00:00:00; }
lease 192.0.2.10 {
  starts never; ends never; binding state abandoned;
  client-hostname "a;b}";
}
lease 192.0.2.11 { ends 4 2024/01/11 12:00:00; hardware ethernet 52:54:00:00:00:0b; }
lease 192.0.2.12
{
  ends 4 2024/01/11 12:00:00; # }
  hardware ethernet 52:54:0:0:0:c;
  on expiry { set ends = 1; hardware ethernet 52:54:0:0:0:66; }
  client-hostname "two";
}
lease 192.0.2.13 { binding state free; hardware ethernet 52:54:0:0:0:d; ends 4 2024/01/11 12:00:00; }
lease 192.0.2.17 { ends 4 2024/01/11 12:00:00; abandoned; client-hostname "gone"; }
lease 192.0.2.14 {
  hardware ethernet 52:54:0:0:0:e;
  uid "\001torn
lease 192.0.2.15 { ends never; }
lease 192.0.2.16 { ends never"#;
    let found = leases(file);
    let octets: Vec<_> = found
        .iter()
        .map(|lease| {
            (lease.ip().to_string(), lease.mac().map(|mac| mac.as_bytes()[5]), lease.is_released())
        })
        .collect();
    let of = |ip: u8, mac, released| (format!("192.0.2.{ip}"), mac, released);
    assert_eq!(
        octets,
        [
            of(10, None, true),
            of(11, Some(11), false),
            of(12, Some(12), false),
            of(13, Some(13), true),
            of(17, None, true),
            of(15, None, false),
        ]
    );
    assert_eq!(found[0].hostname(), Some("a;b}"));
    assert_eq!(found[2].hostname(), Some("two"));
    let boot = Generation::new(1, 1);
    let candidates =
        found.iter().filter_map(|lease| Candidate::from_lease(lease, Duration::ZERO, boot));
    assert_eq!(candidates.count(), 3);
}

#[test]
fn dnsmasq_leases_of_both_families() {
    let file = "\
duid 00:01:00:01:29:6c:5e:0e:52:54:00:12:34:56
1700003600 52:54:00:00:00:07 192.0.2.7 fargo ff:56:50:4d:98:00:02
1700003600 52:54:00:00:00:08 192.0.2.8
1700003600 123457 2001:db8::7 fargo 00:03:00:01:52:54:00:00:00:07
1700003600 T123458 2001:db8::8 * 00:01
duid
-1 52:54:00:00:00:09 192.0.2.9 x *
";
    let found = leases(file);
    assert_eq!(found.len(), 4);
    assert_eq!(found[0].mac(), parse_mac(b"52:54:00:00:00:07"));
    assert_eq!(found[1].hostname(), None);
    assert_eq!(
        (found[2].mac(), found[2].client_id()),
        (None, Some("00:03:00:01:52:54:00:00:00:07"))
    );
    assert_eq!(found[3].hostname(), None);
}

#[test]
fn libvirt_leases_with_and_without_names() {
    let file = r#"[{"iaid": "7", "ip-address": "2001:db8::7", "mac-address": "52:54:00:00:00:07", "client-duid": "00:01"},
{"ip-address": "192.0.2.8", "mac-address": "52:54:00:00:00:08", "hostname": "", "expiry-time": "1700003600"}]"#;
    let found = leases(file);
    assert_eq!((found[0].client_id(), found[0].expiry()), (Some("00:01"), Expiry::Unknown));
    assert_eq!(
        (found[1].hostname(), found[1].expiry()),
        (None, Expiry::At(Duration::from_secs(1_700_003_600)))
    );
    let table = "\
 Name       MAC address          Protocol     Address
-------------------------------------------------------
 lo         00:00:00:00:00:00    ipv4         127.0.0.1/8
 en0        52:54:0:0:0:9        ipv6         fe80::9/64
 -          -                    ipv4         192.0.2.9/24
 en1        xx:xx:xx:xx:xx:xx    ipv6         fe80::8/64
 -          -                    ipv4         192.0.2.8/24
 N/A        N/A                  N/A          N/A
";
    let macs: Vec<_> = leases(table).iter().map(Lease::mac).collect();
    let mac = parse_mac(b"52:54:00:00:00:09");
    assert_eq!(macs, [None, mac, mac, None, None]);
}

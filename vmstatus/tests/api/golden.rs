//! Input and expected answer, format by format.

use core::time::Duration;

use vmstatus::console::{CloudInit, Scanner, Trouble, TroubleKind};
use vmstatus::lease::Expiry;
use vmstatus::{lease, neighbour, parse_mac};

use crate::fixtures::*;

fn scan(log: &str) -> Scanner {
    let mut scanner = Scanner::new();
    scanner.push(log.as_bytes());
    scanner
}

/// Name, IPv4 and MAC of the primary interface, and the number of boots.
fn primary(log: &str) -> (String, Option<String>, Option<String>, u32) {
    let scanner = scan(log);
    let boot = scanner.boot();
    let primary = boot.primary().expect("a primary interface");
    (
        primary.name.into(),
        primary.ipv4.map(|ip| ip.to_string()),
        primary.mac.map(|mac| mac.to_string().to_lowercase()),
        scanner.boots(),
    )
}

#[test]
fn every_era_of_cloud_init_has_its_primary_interface() {
    let twice = format!("{IPV6_ONLY}{BOTH_ROWS}");
    let crlf = BOTH_ROWS.replace('\n', "\r\n");
    for (log, name, ipv4, mac, boots) in [
        (IPV6_ONLY, "ens3", None, "52:54:00:15:7a:e3", 1),
        (BOTH_ROWS, "ens3", Some("192.168.1.77"), "52:54:00:15:7a:e3", 1),
        (&twice, "ens3", Some("192.168.1.77"), "52:54:00:15:7a:e3", 2),
        (&crlf, "ens3", Some("192.168.1.77"), "52:54:00:15:7a:e3", 1),
        (CONTAINERS, "enp1s0", Some("198.51.100.7"), "52:54:00:00:00:07", 1),
        (PLAIN, "eth0", Some("203.0.113.5"), "fa:16:3e:00:00:01", 1),
        (FIVE_COLUMNS, "eth0", Some("203.0.113.80"), "fa:16:3e:00:00:80", 1),
        (FREEBSD, "vtnet1", Some("192.0.2.140"), "52:54:00:00:00:11", 1),
    ] {
        assert_eq!(
            primary(log),
            (name.into(), ipv4.map(Into::into), Some(mac.into()), boots),
            "{log}"
        );
    }
}

#[test]
fn cirros_lists_its_interfaces_without_macs() {
    assert_eq!(primary(CIRROS), ("eth1".into(), Some("192.0.2.150".into()), None, 1));
    let scanner = scan(CIRROS);
    let boot = scanner.boot();
    let interfaces = boot.network().unwrap().interfaces();
    assert_eq!(interfaces.len(), 3);
    assert_eq!(interfaces[2].ipv6()[1].as_str(), "2001:db8::9/128");
    assert_eq!((boot.cloud_init(), boot.login_prompt()), (CloudInit::Finished, Some("demo")));
}

#[test]
fn a_boot_tells_its_keys_its_end_of_cloud_init_and_its_prompt() {
    let scanner = scan(BOTH_ROWS);
    let boot = scanner.boot();
    assert_eq!(boot.host_keys().len(), 1);
    assert_eq!(boot.host_keys()[0].algorithm(), "ssh-ed25519");
    assert_eq!(boot.cloud_init(), CloudInit::Finished);
    assert_eq!(boot.login_prompt(), Some("fargo"));
    assert!(!boot.has_ended());
}

#[test]
fn trouble_of_every_kind_is_known() {
    for (line, kind) in [
        ("[ 1.9] Kernel panic - not syncing: Attempted to kill init!", TroubleKind::Panic),
        ("panic: ufs_dirbad: /: bad dir ino 2", TroubleKind::Panic),
        ("[ 9.1] BUG: unable to handle page fault for address: 00000000", TroubleKind::Oops),
        ("[ 9.1] Internal error: Oops: 96000004 [#1] SMP", TroubleKind::Oops),
        (
            "[ 9.1] general protection fault, probably for non-canonical address 0x1: 0000 [#1] SMP",
            TroubleKind::Oops,
        ),
        ("[ 9.1] Oops: 0002 [#1] PREEMPT SMP NOPTI", TroubleKind::Oops),
        ("[ 9.1] invalid opcode: 0000 [#1] SMP", TroubleKind::Oops),
        ("[ 9.1] kernel BUG at mm/slub.c:306!", TroubleKind::Oops),
        (
            "[ 9.1] BUG: kernel NULL pointer dereference, address: 0000000000000008",
            TroubleKind::Oops,
        ),
        ("Kernel panic: Attempted to kill init!", TroubleKind::Panic),
        ("<3>[ 812.0] Out of memory: Killed process 801 (java)", TroubleKind::OutOfMemory),
        ("[ 812.0] Out of memory: Kill process 801 (java) score 900", TroubleKind::OutOfMemory),
        ("[ 812.0] java invoked oom-killer: gfp_mask=0x100cca", TroubleKind::OutOfMemory),
        ("[ 812.0] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null)", TroubleKind::OutOfMemory),
        ("[ 812.0] Memory cgroup out of memory: Killed process 9 (x)", TroubleKind::OutOfMemory),
        ("[ 60.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!", TroubleKind::Lockup),
        ("[ 60.1] rcu: INFO: rcu_sched self-detected stall on CPU", TroubleKind::Lockup),
        ("[ 60.1] INFO: rcu_sched detected stalls on CPUs/tasks:", TroubleKind::Lockup),
        (
            "[ 60.1] rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks:",
            TroubleKind::Lockup,
        ),
        ("[ 60.1] Watchdog detected hard LOCKUP on cpu 1", TroubleKind::Lockup),
        ("[ 60.1] watchdog: CPU 3 Hard LOCKUP", TroubleKind::Lockup),
        (
            "[242.1] INFO: task jbd2/vda1-8:220 blocked for more than 120 seconds.",
            TroubleKind::HungTask,
        ),
        ("You are in emergency mode. After logging in, type", TroubleKind::Emergency),
        ("You are in rescue mode. After logging in, type", TroubleKind::Emergency),
        ("Entering emergency mode. Exit the shell to continue.", TroubleKind::Emergency),
    ] {
        let trouble = Trouble::from_line(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(trouble.kind(), kind, "{line}");
        assert_eq!(scan(&format!("{line}\n")).boot().trouble(), Some(&trouble), "{line}");
    }
    for line in [
        "Kernel command line: console=ttyS0 panic=1 oops=panic",
        "[ 1.0] traps: app[9] general protection fault ip:55 sp:7f",
        "fargo login: ",
        "Starting panic: the musical",
        "[ 1.0] app: issue [#12] is fixed",
        "[ 1.0] INFO: task 7 is done",
    ] {
        assert_eq!(Trouble::from_line(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn trouble_belongs_to_its_boot_and_a_panic_keeps_its_first_line() {
    let scanner = scan(TROUBLED);
    let boot = scanner.boot();
    let trouble = boot.trouble().unwrap();
    assert!(trouble.is_fatal());
    assert!(trouble.line().as_str().contains("unknown-block"));
    assert_eq!(scanner.boots(), 2);
    assert_eq!(scan(&format!("{TROUBLED}{IPV6_ONLY}")).boot().trouble(), None);
}

/// Address, MAC and interface of each entry.
fn entries(table: &str) -> Vec<String> {
    neighbour::parse(table.as_bytes())
        .iter()
        .map(|entry| {
            let mac = entry.mac().map_or_else(|| "-".into(), |mac| mac.to_string().to_lowercase());
            format!("{} {mac} {} {}", entry.ip(), entry.interface().unwrap_or("-"), entry.state())
        })
        .collect()
}

#[test]
fn neighbour_tables_of_all_systems() {
    assert_eq!(
        entries(ARP_MACOS),
        [
            "192.168.64.2 52:54:00:2a:12:b6 bridge100 unknown",
            "192.168.64.9 - en0 incomplete",
            "224.0.0.251 01:00:5e:00:00:fb en0 permanent",
        ]
    );
    assert_eq!(
        entries(ARP_A),
        [
            "192.0.2.1 52:54:00:00:00:01 eth0 unknown",
            "192.0.2.5 - eth0 incomplete",
            "192.0.2.6 52:54:00:00:00:06 br0 permanent",
            "192.0.2.7 52:54:00:00:00:07 vtnet0 unknown",
        ]
    );
    assert_eq!(
        entries(ARP_N),
        [
            "192.0.2.1 52:54:00:00:00:01 eth0 unknown",
            "192.0.2.2 - eth0 incomplete",
            "192.0.2.3 52:54:00:00:00:03 virbr0 permanent",
        ]
    );
    assert_eq!(
        entries(PROC_NET_ARP),
        [
            "192.0.2.1 52:54:00:00:00:01 virbr0 unknown",
            "192.0.2.2 - virbr0 incomplete",
            "192.0.2.3 52:54:00:00:00:03 br0 permanent",
        ]
    );
    assert_eq!(
        entries(IP_NEIGH),
        [
            "192.0.2.1 52:54:00:00:00:01 eth0 reachable",
            "192.0.2.2 - eth0 failed",
            "192.0.2.3 52:54:00:00:00:03 virbr0 stale",
            "fe80::1 52:54:00:00:00:01 eth0 permanent",
            "192.0.2.4 - eth0 incomplete",
        ]
    );
    assert_eq!(
        entries(IP_NEIGH_JSON),
        [
            "192.0.2.1 52:54:00:00:00:01 eth0 reachable",
            "192.0.2.2 - eth0 failed",
            "fe80::1 52:54:00:00:00:01 eth0 stale",
        ]
    );
    assert_eq!(
        entries(ARP_WINDOWS),
        [
            "192.0.2.1 52:54:00:00:00:01 192.0.2.100 unknown",
            "192.0.2.31 - 192.0.2.100 incomplete",
            "192.0.2.255 ff:ff:ff:ff:ff:ff 192.0.2.100 unknown",
            "198.51.100.7 52:54:00:00:00:07 198.51.100.1 unknown",
        ]
    );
    assert_eq!(
        entries(ARP_OPENBSD),
        [
            "192.0.2.1 52:54:00:00:00:01 vio0 unknown",
            "192.0.2.2 - vio0 incomplete",
            "192.0.2.3 52:54:00:00:00:03 vio0 unknown",
        ]
    );
}

#[test]
fn macs_are_compared_as_numbers() {
    let mac = parse_mac(b"52:54:00:2A:12:B6").unwrap();
    let table = neighbour::parse(ARP_MACOS.as_bytes());
    assert_eq!(neighbour::by_mac(&table, mac).count(), 1);
    assert_eq!(parse_mac(b"5254002a12b6"), None);
    assert_eq!(parse_mac(b"52:54:00:2a:12"), None);
    assert_eq!(parse_mac(b"52:54:00:2a:12:b6:"), None);
    assert_eq!(parse_mac(b"52:54-00:2a:12:b6"), None);
    assert_eq!(parse_mac(b"052:54:00:2a:12:b6"), None);
}

/// Address, MAC, name, client and expiry of each lease.
fn leases(file: &str) -> Vec<String> {
    lease::parse(file.as_bytes())
        .iter()
        .map(|lease| {
            let mac = lease.mac().map_or_else(|| "-".into(), |mac| mac.to_string().to_lowercase());
            let expiry = match lease.expiry() {
                Expiry::Unknown => "?".into(),
                Expiry::Never => "never".into(),
                Expiry::At(at) => at.as_secs().to_string(),
            };
            let (name, client) = (lease.hostname(), lease.client_id());
            format!(
                "{} {mac} {} {} {expiry}",
                lease.ip(),
                name.unwrap_or("-"),
                client.unwrap_or("-")
            )
        })
        .collect()
}

#[test]
fn leases_of_all_servers() {
    assert_eq!(
        leases(DNSMASQ),
        [
            "192.0.2.7 52:54:00:00:00:07 fargo 01:52:54:00:00:00:07 1700003600",
            "192.0.2.8 52:54:00:00:00:08 - - never",
            "192.0.2.9 52:54:00:00:00:09 old - 1700000000",
            "2001:db8::7 - fargo 00:01:00:01:29:6c 1700003600",
        ]
    );
    assert_eq!(
        leases(LIBVIRT_JSON),
        [
            "192.0.2.7 52:54:00:00:00:07 fargo ff:00 1700003600",
            "192.0.2.8 52:54:00:00:00:08 - - never",
        ]
    );
    assert_eq!(
        leases(LIBVIRT_TEXT),
        ["192.0.2.7 52:54:00:00:00:07 fargo ff:00 ?", "192.0.2.8 52:54:00:00:00:08 - - ?"]
    );
    assert_eq!(
        leases(ISC),
        [
            r"192.0.2.7 52:54:00:00:00:07 fargo \001RT\000;\000\007 1700000000",
            "192.0.2.8 52:54:00:00:00:08 - - never",
            "192.0.2.9 - - - 1700000000",
        ]
    );
    assert_eq!(
        leases(MACOS),
        [
            "192.168.64.7 52:54:00:15:7a:e3 fargo - 1700000000",
            "192.168.64.8 - duid ff,f1:f5:dd:7f:0:2:0:0:ab:11:b5:40:7c:3:e2:a9:8c:b3 1700000001",
        ]
    );
    assert!(Expiry::At(Duration::from_secs(9)).is_over(Duration::from_secs(9)));
    assert!(!Expiry::Never.is_over(Duration::MAX));
}

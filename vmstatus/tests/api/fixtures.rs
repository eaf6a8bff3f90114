//! Inputs modelled on the formats, with names and addresses of documentation.

/// cloud-init 22.1 and later, the first boot: no IPv4 yet.
pub(crate) const IPV6_ONLY: &str = "\
[    0.000000] Linux version 6.8.0-45-generic (buildd@lcy02) #45-Ubuntu SMP
[    5.100000] cloud-init[501]: Cloud-init v. 24.1.3 running 'init-local' at Mon, 06 Jan 2025 10:00:05 +0000. Up 5.09 seconds.
[    8.200000] cloud-init[544]: Cloud-init v. 24.1.3 running 'init' at Mon, 06 Jan 2025 10:00:08 +0000. Up 8.19 seconds.
[    8.210000] cloud-init[544]: ci-info: ++++++++++++++++++++++Net device info++++++++++++++++++++++
[    8.220000] cloud-init[544]: ci-info: +--------+------+---------------------------+-----------+--------+-------------------+
[    8.230000] cloud-init[544]: ci-info: | Device |  Up  |          Address          |    Mask   | Scope  |     Hw-Address    |
[    8.240000] cloud-init[544]: ci-info: +--------+------+---------------------------+-----------+--------+-------------------+
[    8.250000] cloud-init[544]: ci-info: |  ens3  | True | fe80::5054:ff:fe15:7ae3/64 |     .     |  link  | 52:54:00:15:7a:e3 |
[    8.260000] cloud-init[544]: ci-info: |   lo   | True |         127.0.0.1         | 255.0.0.0 |  host  |         .         |
[    8.270000] cloud-init[544]: ci-info: |   lo   | True |          ::1/128          |     .     |  host  |         .         |
[    8.280000] cloud-init[544]: ci-info: +--------+------+---------------------------+-----------+--------+-------------------+
";

/// The second boot of the same guest, with both rows and a route table.
pub(crate) const BOTH_ROWS: &str = "\
[    0.000000] Linux version 6.8.0-45-generic (buildd@lcy02) #45-Ubuntu SMP
[    7.900000] cloud-init[530]: Cloud-init v. 24.1.3 running 'init' at Mon, 06 Jan 2025 11:00:08 +0000. Up 7.89 seconds.
ci-info: ++++++++++++++++++++++Net device info++++++++++++++++++++++
ci-info: +--------+------+---------------------------+---------------+--------+-------------------+
ci-info: | Device |  Up  |          Address          |      Mask     | Scope  |     Hw-Address    |
ci-info: +--------+------+---------------------------+---------------+--------+-------------------+
ci-info: |  ens3  | True |        192.168.1.77       | 255.255.255.0 | global | 52:54:00:15:7a:e3 |
ci-info: |  ens3  | True | fe80::5054:ff:fe15:7ae3/64 |       .       |  link  | 52:54:00:15:7a:e3 |
ci-info: |   lo   | True |         127.0.0.1         |   255.0.0.0   |  host  |         .         |
ci-info: +--------+------+---------------------------+---------------+--------+-------------------+
ci-info: +++++++++++++++++++++++++++Route IPv4 info+++++++++++++++++++++++++++
ci-info: +-------+-------------+---------------+---------------+-----------+-------+
ci-info: | Route | Destination |    Gateway    |    Genmask    | Interface | Flags |
ci-info: +-------+-------------+---------------+---------------+-----------+-------+
ci-info: |   0   |   0.0.0.0   | 192.168.1.254 |    0.0.0.0    |    ens3   |   UG  |
ci-info: |   1   | 192.168.1.0 |    0.0.0.0    | 255.255.255.0 |    ens3   |   U   |
ci-info: +-------+-------------+---------------+---------------+-----------+-------+
-----BEGIN SSH HOST KEY KEYS-----
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTEx root@fargo
-----END SSH HOST KEY KEYS-----
Cloud-init v. 24.1.3 finished at Mon, 06 Jan 2025 11:00:20 +0000. Datasource DataSourceNoCloud.  Up 20.01 seconds
Ubuntu 24.04 LTS fargo ttyS0

fargo login: ";

/// Containers inside the guest: their devices sort before the card.
pub(crate) const CONTAINERS: &str = "\
ci-info: +++++++++Net device info+++++++++
ci-info: +-----------------+-------+--------------+---------------+--------+-------------------+
ci-info: |      Device     |   Up  |   Address    |      Mask     | Scope  |     Hw-Address    |
ci-info: +-----------------+-------+--------------+---------------+--------+-------------------+
ci-info: | br-0a1b2c3d4e5f |  True |  172.18.0.1  |  255.255.0.0  | global | 02:42:00:00:00:01 |
ci-info: |       cni0      |  True |  10.42.0.1   | 255.255.255.0 | global | 02:42:00:00:00:02 |
ci-info: |     docker0     | False |  172.17.0.1  |  255.255.0.0  | global | 02:42:00:00:00:03 |
ci-info: |      enp1s0     |  True | 198.51.100.7 | 255.255.255.0 | global | 52:54:00:00:00:07 |
ci-info: |   tailscale0    |  True |  100.64.0.9  | 255.255.255.255 | global |       .         |
ci-info: |   veth0a1b2c3   |  True | fe80::1/64   |       .       |  link  | 02:42:00:00:00:04 |
ci-info: +-----------------+-------+--------------+---------------+--------+-------------------+
";

/// cloud-init 0.6.2: no table, blank fields.
pub(crate) const PLAIN: &str = "\
cloud-init start-local running: Mon, 05 Dec 2011 10:00:00 +0000. up 2.32 seconds
ci-info: lo    : 1 127.0.0.1       255.0.0.0       .
ci-info: eth1  : 1                                 fa:16:3e:00:00:02
ci-info: eth0  : 1 203.0.113.5     255.255.255.0   fa:16:3e:00:00:01
ci-info: route-0: 0.0.0.0         203.0.113.1     0.0.0.0         eth0   UG
ci-info: route-1: 203.0.113.0     0.0.0.0         255.255.255.0   eth0   U
cloud-init start running: Mon, 05 Dec 2011 10:00:03 +0000. up 5.38 seconds
cloud-init boot finished at Mon, 05 Dec 2011 10:00:09 +0000. Up 11.02 seconds
";

/// cloud-init 0.7.0 to 0.7.6: five columns, in the order of a dictionary; the colon of a newer
/// `ifconfig` stays on the names and everything seems down.
pub(crate) const FIVE_COLUMNS: &str = "\
ci-info: +++++++++++++++++++++++Net device info+++++++++++++++++++++++
ci-info: +--------+-------+--------------+---------------+-------------------+
ci-info: | Device |   Up  |   Address    |      Mask     |     Hw-Address    |
ci-info: +--------+-------+--------------+---------------+-------------------+
ci-info: |  lo:   | False |  127.0.0.1   |   255.0.0.0   |         .         |
ci-info: | eth0:  | False | 203.0.113.80 | 255.255.255.0 | fa:16:3e:00:00:80 |
ci-info: +--------+-------+--------------+---------------+-------------------+
ci-info: ++++++++++++++++++++++++++++++Route info++++++++++++++++++++++++++++++
ci-info: +-------+-------------+-------------+---------------+-----------+-------+
ci-info: | Route | Destination |   Gateway   |    Genmask    | Interface | Flags |
ci-info: +-------+-------------+-------------+---------------+-----------+-------+
ci-info: |   0   |   0.0.0.0   | 203.0.113.1 |    0.0.0.0    |    eth0   |   UG  |
ci-info: +-------+-------------+-------------+---------------+-----------+-------+
";

/// FreeBSD: masks in hexadecimal, and the route table's columns one off.
pub(crate) const FREEBSD: &str = "\
---<<BOOT>>---
Copyright (c) 1992-2023 The FreeBSD Project.
FreeBSD is a registered trademark of The FreeBSD Foundation.
ci-info: ++++++++++++Net device info++++++++++++
ci-info: +---------+------+--------------+------------+-------+-------------------+
ci-info: |  Device |  Up  |   Address    |    Mask    | Scope |     Hw-Address    |
ci-info: +---------+------+--------------+------------+-------+-------------------+
ci-info: |   lo0   | True |  127.0.0.1   | 0xff000000 |   .   |         .         |
ci-info: |   lo0   | True | fe80::1%lo0/64 |     .      |  0x2  |         .         |
ci-info: |  vtnet0 | True | 192.0.2.10   | 0xffffff00 |   .   | 52:54:00:00:00:10 |
ci-info: |  vtnet1 | True | 192.0.2.140  | 0xffffff80 |   .   | 52:54:00:00:00:11 |
ci-info: +---------+------+--------------+------------+-------+-------------------+
ci-info: ++++++++++++Route IPv4 info++++++++++++
ci-info: +-------+-------------+-----------+---------+-----------+-------+
ci-info: | Route | Destination |  Gateway  | Genmask | Interface | Flags |
ci-info: +-------+-------------+-----------+---------+-----------+-------+
ci-info: |   0   |   default   | 192.0.2.129 |   UGS   |   vtnet1  |   0   |
ci-info: +-------+-------------+-----------+---------+-----------+-------+
";

/// CirrOS, both styles of its route lines.
pub(crate) const CIRROS: &str = "\
[    0.000000] Linux version 5.3.0-26-generic
=== network info ===
if-info: lo,up,127.0.0.1,8,,
if-info: eth0,up,192.0.2.21,24,fe80::f816:3eff:fe57:3a24/64,
if-info: eth1,up,192.0.2.150,25,fe80::f816:3eff:fe57:3a25/64,2001:db8::9/128
ip-route:192.0.2.0/24 dev eth0  src 192.0.2.21
ip-route :default via 192.0.2.129 dev eth1 src 192.0.2.150 metric 1002
ip-route6:default via fe80::1 dev eth0  metric 1024
=== datasource: ec2 net ===
if-info: eth0,up,6.6.6.6,24,
=== cirros: current=0.6.2 uptime=9.16 ===
login as 'cirros' user. default password: 'gocubsgo'. use 'sudo' for root.
demo login: ";

/// `arp -an` of macOS, with stripped zeros.
pub(crate) const ARP_MACOS: &str = "\
? (192.168.64.2) at 52:54:0:2a:12:b6 on bridge100 ifscope [bridge]
? (192.168.64.9) at (incomplete) on en0 ifscope [ethernet]
mdns.mcast.net (224.0.0.251) at 1:0:5e:0:0:fb on en0 ifscope permanent [ethernet]
";

/// `arp -a` of net-tools, busybox and FreeBSD.
pub(crate) const ARP_A: &str = "\
gateway (192.0.2.1) at 52:54:00:00:00:01 [ether] on eth0
? (192.0.2.5) at <incomplete> on eth0
vm (192.0.2.6) at 52:54:00:00:00:06 [ether] PERM on br0
? (192.0.2.7) at 52:54:00:00:00:07 on vtnet0 expires in 1197 seconds [ethernet]
";

/// `arp -n` of net-tools.
pub(crate) const ARP_N: &str = "\
Address                  HWtype  HWaddress           Flags Mask            Iface
192.0.2.1                ether   52:54:00:00:00:01   C                     eth0
192.0.2.2                        (incomplete)                              eth0
192.0.2.3                ether   52:54:00:00:00:03   CM                    virbr0
_gateway                 ether   52:54:00:00:00:04   C                     eth0
";

/// `/proc/net/arp`.
pub(crate) const PROC_NET_ARP: &str = "\
IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         52:54:00:00:00:01     *        virbr0
192.0.2.2        0x1         0x0         00:00:00:00:00:00     *        virbr0
192.0.2.3        0x1         0x6         52:54:00:00:00:03     *        br0
";

/// `ip neigh`.
pub(crate) const IP_NEIGH: &str = "\
192.0.2.1 dev eth0 lladdr 52:54:00:00:00:01 REACHABLE
192.0.2.2 dev eth0  FAILED
192.0.2.3 dev virbr0 lladdr 52:54:00:00:00:03 ref 1 used 12/0/9 probes 1 STALE
fe80::1 dev eth0 lladdr 52:54:00:00:00:01 router PERMANENT
192.0.2.4 dev eth0 INCOMPLETE
192.0.2.5 dev eth0 proxy
";

/// `ip -json neigh`.
pub(crate) const IP_NEIGH_JSON: &str = r#"[{"dst":"192.0.2.1","dev":"eth0","lladdr":"52:54:00:00:00:01","state":["REACHABLE"]},
{"dst":"192.0.2.2","dev":"eth0","state":["FAILED"]},{"dst":"fe80::1","dev":"eth0","lladdr":"52:54:00:00:00:01","router":null,"state":["STALE"]}]"#;

/// `arp -a` of a German Windows, with its line ends.
pub(crate) const ARP_WINDOWS: &str = "\r
Schnittstelle: 192.0.2.100 --- 0xb\r
  Internetadresse       Physische Adresse     Typ\r
  192.0.2.1             52-54-00-00-00-01     dynamisch \r
  192.0.2.31            00-00-00-00-00-00     ung\u{fc}ltig\r
  192.0.2.255           ff-ff-ff-ff-ff-ff     statisch  \r
\r
Schnittstelle: 198.51.100.1 --- 0x1f\r
  Internetadresse       Physische Adresse     Typ\r
  198.51.100.7          52-54-00-00-00-07     dynamisch \r
";

/// `arp -an` of OpenBSD.
pub(crate) const ARP_OPENBSD: &str = "\
Host                                 Ethernet Address    Netif Expire    Flags
192.0.2.1                            52:54:00:00:00:01    vio0 19m58s
192.0.2.2                            (incomplete)         vio0 expired
192.0.2.3                            52:54:00:00:00:03    vio0 permanent l
";

/// dnsmasq's lease file.
pub(crate) const DNSMASQ: &str = "\
1700003600 52:54:00:00:00:07 192.0.2.7 fargo 01:52:54:00:00:00:07
0 52:54:00:00:00:08 192.0.2.8 * *
1700000000 06-52:54:00:00:00:09 192.0.2.9 old *
torn line
0 52:54:00:00:00:09 not-an-address x *
duid 00:01:00:01:29:6c:5e:0e:52:54:00:12:34:56
1700003600 123456 2001:db8::7 fargo 00:01:00:01:29:6c
";

/// libvirt's status file.
pub(crate) const LIBVIRT_JSON: &str = r#"[
  {"ip-address": "192.0.2.7", "mac-address": "52:54:00:00:00:07", "hostname": "fargo", "client-id": "ff:00", "expiry-time": 1700003600},
  {"ip-address": "192.0.2.8", "mac-address": "52:54:00:00:00:08", "expiry-time": 0},
  {"ip-address": "none"}
]"#;

/// `virsh net-dhcp-leases`.
pub(crate) const LIBVIRT_TEXT: &str = "\
 Expiry Time           MAC address         Protocol   IP address        Hostname   Client ID or DUID
---------------------------------------------------------------------------------------------------
 2023-11-14 23:13:20   52:54:00:00:00:07   ipv4       192.0.2.7/24      fargo      ff:00
 2023-11-14 23:13:20   52:54:00:00:00:08   ipv4       192.0.2.8/24      -          -
";

/// ISC dhcpd's lease file.
pub(crate) const ISC: &str = r#"# The format of this file is documented in the dhcpd.leases(5) manual page.
authoring-byte-order little-endian;
lease 192.0.2.7 {
  starts 2 2023/11/14 21:13:20;
  ends 2 2023/11/14 22:13:20;
  binding state active;
  hardware ethernet 52:54:00:00:00:07;
  uid "\001RT\000;\000\007";
  client-hostname "fargo";
}
lease 192.0.2.8 {
  ends never;
  hardware ethernet 52:54:0:0:0:8;
}
lease 192.0.2.9 {
  ends epoch 1700000000; # Tue Nov 14 22:13:20 2023
}
lease 192.0.2.10 {
  ends 2 2023/11/14 22:1"#;

/// macOS's `/var/db/dhcpd_leases`.
pub(crate) const MACOS: &str = "\
{
\tname=fargo
\tip_address=192.168.64.7
\thw_address=1,52:54:0:15:7a:e3
\tidentifier=1,52:54:0:15:7a:e3
\tlease=0x6553f100
}
{
\tname=duid
\tip_address=192.168.64.8
\thw_address=ff,f1:f5:dd:7f:0:2:0:0:ab:11:b5:40:7c:3:e2:a9:8c:b3
\tidentifier=ff,f1:f5:dd:7f:0:2:0:0:ab:11:b5:40:7c:3:e2:a9:8c:b3
\tlease=0x6553f101
}
{
\tname=torn
\tip_address=192.168.64.9";

/// Everything that a console may hold.
pub(crate) const CONSOLES: [&str; 8] =
    [IPV6_ONLY, BOTH_ROWS, CONTAINERS, PLAIN, FIVE_COLUMNS, FREEBSD, CIRROS, TROUBLED];

/// Trouble of every kind, one boot after the other.
pub(crate) const TROUBLED: &str = "\
[    0.000000] Linux version 6.8.0
[  812.000000] Out of memory: Killed process 801 (java) total-vm:8123456kB
[    0.000000] Linux version 6.8.0
[    1.900000] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
[    1.910000] ---[ end Kernel panic - not syncing: VFS ]---
";

/// Every neighbour table.
pub(crate) const NEIGHBOURS: [&str; 8] =
    [ARP_MACOS, ARP_A, ARP_N, PROC_NET_ARP, IP_NEIGH, IP_NEIGH_JSON, ARP_WINDOWS, ARP_OPENBSD];

/// Every lease file.
pub(crate) const LEASES: [&str; 5] = [DNSMASQ, LIBVIRT_JSON, LIBVIRT_TEXT, ISC, MACOS];

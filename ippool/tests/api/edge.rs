//! The shortest and the longest prefixes, the first and the last of everything, and bad input.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::num::NonZero;
use core::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};
use ippool::{
    AddressPool, Addresses, AllocateError, ExactError, IndexPool, Integers, Pool, PortPool, Ports,
    PrefixError, Reason, ReservedPorts, Space, State, SubnetPool, Subnets,
};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

const NOW: Duration = Duration::ZERO;

fn v4(prefix: &str) -> AddressPool {
    AddressPool::new(prefix.parse().unwrap())
}

fn v6(prefix: &str) -> AddressPool<Ipv6Addr> {
    AddressPool::new(prefix.parse().unwrap())
}

/// The first item, the last item, capacity and reserved count.
fn ends<S: Space>(mut pool: Pool<S>) -> (S::Item, S::Item, u128, u128) {
    let counts = pool.counts();
    let last = pool.space().item(pool.space().layout().ordinal(counts.capacity - 1));
    pool.allocate_exact(last, (), NOW).unwrap();
    assert_eq!(pool.held_by(()), [last]);
    if counts.capacity == 1 {
        assert!(pool.allocate((), NOW).is_err());
        return (last, last, counts.capacity, counts.reserved);
    }
    (pool.allocate((), NOW).unwrap().item, last, counts.capacity, counts.reserved)
}

#[test]
fn ipv4_prefixes() {
    for (prefix, first, last, capacity, reserved) in [
        ("0.0.0.0/0", "0.0.0.1", "255.255.255.254", (1 << 32) - 2, 2),
        ("0.0.0.0/1", "0.0.0.1", "127.255.255.254", (1 << 31) - 2, 2),
        ("10.0.0.0/8", "10.0.0.1", "10.255.255.254", (1 << 24) - 2, 2),
        ("10.0.0.0/7", "10.0.0.1", "11.255.255.254", (1 << 25) - 2, 2),
        ("192.0.2.4/30", "192.0.2.5", "192.0.2.6", 2, 2),
        ("192.0.2.4/31", "192.0.2.4", "192.0.2.5", 2, 0),
        ("255.255.255.254/31", "255.255.255.254", "255.255.255.255", 2, 0),
        ("0.0.0.0/32", "0.0.0.0", "0.0.0.0", 1, 0),
        ("255.255.255.255/32", "255.255.255.255", "255.255.255.255", 1, 0),
    ] {
        let expected = (first.parse().unwrap(), last.parse().unwrap(), capacity, reserved);
        assert_eq!(ends(v4(prefix)), expected, "{prefix}");
    }
}

#[test]
fn ipv6_prefixes() {
    let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    for (prefix, first, last, capacity, reserved) in [
        ("::/0", "::1", all, u128::MAX, 1),
        ("8000::/1", "8000::1", all, (1 << 127) - 1, 1),
        ("fd00::/63", "fd00::1", "fd00::1:ffff:ffff:ffff:ffff", (1 << 65) - 1, 1),
        ("fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff", (1 << 64) - 1, 1),
        ("fd00::/65", "fd00::1", "fd00::7fff:ffff:ffff:ffff", (1 << 63) - 1, 1),
        ("fd00::/112", "fd00::1", "fd00::ffff", 65_535, 1),
        ("fd00::4/126", "fd00::5", "fd00::7", 3, 1),
        ("fd00::4/127", "fd00::4", "fd00::5", 2, 0),
        ("fd00::4/128", "fd00::4", "fd00::4", 1, 0),
    ] {
        let expected = (first.parse().unwrap(), last.parse().unwrap(), capacity, reserved);
        assert_eq!(ends(v6(prefix)), expected, "{prefix}");
    }
}

#[test]
fn whole_prefixes() {
    let whole = |prefix: &str| Addresses::<Ipv4Addr>::whole(prefix.parse().unwrap()).unwrap();
    let everything = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, 1 << 32, 0);
    assert_eq!(ends(AddressPool::new(whole("0.0.0.0/0"))), everything);
    assert_eq!(whole("192.0.2.0/30").capacity(), 4);
    let prefix: Ipv6Net = "::/0".parse().unwrap();
    let refused = Addresses::<Ipv6Addr>::whole(prefix);
    assert_eq!(refused, Err(PrefixError::TooLarge { prefix: prefix.into() }));
}

#[test]
fn subnets_and_integers_and_ports() {
    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }
    fn net6(text: &str) -> Ipv6Net {
        text.parse().unwrap()
    }
    let cut = |prefix, len| ends(SubnetPool::new(Subnets::new(net(prefix), len).unwrap()));
    let cut6 = |prefix, len| ends(SubnetPool::new(Subnets::new(net6(prefix), len).unwrap()));
    assert_eq!(cut("0.0.0.0/0", 0), (net("0.0.0.0/0"), net("0.0.0.0/0"), 1, 0));
    assert_eq!(cut("0.0.0.0/0", 1), (net("0.0.0.0/1"), net("128.0.0.0/1"), 2, 0));
    assert_eq!(cut("0.0.0.0/0", 32), (net("0.0.0.0/32"), net("255.255.255.255/32"), 1 << 32, 0));
    assert_eq!(cut("10.0.0.0/8", 24), (net("10.0.0.0/24"), net("10.255.255.0/24"), 65_536, 0));
    assert_eq!(cut6("::/0", 0), (net6("::/0"), net6("::/0"), 1, 0));
    assert_eq!(cut6("::/0", 64), (net6("::/64"), net6("ffff:ffff:ffff:ffff::/64"), 1 << 64, 0));
    assert_eq!(cut6("fd00::/8", 127).2, 1 << 119);
    for (len, last, capacity) in [
        (56, "fd00:0:0:ff00::/56", 256),
        (63, "fd00:0:0:fffe::/63", 1 << 15),
        (64, "fd00:0:0:ffff::/64", 1 << 16),
        (65, "fd00:0:0:ffff:8000::/65", 1 << 17),
        (127, "fd00:0:0:ffff:ffff:ffff:ffff:fffe/127", 1 << 79),
        (128, "fd00:0:0:ffff:ffff:ffff:ffff:ffff/128", 1 << 80),
    ] {
        let (first, expected) = (Ipv6Net::new(net6("fd00::/48").addr(), len).unwrap(), net6(last));
        assert_eq!(cut6("fd00::/48", len), (first, expected, capacity, 0));
    }
    let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128";
    assert_eq!(cut6(all, 128), (net6(all), net6(all), 1, 0));
    let last = net6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
    assert_eq!(cut6("::/0", 127), (net6("::/127"), last, 1 << 127, 0));
    assert_eq!(cut6("::/1", 128).2, 1 << 127);
    assert!(Subnets::new(net6("::/0"), 128).is_err());
    assert_eq!(cut("255.255.255.255/32", 32).0, net("255.255.255.255/32"));
    assert_eq!(cut("255.255.255.254/31", 32).1, net("255.255.255.255/32"));
    let integers = |range| ends(IndexPool::new(Integers::new(range).unwrap()));
    assert_eq!(integers(0..=u32::MAX), (0, u32::MAX, 1 << 32, 0));
    assert_eq!(integers(7..=7), (7, 7, 1, 0));
    let wide = Integers::new(0..=u64::MAX).unwrap();
    assert_eq!(ends(IndexPool::new(wide)), (0, u64::MAX, 1 << 64, 0));
    let last = Integers::new(u64::MAX..=u64::MAX).unwrap();
    assert_eq!(ends(IndexPool::new(last)), (u64::MAX, u64::MAX, 1, 0));
    let ports = |range| ends(PortPool::new(Ports::new(range).unwrap()));
    assert_eq!(ports(0..=65_535), (1, 65_535, 65_535, 1));
    assert_eq!(ports(0..=1), (1, 1, 1, 1));
    assert_eq!(ports(1..=65_535), (1, 65_535, 65_535, 0));
    assert_eq!(ports(65_535..=65_535), (65_535, 65_535, 1, 0));
    let none: PortPool = PortPool::new(Ports::new(0..=0).unwrap());
    assert_eq!((none.counts().capacity, none.counts().reserved), (0, 1));
}

/// What is not of the space, although its bits may look like it.
#[test]
fn items_of_another_space() {
    let subnets = Subnets::new("10.0.0.0/8".parse::<Ipv4Net>().unwrap(), 24).unwrap();
    let mut pool: SubnetPool = SubnetPool::new(subnets);
    for text in ["10.0.0.0/23", "10.0.0.0/25", "10.0.0.1/24", "11.0.0.0/24", "9.255.255.0/24"] {
        let item = text.parse().unwrap();
        assert_eq!(
            pool.allocate_exact(item, (), NOW),
            Err(ExactError::OutOfRange { item }),
            "{text}"
        );
        assert_eq!(pool.state(item), State::OutOfRange);
    }
    // An exclusion smaller than a block takes the whole block, a larger one all blocks in it.
    let subnets = Subnets::new("10.0.0.0/8".parse::<Ipv4Net>().unwrap(), 24).unwrap();
    let subnets = subnets.with_excluded("10.0.0.128/25".parse().unwrap()).unwrap();
    let subnets = subnets.with_excluded("10.255.0.0/16".parse().unwrap()).unwrap();
    let (first, last, capacity, reserved) = ends(SubnetPool::new(subnets));
    assert_eq!((first, last), ("10.0.1.0/24".parse().unwrap(), "10.254.255.0/24".parse().unwrap()));
    assert_eq!((capacity, reserved), (65_536 - 257, 257));
    let mut ports: PortPool = PortPool::new(Ports::new(2..=65_534).unwrap());
    for item in [0, 1, 65_535] {
        assert_eq!(ports.allocate_exact(item, (), NOW), Err(ExactError::OutOfRange { item }));
    }
    let mut pool: IndexPool<u64> = IndexPool::new(Integers::new(1..=u64::MAX - 1).unwrap());
    for item in [0, u64::MAX] {
        assert_eq!(pool.allocate_exact(item, (), NOW), Err(ExactError::OutOfRange { item }));
    }
}

#[test]
fn a_space_without_anything_to_hand_out() {
    let lone = Ipv4Addr::new(192, 0, 2, 1);
    let space: Addresses = "192.0.2.1/32".parse().unwrap();
    let mut pool: AddressPool = AddressPool::new(space.with_gateway(lone).unwrap());
    assert!(matches!(pool.allocate((), NOW), Err(AllocateError::Exhausted { .. })));
    let mut rng = StdRng::seed_from_u64(1);
    assert!(pool.allocate_random((), NOW, &mut rng).is_err());
    let reason = Reason::Gateway;
    assert_eq!(
        pool.allocate_exact(lone, (), NOW),
        Err(ExactError::Reserved { item: lone, reason })
    );
    assert_eq!((pool.held().count(), pool.free().count()), (0, 0));
    assert_eq!(pool.rebuild([(lone, ())], NOW).out_of_range, [(lone, ())]);
    let snapshot = pool.snapshot();
    assert_eq!(snapshot.held, "");
}

#[test]
fn reservations_are_listed_and_overlap_counts_once() {
    let a = |last| Ipv4Addr::new(192, 0, 2, last);
    let space: Addresses = "192.0.2.0/24".parse().unwrap();
    let space = space.with_excluded(a(0)..=a(9)).unwrap().with_gateway(a(5)).unwrap();
    let pool: AddressPool = AddressPool::new(space.with_excluded(a(250)..=a(255)).unwrap());
    let listed: Vec<_> =
        pool.reserved().map(|r| (r.first.octets()[3], r.last.octets()[3], r.reason)).collect();
    assert_eq!(
        listed,
        [
            (0, 0, Reason::Network),
            (0, 9, Reason::Excluded),
            (5, 5, Reason::Gateway),
            (250, 255, Reason::Excluded),
            (255, 255, Reason::Broadcast),
        ]
    );
    let counts = pool.counts();
    assert_eq!((counts.capacity, counts.reserved), (240, 16));
    assert_eq!(pool.state(a(0)), State::Reserved(Reason::Network));
    assert_eq!(pool.state(a(10)), State::Free);
    assert_eq!(pool.state(Ipv4Addr::new(192, 0, 3, 0)), State::OutOfRange);
}

#[test]
fn bad_input_is_told_what_to_do() {
    let space = |text: &str| text.parse::<Addresses>().map_err(|error| error.to_string());
    let syntax = "not an IPv4 prefix: write address/length with a length of at most 32, \
                  as in 172.16.0.0/16";
    for text in ["172.16.0.0/33", "172.16.256.0/24", "172.16.0.0", "fd00::/64", "", "::"] {
        assert_eq!(space(text).unwrap_err(), syntax, "{text}");
    }
    assert_eq!(
        space("172.16.0.5/16").unwrap_err(),
        "172.16.0.5/16 has bits set beyond its length: write 172.16.0.0/16",
    );
    let space: Addresses = "172.16.0.0/16".parse().unwrap();
    let a = Ipv4Addr::new;
    let errors = [
        space.clone().with_gateway(a(172, 17, 0, 1)),
        space.clone().with_gateway(a(172, 16, 0, 0)),
        space.clone().with_gateway(a(172, 16, 255, 255)),
        space.clone().with_excluded(a(172, 16, 255, 0)..=a(172, 17, 0, 0)),
        space.with_excluded(a(172, 16, 9, 0)..=a(172, 16, 8, 0)),
    ];
    assert_eq!(
        errors.map(|error| error.unwrap_err().to_string()),
        [
            "gateway 172.17.0.1 is outside 172.16.0.0/16: choose an address within the prefix",
            "gateway 172.16.0.0 is the network address of 172.16.0.0/16: choose another",
            "gateway 172.16.255.255 is the broadcast address of 172.16.0.0/16: choose another",
            "cannot exclude 172.16.255.0..=172.17.0.0: keep both ends within 172.16.0.0/16",
            "cannot exclude 172.16.9.0..=172.16.8.0: write the lower end first",
        ]
    );
    let subnets = |prefix: &str, len| Subnets::new(prefix.parse::<Ipv4Net>().unwrap(), len);
    assert_eq!(
        subnets("10.0.0.0/8", 7).unwrap_err().to_string(),
        "cannot cut 10.0.0.0/8 into /7: choose a length of 8..=32",
    );
    assert!(subnets("10.0.0.0/8", 33).is_err());
    assert!(subnets("10.0.0.1/8", 24).is_err());
    let excluded = subnets("10.0.0.0/8", 16).unwrap().with_excluded("11.0.0.0/16".parse().unwrap());
    assert_eq!(
        excluded.unwrap_err().to_string(),
        "cannot exclude 11.0.0.0/16: it is not within 10.0.0.0/8",
    );
    let excluded = subnets("10.0.0.0/8", 16).unwrap().with_excluded("10.0.0.5/16".parse().unwrap());
    assert_eq!(
        excluded.unwrap_err().to_string(),
        "10.0.0.5/16 has bits set beyond its length: write 10.0.0.0/16",
    );
    let ports = Ports::new(22001..=22010).unwrap().with_excluded(22000..=22001).unwrap_err();
    assert_eq!(ports.to_string(), "cannot reserve 22000..=22001: keep it within 22001..=22010");
}

#[test]
fn reserved_ports_are_read_as_the_kernel_writes_them() {
    let list: ReservedPorts = "8080,9148-9150\n".parse().unwrap();
    assert!([8080, 9148, 9149, 9150].into_iter().all(|port| list.contains(port)));
    assert!([8079, 8081, 9147, 9151, 0].into_iter().all(|port| !list.contains(port)));
    assert_eq!("\n".parse::<ReservedPorts>().unwrap().iter().count(), 0);
    for bad in ["80,", "+80", "9-8", "x", "1-2-3", "65536", "1 2"] {
        assert!(bad.parse::<ReservedPorts>().is_err(), "{bad}");
    }
}

#[test]
fn a_run_does_not_span_a_reserved_item() {
    let ports = Ports::new(100..=199).unwrap().with_excluded(105..=105).unwrap();
    let mut pool: PortPool = PortPool::new(ports);
    let run = |pool: &mut PortPool, len| pool.allocate_run((), NonZero::new(len).unwrap(), NOW);
    assert_eq!(run(&mut pool, 6), Ok(106..=111));
    assert_eq!(run(&mut pool, 5), Ok(100..=104));
    assert_eq!(run(&mut pool, 88), Ok(112..=199));
    assert!(matches!(run(&mut pool, 1), Err(AllocateError::TooFew { .. })));
}

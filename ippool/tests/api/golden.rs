//! What the founding pools got wrong, and the numbers everybody relies on.

use core::net::Ipv4Addr;
use core::time::Duration;

use ippool::{AddressPool, Addresses, AllocateError, PortPool, Ports, ReleaseError, Released};

const NOW: Duration = Duration::from_secs(1_700_000_000);

fn slash16() -> AddressPool<Ipv4Addr, u32> {
    let space: Addresses = "172.16.0.0/16".parse().unwrap();
    AddressPool::new(space.with_gateway(Ipv4Addr::new(172, 16, 0, 1)).unwrap())
}

#[test]
fn a_slash_16_fills_to_its_last_address_and_says_so() {
    let mut pool = slash16();
    for expected in
        u32::from(Ipv4Addr::new(172, 16, 0, 2))..=u32::from(Ipv4Addr::new(172, 16, 255, 254))
    {
        let owner = expected & 0xffff;
        assert_eq!(pool.allocate(owner, NOW).unwrap().item, Ipv4Addr::from(expected));
    }
    let Err(AllocateError::Exhausted { counts, next_free: None }) = pool.allocate(0, NOW) else {
        panic!("a full pool handed something out");
    };
    assert_eq!((counts.capacity, counts.held, counts.cooling), (65_533, 65_533, 0));
    assert_eq!((counts.free, counts.reserved), (0, 3));
    let message = AllocateError::Exhausted { counts, next_free: None }.to_string();
    assert_eq!(
        message,
        "pool exhausted: of 65533 items 65533 are held and 0 cooling, 3 more are reserved; \
         release some or use a larger range",
    );
}

#[test]
fn a_released_address_comes_back_after_its_cooldown_and_not_before() {
    let mut pool = slash16();
    pool.allocate_many(1, 65_533, NOW).unwrap();
    let item = Ipv4Addr::new(172, 16, 1, 0);
    let (early, until) =
        (NOW + Duration::from_nanos(59_999_999_999), NOW + Duration::from_secs(60));
    assert_eq!(pool.release(item, 1, NOW), Ok(Released::Cooling { until }));
    let Err(AllocateError::Exhausted { counts, next_free }) = pool.allocate(2, early) else {
        panic!("an item was handed out while cooling");
    };
    assert_eq!((counts.held, counts.cooling, next_free), (65_532, 1, Some(until)));
    assert_eq!(pool.allocate(2, until).unwrap().item, item);
}

/// The founding counter went on from 172.16.255.255 to 172.16.256.0.
#[test]
fn after_the_last_address_comes_the_first_that_is_free() {
    let mut pool = slash16();
    let third = Ipv4Addr::new(172, 16, 255, 253);
    pool.allocate_many(1, 65_531, NOW).unwrap();
    assert_eq!(pool.allocate(1, NOW).unwrap().item, third);
    pool.release(third, 1, NOW).unwrap();
    pool.release(Ipv4Addr::new(172, 16, 0, 7), 1, NOW).unwrap();
    let later = NOW + Duration::from_secs(60);
    let next: Vec<String> =
        (0..3).map(|_| pool.allocate(2, later).unwrap().item.to_string()).collect();
    assert_eq!(next, ["172.16.255.254", "172.16.0.7", "172.16.255.253"]);
    assert!(pool.allocate(2, later).is_err());
}

/// The founding pools were empty after a restart, while the devices lived on.
#[test]
fn a_restart_forgets_neither_addresses_nor_ports() {
    let mut addresses = slash16();
    let mut ports: PortPool<u32> = PortPool::new(Ports::default());
    let before: Vec<_> = (1..=3)
        .map(|vm| {
            (addresses.allocate(vm, NOW).unwrap().item, ports.allocate(vm, NOW).unwrap().item)
        })
        .collect();
    addresses.release(before[2].0, 3, NOW).unwrap();
    let mut addresses = slash16().restore(&addresses.snapshot()).unwrap();
    let mut ports = PortPool::new(Ports::default()).restore(&ports.snapshot()).unwrap();
    let (address, port) =
        (addresses.allocate(4, NOW).unwrap().item, ports.allocate(4, NOW).unwrap().item);
    assert!(before.iter().all(|old| old.0 != address && old.1 != port));
    assert_eq!((address, port), (Ipv4Addr::new(172, 16, 0, 5), 22004));
    assert_eq!((addresses.owner(before[0].0), ports.owner(before[1].1)), (Some(1), Some(2)));
}

#[test]
fn ports_are_reused() {
    let mut pool: PortPool<u32> = PortPool::new(Ports::default());
    assert_eq!(pool.allocate(1, NOW).unwrap().item, 22001);
    assert_eq!(pool.allocate(2, NOW).unwrap().item, 22002);
    assert_eq!(pool.release(22001, 1, NOW), Ok(Released::Free));
    assert_eq!(pool.release(22001, 1, NOW), Err(ReleaseError::AlreadyReleased { item: 22001 }));
    assert_eq!(pool.allocate(3, NOW).unwrap().item, 22001);
    assert_eq!(pool.allocate_many(3, 9_998, NOW).unwrap().last().unwrap().item, 32000);
    assert!(pool.allocate(3, NOW).is_err());
}

/// Every item cools for its time by the clock of its own release; one release by a clock that went
/// far ahead keeps back that one item and no other.
#[test]
fn a_clock_that_is_set_back_shortens_no_cooldown() {
    let mut pool = slash16();
    let [a, b] = [1, 2].map(|owner| pool.allocate(owner, NOW).unwrap().item);
    let until = NOW + Duration::from_secs(60);
    assert_eq!(pool.release(a, 1, NOW), Ok(Released::Cooling { until }));
    let earlier = NOW.saturating_sub(Duration::from_secs(30));
    let sooner = until.saturating_sub(Duration::from_secs(30));
    assert_eq!(pool.release(b, 2, earlier), Ok(Released::Cooling { until: sooner }));
    assert!(pool.cooling().eq([(b, sooner), (a, until)]));
    assert_eq!((pool.expire(sooner), pool.expire(until)), (1, 1));
}

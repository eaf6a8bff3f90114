//! Random sequences of operations, compared with the naive pool, for every space and policy.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::collections::BTreeSet;

use ipnet::{Ipv4Net, Ipv6Net};
use ippool::{
    AddressPool, Addresses, Integers, Policy, Pool, Ports, Pressure, Space, State, Subnets,
};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::model::{Op, Settings};
use crate::pair::Pair;

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![Just(Policy::NextFit), Just(Policy::Lowest), Just(Policy::LongestIdle)]
}

fn pressure() -> impl Strategy<Value = Pressure> {
    prop_oneof![Just(Pressure::Refuse), Just(Pressure::ReuseOldest)]
}

fn settings() -> impl Strategy<Value = Settings> {
    (policy(), pressure(), prop_oneof![Just(0u64), 1..20u64], any::<bool>()).prop_map(
        |(policy, pressure, cooldown, sticky)| Settings { policy, pressure, cooldown, sticky },
    )
}

/// Operations on items whose ordinals are within `range` of the first.
fn ops(range: u128) -> impl Strategy<Value = Vec<Op>> {
    ops_on(0..range)
}

/// Operations on items with these offsets from the first ordinal.
fn ops_on(range: impl Strategy<Value = u128> + Clone + 'static) -> impl Strategy<Value = Vec<Op>> {
    let owner = 0..5u8;
    let op = prop_oneof![
        8 => owner.clone().prop_map(Op::Allocate),
        2 => owner.clone().prop_map(Op::Once),
        1 => (owner.clone(), range.clone()).prop_map(|(owner, index)| Op::Where(owner, index)),
        1 => (owner.clone(), 0..6usize).prop_map(|(owner, count)| Op::Many(owner, count)),
        1 => (owner.clone(), 1..6u32).prop_map(|(owner, count)| Op::Run(owner, count)),
        4 => (range.clone(), owner.clone()).prop_map(|(item, owner)| Op::Exact(item, owner)),
        12 => (range.clone(), owner.clone()).prop_map(|(item, owner)| Op::Release(item, owner)),
        1 => owner.clone().prop_map(Op::ReleaseAll),
        3 => (owner.clone(), any::<u64>()).prop_map(|(owner, seed)| Op::Random(owner, seed)),
        1 => proptest::collection::vec((range, owner), 0..12).prop_map(Op::Rebuild),
        3 => (0..8u64).prop_map(Op::Wait),
        1 => Just(Op::Expire),
        1 => Just(Op::Restart),
        // What is rare in life: the clock is set back, the settings change.
        1 => prop_oneof![
            (0..30u64).prop_map(Op::Back),
            policy().prop_map(Op::RestartAs),
            policy().prop_map(Op::Policy),
            pressure().prop_map(Op::Pressure),
            (0..20u64).prop_map(Op::Cooldown),
            Just(Op::Sticky),
        ],
    ];
    proptest::collection::vec(op, 1..80)
}

fn far() -> impl Strategy<Value = u128> + Clone {
    let at = prop_oneof![Just(0u128), Just((1 << 63) - 70), Just((1 << 64) - 140)];
    (at, 0..140u128).prop_map(|(at, by)| at + by)
}

fn follow<S: Space + Clone + core::fmt::Debug>(space: S, settings: Settings, ops: &[Op]) {
    let mut pair = Pair::<_, u8>::new(space.clone(), settings);
    let mut unowned = Pair::<_, ()>::new(space, settings);
    for op in ops {
        pair.step(op);
        unowned.step(op);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 512 }))]

    #[test]
    fn ipv4(settings in settings(), ops in ops(34)) {
        let excluded = Ipv4Addr::new(192, 0, 2, 40)..=Ipv4Addr::new(192, 0, 2, 45);
        let space: Addresses = "192.0.2.32/27".parse().unwrap();
        let space = space.with_gateway(Ipv4Addr::new(192, 0, 2, 33)).unwrap();
        follow(space.with_excluded(excluded).unwrap(), settings, &ops);
    }

    #[test]
    fn ipv6(settings in settings(), ops in ops(18)) {
        let space: Addresses<Ipv6Addr> = "fd00::f0/124".parse().unwrap();
        follow(space.with_gateway("fd00::f8".parse().unwrap()).unwrap(), settings, &ops);
    }

    /// In a space this large, the engine stores only what differs from free.
    #[test]
    fn ipv6_slash_64(settings in settings(), ops in ops(140)) {
        let space: Addresses<Ipv6Addr> = "fd00:0:0:1::/64".parse().unwrap();
        follow(space.with_gateway("fd00:0:0:1::41".parse().unwrap()).unwrap(), settings, &ops);
    }

    #[test]
    fn ports(settings in settings(), ops in ops(70)) {
        follow(Ports::new(65_466..=65_535).unwrap().with_excluded(65_500..=65_501).unwrap(), settings, &ops);
    }

    #[test]
    fn subnets(settings in settings(), ops in ops(16)) {
        let space = Subnets::<Ipv4Net>::new("10.32.0.0/12".parse().unwrap(), 16).unwrap();
        follow(space.with_excluded("10.33.128.0/17".parse().unwrap()).unwrap(), settings, &ops);
    }

    #[test]
    fn integers(settings in settings(), ops in ops(66)) {
        follow(Integers::new(u64::MAX - 65..=u64::MAX).unwrap(), settings, &ops);
    }

    #[test]
    fn ipv6_subnets(settings in settings(), ops in ops(16)) {
        let space = Subnets::<Ipv6Net>::new("ffff:ffff:ffff:fff0::/60".parse().unwrap(), 64).unwrap();
        follow(space.with_excluded("ffff:ffff:ffff:fff3:8000::/65".parse().unwrap()).unwrap(), settings, &ops);
    }

    #[test]
    fn integers_of_32_bits(settings in settings(), ops in ops(70)) {
        let space = Integers::new(u32::MAX - 69..=u32::MAX).unwrap();
        follow(space.with_excluded(u32::MAX - 5..=u32::MAX - 4).unwrap(), settings, &ops);
    }

    /// Items at the ends of the words around 2^63 and of the whole, in one space; its cursor gets
    /// to the end by way of exact and random items only.
    #[test]
    fn items_far_apart(settings in settings(), ops in ops_on(far())) {
        follow(Integers::new(0..=u64::MAX).unwrap(), settings, &ops);
    }

    /// The last indexes of the sparse engine, where everything else is excluded or held.
    #[test]
    fn the_end_of_a_large_space(settings in settings(), ops in ops(24)) {
        let last = (1u64 << 24) + 200;
        let settings = Settings { policy: Policy::Lowest, ..settings };
        let mut pool: Pool<_, u8> = settings.pool(Integers::new(0..=last).unwrap());
        let mut held = BTreeSet::new();
        for op in ops {
            let (Op::Exact(item, owner) | Op::Release(item, owner)) = op else { continue };
            let item = last - u64::try_from(item).unwrap();
            if pool.allocate_exact(item, owner, Duration::ZERO).is_ok() {
                prop_assert!(held.insert(item));
            } else {
                prop_assert_eq!(matches!(pool.state(item), State::Held(_)), held.contains(&item));
                if pool.release(item, owner, Duration::ZERO).is_ok() {
                    prop_assert!(held.remove(&item));
                }
            }
            prop_assert!(pool.held().map(|(item, _)| item).eq(held.iter().copied()));
        }
    }

    /// A random choice is one of the free items, and all of them are found in the end.
    #[test]
    fn random(seed: u64, gap in 0..200u32) {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut pool: Pool<_, u32> = Pool::new(Integers::new(0..=300u32).unwrap());
        pool.allocate_exact(gap, 9, Duration::ZERO).unwrap();
        let mut seen = BTreeSet::from([gap]);
        for owner in 0..300 {
            let item = pool.allocate_random(owner, Duration::ZERO, &mut rng).unwrap().item;
            prop_assert!(seen.insert(item));
            prop_assert_eq!(pool.owner(item), Some(owner));
        }
        prop_assert!(pool.allocate_random(0, Duration::ZERO, &mut rng).is_err());
    }
}

proptest! {
    // Comparing a whole bitmap after each step takes its time.
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// As many items as one bitmap has, and one more.
    #[test]
    fn on_both_sides_of_the_limit(
        settings in settings(),
        more in 0..=1u32,
        ops in ops_on(prop_oneof![0..70u128, (1u128 << 24) - 70..1 << 24]),
    ) {
        follow(Integers::new(0..=(1 << 24) - 1 + more).unwrap(), settings, &ops);
    }
}

/// Each of the free items comes with the same frequency, at every occupancy.
#[test]
fn a_random_choice_is_uniform() {
    for free in [4096u32, 400, 40] {
        let mut rng = StdRng::seed_from_u64(u64::from(free));
        let mut pool: Pool<_> = Pool::new(Integers::new(0..=4999u32).unwrap());
        let open: Vec<u32> = (0..free).map(|n| n * 5000 / free).collect();
        for item in (0..5000).filter(|item| open.binary_search(item).is_err()) {
            pool.allocate_exact(item, (), Duration::ZERO).unwrap();
        }
        let mut counts = vec![0u32; 5000];
        let draws = 20 * free;
        for _ in 0..draws {
            let item = pool.allocate_random((), Duration::ZERO, &mut rng).unwrap().item;
            pool.release(item, (), Duration::ZERO).unwrap();
            counts[item as usize] += 1;
        }
        let chi: f64 =
            open.iter().map(|&i| (f64::from(counts[i as usize]) - 20.0).powi(2) / 20.0).sum();
        let degrees = f64::from(free - 1);
        assert!((chi - degrees).abs() < 5.0 * (2.0 * degrees).sqrt(), "{free}: {chi}");
    }
}

/// Without owners there is only one, to whom everything belongs.
#[test]
fn a_pool_without_owners() {
    let mut pool: AddressPool = AddressPool::new("192.0.2.0/29".parse().unwrap());
    let now = Duration::ZERO;
    let first = pool.allocate_once((), now).unwrap().item;
    assert_eq!(pool.allocate_once((), now).unwrap().item, first);
    let second = pool.allocate((), now).unwrap().item;
    assert_eq!(pool.held_by(()), [first, second]);
    assert_eq!(pool.owner(second), Some(()));
    let pool = AddressPool::new("192.0.2.0/29".parse().unwrap()).restore(&pool.snapshot());
    let mut pool: AddressPool = pool.unwrap();
    assert_eq!(pool.release_all((), now), [first, second]);
    assert_eq!(pool.counts().held, 0);
}

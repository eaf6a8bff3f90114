//! A snapshot as a part of other data.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use ippool::{Addresses, Integers, Pool, Ports, Snapshot, Space};

const NOW: Duration = Duration::from_secs(1_700_000_000);

/// Embedded, tagged or as a value, in which serde keeps no number of 128 bits.
#[test]
fn a_snapshot_can_be_a_part_of_something_else() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct File<O> {
        host: String,
        #[serde(flatten)]
        pool: Tagged<O>,
    }
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged<O> {
        Pool(Snapshot<O>),
    }
    fn there_and_back<S: Space>(space: impl Fn() -> S, last: S::Item) {
        let new = || Pool::<S, [u8; 2]>::new(space()).with_sticky_owners();
        let mut pool = new().with_cooldown(Duration::from_secs(9));
        for owner in [1, 2] {
            assert!(pool.allocate([0, owner], NOW).is_ok());
        }
        pool.allocate_exact(last, [0, 3], NOW).unwrap();
        pool.release_all([0, 1], NOW);
        let file = File { host: "h".to_owned(), pool: Tagged::Pool(pool.snapshot()) };
        let text = serde_json::to_string(&file).unwrap();
        let value = serde_json::to_value(&file).unwrap();
        for file in [serde_json::from_str(&text), serde_json::from_value(value)] {
            let File { host, pool: Tagged::Pool(snapshot) } = file.unwrap();
            assert_eq!((host.as_str(), &snapshot), ("h", &pool.snapshot()));
            assert!(new().restore(&snapshot).unwrap().held().eq(pool.held()));
        }
    }
    there_and_back(Ports::default, 32_000);
    let space = || "172.16.0.0/16".parse::<Addresses>().unwrap();
    there_and_back(space, Ipv4Addr::new(172, 16, 255, 254));
    let space = || "fd00::/64".parse::<Addresses<Ipv6Addr>>().unwrap();
    there_and_back(space, "fd00::ffff:ffff:ffff:ffff".parse().unwrap());
    // Written as a number where everybody can read one.
    let pool = Pool::<_, u8>::new(Integers::new((1 << 53) - 1..=u64::MAX).unwrap());
    let json = serde_json::to_string(&pool.snapshot()).unwrap();
    assert!(json.contains(r#""usable":[[9007199254740991,"18446744073709551615"]]"#), "{json}");
    for bad in ["-1", "0.5", "\"340282366920938463463374607431768211456\"", "\"x\"", "null"] {
        let bad = json.replace(r#""cursor":0"#, &format!(r#""cursor":{bad}"#));
        assert!(serde_json::from_str::<Snapshot<u8>>(&bad).is_err(), "{bad}");
    }
}

//! What does not allocate, by a counting allocator.

use allocation_counter::measure;
use core::convert::Infallible;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::hint::black_box;
use vmname::{BaseName, Claim, Namer, SuffixScheme, VmName, preview, sanitize, validate};

#[track_caller]
fn allocates_nothing(f: impl FnOnce()) {
    assert_eq!(measure(f).count_total, 0);
}

#[test]
fn the_allocator_counts() {
    let count = measure(|| drop(black_box(String::from("web")))).count_total;
    assert_eq!(count, 1);
}

#[test]
fn sanitising_does_not_allocate() {
    let inputs = ["My Awesome VM!", "", "🦀", "İ K", &"é".repeat(100_000), &"x ".repeat(100_000)];
    for raw in inputs {
        allocates_nothing(|| {
            black_box(sanitize(black_box(raw)).as_str());
            black_box(BaseName::nearest(black_box(raw)));
        });
    }
}

#[cfg(feature = "deunicode")]
#[test]
fn transliterating_does_not_allocate() {
    for raw in ["Zürich", "北亰", &"京".repeat(100_000)] {
        allocates_nothing(|| {
            let _ = black_box(vmname::transliterate(black_box(raw)));
        });
    }
}

#[test]
fn names_do_not_allocate() {
    let mut rng = StdRng::seed_from_u64(7);
    allocates_nothing(|| {
        let base = validate(black_box("my-awesome-vm")).unwrap();
        let name = base.with_suffix(SuffixScheme::VOWELLESS.draw(&mut rng));
        assert_eq!(VmName::system(name.as_str()), Ok(name));
        assert_eq!(preview("My Awesome VM!").unwrap().as_str(), "my-awesome-vm-xxxx");

        let mut asked = 0;
        let claimed = Namer::new().claim(base, &mut rng, |_| {
            asked += 1;
            Ok::<_, Infallible>(if asked == 7 { Claim::Claimed(()) } else { Claim::Taken })
        });
        assert_eq!(claimed.unwrap().attempts, 7);
    });
}

/// A refusal keeps the refused text, and nothing else.
#[test]
fn a_refusal_allocates_once() {
    let count = measure(|| drop(black_box(validate(black_box("My_VM"))))).count_total;
    assert_eq!(count, 1);
}

//! The documented encoding of what is held, written a second time: states that would take too long
//! to reach are restored from it.

use core::time::Duration;

use ippool::{Pool, Space};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Records of words of 64 indexes, as `Snapshot` describes them.
#[derive(Default)]
pub(crate) struct Words(Vec<u8>);

impl Words {
    pub(crate) fn empty(self, count: u128) -> Self {
        self.record(0, count)
    }

    pub(crate) fn full(self, count: u128) -> Self {
        self.record(1, count)
    }

    pub(crate) fn literal(self, words: &[u64]) -> Self {
        let mut this = self.record(2, words.len() as u128);
        this.0.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        this
    }

    fn record(mut self, kind: u128, count: u128) -> Self {
        let mut number = count * 4 + kind;
        while number > 127 {
            self.0.push(number.to_le_bytes()[0] | 128);
            number /= 128;
        }
        self.0.push(number.to_le_bytes()[0]);
        self
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for chunk in self.0.chunks(3) {
            let mut group = [0; 4];
            group[1..=chunk.len()].copy_from_slice(chunk);
            let bits = u32::from_be_bytes(group);
            let sign = |at: usize| char::from(ALPHABET[(bits >> (18 - 6 * at)) as usize % 64]);
            text.extend((0..4).map(|at| if at > chunk.len() { '=' } else { sign(at) }));
        }
        text
    }

    /// The pool with these items held by the one owner there is.
    pub(crate) fn held_in<S: Space>(&self, pool: Pool<S>) -> Pool<S> {
        let mut snapshot = pool.snapshot();
        snapshot.held = self.text();
        snapshot.owners = vec![(0, ())];
        pool.restore(&snapshot).unwrap()
    }
}

/// Every index of `0..capacity` but `open`, which is ascending, held in the pool.
pub(crate) fn all_but<S: Space>(pool: Pool<S>, open: &[u128]) -> Pool<S> {
    let capacity = pool.counts().capacity;
    let (mut words, mut next) = (Words::default(), 0);
    let last = capacity / 64;
    for number in open.iter().map(|index| index / 64).chain([last]) {
        if number < next {
            continue;
        }
        let free = open.iter().filter(|index| *index / 64 == number);
        let word = free.fold(u64::MAX, |word, index| word & !(1 << (index % 64)));
        let word = if number == last { word & !(u64::MAX << (capacity % 64)) } else { word };
        words = words.full(number - next).literal(&[word]);
        next = number + 1;
    }
    words.held_in(pool)
}

/// The text is what the crate writes.
#[test]
fn the_two_encodings_agree() {
    let space = ippool::Integers::new(0..=699u32).unwrap();
    let mut pool: Pool<_> = Pool::new(space.clone());
    for item in (128..320).chain([3, 400, 401]) {
        pool.allocate_exact(item, (), Duration::ZERO).unwrap();
    }
    let words = Words::default().literal(&[8]).empty(1).full(3).empty(1).literal(&[3 << 16]);
    assert_eq!(pool.snapshot().held, words.text());
    assert!(words.held_in(Pool::new(space)).held().eq(pool.held()));
}

use alloc::string::String;
use alloc::vec::Vec;

use super::base64;
use super::data::RestoreError;
use crate::bits::Bits;
use crate::space::Index;

const EMPTY: u8 = 0;
const FULL: u8 = 1;
const LITERAL: u8 = 2;

/// The held indexes as text; see [`Snapshot`](super::Snapshot).
pub(crate) fn encode<I: Index>(bits: &Bits<I>) -> String {
    let mut bytes = Vec::new();
    let mut literal = Vec::new();
    let mut next = 0u128;
    let mut full = 0u128;
    let mut words = bits.next_held(0);
    while let Some((number, word, repeat)) = words {
        let whole = word == u64::MAX;
        if (number > next || whole) && !literal.is_empty() {
            flush(&mut bytes, &mut literal);
        }
        if (number > next || !whole) && full > 0 {
            header(&mut bytes, FULL, full);
            full = 0;
        }
        if number > next {
            header(&mut bytes, EMPTY, number.wrapping_sub(next));
        }
        if whole {
            full = full.saturating_add(repeat);
        } else {
            literal.push(word);
        }
        next = number.saturating_add(repeat);
        words = bits.next_held(next);
    }
    if full > 0 {
        header(&mut bytes, FULL, full);
    }
    if !literal.is_empty() {
        flush(&mut bytes, &mut literal);
    }
    base64::encode(&bytes)
}

/// Calls `held` with every word that has anything held in it, ascending: its number, its bits, and
/// how many words in a row are the same.
pub(crate) fn decode(
    text: &str,
    mut held: impl FnMut(u128, u64, u128) -> Result<(), RestoreError>,
) -> Result<(), RestoreError> {
    let bytes = base64::decode(text).map_err(|at| RestoreError::Damaged { at })?;
    let mut rest = bytes.as_slice();
    let mut number = 0u128;
    while !rest.is_empty() {
        let at = bytes.len().saturating_sub(rest.len());
        let damaged = RestoreError::Damaged { at };
        let (kind, count) = read_header(&mut rest).ok_or(damaged)?;
        let end = number.checked_add(count).filter(|end| *end <= 1 << 122).ok_or(damaged)?;
        if kind == FULL && count > 0 {
            held(number, u64::MAX, count)?;
        }
        while kind == LITERAL && number < end {
            let (word, tail) = rest.split_first_chunk().ok_or(damaged)?;
            rest = tail;
            held(number, u64::from_le_bytes(*word), 1)?;
            number = number.wrapping_add(1);
        }
        number = end;
    }
    Ok(())
}

/// The indexes of a word's bits, ascending.
pub(crate) fn indexes(number: u128, mut word: u64) -> impl Iterator<Item = u128> {
    core::iter::from_fn(move || {
        let index = (number << 6) | u128::from(word.trailing_zeros());
        let rest = word & word.checked_sub(1)?;
        word = rest;
        Some(index)
    })
}

fn flush(bytes: &mut Vec<u8>, literal: &mut Vec<u64>) {
    header(bytes, LITERAL, literal.len() as u128);
    bytes.extend(literal.drain(..).flat_map(u64::to_le_bytes));
}

/// There are at most 2^122 words, so the two bits of the kind do not push any out.
fn header(bytes: &mut Vec<u8>, kind: u8, count: u128) {
    let mut number = (count << 2) | u128::from(kind);
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn read_header(bytes: &mut &[u8]) -> Option<(u8, u128)> {
    let mut number = 0u128;
    for shift in (0..124u32).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u128::from(byte & 0x7f).wrapping_shl(shift);
        if byte & 0x80 == 0 {
            let [low, ..] = number.to_le_bytes();
            let kind = low & 3;
            return (kind <= LITERAL).then_some((kind, number >> 2));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sequence of five words that are empty, full or neither, in both forms of the engine.
    #[test]
    fn every_sequence_of_records_is_read_back() {
        for capacity in [64 * 5, 1 << 40] {
            for sequence in 0..3u32.pow(5) {
                let mut bits = Bits::<u128>::new(capacity);
                for word in 0..5 {
                    let first = u128::from(word) * 64;
                    match sequence / 3u32.pow(word) % 3 {
                        0 => {}
                        1 => (first..first + 64).for_each(|index| bits.hold(index)),
                        _ => (first..first + 64).step_by(5).for_each(|index| bits.hold(index)),
                    }
                }
                let mut read = Vec::new();
                let kept = decode(&encode(&bits), |number, word, repeat| {
                    let words = (number..number + repeat).flat_map(|number| indexes(number, word));
                    read.extend(words);
                    Ok(())
                });
                assert_eq!(kept, Ok(()));
                assert!(bits.held().eq(read), "sequence {sequence}");
            }
        }
    }

    #[test]
    fn the_documented_encoding() {
        let mut bits = Bits::<u128>::new(1 << 40);
        (0..128).for_each(|index| bits.hold(index));
        bits.hold(64 * 102);
        // Two full words, a hundred empty ones, one with its lowest index held.
        assert_eq!(
            base64::decode(&encode(&bits)).unwrap(),
            [0x09, 0x90, 0x03, 0x06, 1, 0, 0, 0, 0, 0, 0, 0]
        );
    }
}

//! Lower-case hexadecimal digits, read and written without a table and without the heap.

/// The eight digits of a value, most significant first, as the little-endian bytes of a word.
///
/// Names are put together by shifting such words, which costs a few instructions for all digits at
/// once where a loop would take as many steps as there are digits.
#[inline]
pub(crate) const fn encode(value: u32) -> u64 {
    // One byte to each 16-bit lane, the most significant in the lowest lane.
    let mut lanes = value.swap_bytes() as u64;
    lanes = (lanes | (lanes << 16)) & 0x0000_ffff_0000_ffff;
    lanes = (lanes | (lanes << 8)) & 0x00ff_00ff_00ff_00ff;
    // One digit to each byte.
    let digits = ((lanes >> 4) & 0x000f_000f_000f_000f) | ((lanes & 0x000f_000f_000f_000f) << 8);
    // A digit above 9 plus 6 reaches the fifth bit, and `a` comes 39 after the place of a tenth digit.
    let letters = (digits.wrapping_add(0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    digits.wrapping_add(0x3030_3030_3030_3030).wrapping_add(letters.wrapping_mul(39))
}

/// The value of digits, or none if there are more than sixteen or one is not `0`–`9`, `a`–`f`.
pub(crate) const fn decode(mut digits: &[u8]) -> Option<u64> {
    if digits.len() > 16 {
        return None;
    }
    let mut value = 0;
    while let [digit, rest @ ..] = digits {
        let nibble = match *digit {
            b'0'..=b'9' => digit.wrapping_sub(b'0'),
            b'a'..=b'f' => digit.wrapping_sub(b'a').wrapping_add(10),
            _ => return None,
        };
        value = (value << 4) | nibble as u64;
        digits = rest;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::{decode, encode};

    #[test]
    fn every_half_is_written_and_read_as_the_formatter_does() {
        for half in 0..=u32::from(u16::MAX) {
            for value in [half, half << 16, half << 16 | half, half << 8] {
                let digits = encode(value).to_le_bytes();
                assert_eq!(digits, format!("{value:08x}").as_bytes());
                assert_eq!(decode(&digits), Some(value.into()));
            }
        }
    }

    #[test]
    fn every_byte_but_sixteen_is_refused() {
        let digits = (0..=u8::MAX).filter(|&byte| decode(&[b'1', byte]).is_some());
        assert!(digits.eq(*b"0123456789abcdef"));
        assert_eq!(decode(&[b'f'; 16]), Some(u64::MAX));
        assert_eq!(decode(&[b'0'; 17]), None);
    }
}

//! The rules written again in the plainest way, and a source of randomness to reckon with.

use core::convert::Infallible;
use rand::TryRng;

/// What sanitising means, step by step and with as many copies as there are steps.
pub(crate) fn naive_sanitize(raw: &str) -> (String, bool) {
    let lower = raw.to_lowercase();
    let mut text: String = lower
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .collect();
    while text.contains("--") {
        text = text.replace("--", "-");
    }
    let mut text = text.trim_matches('-').to_owned();
    text.truncate(40);
    let text = text.trim_end_matches('-').to_owned();
    if text.is_empty() { ("vm".to_owned(), true) } else { (text, false) }
}

/// What a base name is, and with another limit what a label is.
pub(crate) fn naive_is_valid(text: &str, limit: usize) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let lower = |c: &char| c.is_ascii_lowercase();
    let inner = |c: &char| lower(c) || c.is_ascii_digit() || *c == '-';
    (2..=limit).contains(&chars.len())
        && chars.first().is_some_and(lower)
        && chars.iter().all(inner)
        && chars.last() != Some(&'-')
        && chars.get(2..4) != Some(&['-', '-'])
        && !naive_is_uuid(text)
}

fn naive_is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.concat().chars().all(|c| c.is_ascii_hexdigit())
}

/// Gives the words it holds, over and over, and counts how many were taken.
pub(crate) struct Words {
    words: Vec<u32>,
    pub(crate) taken: usize,
}

impl Words {
    pub(crate) fn new(words: impl Into<Vec<u32>>) -> Self {
        Self { words: words.into(), taken: 0 }
    }
}

impl TryRng for Words {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let word = self.words[self.taken % self.words.len()];
        self.taken += 1;
        Ok(word)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.try_next_u32()?) << 32 | u64::from(self.try_next_u32()?))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.try_next_u32()?.to_le_bytes()[0];
        }
        Ok(())
    }
}

use alloc::string::String;
use core::fmt;

/// A public host key that the guest has printed on its console.
///
/// It lets a client check the server that answers on port 22 without trusting the first contact,
/// as far as the console itself is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HostKey {
    algorithm: String,
    blob: String,
}

impl HostKey {
    /// Reads a line as in `ssh_host_*_key.pub`: algorithm, key in base64, comment.
    ///
    /// The key must name the same algorithm inside (RFC 4253 §6.6), so a torn or altered line is
    /// mostly refused.
    #[must_use]
    pub fn from_line(line: &[u8]) -> Option<Self> {
        let mut words =
            line.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).skip_while(|word| {
                !["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix.as_bytes()))
            });
        let (algorithm, blob) = (words.next()?, words.next()?);
        let inner_length = u32::try_from(algorithm.len()).ok()?.to_be_bytes();
        let mut inner = decode(blob);
        let names_itself = inner_length.iter().chain(algorithm).all(|byte| inner.next() == Some(*byte))
            // A key has more in it than its name.
            && inner.next().is_some();
        let whole = blob.len().is_multiple_of(4) && blob.iter().all(|byte| is_base64(*byte));
        if !names_itself || !whole {
            return None;
        }
        Some(Self {
            algorithm: core::str::from_utf8(algorithm).ok()?.into(),
            blob: core::str::from_utf8(blob).ok()?.into(),
        })
    }

    /// The algorithm, such as `ssh-ed25519`.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The key in base64.
    #[must_use]
    pub fn blob(&self) -> &str {
        &self.blob
    }
}

/// As in a `known_hosts` file, without the host.
impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.blob)
    }
}

fn decode(text: &[u8]) -> impl Iterator<Item = u8> {
    text.chunks_exact(4).flat_map(|group| {
        let bits = group.iter().fold(0u32, |bits, byte| (bits << 6) | u32::from(sextet(*byte)));
        let [_, bytes @ ..] = bits.to_be_bytes();
        bytes
    })
}

const fn sextet(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => byte.wrapping_sub(b'A'),
        b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
        b'+' => 62,
        b'/' => 63,
        _ => 0,
    }
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

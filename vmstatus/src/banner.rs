#[cfg(feature = "serde")]
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use thiserror::Error;

use crate::text::Escaped;

/// Longest identification line of RFC 4253 §4.2, without its CR and LF.
const MAX_LINE: usize = 253;

/// Longest line accepted before the identification line, CR and LF included.
const MAX_PREAMBLE_LINE: usize = 255;

/// Most lines accepted before the identification line.
const MAX_PREAMBLE_LINES: usize = 32;

/// The identification line of an SSH server: the proof that something behind port 22 speaks SSH.
///
/// It starts with `SSH-2.0-` or `SSH-1.99-`, names a software version, and has at most 253 bytes
/// of printable ASCII, as RFC 4253 §4.2 has it. Cloning does not allocate.
///
/// ```
/// use vmstatus::SshBanner;
///
/// let banner: SshBanner = "SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13".parse()?;
/// assert_eq!(banner.software(), "OpenSSH_9.6p1");
/// assert!("HTTP/1.1 400 Bad Request".parse::<SshBanner>().is_err());
/// # Ok::<(), vmstatus::BannerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "String", try_from = "String"))]
pub struct SshBanner(Arc<str>);

impl SshBanner {
    /// Takes one identification line, with or without its line end.
    ///
    /// # Errors
    ///
    /// [`BannerError`] says what is wrong with the line.
    pub fn new(line: &[u8]) -> Result<Self, BannerError> {
        let line = strip_line_end(line);
        if line.len() > MAX_LINE {
            return Err(BannerError::TooLong { length: line.len() });
        }
        let software = line
            .strip_prefix(b"SSH-2.0-")
            .or_else(|| line.strip_prefix(b"SSH-1.99-"))
            .ok_or_else(|| BannerError::NotSsh { line: Escaped::from_bytes(line) })?;
        if software.first().is_none_or(|byte| *byte == b' ') {
            return Err(BannerError::NoSoftware { line: Escaped::from_bytes(line) });
        }
        match core::str::from_utf8(line) {
            Ok(text) if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) => {
                Ok(Self(Arc::from(text)))
            }
            _ => Err(BannerError::NotPrintable { line: Escaped::from_bytes(line) }),
        }
    }

    /// Looks for the identification line in what a server has sent so far.
    ///
    /// A server may send other lines first (RFC 4253 §4.2); up to 32 of them are skipped, each of
    /// at most 255 bytes. `Ok(None)` means that more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`BannerError`] as soon as no continuation can make the bytes right.
    ///
    /// ```
    /// use vmstatus::SshBanner;
    ///
    /// assert_eq!(SshBanner::find(b"Authorised use only\r\nSSH-2.0-Open")?, None);
    /// let banner = SshBanner::find(b"Authorised use only\r\nSSH-2.0-OpenSSH_9.6\r\n")?;
    /// assert_eq!(banner.unwrap().as_str(), "SSH-2.0-OpenSSH_9.6");
    /// # Ok::<(), vmstatus::BannerError>(())
    /// ```
    pub fn find(received: &[u8]) -> Result<Option<Self>, BannerError> {
        for (skipped, line) in received.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if skipped > MAX_PREAMBLE_LINES {
                return Err(BannerError::TooManyLines { lines: skipped });
            }
            if line.len() > MAX_PREAMBLE_LINE {
                return Err(BannerError::TooLong { length: line.len() });
            }
            let complete = line.ends_with(b"\n");
            if complete && line.starts_with(b"SSH-") {
                return Self::new(line).map(Some);
            }
        }
        Ok(None)
    }

    /// The whole line, without its line end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The software version: what stands between the protocol version and the first space.
    #[must_use]
    pub fn software(&self) -> &str {
        let after = self.0.splitn(3, '-').nth(2).unwrap_or_default();
        after.split(' ').next().unwrap_or_default()
    }
}

impl fmt::Display for SshBanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for SshBanner {
    type Err = BannerError;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        Self::new(line.as_bytes())
    }
}

#[cfg(feature = "serde")]
impl TryFrom<String> for SshBanner {
    type Error = BannerError;

    fn try_from(line: String) -> Result<Self, Self::Error> {
        line.parse()
    }
}

#[cfg(feature = "serde")]
impl From<SshBanner> for String {
    fn from(banner: SshBanner) -> Self {
        banner.as_str().into()
    }
}

/// What was read is not the identification line of an SSH server.
///
/// Lines are handed back with everything unprintable escaped, so they are safe to show.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BannerError {
    /// Another protocol answers, or an SSH version that nobody speaks any more.
    #[error("`{line}` does not start with SSH-2.0- or SSH-1.99-; point the probe at an SSH server")]
    NotSsh {
        /// The line.
        line: Escaped,
    },
    /// The line ends after the protocol version.
    #[error("`{line}` names no software version")]
    NoSoftware {
        /// The line.
        line: Escaped,
    },
    /// The line holds control bytes or bytes outside ASCII.
    #[error("`{line}` holds bytes that RFC 4253 does not allow")]
    NotPrintable {
        /// The line.
        line: Escaped,
    },
    /// A line is longer than 255 bytes with its line end.
    #[error("a line of {length} bytes is longer than the 255 that RFC 4253 allows")]
    TooLong {
        /// Bytes seen so far.
        length: usize,
    },
    /// More lines came before the identification line than the limit of 32.
    #[error(
        "{lines} lines and no identification line among them; point the probe at an SSH server"
    )]
    TooManyLines {
        /// Lines seen so far.
        lines: usize,
    },
}

fn strip_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

use alloc::boxed::Box;
use alloc::string::String;
use core::net::IpAddr;

use thiserror::Error;

use super::key::{ClaimKey, Protocol};
use crate::id::NetId;
use crate::vni::Vni;

/// Whether a text can be a key.
pub(super) fn check(text: &str) -> Result<(), KeyFault> {
    if text.len() > ClaimKey::MAX_LEN {
        return Err(KeyFault::TooLong { len: text.len() });
    }
    // The replacement of bytes that are not UTF-8 is no ASCII either.
    if let Some(at) = text.bytes().position(|byte| !byte.is_ascii_graphic()) {
        return Err(KeyFault::Character { at });
    }
    let Some((kind, value)) = text.split_once('/') else {
        return Err(KeyFault::NoValue);
    };
    if !is_kind(kind) {
        return Err(KeyFault::Kind);
    }
    if value.split('/').any(str::is_empty) {
        return Err(KeyFault::Empty);
    }
    match spelling(kind, value) {
        Some(expected) => Err(KeyFault::Spelling { expected }),
        None => Ok(()),
    }
}

fn is_kind(kind: &str) -> bool {
    kind.starts_with(|first: char| first.is_ascii_lowercase())
        && kind.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// How a value of a kind with a fixed spelling has to look, if this one does not.
fn spelling(kind: &str, value: &str) -> Option<&'static str> {
    let (rest, last) = value.rsplit_once('/').unwrap_or(("", value));
    let digits = |count| last.len() == count && last.bytes().all(|byte| byte.is_ascii_digit());
    let (good, expected) = match kind {
        ClaimKey::ID => (last.parse::<NetId>().is_ok(), "eight digits of 0-9 and a-f at the end"),
        ClaimKey::ADDRESS => (
            last.parse::<IpAddr>().is_ok_and(|address| ClaimKey::address(address).value() == last),
            "an address in its shortest form at the end",
        ),
        ClaimKey::PORT => (
            [Protocol::Tcp, Protocol::Udp]
                .iter()
                .any(|protocol| rest.rsplit('/').next() == Some(protocol.as_str()))
                && digits(5)
                && last.parse::<u16>().is_ok(),
            "`tcp` or `udp` and five digits, at most 65535, at the end",
        ),
        ClaimKey::VNI => (
            digits(8) && last.parse().is_ok_and(|number| Vni::new(number).is_ok()),
            "eight digits, at most 16777215, at the end",
        ),
        _ => return None,
    };
    (!good).then_some(expected)
}

/// A text or parts that do not make a [`ClaimKey`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key:?} is not a claim key: {fault}")]
#[non_exhaustive]
pub struct KeyError {
    /// The refused text, or the parts with `/` between them. Bytes that are not UTF-8 are replaced.
    pub key: Box<str>,
    /// Which rule it breaks.
    pub fault: KeyFault,
}

impl KeyError {
    pub(super) fn new(key: String, fault: KeyFault) -> Self {
        Self { key: key.into(), fault }
    }
}

/// The rule that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyFault {
    /// It is longer than [`ClaimKey::MAX_LEN`].
    #[error("it has {len} bytes, use at most 255")]
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// It holds something that is not printable ASCII.
    #[error("byte {at} (from 0) is not allowed, use printable ASCII without spaces")]
    Character {
        /// Where, in bytes from the start.
        at: usize,
    },
    /// There is nothing but a kind.
    #[error("it has no value, write the kind, `/` and the value")]
    NoValue,
    /// What stands before the first `/` is not a kind.
    #[error("the kind is a lower-case letter, then lower-case letters, digits and `-`")]
    Kind,
    /// A segment is empty.
    #[error("a segment is empty, write something between any two `/` and at the end")]
    Empty,
    /// One of the parts that a key is made of holds a `/`.
    #[error("the `/` at byte {at} (from 0) is inside a part, pass the parts one by one")]
    Separator {
        /// Where, in bytes from the start.
        at: usize,
    },
    /// The kind is one of those that take one spelling only.
    #[error("this kind takes {expected}")]
    Spelling {
        /// What it takes.
        expected: &'static str,
    },
}

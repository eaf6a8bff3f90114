use alloc::vec::Vec;
use core::time::Duration;

use super::entry::{Expiry, Lease};
use super::parse::parse_ip;
use crate::mac::parse_mac;

/// Whether a statement `lease ADDRESS {` stands in the file.
pub(super) fn is_isc(text: &str) -> bool {
    Statements(text)
        .any(|statement| matches!(statement, Statement::Block(head) if opens_lease(head).is_some()))
}

/// Statements `lease ADDRESS { … }` of ISC dhcpd's `dhcpd.leases`, however the lines are broken. The
/// server appends to the file, so of several statements of one address the last holds.
pub(super) fn parse(text: &str) -> Vec<Lease> {
    let mut leases: Vec<Lease> = Vec::new();
    let mut open: Option<Lease> = None;
    let mut depth = 0usize;
    for statement in Statements(text) {
        match statement {
            Statement::Block(head) => {
                depth = depth.saturating_add(1);
                if let Some(address) = opens_lease(head) {
                    // A lease within another is one whose end was torn off.
                    open = parse_ip(address).map(Lease::new);
                    depth = 1;
                }
            }
            Statement::End => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    leases.extend(open.take());
                }
            }
            Statement::Plain(statement) => {
                if let (Some(lease), 1) = (&mut open, depth) {
                    read(lease, statement);
                }
            }
        }
    }
    leases
}

fn read(lease: &mut Lease, statement: &str) {
    let (keyword, value) =
        statement.split_once(|c: char| c.is_whitespace()).unwrap_or((statement, ""));
    let value = value.trim();
    match keyword {
        "hardware" => {
            if let Some(mac) = value.strip_prefix("ethernet") {
                lease.set_mac(parse_mac(mac.trim().as_bytes()));
            }
        }
        "ends" => lease.set_expiry(parse_time(value)),
        "client-hostname" => lease.set_hostname(unquote(value)),
        "uid" => lease.set_client_id(unquote(value)),
        "binding" => {
            if let Some(state) = value.strip_prefix("state") {
                lease.set_released(state.trim() != "active");
            }
        }
        // Written without a state by version 2 and what came of it (OpenBSD, VMware).
        "abandoned" => lease.set_released(true),
        _ => {}
    }
}

enum Statement<'a> {
    /// What stands before a `;`.
    Plain(&'a str),
    /// What stands before a `{`.
    Block(&'a str),
    /// A `}`.
    End,
}

/// The statements of a file, one after the other. Quotes hold signs together, and `#` begins a
/// comment.
struct Statements<'a>(&'a str);

impl<'a> Iterator for Statements<'a> {
    type Item = Statement<'a>;

    fn next(&mut self) -> Option<Statement<'a>> {
        let mut text = self.0.trim_start();
        while let Some(comment) = text.strip_prefix('#') {
            text = comment.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
        }
        let (mut quoted, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            let plain = !core::mem::take(&mut escaped);
            match byte {
                b'\\' if quoted => escaped = plain,
                b'"' if plain => quoted = !quoted,
                // No string goes on over the end of a line: this one was torn.
                b'\n' => quoted = false,
                b';' | b'{' | b'}' => return !quoted,
                _ => {}
            }
            false
        })?;
        let (before, sign) = (text.get(..end)?.trim(), text.as_bytes().get(end)?);
        // A `}` ends a statement that has lost its own end.
        self.0 = text.get(end.saturating_add(1)..)?;
        Some(match sign {
            b';' => Statement::Plain(before),
            b'{' => Statement::Block(before),
            _ => Statement::End,
        })
    }
}

fn opens_lease(head: &str) -> Option<&str> {
    // The rest of a statement that was torn may stand before it.
    let head = head.lines().rev().find(|line| !line.trim().is_empty())?;
    let address = head.trim().strip_prefix("lease")?;
    (address.starts_with(char::is_whitespace)).then_some(address.trim())
}

/// `"name";` or `name;`, escapes left as they are: a semicolon may stand between the quotes.
fn unquote(value: &str) -> Option<&str> {
    let value = value.trim().strip_suffix(';').unwrap_or(value).trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    (!value.is_empty()).then_some(value)
}

/// `4 2024/01/11 10:00:00` in UTC, `epoch 1704967200`, or `never`.
fn parse_time(text: &str) -> Expiry {
    if text.trim() == "never" {
        return Expiry::Never;
    }
    parse_seconds(text).map_or(Expiry::Unknown, |seconds| Expiry::At(Duration::from_secs(seconds)))
}

fn parse_seconds(text: &str) -> Option<u64> {
    let mut words = text.split_ascii_whitespace();
    let first = words.next()?;
    if first == "epoch" {
        return words.next()?.parse().ok();
    }
    let mut date = words.next()?.split('/');
    let mut time = words.next()?.split(':');
    let next = |parts: &mut core::str::Split<'_, char>| parts.next()?.parse::<u64>().ok();
    let (year, month, day) = (next(&mut date)?, next(&mut date)?, next(&mut date)?);
    let (hour, minute, second) = (next(&mut time)?, next(&mut time)?, next(&mut time)?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_since_epoch(year, month, day);
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar from then on.
const fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    // Years begin in March here, so that the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

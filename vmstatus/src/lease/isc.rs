use alloc::vec::Vec;
use core::time::Duration;

use super::entry::{Expiry, Lease};
use super::parse::parse_ip;
use crate::mac::parse_mac;

/// Whether a statement `lease ADDRESS {` stands in the file.
pub(super) fn is_isc(text: &str) -> bool {
    text.lines().any(|line| opens_lease(line.trim()).is_some())
}

/// Statements `lease ADDRESS { … }` of ISC dhcpd's `dhcpd.leases`. The server appends to the file,
/// so of several statements of one address the last holds.
pub(super) fn parse(text: &str) -> Vec<Lease> {
    let mut leases: Vec<Lease> = Vec::new();
    let mut open: Option<Lease> = None;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(address) = opens_lease(line) {
            open = parse_ip(address).map(Lease::new);
            continue;
        }
        let Some(lease) = &mut open else { continue };
        if line.starts_with('}') {
            if let Some(lease) = open.take() {
                leases.push(lease);
            }
            continue;
        }
        let statement = line.split_once(';').map_or(line, |(statement, _)| statement);
        if let Some(mac) = statement.strip_prefix("hardware ethernet ") {
            lease.set_mac(parse_mac(mac.trim().as_bytes()));
        } else if let Some(time) = statement.strip_prefix("ends ") {
            lease.set_expiry(parse_time(time));
        } else if let Some(name) = line.strip_prefix("client-hostname ") {
            lease.set_hostname(unquote(name));
        } else if let Some(uid) = line.strip_prefix("uid ") {
            lease.set_client_id(unquote(uid));
        }
    }
    leases
}

fn opens_lease(line: &str) -> Option<&str> {
    let (address, rest) = line.strip_prefix("lease ")?.split_once(|c: char| c.is_whitespace())?;
    rest.trim_start().starts_with('{').then_some(address)
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

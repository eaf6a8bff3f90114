//! Sets of addresses as lists of prefixes.
//!
//! Two prefixes are either apart or one contains the other. Lists that are ascending and without
//! overlap are called sets here. In ascending order a prefix stands right before all that it contains.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::iter;

use ipnet::{IpNet, Ipv4Net};

use super::spec::PrefixFilter;

/// The one way to write a prefix.
pub(super) fn canonical(prefix: IpNet) -> IpNet {
    let prefix = prefix.trunc();
    mapped(prefix).unwrap_or(prefix)
}

/// The IPv4 prefix that an IPv6 one below `::ffff:0:0/96` stands for.
fn mapped(prefix: IpNet) -> Option<IpNet> {
    let IpNet::V6(prefix) = prefix else { return None };
    let len = prefix.prefix_len().checked_sub(96)?;
    Ipv4Net::new(prefix.addr().to_ipv4_mapped()?, len).ok().map(IpNet::V4)
}

/// Makes a set of any list of canonical prefixes.
pub(super) fn simplify(list: &mut Vec<IpNet>) {
    list.sort_unstable();
    list.dedup_by(|next, kept| kept.contains(&*next));
}

/// Whether a prefix lies in one of a set.
pub(super) fn covers(set: &[IpNet], prefix: &IpNet) -> bool {
    let (before, _) = set.split_at(set.partition_point(|other| other <= prefix));
    before.last().is_some_and(|last| last.contains(prefix))
}

/// The pairs of prefixes, one of each set, that overlap: ascending, and the same pairs in the same
/// order when the sets change places. Apart from the pairs, this takes time for the smaller set only,
/// each of its prefixes a search in the larger one.
pub(super) fn overlaps(
    mut left: &[IpNet],
    mut right: &[IpNet],
) -> impl Iterator<Item = (IpNet, IpNet)> {
    iter::from_fn(move || {
        loop {
            let ([first, left_rest @ ..], [second, right_rest @ ..]) = (left, right) else {
                return None;
            };
            // The wider one stays, as it may contain the next one too.
            if first.contains(second) {
                right = right_rest;
                return Some((*first, *second));
            }
            if second.contains(first) {
                left = left_rest;
                return Some((*first, *second));
            }
            if first < second {
                left = reaching(left_rest, second);
            } else {
                right = reaching(right_rest, first);
            }
        }
    })
}

/// The end of a set that can overlap a prefix or what comes behind it.
fn reaching<'a>(set: &'a [IpNet], prefix: &IpNet) -> &'a [IpNet] {
    let behind = set.partition_point(|other| other < prefix);
    // Of all that come before it, only the last can contain it.
    set.get(behind.saturating_sub(1)..).unwrap_or_default()
}

impl PrefixFilter {
    /// The prefixes that it lists.
    pub(super) fn listed(&self) -> &[IpNet] {
        match self {
            Self::All => &[],
            Self::Only(list) => list,
        }
    }

    /// What it lets through of a set: a set again. The filter's list must be one as well.
    pub(super) fn apply<'a>(&self, set: &'a [IpNet]) -> Cow<'a, [IpNet]> {
        match self {
            Self::All => Cow::Borrowed(set),
            // The longer of two prefixes that overlap is what they have in common.
            Self::Only(list) => overlaps(set, list)
                .map(|(a, b)| if a.prefix_len() < b.prefix_len() { b } else { a })
                .collect(),
        }
    }
}

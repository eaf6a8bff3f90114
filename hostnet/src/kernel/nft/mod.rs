//! nf_tables over netlink: one table of our own, changed one transaction at a time.

mod cache;
mod element;
mod expression;
mod flows;
mod ruleset;
mod socket;

pub(crate) use ruleset::Hold;
pub(super) use socket::Nft;

//! nf_tables over netlink: one table of our own, changed one transaction at a time.

mod cache;
mod element;
mod expression;
mod ruleset;
mod socket;

pub(super) use socket::Nft;

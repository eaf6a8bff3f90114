//! The crate seen from outside.

mod golden;

//! Owners, collectors and a clock in every order of their steps.
//!
//! A life is an ordinary future that uses a store, an inventory and a clock, and stops before each of their
//! operations. A schedule says whose operation is next, when the clock ticks, who crashes and whose answer
//! is lost. The collector and the store are the real ones.

mod broken;
mod explore;
mod hand;
mod lives;
mod random;
mod small;
mod world;

/// Which free item is handed out next.
///
/// Every policy finds the last free item if there is one, and none is slower near the end: the
/// cost of an allocation does not depend on how full the pool is. A random choice is not a policy
/// but a method, [`Pool::allocate_random`](crate::Pool::allocate_random), as it needs a source of
/// randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Policy {
    /// The next one after the last that was handed out, starting again at the lowest. An item
    /// comes back only after the whole pool was gone through.
    NextFit,
    /// The lowest one. Keeps items dense, and hands a released one out again soonest.
    Lowest,
    /// One that was never held, lowest first; when there is none left, the one that has been free
    /// for longest. Keeps a queue of what was released, at 16 to 32 bytes an item; in an IPv6
    /// prefix at twice that.
    LongestIdle,
}

/// What an allocation does when nothing is free but something is still cooling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Pressure {
    /// It fails; the error says when the next item becomes free.
    #[default]
    Refuse,
    /// It takes the one that has cooled for longest; the result says how much was missing.
    ReuseOldest,
}

/// How much of a pool is in which state.
///
/// `held + cooling + free == capacity`, and `capacity + reserved` is the size of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Counts {
    /// Items that can be handed out at all.
    pub capacity: u128,
    /// Items somebody holds.
    pub held: u128,
    /// Items that were released and are not to be handed out yet.
    pub cooling: u128,
    /// Items that can be handed out now.
    pub free: u128,
    /// Items that are never handed out; not part of the capacity.
    pub reserved: u128,
}

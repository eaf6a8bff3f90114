use core::time::Duration;

/// An item that was handed out, and how it was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[must_use = "an item that is dropped stays held"]
pub struct Grant<T> {
    /// The item.
    pub item: T,
    /// How it was come by.
    pub how: How,
}

/// How an item was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum How {
    /// It was free.
    Vacant,
    /// The owner held it already; nothing changed.
    AlreadyHeld,
    /// It is the one that the same owner released last.
    Returned,
    /// Nothing else was to be had: its cooldown was cut short.
    Early {
        /// What was left of the cooldown.
        remaining: Duration,
    },
}

/// What became of a released item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Released {
    /// It can be handed out at once.
    Free,
    /// It is kept back.
    Cooling {
        /// Until then, as a duration since the Unix epoch.
        until: Duration,
    },
}

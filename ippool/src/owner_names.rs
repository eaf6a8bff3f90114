use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use hashbrown::HashMap;
use thiserror::Error;

/// A small token that stands for the name of an owner; given by [`OwnerNames::intern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct OwnerId(u32);

impl OwnerId {
    /// The number of the token, which means something only together with its [`OwnerNames`].
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Owners that are known by a name: each name is kept once, and pools keep four bytes for it.
///
/// One list of names can serve several pools. Keep it with their snapshots: a token is read
/// through the list that gave it.
///
/// ```
/// use core::time::Duration;
/// use ippool::{OwnerId, OwnerNames, PortPool, Ports};
///
/// let mut names = OwnerNames::new();
/// let mut pool: PortPool<OwnerId> = PortPool::new(Ports::default());
///
/// let vm = names.intern("my-awesome-vm-a1b2");
/// let port = pool.allocate_once(vm, Duration::ZERO)?.item;
/// assert_eq!(names.intern("my-awesome-vm-a1b2"), vm);
/// assert_eq!(pool.owner(port).and_then(|id| names.name(id)), Some("my-awesome-vm-a1b2"));
///
/// // When the machine is gone, so is its name.
/// pool.release_all(vm, Duration::ZERO);
/// assert_eq!(names.remove(vm).as_deref(), Some("my-awesome-vm-a1b2"));
/// # Ok::<(), ippool::AllocateError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerNames {
    ids: HashMap<Arc<str>, OwnerId>,
    names: HashMap<OwnerId, Arc<str>>,
    /// The number to try first for the next new name.
    next: u32,
}

impl OwnerNames {
    /// No names yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The token of a name; a new one if the name has none.
    ///
    /// The token of a name that was removed is given again only after all others, four billion of
    /// them: what still has it by mistake meets a stranger as late as possible.
    pub fn intern(&mut self, name: &str) -> OwnerId {
        if let Some(id) = self.id(name) {
            return id;
        }
        // Memory ends long before all numbers are taken, so one is found.
        while self.names.contains_key(&OwnerId(self.next)) {
            self.next = self.next.wrapping_add(1);
        }
        let (id, name) = (OwnerId(self.next), Arc::<str>::from(name));
        self.next = self.next.wrapping_add(1);
        self.ids.insert(Arc::clone(&name), id);
        self.names.insert(id, name);
        id
    }

    /// The token of a name, if it has one.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<OwnerId> {
        self.ids.get(name).copied()
    }

    /// The name that a token stands for.
    #[must_use]
    pub fn name(&self, id: OwnerId) -> Option<&str> {
        self.names.get(&id).map(|name| &**name)
    }

    /// Forgets a name, and returns it. Release first what its owner holds in any pool, and let pools
    /// with sticky owners [forget](crate::Pool::forget_owner) it: nobody could tell afterwards whose
    /// it is.
    pub fn remove(&mut self, id: OwnerId) -> Option<String> {
        let name = self.names.remove(&id)?;
        self.ids.remove(&name);
        Some(String::from(&*name))
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Every name with its token, ascending by token.
    pub fn iter(&self) -> impl Iterator<Item = (OwnerId, &str)> + '_ {
        let mut ids: Vec<OwnerId> = self.names.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| Some((id, self.name(id)?)))
    }

    /// The number that the next new name gets as its token, if it is not taken by then.
    #[must_use]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// The names with the tokens they had, as [`OwnerNames::iter`] listed them, and
    /// [`OwnerNames::next`], so that tokens of removed names are not given again soon.
    ///
    /// # Errors
    /// When a name or a token is listed twice.
    pub fn restore<'a>(
        list: impl IntoIterator<Item = (OwnerId, &'a str)>,
        next: u32,
    ) -> Result<Self, OwnerNamesError> {
        let mut all = Self { next, ..Self::new() };
        for (id, name) in list {
            let name = Arc::<str>::from(name);
            let twice = all.ids.insert(Arc::clone(&name), id).is_some()
                || all.names.insert(id, Arc::clone(&name)).is_some();
            if twice {
                return Err(OwnerNamesError { id, name: String::from(&*name) });
            }
        }
        Ok(all)
    }
}

/// Why a list of names was refused: a name with two tokens, or two names with one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("owner {name:?} or its token {id} is listed twice: use an older list")]
#[non_exhaustive]
pub struct OwnerNamesError {
    /// The token that was listed second.
    pub id: OwnerId,
    /// The name that was listed second.
    pub name: String,
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(feature = "serde")]
mod serial {
    use super::{OwnerId, OwnerNames, String, Vec};
    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::{Serialize, Serializer};

    /// Tokens and names, ascending by token.
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Plain<N> {
        next: u32,
        names: Vec<(OwnerId, N)>,
    }

    impl Serialize for OwnerNames {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            Plain { next: self.next, names: self.iter().collect() }.serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for OwnerNames {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let Plain { next, names } = Plain::<String>::deserialize(deserializer)?;
            Self::restore(names.iter().map(|(id, name)| (*id, name.as_str())), next)
                .map_err(D::Error::custom)
        }
    }
}

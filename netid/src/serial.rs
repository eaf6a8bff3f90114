//! Serialisation: everything read is checked as if it were parsed.

use alloc::string::String;
use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::claim::{ClaimKey, Owner, OwnerError};
use crate::id::NetId;
use crate::names::DeviceName;
use crate::vm_id::VmId;
use crate::vni::{Vni, VniRange, VniRangeError};

/// Serialises types as their text, and reads them back through `FromStr`.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(PhantomData))
            }
        }
    )*};
}

as_text!(NetId, VmId, DeviceName, ClaimKey);

/// Reads a text without keeping it.
struct Text<T>(PhantomData<T>);

impl<T> Visitor<'_> for Text<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// A [`VniRange`] whose order is not checked yet.
#[derive(serde::Deserialize)]
pub(crate) struct Ends {
    min: Vni,
    max: Vni,
}

impl TryFrom<Ends> for VniRange {
    type Error = VniRangeError;

    fn try_from(Ends { min, max }: Ends) -> Result<Self, VniRangeError> {
        Self::new(min, max)
    }
}

/// An [`Owner`] as data.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct OwnerParts {
    kind: String,
    name: String,
    uid: String,
}

impl TryFrom<OwnerParts> for Owner {
    type Error = OwnerError;

    fn try_from(OwnerParts { kind, name, uid }: OwnerParts) -> Result<Self, OwnerError> {
        Self::new(&kind, &name, &uid)
    }
}

impl From<Owner> for OwnerParts {
    fn from(owner: Owner) -> Self {
        Self { kind: owner.kind().into(), name: owner.name().into(), uid: owner.uid().into() }
    }
}

use alloc::vec::Vec;
use core::mem::size_of;

use super::data::{RestoreError, Snapshot};
use super::plane::{decode, indexes};
use crate::owners::Owner;

impl<O: Owner> Snapshot<O> {
    /// The ordinals of what was held, with its owner, ascending.
    ///
    /// However many a damaged snapshot of a pool without owners claims, they are not listed but
    /// given one by one.
    pub(crate) fn held_ordinals(
        &self,
    ) -> Result<impl Iterator<Item = (u128, O)> + '_, RestoreError> {
        if self.version != Self::VERSION {
            return Err(RestoreError::Version { found: self.version });
        }
        let mut words = Vec::new();
        let mut owners = self.owners.iter();
        decode(&self.held, |number, word, repeat| {
            let end = number.saturating_add(repeat);
            // The last index of the words is within the space, or the first one is not.
            let first = (number << 6) | u128::from(word.trailing_zeros());
            let high = u128::from(63u32.wrapping_sub(word.leading_zeros()));
            let last = (end.wrapping_sub(1) << 6) | high;
            for index in [first, last] {
                self.ordinal(index).ok_or(RestoreError::IndexOutOfRange { index })?;
            }
            if size_of::<O>() == 0 {
                if self.owners.is_empty() {
                    return Err(RestoreError::Inconsistent { index: first });
                }
            } else {
                for index in (number..end).flat_map(|number| indexes(number, word)) {
                    if owners.next().is_none_or(|(owned, _)| *owned != index) {
                        return Err(RestoreError::Inconsistent { index });
                    }
                }
            }
            words.push((number, word, repeat));
            Ok(())
        })?;
        if size_of::<O>() != 0
            && let Some(&(index, _)) = owners.next()
        {
            return Err(RestoreError::Inconsistent { index });
        }
        let held = words.into_iter().flat_map(|(number, word, repeat)| {
            let numbers = number..number.saturating_add(repeat);
            numbers.flat_map(move |number| indexes(number, word))
        });
        let mut owners = self.owners.iter();
        let only = self.owners.first();
        Ok(held.map_while(move |index| {
            let (_, owner) = if size_of::<O>() == 0 { only } else { owners.next() }?;
            Some((self.ordinal(index)?, *owner))
        }))
    }

    /// The ordinal that an index stood for.
    pub(crate) fn ordinal(&self, mut index: u128) -> Option<u128> {
        self.usable.iter().find_map(|&(first, last)| {
            let but_one = last.checked_sub(first)?;
            if index <= but_one {
                return first.checked_add(index);
            }
            index = index.wrapping_sub(but_one).wrapping_sub(1);
            None
        })
    }
}

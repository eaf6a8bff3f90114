use alloc::collections::BTreeMap;

/// A set of numbers kept as maximal runs: a million neighbours cost one entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    /// First to last of each run; no two touch.
    runs: BTreeMap<u128, u128>,
}

impl Runs {
    /// The end of the run that `number` is in.
    pub(super) fn end_of(&self, number: u128) -> Option<u128> {
        let (_, &last) = self.runs.range(..=number).next_back()?;
        (number <= last).then_some(last)
    }

    /// What is left, from `number` on, of the first run that reaches that far.
    pub(super) fn next(&self, number: u128) -> Option<(u128, u128)> {
        match self.end_of(number) {
            Some(last) => Some((number, last)),
            None => self.runs.range(number..).next().map(|(&first, &last)| (first, last)),
        }
    }

    /// Adds a number that is not in the set.
    pub(super) fn insert(&mut self, number: u128) {
        self.insert_run(number, number);
    }

    /// Adds the numbers `first..=last`, none of which is in the set.
    pub(super) fn insert_run(&mut self, first: u128, last: u128) {
        let last = match last.checked_add(1).and_then(|next| self.runs.remove(&next)) {
            Some(last) => last,
            None => last,
        };
        if let Some((_, end)) = self.runs.range_mut(..first).next_back()
            && end.checked_add(1) == Some(first)
        {
            *end = last;
            return;
        }
        self.runs.insert(first, last);
    }

    /// Takes a number out, if it is there.
    pub(super) fn remove(&mut self, number: u128) {
        let Some((&first, end)) = self.runs.range_mut(..=number).next_back() else {
            return;
        };
        let last = *end;
        if last < number {
            return;
        }
        if first == number {
            self.runs.remove(&first);
        } else {
            *end = number.wrapping_sub(1);
        }
        if number < last {
            self.runs.insert(number.wrapping_add(1), last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn agrees_with_a_plain_set() {
        let (mut runs, mut plain) = (Runs::default(), BTreeSet::new());
        let mut seed = 7u64;
        for _ in 0..4000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = u128::from(seed >> 59);
            if plain.insert(number) {
                runs.insert(number);
            } else {
                plain.remove(&number);
                runs.remove(number);
            }
            for number in 0..33 {
                let end = (number..34).take_while(|n| plain.contains(n)).last();
                assert_eq!(runs.end_of(number), end);
            }
            let maximal = plain.iter().filter(|&&n| n == 0 || !plain.contains(&(n - 1))).count();
            assert_eq!(runs.runs.len(), maximal);
        }
    }
}

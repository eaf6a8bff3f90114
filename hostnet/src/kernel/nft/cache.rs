//! What our table holds, kept between looks, so that one VM's change costs nothing for the others.

use crate::firewall::{Element, Marks, TableName};
use crate::tag::{Subject, Tag};
use std::collections::{BTreeSet, HashMap};

/// The contents of a table at one generation of the namespace's rule sets.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) table: TableName,
    /// The kernel's number of the last change to any rule set of the namespace.
    pub(super) generation: u32,
    pub(super) contents: Contents,
}

#[derive(Debug)]
pub(super) enum Contents {
    Absent,
    Foreign,
    Ours { elements: Elements, marks: Marks },
}

/// Elements, found by their key and by what they belong to.
#[derive(Debug, Default)]
pub(super) struct Elements {
    by_key: HashMap<Element, (Element, Option<Tag>)>,
    /// The keys of those that have a tag.
    by_subject: HashMap<Subject, BTreeSet<Element>>,
    /// The keys of those that are leave to reach a prefix.
    allowed: BTreeSet<Element>,
}

impl Contents {
    pub(super) fn ours(found: Vec<(Element, Option<Tag>)>, marks: Marks) -> Self {
        let mut elements = Elements::default();
        for (element, tag) in found {
            elements.insert(&element, tag.as_ref());
        }
        Self::Ours { elements, marks }
    }
}

impl Cache {
    /// The element with this element's key, and what it belongs to.
    pub(super) fn holder(&self, element: &Element) -> Option<(&Element, Option<&Tag>)> {
        let Contents::Ours { elements, .. } = &self.contents else { return None };
        elements.by_key.get(&element.key_only()).map(|(found, tag)| (found, tag.as_ref()))
    }

    /// Notes a change of our own, by which the rule sets are one generation further.
    pub(super) fn added(&mut self, element: &Element, tag: &Tag) {
        self.step();
        if let Contents::Ours { elements, .. } = &mut self.contents {
            elements.insert(element, Some(tag));
        }
    }

    /// Notes a change of our own, by which the rule sets are one generation further.
    pub(super) fn removed(&mut self, element: &Element) {
        self.step();
        if let Contents::Ours { elements, .. } = &mut self.contents {
            elements.remove(element);
        }
    }

    const fn step(&mut self) {
        // The kernel leaves out 0, which stands for "any".
        self.generation = match self.generation.wrapping_add(1) {
            0 => 1,
            next => next,
        };
    }
}

impl Elements {
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// All of them, in order.
    pub(super) fn all(&self) -> Vec<(Element, Option<Tag>)> {
        let mut all: Vec<_> = self.by_key.values().cloned().collect();
        all.sort();
        all
    }

    /// Those that belong to these subjects, and those that have the keys of what is wanted, in order.
    pub(super) fn of(
        &self,
        subjects: &BTreeSet<Subject>,
        wanted: &[Element],
    ) -> Vec<(Element, Option<Tag>)> {
        let own = subjects.iter().filter_map(|subject| self.by_subject.get(subject)).flatten();
        let keys: BTreeSet<Element> =
            own.cloned().chain(wanted.iter().map(Element::key_only)).collect();
        let mut found: Vec<_> =
            keys.iter().filter_map(|key| self.by_key.get(key).cloned()).collect();
        // Leave to reach a network must not outlive it, whoever has that leave.
        let prefixes: Vec<_> = found
            .iter()
            .filter_map(|(element, _)| match element {
                Element::Network(prefix) => Some(*prefix),
                _ => None,
            })
            .collect();
        if !prefixes.is_empty() {
            let leads_there = |element: &Element| match element {
                Element::Allowed { to, .. } => prefixes.iter().any(|prefix| prefix.contains(to)),
                _ => false,
            };
            let others = self.allowed.iter().filter(|key| leads_there(key) && !keys.contains(*key));
            found.extend(others.filter_map(|key| self.by_key.get(key).cloned()));
        }
        found.sort();
        found
    }

    fn insert(&mut self, element: &Element, tag: Option<&Tag>) {
        let key = element.key_only();
        if let Some(tag) = tag {
            self.by_subject.entry(tag.subject().clone()).or_default().insert(key.clone());
        }
        if matches!(element, Element::Allowed { .. }) {
            self.allowed.insert(key.clone());
        }
        self.by_key.insert(key, (element.clone(), tag.cloned()));
    }

    fn remove(&mut self, element: &Element) {
        let key = element.key_only();
        if let Some((_, Some(tag))) = self.by_key.remove(&key)
            && let Some(keys) = self.by_subject.get_mut(tag.subject())
        {
            keys.remove(&key);
            if keys.is_empty() {
                self.by_subject.remove(tag.subject());
            }
        }
        self.allowed.remove(&key);
    }
}

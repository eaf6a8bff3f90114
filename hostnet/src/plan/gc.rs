use super::{Plan, TeardownError, teardown};
use crate::observed::{Coverage, Observed};
use crate::op::Op;
use crate::spec::NamespaceName;
use crate::tag::{Subject, Tag};
use core::time::Duration;
use std::collections::BTreeSet;

/// What is there of ours and what of it nobody claims: a report, from which nothing follows by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Garbage {
    /// Not alive and old enough.
    pub orphans: Vec<Orphan>,
    /// Not alive, but younger than the minimum age or of unknown age: it may be in the making.
    pub young: Vec<Orphan>,
    /// Alive, and there.
    pub live: BTreeSet<Subject>,
    /// Devices of this owner's whose making was cut short before they had their tag. They are nobody's yet.
    pub half_made: Vec<String>,
}

/// A network or attachment of which something is there and which nobody claims.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Orphan {
    /// What it is.
    pub subject: Subject,
    /// The names of its devices, those in its namespace included.
    pub devices: Vec<String>,
    /// The names of its namespaces.
    pub namespaces: Vec<NamespaceName>,
    /// How many elements it has in our table.
    pub elements: usize,
    /// How long ago its youngest device was made, if its devices say so.
    pub age: Option<Duration>,
}

/// Finds what is ours, is there, and is not in `live`.
///
/// `live` must be everything that is alive, from the claims: a name that is missing there is called an
/// orphan. A caller who does not know must not ask. `now` is the time since the Unix epoch.
///
/// # Errors
/// When not everything was looked at.
pub fn garbage(
    observed: &Observed,
    live: &BTreeSet<Subject>,
    now: Duration,
    minimum_age: Duration,
) -> Result<Garbage, TeardownError> {
    if observed.coverage != Coverage::Everything {
        return Err(TeardownError::Partial);
    }
    let mut report = Garbage {
        orphans: Vec::new(),
        young: Vec::new(),
        live: BTreeSet::new(),
        half_made: observed.half_made().map(|link| link.name.clone()).collect(),
    };
    for subject in observed.subjects() {
        if live.contains(&subject) {
            report.live.insert(subject);
            continue;
        }
        let orphan = describe(observed, subject, now);
        // Devices come before elements and go after them, so elements alone are not in the making.
        let old = match orphan.age {
            Some(age) => age >= minimum_age,
            None => {
                orphan.devices.is_empty() && orphan.namespaces.is_empty() || minimum_age.is_zero()
            }
        };
        let list = if old { &mut report.orphans } else { &mut report.young };
        list.push(orphan);
    }
    Ok(report)
}

impl Garbage {
    /// The plan that removes the orphans and what is half made, and only them.
    ///
    /// # Errors
    /// When an orphaned network still has ports that stay.
    pub fn teardown(&self, observed: &Observed) -> Result<Plan, TeardownError> {
        let subjects = self.orphans.iter().map(|orphan| orphan.subject.clone()).collect();
        let mut plan = teardown(&subjects, observed)?;
        plan.ops.extend(observed.half_made().map(|link| Op::DeleteHalfMade {
            name: link.name.clone(),
            index: link.index,
            owner: observed.owner.clone(),
        }));
        Ok(plan)
    }
}

fn describe(observed: &Observed, subject: Subject, now: Duration) -> Orphan {
    let is_its = |tag: &Tag| *tag.owner() == observed.owner && *tag.subject() == subject;
    let mut links: Vec<_> =
        observed.our_links().filter(|(_, tag)| is_its(tag)).map(|(link, _)| link).collect();
    let namespaces: Vec<_> = observed
        .namespaces
        .iter()
        .filter(|namespace| namespace.tag.as_ref().is_some_and(is_its))
        .collect();
    let inside = namespaces.iter().filter_map(|namespace| namespace.inside.as_deref());
    links.extend(inside.flat_map(|inside| inside.our_links().map(|(link, _)| link)));
    let youngest = links
        .iter()
        .map(|link| link.made)
        .try_fold(Duration::ZERO, |latest, made| made.map(|made| latest.max(made)));
    let elements = observed.table.elements().filter(|(_, tag)| tag.is_some_and(is_its)).count();
    Orphan {
        age: youngest.filter(|_| !links.is_empty()).map(|made| now.saturating_sub(made)),
        devices: links.iter().map(|link| link.name.clone()).collect(),
        namespaces: namespaces.iter().map(|namespace| namespace.name.clone()).collect(),
        elements,
        subject,
    }
}

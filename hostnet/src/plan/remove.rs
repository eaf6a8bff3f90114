use super::{Plan, PlanKind};
use crate::firewall::{Element, TableName};
use crate::observed::{Coverage, Observed, Table};
use crate::op::Op;
use crate::tag::{Role, Subject, Tag};
use ipnet::IpNet;
use std::collections::BTreeSet;

/// Why something cannot be torn down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TeardownError {
    /// Not all that belongs to the subjects was looked at, so what hangs on what is not known.
    #[error("only a part of what is to go was looked at; observe everything first")]
    Partial,
    /// A bridge that still has ports which are not torn down with it.
    #[error("{network} still has {} on its bridge ({}); tear down or move them first", count(ports), ports.join(", "))]
    InUse {
        /// The network.
        network: Subject,
        /// The names of the devices on its bridge.
        ports: Vec<String>,
    },
}

/// What is to be done so that nothing of these subjects is left, in order: forwards, devices, namespaces, other elements,
/// and at last our table if nothing else is in it.
///
/// Every step stands alone, takes "not there" for success, and goes by the tags that were observed: what does not
/// carry a tag of this owner is not in the plan, whatever it is called. What is not there is not in the plan either.
///
/// # Errors
/// When a bridge has ports that are not torn down with it, foreign ones included, or not everything was looked at.
pub fn teardown(subjects: &BTreeSet<Subject>, observed: &Observed) -> Result<Plan, TeardownError> {
    teardown_among(subjects, subjects, observed)
}

/// The same, where the devices of `going`, which `subjects` are among, are being removed at the same time.
pub(crate) fn teardown_among(
    subjects: &BTreeSet<Subject>,
    going: &BTreeSet<Subject>,
    observed: &Observed,
) -> Result<Plan, TeardownError> {
    let chosen = |tag: &&Tag| tag.owner() == &observed.owner && subjects.contains(tag.subject());
    match &observed.coverage {
        Coverage::Everything => {}
        Coverage::Subjects(seen) if subjects.is_subset(seen) => {}
        _ => return Err(TeardownError::Partial),
    }
    check_ports(subjects, going, observed)?;

    let table = TableName::new(observed.owner.clone());
    let elements: Vec<_> = observed.table.elements().collect();
    // Leave to reach a network that goes must not pass to the next one with its prefix.
    let goes = |prefix: &IpNet| {
        elements.iter().any(|(element, tag)| match element {
            Element::Network(own) => own.contains(prefix) && tag.is_some_and(|tag| chosen(&tag)),
            _ => false,
        })
    };
    let leads_there = |element: &Element| match element {
        Element::Allowed { to, .. } => goes(to),
        _ => false,
    };
    let ours = |tag: &&Tag| tag.owner() == &observed.owner;
    let ops: Vec<Op> = elements
        .iter()
        .filter_map(|(element, tag)| Some((*element, tag.filter(ours)?)))
        .filter(|(element, tag)| chosen(tag) || leads_there(element))
        .map(|(element, tag)| Op::RemoveElement {
            table: table.clone(),
            element: element.clone(),
            tag: tag.clone(),
        })
        .collect();
    // After a look at a part the rest of the table is not known, but the last network takes its elements along.
    let table_empties = match observed.coverage {
        Coverage::Everything => ops.len() == elements.len(),
        _ => subjects.iter().any(|s| matches!(s, Subject::Network(_))),
    };
    // Forwards go before the devices, so that no packet finds its way to a guest that is being taken away; what keeps
    // networks apart goes after them.
    let is_forward =
        |op: &Op| matches!(op, Op::RemoveElement { element: Element::Forward { .. }, .. });
    let (mut ops, others): (Vec<_>, Vec<_>) = ops.into_iter().partition(is_forward);

    let mut links: Vec<&Tag> = observed.our_links().map(|(_, tag)| tag).filter(&chosen).collect();
    // One end of a pair takes the other along.
    let pairs: BTreeSet<_> = links
        .iter()
        .filter_map(|tag| match tag.role() {
            Role::Downlink(number) => Some((tag.subject(), number)),
            _ => None,
        })
        .collect();
    links.retain(|tag| match tag.role() {
        Role::Uplink(number) => !pairs.contains(&(tag.subject(), number)),
        _ => true,
    });
    links.sort_by_key(|tag| tag.role().is_bridge());
    ops.extend(links.into_iter().map(|tag| Op::DeleteLink { tag: tag.clone() }));
    for namespace in &observed.namespaces {
        if let Some(tag) = namespace.tag.as_ref().filter(&chosen) {
            let (name, tag) = (namespace.name.clone(), tag.clone());
            ops.push(Op::DeleteNamespace { name, tag });
        }
    }
    ops.extend(others);

    if table_empties && matches!(observed.table, Table::Ours { .. }) {
        ops.push(Op::RemoveTable { table });
    }
    Ok(Plan { kind: PlanKind::Remove, ops })
}

fn check_ports(
    subjects: &BTreeSet<Subject>,
    going: &BTreeSet<Subject>,
    observed: &Observed,
) -> Result<(), TeardownError> {
    let goes = |tag: &Option<Tag>| {
        tag.as_ref().is_some_and(|t| t.owner() == &observed.owner && going.contains(t.subject()))
    };
    for (bridge, tag) in observed.our_links().filter(|(_, tag)| tag.role().is_bridge()) {
        if !subjects.contains(tag.subject()) {
            continue;
        }
        let mut ports: Vec<String> = observed
            .links
            .iter()
            .filter(|port| port.master == Some(bridge.index) && !goes(&port.tag))
            .map(|port| port.name.clone())
            .collect();
        // The kernel tells them in no order.
        ports.sort();
        if !ports.is_empty() {
            return Err(TeardownError::InUse { network: tag.subject().clone(), ports });
        }
    }
    Ok(())
}

fn count(ports: &[String]) -> String {
    match ports.len() {
        1 => "a port".to_owned(),
        n => format!("{n} ports"),
    }
}

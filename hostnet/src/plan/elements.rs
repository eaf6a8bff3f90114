use super::PlanError;
use super::wanted::Wanted;
use crate::firewall::{Element, TableName};
use crate::observed::Observed;
use crate::op::Op;
use crate::tag::{Subject, Tag};
use std::collections::{HashMap, HashSet};

/// The steps that make the elements of some subjects as they are wanted.
pub(super) struct Changes {
    /// What goes, which must be done first: its key may be wanted for another.
    pub(super) removals: Vec<Op>,
    /// What comes, by whom it is for.
    pub(super) additions: HashMap<Subject, Vec<Op>>,
}

/// Compares what is wanted with what is there. Elements of subjects that are not named are left alone.
pub(super) fn reconcile(
    table: &TableName,
    wanted: &[Wanted],
    observed: &Observed,
) -> Result<Changes, PlanError> {
    let mut by_subject: HashMap<&Subject, Vec<(&Element, &Tag)>> = HashMap::new();
    let mut by_key = HashMap::new();
    for (element, tag) in observed.table.elements() {
        by_key.insert(element.key_only(), (element, tag));
        if let Some(tag) = tag.filter(|tag| *tag.owner() == observed.owner) {
            by_subject.entry(tag.subject()).or_default().push((element, tag));
        }
    }

    let (mut removals, mut freed) = (Vec::new(), HashSet::new());
    for Wanted { tag, elements } in wanted {
        let present = by_subject.get(tag.subject()).map(Vec::as_slice).unwrap_or_default();
        for (element, by) in present.iter().filter(|(element, _)| !elements.contains(element)) {
            freed.insert(*element);
            let (table, element, tag) = (table.clone(), (*element).clone(), (*by).clone());
            removals.push(Op::RemoveElement { table, element, tag });
        }
    }

    let mut additions: HashMap<Subject, Vec<Op>> = HashMap::new();
    for Wanted { tag, elements } in wanted {
        let ops = additions.entry(tag.subject().clone()).or_default();
        for element in elements {
            match by_key.get(&element.key_only()) {
                Some((present, Some(by))) if *present == element && *by == tag => continue,
                Some((present, by)) if !freed.contains(present) => {
                    return Err(PlanError::Taken {
                        subject: tag.subject().clone(),
                        element: element.clone(),
                        by: by
                            .map_or_else(|| "an element without a tag".to_owned(), Tag::to_string),
                    });
                }
                _ => {}
            }
            let (table, element, tag) = (table.clone(), element.clone(), tag.clone());
            ops.push(Op::AddElement { table, element, tag });
        }
    }
    Ok(Changes { removals, additions })
}

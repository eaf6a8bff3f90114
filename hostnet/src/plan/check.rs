//! What makes a wish impossible, whatever the steps would be.

use super::error::PlanError;
use super::wanted::bridge_tag;
use crate::observed::Observed;
use crate::spec::Desired;
use crate::tag::{Subject, Tag};
use ipnet::IpNet;
use std::collections::{HashMap, HashSet};

/// Refuses to take what is left of another making of an attachment for this one.
pub(super) fn generations(desired: &Desired, observed: &Observed) -> Result<(), PlanError> {
    let wanted: HashMap<_, _> = desired
        .attachments()
        .map(|a| (Subject::Attachment(a.id().clone()), a.generation()))
        .collect();
    let tagged = observed.our_links().map(|(_, tag)| tag);
    let elements = observed.table.elements().filter_map(|(_, tag)| tag);
    let namespaces = observed.namespaces.iter().filter_map(|namespace| namespace.tag.as_ref());
    for tag in tagged.chain(elements).chain(namespaces).filter(|tag| *tag.owner() == observed.owner)
    {
        let (subject, found) = (tag.subject(), tag.generation());
        if let Some(&wanted) = wanted.get(subject).filter(|wanted| **wanted != found) {
            let subject = subject.clone();
            return Err(PlanError::OtherGeneration { subject, found, wanted });
        }
    }
    Ok(())
}

/// Refuses a network that would take what another device's addresses are reached by.
pub(super) fn prefixes(desired: &Desired, observed: &Observed) -> Result<(), PlanError> {
    // Another bridge of the same wish may be on its way out of the prefix.
    let wished: HashSet<Tag> =
        desired.networks().map(|n| bridge_tag(desired.owner(), n.name(), 0)).collect();
    let others = observed
        .links
        .iter()
        .filter(|link| !link.tag.as_ref().is_some_and(|tag| wished.contains(tag)))
        .filter(|link| !link.is_half_made(desired.owner()))
        .flat_map(|link| link.addresses.iter().map(move |a| (link, a.address)))
        // Every device has link-local addresses, and lo's are the host's alone.
        .filter(|(_, address)| !address.addr().is_loopback() && !is_link_local(*address));
    for (link, address) in others {
        let its = address.trunc();
        for network in desired.networks() {
            if let Some(prefix) =
                network.prefixes().find(|own| own.contains(&its) || its.contains(own))
            {
                return Err(PlanError::PrefixInUse {
                    network: network.name().clone(),
                    prefix,
                    address,
                    device: link.name.clone(),
                });
            }
        }
    }
    Ok(())
}

const fn is_link_local(address: IpNet) -> bool {
    match address {
        IpNet::V4(address) => address.addr().is_link_local(),
        IpNet::V6(address) => address.addr().is_unicast_link_local(),
    }
}

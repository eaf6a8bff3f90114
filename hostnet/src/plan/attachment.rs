//! The steps for one attachment: its TAP, alone or in a namespace of its own, and its place on the network.

use super::build::{Builder, Properties};
use super::error::PlanError;
use super::wanted::{self, attachment_tag, bridge_tag, port_tag};
use crate::firewall::{Gate, TableName};
use crate::observed::{Link, Observed};
use crate::op::{DeviceSetup, LinkChange, LinkSetting, Op, PortState, Rules, VethEnd};
use crate::spec::{Attachment, Namespace, Network, NetworkShape};
use crate::tag::{Role, Subject, birth_group};
use std::collections::{BTreeSet, HashMap};

impl<'a> Builder<'a> {
    pub(super) fn attachment(
        &mut self,
        attachment: &Attachment,
        network: &Network,
    ) -> Result<(), PlanError> {
        let port = match attachment.namespace() {
            Some(namespace) => self.namespaced(attachment, network, namespace)?,
            None => self.tap(attachment, network, self.port_setup(network))?,
        };
        self.add_elements(&Subject::Attachment(attachment.id().clone()));
        let tag = port_tag(self.owner, attachment);
        match network.shape() {
            NetworkShape::Bridged => self.bridged(attachment, network, port),
            NetworkShape::Routed => {
                if let Some(Link { master: Some(_), isolated, .. }) = port {
                    let to = PortState { master: None, isolated: *isolated, up: true };
                    self.ops.push(Op::RestorePort { port: tag.clone(), to });
                }
                self.addresses(&tag, port, &wanted::port_addresses(attachment));
                self.up(&tag, port);
                self.routes(&tag, port, &wanted::port_routes(attachment, network));
                self.neighbours(&tag, port, &wanted::port_neighbours(attachment, network));
            }
        }
        let (from, to) = (port.and_then(|link| link.rate), attachment.rate_to_guest());
        if from != to {
            let device = attachment.port_name().to_string();
            self.set(&tag, LinkChange::Rate { device, from, to });
        }
        Ok(())
    }

    fn bridged(&mut self, attachment: &Attachment, network: &Network, port: Option<&Link>) {
        let tag = port_tag(self.owner, attachment);
        let isolated = !network.guest_to_guest();
        let bridges = self.bridge_indexes(network);
        match port {
            // Whichever of the network's bridges it is on, it stays there.
            Some(link) if link.master.is_some_and(|master| bridges.contains(&master)) => {
                self.attached(&tag, link, isolated);
            }
            port => {
                let number = network.bridge_of(attachment.id());
                let bridge = bridge_tag(self.owner, network.name(), number);
                self.port(&tag, port, &bridge, isolated);
            }
        }
    }

    /// Makes the TAP be there, as it was asked for.
    fn tap(
        &mut self,
        attachment: &Attachment,
        network: &Network,
        setup: DeviceSetup,
    ) -> Result<Option<&'a Link>, PlanError> {
        let tag = attachment_tag(self.owner, attachment, Role::Tap);
        let (name, mac) = (attachment.tap_name(), attachment.host_mac());
        let (mtu, options) = (network.device_mtu(), attachment.tap_options());
        let link = self.device(&tag, name, "tun")?;
        if let Some(link) = link {
            if link.tap.is_some_and(|found| found != options) {
                return Err(PlanError::Unchangeable {
                    subject: tag.subject().clone(),
                    device: link.name.clone(),
                    what: "the owner, group, queues and header of a TAP",
                });
            }
            self.mend(&tag, link, &properties(name, mac, mtu, setup));
        } else {
            let name = name.clone();
            self.ops.push(Op::CreateTap { name, mac, mtu, options, setup, tag });
        }
        Ok(link)
    }

    /// Makes the VM's namespace be there with all that is in it. What leads to it is the veth pair's end on the host.
    fn namespaced(
        &mut self,
        attachment: &Attachment,
        network: &Network,
        namespace: &Namespace,
    ) -> Result<Option<&'a Link>, PlanError> {
        let proof = attachment_tag(self.owner, attachment, Role::Namespace);
        let tag = port_tag(self.owner, attachment);
        let (name, mac) = (namespace.host_end(), attachment.host_mac());
        let link = self.device(&tag, name, "veth")?;
        if let Some(link) = link {
            let setup = self.port_setup(network);
            self.mend(&tag, link, &properties(name, mac, network.device_mtu(), setup));
        }
        let found = self.observed.namespace(namespace.name());
        let inside = match found {
            Some(found) if found.tag.as_ref() == Some(&proof) => found.inside.as_deref(),
            Some(found) => {
                return Err(PlanError::NamespaceTaken {
                    subject: tag.subject().clone(),
                    name: namespace.name().clone(),
                    by: found
                        .tag
                        .as_ref()
                        .map_or_else(|| "somebody else".to_owned(), ToString::to_string),
                });
            }
            None if link.is_some() => {
                return Err(PlanError::NamespaceLost {
                    subject: tag.subject().clone(),
                    name: namespace.name().clone(),
                    device: name.clone(),
                });
            }
            None => None,
        };
        let nothing = Observed::nothing(self.owner.clone());
        let steps = self.inside(attachment, network, namespace, inside.unwrap_or(&nothing))?;
        let name = namespace.name().clone();
        if inside.is_none() {
            self.ops.push(Op::CreateNamespace { name, inside: steps, tag: proof });
        } else if !steps.is_empty() {
            self.ops.push(Op::InNamespace { name, inside: steps, tag: proof });
        }
        Ok(link)
    }

    /// The steps inside a VM's namespace.
    fn inside(
        &self,
        attachment: &Attachment,
        network: &Network,
        namespace: &Namespace,
        observed: &Observed,
    ) -> Result<Vec<Op>, PlanError> {
        let mut inner = Builder::new(self.owner, observed, HashMap::new());
        let families: BTreeSet<_> = attachment.addresses().map(wanted::family).collect();
        for family in families.difference(&observed.forwarding) {
            inner.ops.push(Op::EnableForwarding { family: *family });
        }
        let plain = DeviceSetup { group: birth_group(self.owner), proxy: false };

        let tap = inner.tap(attachment, network, plain)?;
        let tap_tag = attachment_tag(self.owner, attachment, Role::Tap);
        let (guest, own): (Vec<_>, Vec<_>) =
            attachment.addresses().map(|address| namespace.inner(address)).unzip();
        inner.addresses(&tap_tag, tap, &own);
        inner.up(&tap_tag, tap);

        let tag = attachment_tag(self.owner, attachment, Role::InnerEnd);
        let (name, mtu) = (namespace.inner_end(), network.device_mtu());
        let veth = inner.device(&tag, name, "veth")?;
        if let Some(link) = veth {
            inner.mend(&tag, link, &properties(name, attachment.mac(), mtu, plain));
            inner.up(&tag, Some(link));
        } else {
            let here = VethEnd {
                name: name.clone(),
                mac: Some(attachment.mac()),
                setup: plain,
                tag: tag.clone(),
            };
            let there = VethEnd {
                name: namespace.host_end().clone(),
                mac: Some(attachment.host_mac()),
                setup: self.port_setup(network),
                tag: port_tag(self.owner, attachment),
            };
            inner.ops.push(Op::CreateVeth { here, there, mtu });
        }
        inner.addresses(&tag, veth, &wanted::inner_addresses(attachment, network));
        inner.routes(&tag, veth, &wanted::inner_routes(attachment, network));
        let gate = Gate { device: name.clone(), guest };
        inner.table(&TableName::new(self.owner.clone()), Rules::Gate(gate))?;
        Ok(inner.ops)
    }

    fn port_setup(&self, network: &Network) -> DeviceSetup {
        DeviceSetup {
            group: wanted::port_group(self.owner, network),
            proxy: network.shape() == NetworkShape::Routed,
        }
    }
}

const fn properties(
    name: &crate::DeviceName,
    mac: macaddr::MacAddr6,
    mtu: u32,
    setup: DeviceSetup,
) -> Properties<'_> {
    let settings: &[_] = if setup.proxy { &LinkSetting::OF_ROUTED } else { &[] };
    Properties { name, mac: Some(mac), mtu, group: setup.group, settings }
}

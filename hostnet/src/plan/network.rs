//! The steps for one network: its bridges and what joins them, its addresses, and its VXLAN device.

use super::build::{Builder, Properties};
use super::error::PlanError;
use super::wanted::{bridge_tag, network_tag};
use crate::observed::{Link, VxlanEnd};
use crate::op::{DeviceSetup, LinkChange, LinkSetting, Op, PortState, VethEnd, VxlanPeer};
use crate::spec::{DeviceName, Network, Vxlan};
use crate::tag::{Role, Subject, Tag, birth_group};
use ipnet::IpNet;

impl<'a> Builder<'a> {
    pub(super) fn network(&mut self, network: &Network) -> Result<(), PlanError> {
        let tag = bridge_tag(self.owner, network.name(), 0);
        let bridge = self.bridge(network, 0, network.device())?;
        self.add_elements(&Subject::Network(network.name().clone()));
        let addresses: Vec<IpNet> = network.addresses().collect();
        self.addresses(&tag, bridge, &addresses);
        for (shard, number) in network.shards().iter().zip(1..) {
            self.bridge(network, usize::from(number), &shard.bridge)?;
            self.trunk(network, number, &shard.uplink, &shard.downlink)?;
        }
        match network.vxlan() {
            Some(vxlan) => self.vxlan(network, vxlan),
            None => Ok(()),
        }
    }

    fn bridge(
        &mut self,
        network: &Network,
        number: usize,
        name: &DeviceName,
    ) -> Result<Option<&'a Link>, PlanError> {
        let tag = bridge_tag(self.owner, network.name(), number);
        let (mac, mtu) = (network.bridge_mac(number), network.device_mtu());
        let link = self.device(&tag, name, "bridge")?;
        if let Some(link) = link {
            // Without promotion the removal of one address takes the later ones of its prefix with it, strangers' included.
            let settings: &[_] = if number == 0 {
                &[LinkSetting::PromoteSecondaries, LinkSetting::RouteLocalnet]
            } else {
                &[]
            };
            let group = birth_group(self.owner);
            self.mend(&tag, link, &Properties { name, mac: Some(mac), mtu, group, settings });
            self.up(&tag, Some(link));
        } else {
            self.ops.push(Op::CreateBridge { name: name.clone(), mac, mtu, tag });
        }
        Ok(link)
    }

    /// Joins a further bridge to the first by a veth pair. On the first bridge the pair's end is isolated like a guest, or
    /// guests would reach one another by it.
    fn trunk(
        &mut self,
        network: &Network,
        number: u8,
        uplink: &DeviceName,
        downlink: &DeviceName,
    ) -> Result<(), PlanError> {
        let group = birth_group(self.owner);
        let mtu = network.device_mtu();
        let ends = [(Role::Uplink(number), uplink), (Role::Downlink(number), downlink)]
            .map(|(role, name)| (network_tag(self.owner, network.name(), role), name));
        let [up, down] = &ends;
        let found = (self.device(&up.0, up.1, "veth")?, self.device(&down.0, down.1, "veth")?);
        if let (Some(one), None) | (None, Some(one)) = found
            && let Some(tag) = &one.tag
        {
            // The other end is in some other namespace: of no use to anybody.
            self.ops.push(Op::DeleteLink { tag: tag.clone() });
        }
        let found = match found {
            (Some(up), Some(down)) => [Some(up), Some(down)],
            _ => [None, None],
        };
        if found.iter().all(Option::is_none) {
            let setup = DeviceSetup { group, proxy: false };
            let [here, there] = ends.clone().map(|(tag, name)| VethEnd {
                name: name.clone(),
                mac: None,
                setup,
                tag,
            });
            self.ops.push(Op::CreateVeth { here, there, mtu });
        }
        let bridges = [usize::from(number), 0].map(|n| bridge_tag(self.owner, network.name(), n));
        let isolated = [false, !network.guest_to_guest()];
        for ((((tag, name), link), bridge), isolated) in
            ends.iter().zip(found).zip(bridges).zip(isolated)
        {
            if let Some(link) = link {
                let wanted = Properties { name, mac: None, mtu, group, settings: &[] };
                self.mend(tag, link, &wanted);
            }
            self.port(tag, link, &bridge, isolated);
        }
        Ok(())
    }

    fn vxlan(&mut self, network: &Network, vxlan: &Vxlan) -> Result<(), PlanError> {
        let tag = network_tag(self.owner, network.name(), Role::Vxlan);
        let (name, mtu) = (vxlan.device(), network.device_mtu());
        let link = self.device(&tag, name, "vxlan")?;
        match link {
            Some(link) => {
                let wanted = VxlanEnd {
                    vni: vxlan.vni(),
                    local: Some(vxlan.local()),
                    port: vxlan.port().get(),
                    learns: vxlan.learns(),
                };
                if link.vxlan != Some(wanted) {
                    return Err(PlanError::Unchangeable {
                        subject: tag.subject().clone(),
                        device: link.name.clone(),
                        what: "the VNI, local address, port and learning of a VXLAN device",
                    });
                }
                let group = birth_group(self.owner);
                self.mend(&tag, link, &Properties { name, mac: None, mtu, group, settings: &[] });
            }
            None => self.ops.push(Op::CreateVxlan { vxlan: vxlan.clone(), mtu, tag: tag.clone() }),
        }
        let present = link.map(|link| link.peers.as_slice()).unwrap_or_default();
        let wanted: Vec<_> = vxlan.entries().map(|(mac, host)| VxlanPeer { mac, host }).collect();
        self.settle(
            (present, &wanted),
            |peer| Op::RemovePeer { tag: tag.clone(), peer },
            |peer| Op::AddPeer { tag: tag.clone(), peer },
        );
        let bridge = bridge_tag(self.owner, network.name(), 0);
        self.port(&tag, link, &bridge, !network.guest_to_guest());
        Ok(())
    }

    /// Makes a device be a port of this bridge, and up.
    pub(super) fn port(&mut self, tag: &Tag, link: Option<&Link>, bridge: &Tag, isolated: bool) {
        let index = self.by_tag.get(bridge).map(|link| link.index);
        match link {
            Some(link) if link.master.is_some() && link.master == index => {
                self.attached(tag, link, isolated);
            }
            link => {
                let was = link.map(|link| PortState {
                    master: link.master,
                    isolated: link.isolated,
                    up: link.up,
                });
                self.ops.push(Op::AttachPort {
                    port: tag.clone(),
                    bridge: bridge.clone(),
                    isolated,
                    was: was.unwrap_or_default(),
                });
            }
        }
    }

    /// Puts right what else a port is to be.
    pub(super) fn attached(&mut self, tag: &Tag, link: &Link, isolated: bool) {
        if link.isolated != isolated {
            self.set(tag, LinkChange::Isolation { from: link.isolated, to: isolated });
        }
        self.up(tag, Some(link));
    }
}

//! What other programs on the host have, and every kind of harm that they can do without meaning any.

use crate::rules;
use crate::world::{Outcome, Stranger, owned};
use futures_util::TryStreamExt as _;
use hostnet::{
    Attachment, AttachmentId, Desired, DeviceName, Host, Netns, Network, NetworkName, Owner, Role,
    Subject, Tag,
};
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, Prop,
};
use rtnetlink::{LinkBridge, LinkUnspec};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::IpAddr;

/// The most devices that strangers have at a time.
const MOST: usize = 16;
/// The prefix of the names of the strangers' tables; ours begins like that too.
const TABLES: &str = "hostnet-d";

/// Numbers that look random and are the same for the same seed (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        // All zeros would stay all zeros.
        Self(seed | 1 << 63)
    }

    pub(crate) const fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.roll(from.len())) }
    }
}

/// A device as a stranger sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Device {
    pub(crate) name: String,
    kind: String,
    altnames: BTreeSet<String>,
    mac: Vec<u8>,
    mtu: u32,
    group: u32,
    controller: u32,
    up: bool,
    addresses: BTreeSet<String>,
}

/// Everything that is the strangers' own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Belongings {
    devices: BTreeMap<u32, Device>,
    /// The rules, as the kernel tells them.
    rules: Vec<Vec<u8>>,
    /// Which of the namespaces that they made are the ones they made.
    namespaces: BTreeMap<String, bool>,
}

/// Other programs on the same host.
pub(crate) struct Strangers {
    stranger: Stranger,
    /// Another user of this crate, who makes TAPs.
    other: Host,
    indexes: BTreeSet<u32>,
    tables: BTreeSet<String>,
    namespaces: BTreeMap<String, Netns>,
    /// Numbers that devices of ours had.
    used: Vec<u32>,
}

impl Strangers {
    /// Must be called inside a runtime.
    pub(crate) fn new() -> Self {
        Self {
            stranger: Stranger::new(),
            other: owned("other"),
            indexes: BTreeSet::new(),
            tables: BTreeSet::new(),
            namespaces: BTreeMap::new(),
            used: Vec::new(),
        }
    }

    /// Looks at what the strangers have.
    pub(crate) async fn belongings(&self) -> Result<Belongings, Box<dyn Error>> {
        let mut devices = self.devices().await?;
        devices.retain(|index, _| self.indexes.contains(index));
        let rules = if self.tables.is_empty() { Vec::new() } else { self.rules()? };
        let is_same = |(name, netns): (&String, &Netns)| {
            let there = Netns::named(name).and_then(|found| found.is_same(netns));
            (name.clone(), there.unwrap_or(false))
        };
        Ok(Belongings { devices, rules, namespaces: self.namespaces.iter().map(is_same).collect() })
    }

    fn rules(&self) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
        let mut rules = Vec::new();
        for table in &self.tables {
            rules.extend(rules::rules_of(&format!("{table}\0"))?);
        }
        Ok(rules)
    }

    /// All devices of the host, by their numbers.
    async fn devices(&self) -> Result<BTreeMap<u32, Device>, Box<dyn Error>> {
        let mut devices = BTreeMap::new();
        let mut links = self.stranger.0.link().get().execute();
        while let Some(link) = links.try_next().await? {
            devices.insert(link.header.index, device(link));
        }
        let mut addresses = self.stranger.0.address().get().execute();
        while let Some(message) = addresses.try_next().await? {
            let Some(device) = devices.get_mut(&message.header.index) else { continue };
            device.addresses.extend(message.attributes.iter().filter_map(|attribute| {
                match attribute {
                    // Link-local ones come by themselves, some time after a device comes up.
                    AddressAttribute::Address(IpAddr::V4(address)) => {
                        Some(format!("{address}/{}", message.header.prefix_len))
                    }
                    _ => None,
                }
            }));
        }
        Ok(devices)
    }

    /// Does something, whatever it may be. That the kernel refuses is part of the game.
    ///
    /// `names` are those of the devices that we want, `ids` those of our attachments.
    pub(crate) async fn act(
        &mut self,
        dice: &mut Dice,
        names: &[String],
        ids: &[String],
    ) -> Result<&'static str, Box<dyn Error>> {
        let all = self.devices().await?;
        let (theirs, ours): (Vec<_>, Vec<_>) =
            all.iter().filter(|(_, d)| d.name != "lo").partition(|(i, _)| self.indexes.contains(i));
        let groups: Vec<u32> = ours.iter().map(|(_, device)| device.group).collect();
        self.used.extend(ours.iter().map(|(index, _)| **index));
        self.used.drain(..self.used.len().saturating_sub(64));
        let (their, our) = (dice.pick(&theirs).copied(), dice.pick(&ours).copied());
        let wanted = dice.pick(names).ok_or("no names")?.clone();
        // Of our prefix, and no name of ours.
        let alike = format!("{}{}", &wanted[..wanted.len().min(6)], dice.roll(1000));
        let name = if dice.roll(6) == 0 { wanted } else { alike };
        let stranger = &self.stranger;
        let before: BTreeSet<u32> = all.keys().copied().collect();
        let full = theirs.len() >= MOST;
        // Its outcome does not matter: only what is there afterwards does.
        let (what, _) = match (dice.roll(16), their, our) {
            (0, _, _) if !full => ("make a bridge", stranger.add_bridge(&name).await),
            (1, _, _) if !full => {
                let peer = format!("peer{}", dice.roll(10_000));
                ("make a veth pair", stranger.add_veth(&name, &peer).await)
            }
            (2, _, _) if !full => ("make a TAP", self.make_tap(&name).await),
            (3, _, _) if !full => {
                let index = dice.pick(&self.used).copied().unwrap_or(7);
                let link = LinkBridge::new(&name).index(index).build();
                let made = stranger.0.link().add(link).execute().await;
                ("make a bridge of a number that was ours", made.map_err(Into::into))
            }
            (4, Some((index, _)), _) => ("rename theirs", self.rename(*index, &name).await),
            (5, _, Some((index, _))) => ("rename ours", self.rename(*index, &name).await),
            (6, _, Some((index, _))) => ("delete ours", self.delete(*index).await),
            (7, Some((index, _)), _) => ("delete theirs", self.delete(*index).await),
            (8, Some((index, device)), _) => {
                let group = dice.pick(&groups).copied().unwrap_or(7);
                // A device that is born with a number of ours and put into the group that ours are born in is said to be
                // ours by all there is to go by. Nobody does both without meaning to.
                if *index >= 0x2000_0000 {
                    return Ok("nothing");
                }
                ("move theirs to our group", stranger.set_group(&device.name, group).await)
            }
            (9, Some((_, device)), _) => {
                let id = dice.pick(ids).ok_or("no ids")?;
                let tag = tag_of("demo", id)?;
                let identity = tag.strip_suffix(":0").unwrap_or_default();
                let altname = match dice.roll(6) {
                    0 => identity.strip_suffix(":tap").unwrap_or_default().to_owned(),
                    1 => identity.to_owned(),
                    2 => format!("{identity}:00"),
                    3 => tag_of("other", id)?,
                    4 => format!("{tag}:0"),
                    5 if dice.roll(8) == 0 => {
                        let network = Subject::Network(NetworkName::new("default")?);
                        let tag = Tag::new(Owner::new("demo")?, network, Role::Bridge, 0);
                        tag.to_string().strip_suffix(":0").unwrap_or_default().to_owned()
                    }
                    _ => format!("{identity}:-1"),
                };
                ("call theirs like ours", stranger.add_altname(&device.name, &altname).await)
            }
            (10, Some((_, device)), _) => {
                let [a, b] = [dice.roll(4), dice.roll(250)].map(|n| u8::try_from(n).unwrap_or(0));
                let second = if dice.roll(40) == 0 { 172 } else { 10 };
                let address = [second, 16 + a * 70, a, b].into();
                ("give theirs an address", stranger.add_address(&device.name, address, 24).await)
            }
            (11, Some((index, device)), _) => {
                let link = LinkUnspec::new_with_index(*index);
                let link = if device.up { link.down() } else { link.up() };
                let turned = stranger.0.link().set(link.build()).execute().await;
                ("turn theirs on or off", turned.map_err(Into::into))
            }
            (12, Some((_, port)), Some((_, bridge))) => {
                ("put theirs on our bridge", stranger.set_master(&port.name, &bridge.name).await)
            }
            (13, Some((_, bridge)), Some((_, port))) => {
                ("put ours on their bridge", stranger.set_master(&port.name, &bridge.name).await)
            }
            (14, _, _) => {
                let ours = "hostnet-demo";
                let table = match dice.roll(30) {
                    // While that is there, nothing of ours can be.
                    0 => ours.to_owned(),
                    n if n < 15 && self.tables.contains(ours) => ours.to_owned(),
                    n => format!("{TABLES}{}", n % 8),
                };
                let comment = tag_of("demo", dice.pick(ids).ok_or("none")?)?;
                ("make or delete rules", self.turn_table(table, &comment))
            }
            (15, _, _) => {
                let name = match self.namespaces.keys().next() {
                    Some(name) if dice.roll(2) == 0 => name.clone(),
                    _ => format!("ns_vm_{}", dice.pick(ids).ok_or("no ids")?),
                };
                ("make or delete a namespace", self.turn_namespace(name))
            }
            _ => return Ok("nothing"),
        };
        let after = self.devices().await?;
        self.indexes.extend(after.keys().filter(|index| !before.contains(index)));
        self.indexes.retain(|index| after.contains_key(index));
        Ok(what)
    }

    async fn make_tap(&self, name: &str) -> Outcome {
        // On a network of its own, which goes at once: the TAP stays.
        let (lan, bridge) = (NetworkName::new("theirs")?, DeviceName::new("theirs0")?);
        let id = AttachmentId::new("theirs")?;
        let mut wish = Desired::new(self.other.owner().clone());
        wish.add_network(Network::bridged(lan.clone(), bridge, "10.200.0.1/24".parse()?)?)?;
        wish.add_attachment(Attachment::tap(
            id.clone(),
            lan.clone(),
            DeviceName::new(name)?,
            [2, 0, 0, 0, 0, 7].into(),
            "10.200.0.2".parse()?,
        )?)?;
        self.other.ensure(&wish).await?;
        self.stranger.set_group(name, 0).await?;
        let tag = tag_of("other", "theirs")?;
        for altname in [tag.as_str(), tag.strip_suffix(":0").unwrap_or_default()] {
            self.stranger.untag(name, altname).await?;
        }
        self.stranger.delete("theirs0").await?;
        let rest = [Subject::Attachment(id), Subject::Network(lan)];
        self.other.remove(&rest.into()).await?;
        Ok(())
    }

    async fn rename(&self, index: u32, name: &str) -> Outcome {
        let link = LinkUnspec::new_with_index(index).name(name).build();
        Ok(self.stranger.0.link().set(link).execute().await?)
    }

    async fn delete(&self, index: u32) -> Outcome {
        Ok(self.stranger.0.link().del(index).execute().await?)
    }

    fn turn_table(&mut self, table: String, comment: &str) -> Outcome {
        if self.tables.remove(&table) {
            return rules::delete_table(&table);
        }
        // Ours may be there.
        if table == "hostnet-demo" && !rules::rules_of(&format!("{table}\0"))?.is_empty() {
            return Ok(());
        }
        rules::add_table_with_rule(&table, comment)?;
        self.tables.insert(table);
        Ok(())
    }

    fn turn_namespace(&mut self, name: String) -> Outcome {
        if self.namespaces.remove(&name).is_some() {
            return Ok(Netns::remove(&name)?);
        }
        let made = Netns::create(&name)?;
        self.namespaces.insert(name, made);
        Ok(())
    }

    /// Takes everything away that the strangers have.
    pub(crate) async fn leave(mut self) -> Outcome {
        for index in core::mem::take(&mut self.indexes) {
            // The other end of a pair went with the first.
            let _ = self.delete(index).await;
        }
        for table in core::mem::take(&mut self.tables) {
            rules::delete_table(&table)?;
        }
        for name in self.namespaces.keys() {
            Netns::remove(name)?;
        }
        Ok(())
    }
}

impl Belongings {
    /// What was there before and is not the same now, in words; nothing if all is.
    pub(crate) fn changes_since(&self, before: &Self) -> String {
        let mut changes = Vec::new();
        for (index, was) in &before.devices {
            let now = self.devices.get(index);
            if now != Some(was) {
                changes.push(format!("{index}: {was:?}, now {now:?}"));
            }
        }
        if self.rules != before.rules {
            changes.push("rules".to_owned());
        }
        if self.namespaces != before.namespaces {
            changes.push("namespaces".to_owned());
        }
        changes.join("\n")
    }
}

fn device(link: LinkMessage) -> Device {
    let mut device = Device { up: link.header.flags.contains(LinkFlags::Up), ..Device::default() };
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => device.name = name,
            LinkAttribute::Address(mac) => device.mac = mac,
            LinkAttribute::Mtu(mtu) => device.mtu = mtu,
            LinkAttribute::Group(group) => device.group = group,
            LinkAttribute::Controller(index) => device.controller = index,
            LinkAttribute::PropList(names) => {
                device.altnames.extend(names.into_iter().filter_map(|name| match name {
                    Prop::AltIfName(name) => Some(name),
                    _ => None,
                }));
            }
            LinkAttribute::LinkInfo(infos) => {
                let kind = infos.into_iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind),
                    _ => None,
                });
                device.kind = kind.as_ref().map(InfoKind::to_string).unwrap_or_default();
            }
            _ => {}
        }
    }
    if device.kind == "bridge" {
        // The kernel takes these from the bridge's ports, some of which may be ours and go.
        (device.mac, device.mtu) = (Vec::new(), 0);
    }
    device
}

/// The tag of a VM's TAP.
fn tag_of(owner: &str, id: &str) -> Result<String, Box<dyn Error>> {
    let subject = Subject::Attachment(AttachmentId::new(id)?);
    Ok(Tag::new(Owner::new(owner)?, subject, Role::Tap, 0).to_string())
}

use super::element::{self, Row};
use super::ruleset;
use crate::backend::Effect;
use crate::error::{Cause, Errno};
use crate::firewall::{Element, TableName};
use crate::kernel::netlink::{Netlink, Refusal, append};
use crate::observed::Table;
use crate::tag::Tag;
use netlink_packet_netfilter::nftables::{
    GenAttribute, GenMessage, NfTablesMessage, TableAttribute, TableMessage,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use rtnetlink::packet_core::{DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use rtnetlink::sys::protocols::NETLINK_NETFILTER;

/// A change that must meet an unchanged rule set is tried again this often when others keep changing it.
const GENERATION_ATTEMPTS: usize = 64;

/// `NFNL_MSG_BATCH_BEGIN` and its attribute with the generation the batch is for.
const BATCH_BEGIN: u8 = 16;
const BATCH_GENID: u16 = 1;
/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;

/// The sets and the map whose elements are ours to know.
const SETS: [&str; 8] = [
    "networks4",
    "networks6",
    "allowed4",
    "allowed6",
    "masquerade4",
    "masquerade6",
    "forward4",
    "forward6",
];

/// A socket to nf_tables.
#[derive(Debug)]
pub(in crate::kernel) struct Nft {
    netlink: Netlink,
}

/// One message of a batch.
pub(super) struct Change {
    pub(super) message: NfTablesMessage,
    pub(super) flags: u16,
}

impl Change {
    pub(super) const fn create(message: NfTablesMessage) -> Self {
        Self { message, flags: NLM_F_CREATE | NLM_F_EXCL }
    }

    const fn delete(message: NfTablesMessage) -> Self {
        Self { message, flags: 0 }
    }
}

impl Nft {
    /// Opens the socket in the network namespace of the calling thread.
    pub(in crate::kernel) fn open() -> std::io::Result<Self> {
        Ok(Self { netlink: Netlink::open(NETLINK_NETFILTER)? })
    }

    /// Whether the table is there and ours, and what is in it.
    pub(in crate::kernel) fn observe(&mut self, table: &TableName) -> Result<Table, Refusal> {
        match self.is_ours(table)? {
            None => Ok(Table::Absent),
            Some(false) => Ok(Table::Foreign),
            Some(true) => Ok(Table::Ours(self.elements(table)?)),
        }
    }

    /// Makes the table with its sets, chains and rules in one transaction. Ours being there is fine.
    pub(in crate::kernel) fn create_table(&mut self, table: &TableName) -> Result<Effect, Cause> {
        match self.commit(None, ruleset::changes(table)) {
            Ok(()) => Ok(Effect::Changed),
            Err(Refusal::Kernel { errno: Errno::EEXIST, .. }) => match self.is_ours(table)? {
                Some(true) => Ok(Effect::Unchanged),
                _ => Err(Cause::ForeignTable),
            },
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Deletes the table if it is ours and empty. Not there is success; not empty is left.
    pub(in crate::kernel) fn remove_table(&mut self, table: &TableName) -> Result<Effect, Cause> {
        self.at_one_generation(|nft| {
            match nft.is_ours(table)? {
                None => return Ok(None),
                Some(false) => return Err(Cause::ForeignTable),
                Some(true) => {}
            }
            for set in SETS {
                if !nft.rows(table, set)?.is_empty() {
                    return Ok(None);
                }
            }
            let name = TableAttribute::Name(table.to_string());
            let message = NfTablesMessage::DeleteTable(TableMessage { attributes: vec![name] });
            Ok(Some(Change::delete(message)))
        })
    }

    /// Adds an element. The key's being taken is an error that says by what.
    pub(in crate::kernel) fn add(
        &mut self,
        table: &TableName,
        element: &Element,
        tag: &Tag,
    ) -> Result<Effect, Cause> {
        let message = NfTablesMessage::NewSetElement(element::full(table, element, tag));
        match self.commit(None, [Change::create(message)]) {
            Ok(()) => Ok(Effect::Changed),
            Err(Refusal::Kernel { errno: Errno::EEXIST, .. }) => match self
                .holder(table, element)?
            {
                // Another program of the same owner's got there first.
                Some((found, Some(by))) if found == *element && by == *tag => Ok(Effect::Unchanged),
                Some((_, by)) => Err(Cause::ElementTaken { by: by.map(|tag| tag.to_string()) }),
                None => Err(Cause::ElementTaken { by: None }),
            },
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Removes an element if it still belongs to `tag`. Not there, or another's by now, is success.
    pub(in crate::kernel) fn remove(
        &mut self,
        table: &TableName,
        element: &Element,
        tag: &Tag,
    ) -> Result<Effect, Cause> {
        self.at_one_generation(|nft| match nft.holder(table, element)? {
            Some((found, Some(by))) if found == *element && by == *tag => {
                let message = NfTablesMessage::DeleteSetElement(element::key_only(table, element));
                Ok(Some(Change::delete(message)))
            }
            _ => Ok(None),
        })
    }

    /// Makes a change that was decided on by looking, only if nothing changed since; else looks again.
    ///
    /// The kernel checks the generation (`NFNL_BATCH_GENID`) under the lock it commits under.
    fn at_one_generation(
        &mut self,
        mut decide: impl FnMut(&mut Self) -> Result<Option<Change>, Cause>,
    ) -> Result<Effect, Cause> {
        for _ in 0..GENERATION_ATTEMPTS {
            let generation = self.generation()?;
            let Some(change) = decide(self)? else {
                return Ok(Effect::Unchanged);
            };
            match self.commit(Some(generation), [change]) {
                Err(Refusal::Kernel { errno: Errno::ERESTART, .. }) => {}
                other => return Ok(other.map(|()| Effect::Changed)?),
            }
        }
        Err(Errno::ERESTART.into())
    }

    fn generation(&mut self) -> Result<u32, Refusal> {
        let request = inet(NfTablesMessage::GetGen(GenMessage { attributes: Vec::new() }));
        if let NetfilterMessageInner::NfTables(NfTablesMessage::NewGen(message)) =
            self.netlink.get(request)?.inner
        {
            for attribute in message.attributes {
                if let GenAttribute::Id(id) = attribute {
                    return Ok(id);
                }
            }
        }
        Err(Refusal::Unreadable("no generation in the answer".to_owned()))
    }

    fn is_ours(&mut self, table: &TableName) -> Result<Option<bool>, Refusal> {
        let name = TableAttribute::Name(table.to_string());
        let request = inet(NfTablesMessage::GetTable(TableMessage { attributes: vec![name] }));
        match self.netlink.get(request) {
            Ok(NetfilterMessage {
                inner: NetfilterMessageInner::NfTables(NfTablesMessage::NewTable(message)),
                ..
            }) => Ok(Some(ruleset::is_marked(table, &message))),
            Ok(_) => Err(Refusal::Unreadable("not a table".to_owned())),
            Err(Refusal::Kernel { errno: Errno::ENOENT, .. }) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Our elements. What somebody else put into our sets in another form is not among them.
    fn elements(&mut self, table: &TableName) -> Result<Vec<(Element, Option<Tag>)>, Refusal> {
        let mut elements = Vec::new();
        for set in SETS {
            elements.extend(element::read(set, self.rows(table, set)?));
        }
        // The kernel tells them in the order of its hash.
        elements.sort();
        Ok(elements)
    }

    fn rows(&mut self, table: &TableName, set: &str) -> Result<Vec<Row>, Refusal> {
        let request = NfTablesMessage::GetSetElement(element::whole_set(table, set));
        let answers = self.netlink.dump_raw(&inet(request))?;
        Ok(answers.iter().flat_map(|body| element::rows(body)).collect())
    }

    /// The element that has this element's key, and what it belongs to.
    fn holder(
        &mut self,
        table: &TableName,
        element: &Element,
    ) -> Result<Option<(Element, Option<Tag>)>, Refusal> {
        if !matches!(element, Element::Forward { .. }) {
            // A question for one key of a set of intervals is answered with whatever covers it.
            let found = element::read(element.set(), self.rows(table, element.set())?);
            return Ok(found.into_iter().find(|(other, _)| other == element));
        }
        let request = NfTablesMessage::GetSetElement(element::key_only(table, element));
        match self.netlink.get_raw(inet(request)) {
            Ok(body) => Ok(element::read(element.set(), element::rows(&body)).pop()),
            Err(Refusal::Kernel { errno: Errno::ENOENT, .. }) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Sends a batch: all of it happens, or nothing.
    fn commit(
        &mut self,
        generation: Option<u32>,
        changes: impl IntoIterator<Item = Change>,
    ) -> Result<(), Refusal> {
        let mut bytes = Vec::new();
        let begin = generation.map_or(ControlMessage::BatchBegin, |generation| {
            let generation = DefaultNla::new(BATCH_GENID, generation.to_be_bytes().to_vec());
            ControlMessage::Other { message_type: BATCH_BEGIN, attributes: vec![generation] }
        });
        append(&mut bytes, batch(begin), NLM_F_REQUEST, self.netlink.next_sequence());
        for Change { message, flags } in changes {
            let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
            append(&mut bytes, inet(message), flags, self.netlink.next_sequence());
        }
        let end = batch(ControlMessage::BatchEnd);
        append(&mut bytes, end, NLM_F_REQUEST, self.netlink.next_sequence());
        self.netlink.batch(&bytes)
    }
}

fn inet(message: NfTablesMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0), message)
}

fn batch(message: ControlMessage) -> NetfilterMessage {
    let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, SUBSYSTEM);
    NetfilterMessage::new(header, message)
}

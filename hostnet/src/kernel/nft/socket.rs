use super::cache::{Cache, Contents};
use super::element::{self, Row};
use super::flows;
use super::ruleset::{self, Hold};
use crate::backend::{Effect, Only};
use crate::error::{Cause, Errno};
use crate::firewall::{Element, Marks, TableFamily, TableName};
use crate::kernel::netlink::{Netlink, Refusal, Space, append};
use crate::observed::Table;
use crate::op::Rules;
use crate::spec::Protocol;
use crate::tag::Tag;
use netlink_packet_netfilter::nftables::{
    GenAttribute, GenMessage, NfTablesMessage, RuleAttribute, RuleMessage, TableAttribute,
    TableMessage,
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

/// The sets and the maps whose elements are ours to know.
const SETS: [(TableFamily, &str); 17] = [
    (TableFamily::Inet, "networks4"),
    (TableFamily::Inet, "networks6"),
    (TableFamily::Inet, "allowed4"),
    (TableFamily::Inet, "allowed6"),
    (TableFamily::Inet, "masquerade4"),
    (TableFamily::Inet, "masquerade6"),
    (TableFamily::Inet, "forward4"),
    (TableFamily::Inet, "forward6"),
    (TableFamily::Inet, "senders"),
    (TableFamily::Inet, "senders4"),
    (TableFamily::Inet, "senders6"),
    (TableFamily::Inet, "limits"),
    (TableFamily::Bridge, "senders"),
    (TableFamily::Bridge, "senders4"),
    (TableFamily::Bridge, "senders6"),
    (TableFamily::Bridge, "announced6"),
    (TableFamily::Bridge, "limits"),
];

/// A socket to nf_tables.
#[derive(Debug)]
pub(in crate::kernel) struct Nft {
    netlink: Netlink,
    /// What our table held when it was last looked at; good for as long as nobody changed any rule set.
    cache: Option<Cache>,
    /// Whether our table is to be nobody else's to change.
    hold: Hold,
    /// Whether that was seen to already.
    held: bool,
}

/// One message of a batch.
pub(super) struct Change {
    pub(super) family: TableFamily,
    pub(super) message: NfTablesMessage,
    pub(super) flags: u16,
}

impl Change {
    /// Makes what must not be there yet.
    pub(super) const fn create(family: TableFamily, message: NfTablesMessage) -> Self {
        Self { family, message, flags: NLM_F_CREATE | NLM_F_EXCL }
    }

    /// Makes what may be there already.
    pub(super) const fn make(family: TableFamily, message: NfTablesMessage) -> Self {
        Self { family, message, flags: NLM_F_CREATE }
    }

    pub(super) const fn delete(family: TableFamily, message: NfTablesMessage) -> Self {
        Self { family, message, flags: 0 }
    }
}

/// Whether a table is there, in any of its families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Absent,
    Foreign,
    Ours { inet: bool, bridge: bool },
}

impl Nft {
    /// Opens the socket in the network namespace of the calling thread.
    pub(in crate::kernel) fn open(hold: Hold, space: Space) -> std::io::Result<Self> {
        let netlink = Netlink::open_with(NETLINK_NETFILTER, space)?;
        Ok(Self { netlink, cache: None, hold, held: hold == Hold::Shared })
    }

    /// Closes the socket and gives its space away.
    pub(in crate::kernel) fn into_space(self) -> Space {
        self.netlink.into_space()
    }

    /// Whether the table is there and ours, and what is in it: everything, or what belongs to some subjects.
    pub(in crate::kernel) fn observe(
        &mut self,
        table: &TableName,
        only: Option<&Only>,
    ) -> Result<Table, Refusal> {
        Ok(match &self.current(table)?.contents {
            Contents::Absent => Table::Absent,
            Contents::Foreign => Table::Foreign,
            Contents::Ours { elements, marks } => {
                let elements = match only {
                    None => elements.all(),
                    Some(only) => elements.of(&only.subjects, &only.elements),
                };
                Table::Ours { elements, marks: marks.clone() }
            }
        })
    }

    /// Makes the table with its sets, chains and rules in one transaction. Ours being there is fine.
    pub(in crate::kernel) fn create_table(
        &mut self,
        table: &TableName,
        rules: &Rules,
    ) -> Result<Effect, Cause> {
        self.cache = None;
        match self.commit(None, ruleset::creation(table, rules, self.hold)) {
            Ok(()) => {
                self.held = true;
                Ok(Effect::Changed)
            }
            Err(Refusal::Kernel { errno: Errno::EEXIST, .. }) => match self.presence(table)? {
                Presence::Ours { .. } => Ok(Effect::Unchanged),
                _ => Err(Cause::ForeignTable),
            },
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Replaces the table's rules, and makes what is missing of its sets and chains, in one transaction.
    pub(in crate::kernel) fn repair_table(
        &mut self,
        table: &TableName,
        rules: &Rules,
    ) -> Result<Effect, Cause> {
        self.cache = None;
        match self.presence(table)? {
            Presence::Ours { .. } => {}
            _ => return Err(Cause::ForeignTable),
        }
        // Whose table it is cannot be changed on the way.
        let repaired = self.commit(None, ruleset::repair(table, rules, Hold::Shared));
        repaired.map(|()| Effect::Changed).map_err(|refusal| self.refused(table, refusal))
    }

    /// Deletes the table if it is ours and empty. Not there is success; not empty is left.
    pub(in crate::kernel) fn remove_table(&mut self, table: &TableName) -> Result<Effect, Cause> {
        for _ in 0..GENERATION_ATTEMPTS {
            let current = self.current(table)?;
            let generation = current.generation;
            match &current.contents {
                Contents::Absent => return Ok(Effect::Unchanged),
                Contents::Foreign => return Err(Cause::ForeignTable),
                Contents::Ours { elements, .. } if !elements.is_empty() => {
                    return Ok(Effect::Unchanged);
                }
                Contents::Ours { .. } => {}
            }
            let Presence::Ours { inet, bridge } = self.presence(table)? else {
                continue;
            };
            let families = [(TableFamily::Inet, inet), (TableFamily::Bridge, bridge)];
            let families = families.into_iter().filter(|(_, there)| *there);
            let changes = families.map(|(family, _)| {
                let name = TableAttribute::Name(table.to_string());
                let message = NfTablesMessage::DeleteTable(TableMessage { attributes: vec![name] });
                Change::delete(family, message)
            });
            self.cache = None;
            match self.commit(Some(generation), changes) {
                Err(Refusal::Kernel { errno: Errno::ERESTART, .. }) => {}
                other => return Ok(other.map(|()| Effect::Changed)?),
            }
        }
        Err(Errno::ERESTART.into())
    }

    /// Adds an element. The key's being taken is an error that says by what.
    pub(in crate::kernel) fn add(
        &mut self,
        table: &TableName,
        element: &Element,
        tag: &Tag,
    ) -> Result<Effect, Cause> {
        let message = NfTablesMessage::NewSetElement(element::full(table, element, tag));
        let added = self.commit(None, [Change::create(element.family(), message)]);
        match added {
            Ok(()) => {
                // If somebody else's change came between, the cache stays behind by that, and is not taken for current.
                if let Some(cache) = self.cache.as_mut().filter(|cache| cache.table == *table) {
                    cache.added(element, tag);
                }
                Ok(Effect::Changed)
            }
            Err(Refusal::Kernel { errno: Errno::EEXIST, .. }) => match self
                .holder(table, element)?
            {
                // Another program of the same owner's got there first.
                Some((found, Some(by))) if found == *element && by == *tag => Ok(Effect::Unchanged),
                Some((_, by)) => Err(Cause::ElementTaken { by: by.map(|tag| tag.to_string()) }),
                None => Err(Cause::ElementTaken { by: None }),
            },
            Err(refusal) => Err(self.refused(table, refusal)),
        }
    }

    /// Removes an element if it still belongs to `tag`. Not there, or another's by now, is success.
    ///
    /// It is decided on by looking; the kernel checks, under the lock it commits under, that nothing changed since
    /// (`NFNL_BATCH_GENID`), and else it is looked again.
    pub(in crate::kernel) fn remove(
        &mut self,
        table: &TableName,
        element: &Element,
        tag: &Tag,
    ) -> Result<Effect, Cause> {
        let effect = self.remove_element(table, element, tag)?;
        if let Element::Forward { protocol: protocol @ Protocol::Udp, host_port, to } = element
            && effect == Effect::Changed
        {
            // No flow is an error too; and one that stays ends when nothing was sent for two minutes.
            let request = flows::to_port(protocol.number(), host_port.get(), to.ip());
            let _ = self.netlink.request_raw(flows::DELETE, &request, 0);
        }
        Ok(effect)
    }

    fn remove_element(
        &mut self,
        table: &TableName,
        element: &Element,
        tag: &Tag,
    ) -> Result<Effect, Cause> {
        let is_meant = |found: &Element, by: Option<&Tag>| found == element && by == Some(tag);
        let message = || {
            let message = NfTablesMessage::DeleteSetElement(element::key_only(table, element));
            Change::delete(element.family(), message)
        };
        let known = self.cache.as_ref().filter(|cache| cache.table == *table);
        let known = known.and_then(|cache| Some((cache.generation, cache.holder(element)?)));
        if let Some((generation, (found, by))) = known
            && is_meant(found, by)
        {
            match self.commit(Some(generation), [message()]) {
                Ok(()) => {
                    if let Some(cache) = &mut self.cache {
                        cache.removed(element);
                    }
                    return Ok(Effect::Changed);
                }
                Err(refusal) if refusal.errno() == Some(Errno::ERESTART) => {}
                Err(refusal) => return Err(self.refused(table, refusal)),
            }
        }
        self.cache = None;
        for _ in 0..GENERATION_ATTEMPTS {
            let generation = self.generation()?;
            match self.holder(table, element)? {
                Some((found, by)) if is_meant(&found, by.as_ref()) => {}
                _ => return Ok(Effect::Unchanged),
            }
            match self.commit(Some(generation), [message()]) {
                Err(Refusal::Kernel { errno: Errno::ERESTART, .. }) => {}
                other => {
                    let removed = other.map(|()| Effect::Changed);
                    return removed.map_err(|refusal| self.refused(table, refusal));
                }
            }
        }
        Err(Errno::ERESTART.into())
    }

    /// Takes hold of our table if it is there and nobody holds it.
    fn take_hold(&mut self, table: &TableName) -> Result<(), Refusal> {
        let Presence::Ours { inet, bridge } = self.presence(table)? else { return Ok(()) };
        let families = [(TableFamily::Inet, inet), (TableFamily::Bridge, bridge)];
        let there = families.into_iter().filter(|(_, there)| *there);
        let messages = there.map(|(family, _)| {
            Change::make(family, ruleset::table_message(table, Hold::Exclusive))
        });
        let messages: Vec<_> = messages.collect();
        match self.commit(None, messages) {
            // Or it was made to be shared, and stays so.
            Ok(()) | Err(Refusal::Kernel { errno: Errno::EOPNOTSUPP, .. }) => self.held = true,
            // Somebody else holds it, who may end before long.
            Err(Refusal::Kernel { errno: Errno::EPERM, .. }) => {}
            Err(refusal) => return Err(refusal),
        }
        Ok(())
    }

    /// Says who may change a table that we may not.
    fn refused(&mut self, table: &TableName, refusal: Refusal) -> Cause {
        if refusal.errno() == Some(Errno::EPERM) {
            let held = TableFamily::ALL.into_iter().any(|family| {
                matches!(self.find(table, family), Ok(Some(found)) if ruleset::is_held(&found))
            });
            if held {
                return Cause::TableHeld;
            }
        }
        refusal.into()
    }

    /// What is in the table now; read anew only if a rule set of the namespace was changed by somebody else.
    fn current(&mut self, table: &TableName) -> Result<&Cache, Refusal> {
        if !self.held {
            self.take_hold(table)?;
        }
        for _ in 0..GENERATION_ATTEMPTS {
            let generation = self.generation()?;
            let known = self.cache.take().filter(|cache| cache.table == *table);
            let cache = if let Some(cache) = known.filter(|cache| cache.generation == generation) {
                cache
            } else {
                let contents = self.read(table)?;
                if self.generation()? != generation {
                    continue;
                }
                Cache { table: table.clone(), generation, contents }
            };
            return Ok(self.cache.insert(cache));
        }
        Err(Refusal::Unreadable("the rule sets never held still for a whole look".to_owned()))
    }

    fn read(&mut self, table: &TableName) -> Result<Contents, Refusal> {
        let (inet, bridge) = match self.presence(table)? {
            Presence::Absent => return Ok(Contents::Absent),
            Presence::Foreign => return Ok(Contents::Foreign),
            Presence::Ours { inet, bridge } => (inet, bridge),
        };
        let there = |family| match family {
            TableFamily::Inet => inet,
            TableFamily::Bridge => bridge,
        };
        let (mut elements, mut marks) = (Vec::new(), Vec::new());
        for (family, set) in SETS.into_iter().filter(|(family, _)| there(*family)) {
            match self.rows(table, family, set) {
                Ok(rows) => elements.extend(element::read(family, set, rows)),
                // A VM's namespace has none of them, and an older version's table not all.
                Err(Refusal::Kernel { errno: Errno::ENOENT, .. }) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        for family in TableFamily::ALL.into_iter().filter(|family| there(*family)) {
            marks.extend(self.marks(table, family)?);
        }
        Ok(Contents::ours(elements, marks))
    }

    fn generation(&mut self) -> Result<u32, Refusal> {
        let message = NfTablesMessage::GetGen(GenMessage { attributes: Vec::new() });
        let request = of_family(TableFamily::Inet, message);
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

    fn presence(&mut self, table: &TableName) -> Result<Presence, Refusal> {
        let marked = TableFamily::ALL.map(|family| self.is_ours(table, family));
        Ok(match marked {
            [Err(refusal), _] | [_, Err(refusal)] => return Err(refusal),
            [Ok(None), Ok(None)] => Presence::Absent,
            [Ok(Some(false)), _] | [_, Ok(Some(false))] => Presence::Foreign,
            [Ok(inet), Ok(bridge)] => {
                Presence::Ours { inet: inet.is_some(), bridge: bridge.is_some() }
            }
        })
    }

    fn is_ours(&mut self, table: &TableName, family: TableFamily) -> Result<Option<bool>, Refusal> {
        Ok(self.find(table, family)?.map(|found| ruleset::is_marked(table, &found)))
    }

    fn find(
        &mut self,
        table: &TableName,
        family: TableFamily,
    ) -> Result<Option<TableMessage>, Refusal> {
        let name = TableAttribute::Name(table.to_string());
        let message = NfTablesMessage::GetTable(TableMessage { attributes: vec![name] });
        match self.netlink.get(of_family(family, message)) {
            Ok(NetfilterMessage {
                inner: NetfilterMessageInner::NfTables(NfTablesMessage::NewTable(message)),
                ..
            }) => Ok(Some(message)),
            Ok(_) => Err(Refusal::Unreadable("not a table".to_owned())),
            Err(Refusal::Kernel { errno: Errno::ENOENT, .. }) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// The comments of the table's rules, in their order.
    fn marks(&mut self, table: &TableName, family: TableFamily) -> Result<Marks, Refusal> {
        let attributes = vec![RuleAttribute::Table(table.to_string())];
        let request = NfTablesMessage::GetRule(RuleMessage { attributes });
        let rules = self.netlink.dump_raw(&of_family(family, request))?;
        Ok(rules.iter().map(|body| element::rule_mark(body).unwrap_or_default()).collect())
    }

    fn rows(
        &mut self,
        table: &TableName,
        family: TableFamily,
        set: &str,
    ) -> Result<Vec<Row>, Refusal> {
        let request = NfTablesMessage::GetSetElement(element::whole_set(table, set));
        let answers = self.netlink.dump_raw(&of_family(family, request))?;
        Ok(answers.iter().flat_map(|body| element::rows(body)).collect())
    }

    /// The element that has this element's key, and what it belongs to.
    fn holder(
        &mut self,
        table: &TableName,
        element: &Element,
    ) -> Result<Option<(Element, Option<Tag>)>, Refusal> {
        let (family, set) = (element.family(), element.set());
        let is_interval = matches!(
            element,
            Element::Network(_) | Element::Masquerade(_) | Element::Allowed { .. }
        );
        if is_interval {
            // A question for one key of a set of intervals is answered with whatever covers it.
            let rows = match self.rows(table, family, set) {
                Ok(rows) => rows,
                // The table went meanwhile, and the set with it.
                Err(Refusal::Kernel { errno: Errno::ENOENT, .. }) => return Ok(None),
                Err(refusal) => return Err(refusal),
            };
            let found = element::read(family, set, rows);
            return Ok(found.into_iter().find(|(other, _)| other == element));
        }
        let request = NfTablesMessage::GetSetElement(element::key_only(table, element));
        match self.netlink.get_raw(of_family(family, request)) {
            Ok(body) => Ok(element::read(family, set, element::rows(&body)).pop()),
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
        let mut answers = 0;
        for Change { family, message, flags } in changes {
            let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
            let message = of_family(family, message);
            append(&mut bytes, message, flags, self.netlink.next_sequence());
            answers += 1;
        }
        let end = batch(ControlMessage::BatchEnd);
        append(&mut bytes, end, NLM_F_REQUEST, self.netlink.next_sequence());
        self.netlink.batch(&bytes, answers)
    }
}

fn of_family(family: TableFamily, message: NfTablesMessage) -> NetfilterMessage {
    let family = match family {
        TableFamily::Inet => NetfilterProtoFamily::Inet,
        TableFamily::Bridge => NetfilterProtoFamily::Bridge,
    };
    NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), message)
}

fn batch(message: ControlMessage) -> NetfilterMessage {
    let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, SUBSYSTEM);
    NetfilterMessage::new(header, message)
}

//! What other programs do to the host's rules, without the `nft` program.

use crate::world::Outcome;
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, DataAttribute, Expressions, Hook, HookNumber, Immediate,
    InetHookNumber, NfTablesMessage, Register, RuleAttribute, RuleMessage, TableAttribute,
    TableMessage, Verdict, VerdictAttribute,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily as Family,
};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use std::error::Error;

/// The number of the nf_tables subsystem, which a batch is for.
const SUBSYSTEM: u16 = 10;

/// Makes a table as another program would.
pub(crate) fn add_unmarked_table(name: &str) -> Outcome {
    commit(vec![(Family::Inet, NfTablesMessage::NewTable(table(name)), NLM_F_CREATE)])
}

/// Makes a table with a chain where ours have one, and a rule whose comment is this text.
pub(crate) fn add_table_with_rule(name: &str, comment: &str) -> Outcome {
    let chain = ChainMessage {
        attributes: vec![
            ChainAttribute::Table(name.to_owned()),
            ChainAttribute::Name("prerouting".to_owned()),
            ChainAttribute::Hook(vec![
                Hook::Number(HookNumber::Inet(InetHookNumber::PreRouting)),
                Hook::Priority((-100_i32).cast_unsigned()),
            ]),
            ChainAttribute::Type("nat".to_owned()),
        ],
    };
    // `NF_ACCEPT`
    let verdict = VerdictAttribute::Code(Verdict::Other(1));
    let accept = Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(vec![verdict])),
    ]);
    let rule = RuleMessage {
        attributes: vec![
            RuleAttribute::Table(name.to_owned()),
            RuleAttribute::Chain("prerouting".to_owned()),
            RuleAttribute::Expressions(vec![accept.into()]),
            RuleAttribute::UserData(user_data(comment)),
        ],
    };
    commit(vec![
        (Family::Inet, NfTablesMessage::NewTable(table(name)), NLM_F_CREATE),
        (Family::Inet, NfTablesMessage::NewChain(chain), NLM_F_CREATE),
        (Family::Inet, NfTablesMessage::NewRule(rule), NLM_F_CREATE | NLM_F_APPEND),
    ])
}

/// `nft delete table inet NAME`
pub(crate) fn delete_table(name: &str) -> Outcome {
    commit(vec![(Family::Inet, NfTablesMessage::DeleteTable(table(name)), 0)])
}

/// `nft flush ruleset`
pub(crate) fn flush_ruleset() -> Outcome {
    let all = TableMessage { attributes: Vec::new() };
    commit(vec![(Family::Unspec, NfTablesMessage::DeleteTable(all), 0)])
}

/// `nft flush chain FAMILY TABLE CHAIN`, or all chains of the table.
pub(crate) fn flush_chain(family: Family, table: &str, chain: Option<&str>) -> Outcome {
    let mut attributes = vec![RuleAttribute::Table(table.to_owned())];
    attributes.extend(chain.map(|chain| RuleAttribute::Chain(chain.to_owned())));
    commit(vec![(family, NfTablesMessage::DeleteRule(RuleMessage { attributes }), 0)])
}

/// Everything the kernel says of the tables whose names begin like this: the tables, their chains and their rules,
/// byte for byte.
pub(crate) fn rules_of(prefix: &str) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut found = Vec::new();
    for question in [
        NfTablesMessage::GetTable(TableMessage { attributes: Vec::new() }),
        NfTablesMessage::GetChain(ChainMessage { attributes: Vec::new() }),
        NfTablesMessage::GetRule(RuleMessage { attributes: Vec::new() }),
    ] {
        let socket = socket()?;
        let header = NetfilterHeader::new(Family::Unspec, 0, 0);
        socket.send(&message(header, question.into(), NLM_F_DUMP), 0)?;
        'answers: loop {
            let (datagram, _) = socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while let Some((length, kind)) = rest.first_chunk::<6>().map(|head| {
                (u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize, head[4])
            }) {
                // NLMSG_DONE, which is 3 of no subsystem.
                if rest[5] == 0 && kind == 3 {
                    break 'answers;
                }
                // Behind the netlink and nfgenmsg headers; the generation in the latter counts everybody's changes.
                let body = &rest[20..length];
                if body.windows(prefix.len()).any(|window| window == prefix.as_bytes()) {
                    found.push(body.to_vec());
                }
                rest = &rest[length.next_multiple_of(4).min(rest.len())..];
            }
        }
    }
    Ok(found)
}

fn table(name: &str) -> TableMessage {
    TableMessage { attributes: vec![TableAttribute::Name(name.to_owned())] }
}

/// A comment as `nft` keeps it.
fn user_data(comment: &str) -> Vec<u8> {
    let length = u8::try_from(comment.len() + 1).expect("a short comment");
    [&[0, length], comment.as_bytes(), &[0]].concat()
}

/// Makes some changes at once.
fn commit(changes: Vec<(Family, NfTablesMessage, u16)>) -> Outcome {
    let socket = socket()?;
    let batch = |control: ControlMessage| {
        let header = NetfilterHeader::new(Family::Unspec, 0, SUBSYSTEM);
        message(header, control.into(), 0)
    };
    let count = changes.len();
    let mut bytes = batch(ControlMessage::BatchBegin);
    for (family, change, flags) in changes {
        let header = NetfilterHeader::new(family, 0, 0);
        bytes.extend(message(header, change.into(), flags | NLM_F_ACK));
    }
    bytes.extend(batch(ControlMessage::BatchEnd));
    socket.send(&bytes, 0)?;
    for _ in 0..count {
        let (answer, _) = socket.recv_from_full()?;
        let number = answer[16..20].try_into().map(i32::from_ne_bytes)?;
        if number != 0 {
            return Err(std::io::Error::from_raw_os_error(-number).into());
        }
    }
    Ok(())
}

fn socket() -> Result<Socket, Box<dyn Error>> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

fn message(header: NetfilterHeader, inner: NetfilterMessageInner, flags: u16) -> Vec<u8> {
    let mut netlink = NetlinkHeader::default();
    netlink.flags = NLM_F_REQUEST | flags;
    let payload = NetlinkPayload::InnerMessage(NetfilterMessage::new(header, inner));
    let mut message = NetlinkMessage::new(netlink, payload);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

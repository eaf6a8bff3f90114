use super::element::{BATCH_BEGIN, BATCH_END, INET, SUBSYSTEM};
use super::message::Message;
use super::socket::Socket;
use nix::libc;
use std::net::Ipv4Addr;

// Numbers of `linux/netfilter/nf_tables.h`.
const NEWTABLE: u16 = SUBSYSTEM << 8;
const NEWCHAIN: u16 = (SUBSYSTEM << 8) + 3;
const NEWRULE: u16 = (SUBSYSTEM << 8) + 6;
const TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_TYPE: u16 = 7;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const EXPRESSION_DATA: u16 = 2;
const IIFNAME: u32 = 6;
const OIFNAME: u32 = 7;
const NFPROTO: u32 = 15;

/// Makes the table of a VM's namespace in one transaction: what comes in by `device` goes to the guest, and what leaves
/// by it takes the device's address.
///
/// # Panics
/// When the kernel refuses.
pub fn create_gate(table: &str, device: &str, guest: Ipv4Addr) {
    let [high, low] = SUBSYSTEM.to_be_bytes();
    let request = flags(libc::NLM_F_REQUEST);
    let create = flags(libc::NLM_F_REQUEST | libc::NLM_F_CREATE);
    let mut name = [0; 16];
    name[..device.len()].copy_from_slice(device.as_bytes());

    let batch = Message::new(BATCH_BEGIN, request).header(&[0, 0, high, low]);
    let batch = batch.then(NEWTABLE, create).header(&[INET, 0, 0, 0]).text(TABLE, table);
    let batch = chain(batch, table, ("prerouting", 0, -100));
    let batch = rule(batch, table, "prerouting", |list| {
        let list = equals(equals(list, IIFNAME, &name), NFPROTO, &[2]);
        let list = expression(list, "immediate", |data| {
            data.attribute(1, &1_u32.to_be_bytes())
                .nest(2, |value| value.attribute(1, &guest.octets()))
        });
        // Destination, of IPv4, with the address in the first register.
        expression(list, "nat", |data| {
            [(1, 1_u32), (2, 2), (3, 1)]
                .into_iter()
                .fold(data, |data, (kind, number)| data.attribute(kind, &number.to_be_bytes()))
        })
    });
    let batch = chain(batch, table, ("postrouting", 4, 100));
    let batch = rule(batch, table, "postrouting", |list| {
        expression(equals(list, OIFNAME, &name), "masq", |data| data)
    });
    let batch = batch.then(BATCH_END, request).header(&[0, 0, high, low]);
    Socket::netfilter().request(&batch).expect("a gate");
}

fn chain(batch: Message, table: &str, (name, hook, priority): (&str, u32, i32)) -> Message {
    batch
        .then(NEWCHAIN, flags(libc::NLM_F_REQUEST | libc::NLM_F_CREATE))
        .header(&[INET, 0, 0, 0])
        .text(TABLE, table)
        .text(CHAIN_NAME, name)
        .nest(CHAIN_HOOK, |place| {
            place.attribute(1, &hook.to_be_bytes()).attribute(2, &priority.to_be_bytes())
        })
        .text(CHAIN_TYPE, "nat")
}

fn rule(
    batch: Message,
    table: &str,
    chain: &str,
    expressions: impl FnOnce(Message) -> Message,
) -> Message {
    let create = libc::NLM_F_REQUEST | libc::NLM_F_CREATE | libc::NLM_F_APPEND;
    // Only the last rule's answer is waited for: a batch is all or nothing.
    let create = if chain == "postrouting" { create | libc::NLM_F_ACK } else { create };
    batch
        .then(NEWRULE, flags(create))
        .header(&[INET, 0, 0, 0])
        .text(TABLE, table)
        .text(RULE_CHAIN, chain)
        .nest(RULE_EXPRESSIONS, expressions)
}

/// Compares something of the packet with a value.
fn equals(list: Message, key: u32, value: &[u8]) -> Message {
    let list = expression(list, "meta", |data| {
        data.attribute(1, &1_u32.to_be_bytes()).attribute(2, &key.to_be_bytes())
    });
    expression(list, "cmp", |data| {
        data.attribute(1, &1_u32.to_be_bytes())
            .attribute(2, &0_u32.to_be_bytes())
            .nest(3, |data| data.attribute(1, value))
    })
}

fn expression(list: Message, name: &str, data: impl FnOnce(Message) -> Message) -> Message {
    list.nest(1, |expression| expression.text(1, name).nest(EXPRESSION_DATA, data))
}

fn flags(flags: libc::c_int) -> u16 {
    u16::try_from(flags).expect("sixteen bits")
}

//! The pure part and the in-memory kernel.

mod desired;
mod fake;
mod golden;
mod laws;

use hostnet::{
    Attachment, AttachmentId, Desired, DeviceName, Forward, Host, Network, NetworkName, Owner,
    Subject,
};
use std::collections::BTreeSet;
use std::num::NonZeroU16;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn lan() -> NetworkName {
    NetworkName::new("default").unwrap()
}

fn network() -> Network {
    let gateway = "172.16.0.1/16".parse().unwrap();
    Network::bridged(lan(), DeviceName::new("br0").unwrap(), gateway).unwrap().with_masquerade()
}

/// The `n`-th VM, from 0.
fn vm(n: u16) -> Attachment {
    let id = format!("a1b2{n:04x}");
    let [high, low] = (n + 2).to_be_bytes();
    Attachment::tap(
        AttachmentId::new(&id).unwrap(),
        lan(),
        DeviceName::new(&format!("tap_{id}")).unwrap(),
        [0xAA, 0xFC, 0xA1, 0xB2, high, low].into(),
        [172, 16, high, low].into(),
    )
    .unwrap()
    .with_forward(Forward::tcp(port(22001 + n), port(22)))
}

const fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn desired(vms: u16) -> Desired {
    let mut desired = Desired::new(Owner::new("demo").unwrap());
    desired.add_network(network()).unwrap();
    (0..vms).try_for_each(|n| desired.add_attachment(vm(n))).unwrap();
    desired
}

fn subjects(desired: &Desired) -> BTreeSet<Subject> {
    let networks = desired.networks().map(|n| Subject::Network(n.name().clone()));
    let vms = desired.attachments().map(|a| Subject::Attachment(a.id().clone()));
    networks.chain(vms).collect()
}

fn host(fake: &hostnet::fake::Fake) -> Host {
    Host::fake(Owner::new("demo").unwrap(), fake).unwrap()
}

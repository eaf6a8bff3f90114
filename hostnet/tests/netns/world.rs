//! What the kernel tests share.

use futures_util::TryStreamExt as _;
use hostnet::{
    Attachment, AttachmentId, Desired, DeviceName, Family, Forward, Host, Netns, Network,
    NetworkName, Observed, Owner, Protocol, Sandbox, Subject,
};
use libtest_mimic::Failed;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{InfoBridgePort, InfoPortData, InfoPortKind};
use rtnetlink::{LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::collections::BTreeSet;
use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::Command;

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) run: fn() -> Outcome,
}

/// Makes the table of a module's tests, named after their functions.
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        pub(crate) const TESTS: &[crate::world::Test] = &[$(crate::world::Test {
            name: concat!(module_path!(), "::", stringify!($name)),
            run: $name,
        }),+];
    };
}
pub(crate) use tests;

pub(crate) fn in_fresh_netns(sandbox: &Sandbox, run: fn() -> Outcome) -> Result<(), Failed> {
    sandbox.fresh_netns()?;
    assert!(!sandbox.netns()?.is_same(sandbox.outside())?, "this is the machine's own network");
    let links = block_on(async { owned("guard").observe().await })?.links;
    let others: Vec<_> = links.iter().filter(|l| l.up && l.name != "lo").collect();
    assert!(others.is_empty(), "not a fresh namespace: {others:?}");
    run().map_err(|error| Failed::from(error.to_string()))
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

pub(crate) fn owned(owner: &str) -> Host {
    Host::open(Owner::new(owner).expect("a valid owner")).expect("a namespace of our own")
}

pub(crate) const fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("not zero")
}

pub(crate) fn lan() -> NetworkName {
    NetworkName::new("default").expect("a valid name")
}

pub(crate) fn id(text: &str) -> AttachmentId {
    AttachmentId::new(text).expect("a valid id")
}

pub(crate) fn network() -> Network {
    let bridge = DeviceName::new("br0").expect("a valid name");
    let gateway = "172.16.0.1/16".parse().expect("a prefix");
    let v6 = "fd00:16::1/64".parse().expect("a prefix");
    let network = Network::bridged(lan(), bridge, gateway).and_then(|n| n.with_gateway(v6));
    network.expect("a network").with_masquerade()
}

/// The `n`-th VM, from 0: `tap_a1b2c300`, 172.16.0.2, host port 22001 to 22, and so on.
pub(crate) fn vm(n: u8) -> Attachment {
    let id = format!("a1b2c3{n:02x}");
    Attachment::tap(
        AttachmentId::new(&id).expect("a valid id"),
        lan(),
        DeviceName::new(&format!("tap_{id}")).expect("a valid name"),
        [0xAA, 0xFC, 0xA1, 0xB2, 0xC3, n].into(),
        [172, 16, 0, n + 2].into(),
    )
    .expect("an attachment")
    .with_forward(Forward::new(Protocol::Tcp, port(22001 + u16::from(n)), port(22)))
}

pub(crate) fn desired(owner: &str, vms: u8) -> Desired {
    let mut desired = Desired::new(Owner::new(owner).expect("a valid owner"));
    desired.add_network(network()).expect("a network that fits");
    for n in 0..vms {
        desired.add_attachment(vm(n)).expect("an attachment that fits");
    }
    desired
}

pub(crate) fn subjects(desired: &Desired) -> BTreeSet<Subject> {
    let networks = desired.networks().map(|n| Subject::Network(n.name().clone()));
    let vms = desired.attachments().map(|a| Subject::Attachment(a.id().clone()));
    networks.chain(vms).collect()
}

/// What is there, less what the kernel counts up by itself.
pub(crate) fn snapshot(host: &Host) -> Observed {
    let mut observed = block_on(host.observe()).expect("an observation");
    // Shared with everybody in the namespace, so it is not set back.
    observed.forwarding = [Family::V4, Family::V6].into();
    // The machines of the tests have namespaces too.
    observed.namespaces.retain(|namespace| namespace.tag.is_some());
    observed
}

/// Gives packets that are not waited for the time to arrive.
pub(crate) fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(500));
}

/// With `br_netfilter` on in the namespace the kernel keeps frames between ports in the bridge (see the README).
pub(crate) fn without_bridge_filter() -> Outcome {
    let filter = std::path::Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables");
    if filter.exists() {
        std::fs::write(filter, "0")?;
        std::fs::write("/proc/sys/net/bridge/bridge-nf-call-ip6tables", "0")?;
    }
    Ok(())
}

/// The first of these programs that is not installed.
pub(crate) fn missing_program<'a>(programs: &[&'a str]) -> Option<&'a str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |name: &str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    programs.iter().copied().find(|name| !found(name))
}

/// Runs commands as a person would type them; stops at the first that fails.
pub(crate) fn shell(commands: &str) -> Outcome {
    let output = Command::new("bash").args(["-ec", commands]).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}\n{commands}", String::from_utf8_lossy(&output.stderr)).into())
}

/// Somebody else on the same host, with a netlink socket of its own.
pub(crate) struct Stranger(pub(crate) rtnetlink::Handle);

impl Stranger {
    /// Must be called inside a runtime.
    pub(crate) fn new() -> Self {
        let (connection, handle, _) = rtnetlink::new_connection().expect("a netlink socket");
        tokio::spawn(connection);
        Self(handle)
    }

    pub(crate) async fn add_bridge(&self, name: &str) -> Outcome {
        Ok(self.0.link().add(LinkBridge::new(name).build()).execute().await?)
    }

    pub(crate) async fn add_veth(&self, name: &str, peer: &str) -> Outcome {
        Ok(self.0.link().add(LinkVeth::new(name, peer).build()).execute().await?)
    }

    pub(crate) async fn rename(&self, from: &str, to: &str) -> Outcome {
        let index = self.index(from).await?;
        let message = LinkUnspec::new_with_index(index).name(to).build();
        Ok(self.0.link().set(message).execute().await?)
    }

    pub(crate) async fn set_mtu(&self, name: &str, mtu: u32) -> Outcome {
        let index = self.index(name).await?;
        Ok(self.0.link().set(LinkUnspec::new_with_index(index).mtu(mtu).build()).execute().await?)
    }

    pub(crate) async fn delete(&self, name: &str) -> Outcome {
        let index = self.index(name).await?;
        Ok(self.0.link().del(index).execute().await?)
    }

    /// Takes the tag off a device, so that nothing shows whose it was.
    pub(crate) async fn untag(&self, name: &str, tag: &str) -> Outcome {
        let index = self.index(name).await?;
        Ok(self.0.link().property_del(index).alt_ifname(&[tag]).execute().await?)
    }

    pub(crate) async fn add_altname(&self, name: &str, altname: &str) -> Outcome {
        let index = self.index(name).await?;
        Ok(self.0.link().property_add(index).alt_ifname(&[altname]).execute().await?)
    }

    pub(crate) async fn set_group(&self, name: &str, group: u32) -> Outcome {
        let message = LinkUnspec::new_with_index(self.index(name).await?).link_group(group);
        Ok(self.0.link().set(message.build()).execute().await?)
    }

    pub(crate) async fn set_isolation(&self, name: &str, isolated: bool) -> Outcome {
        let message = LinkUnspec::new_with_index(self.index(name).await?)
            .set_port_kind(InfoPortKind::Bridge)
            .set_port_data(InfoPortData::BridgePort(vec![InfoBridgePort::Isolated(isolated)]));
        Ok(self.0.link().set_port(message.build()).execute().await?)
    }

    pub(crate) async fn set_master(&self, name: &str, bridge: &str) -> Outcome {
        let (port, bridge) = (self.index(name).await?, self.index(bridge).await?);
        let message = LinkUnspec::new_with_index(port).controller(bridge).build();
        Ok(self.0.link().set(message).execute().await?)
    }

    pub(crate) async fn add_address(&self, name: &str, address: IpAddr, len: u8) -> Outcome {
        let index = self.index(name).await?;
        let mut request = self.0.address().add(index, address, len);
        if address.is_ipv6() {
            // Usable at once, without a look for duplicates that takes its time.
            request.message_mut().header.flags = AddressHeaderFlags::Nodad;
        }
        Ok(request.execute().await?)
    }

    pub(crate) async fn add_neighbour(&self, name: &str, address: IpAddr, mac: [u8; 6]) -> Outcome {
        let index = self.index(name).await?;
        let entry = self.0.neighbours().add(index, address).link_layer_address(&mac);
        Ok(entry.execute().await?)
    }

    pub(crate) async fn add_route(&self, to: IpAddr, router: IpAddr) -> Outcome {
        let length = if to.is_ipv4() { 32 } else { 128 };
        let route = match (to, router) {
            (IpAddr::V4(to), IpAddr::V4(router)) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(to, length)
                .gateway(router)
                .build(),
            (IpAddr::V6(to), IpAddr::V6(router)) => RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(to, length)
                .gateway(router)
                .build(),
            _ => return Err("two families".into()),
        };
        Ok(self.0.route().add(route).execute().await?)
    }

    pub(crate) async fn up(&self, name: &str) -> Outcome {
        let index = self.index(name).await?;
        Ok(self.0.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await?)
    }

    pub(crate) async fn move_to(&self, name: &str, netns: &Netns) -> Outcome {
        let fd = netns.as_fd().as_raw_fd();
        let message = LinkUnspec::new_with_index(self.index(name).await?).setns_by_fd(fd).build();
        Ok(self.0.link().set(message).execute().await?)
    }

    pub(crate) async fn add_default_route(&self, router: IpAddr) -> Outcome {
        let route = match router {
            IpAddr::V4(router) => RouteMessageBuilder::<Ipv4Addr>::new().gateway(router).build(),
            IpAddr::V6(router) => RouteMessageBuilder::<Ipv6Addr>::new().gateway(router).build(),
        };
        Ok(self.0.route().add(route).execute().await?)
    }

    /// Sends what is for 127.0.0.0/8 to a router, in place of `lo`.
    pub(crate) async fn take_loopback_away(&self, router: Ipv4Addr) -> Outcome {
        let lo = self.index("lo").await?;
        self.0.link().set(LinkUnspec::new_with_index(lo).down().build()).execute().await?;
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(Ipv4Addr::new(127, 0, 0, 0), 8)
            .gateway(router)
            .build();
        Ok(self.0.route().add(route).execute().await?)
    }

    pub(crate) async fn index(&self, name: &str) -> Result<u32, Box<dyn Error>> {
        let mut links = self.0.link().get().match_name(name.to_owned()).execute();
        let link = links.try_next().await?.ok_or("no such device")?;
        Ok(link.header.index)
    }
}

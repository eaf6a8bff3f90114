//! A host with VMs: what the benches work on, the same for hostnet and for the floor.

use crate::raw::{Forward as Element, Namespace, Port, Route};
use core::num::NonZeroU16;
use core::num::NonZeroUsize;
use core::time::Duration;
use hostnet::{
    Attachment, AttachmentId, Desired, DeviceName, Forward, Host, HostOptions, NamespaceName,
    Network, NetworkName, Observed, Owner, Plan, Role, Sandbox, Subject, Tag,
};
use std::collections::BTreeSet;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd as _;
use std::thread;
use tokio::runtime::{Builder, Runtime};

/// Whose devices they are.
pub const OWNER: &str = "bench";
/// The bridge.
pub const BRIDGE: &str = "br0";
/// hostnet's table.
pub const TABLE: &str = "hostnet-bench";

/// Moves the process out of the machine's network, and refuses to go on if that cannot be.
#[must_use]
#[expect(clippy::print_stderr, reason = "the message has the way out")]
pub fn enter() -> Sandbox {
    let entered = Sandbox::enter().map_err(|error| error.to_string());
    match entered.and_then(|s| hostnet::check_tun().map(|()| s).map_err(|e| e.to_string())) {
        Ok(sandbox) => sandbox,
        Err(error) => {
            eprintln!("hostnet's benches cannot run here: {error}");
            std::process::exit(1);
        }
    }
}

/// Does something in a fresh network namespace, which is empty again when it is done: the kernel takes devices away
/// under its network lock, and that must not fall into what is measured next.
///
/// # Panics
/// When the work does, or when the namespace is not a fresh one.
pub fn in_fresh_netns<T: Send>(sandbox: &Sandbox, work: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        sandbox.fresh_netns().expect("a network namespace");
        let own = sandbox.netns().expect("a namespace");
        let machine = own.is_same(sandbox.outside()).expect("two namespaces");
        assert!(!machine, "this is the machine's own network");
        let links = Route::default().dump();
        assert!(links.iter().all(|link| link.master.is_none()), "not fresh: {links:?}");
        let result = work();
        Route::default().clear(&[]);
        result
    };
    thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| {
        std::panic::resume_unwind(panic);
    })
}

/// Waits until the kernel has taken away every namespace that nobody holds any more: it does so by and by, under the
/// network lock, which must not fall into what is measured next.
pub fn wait_for_namespaces() {
    let mut route = Route::default();
    let (last, own) = (Namespace::fresh(), Namespace::current());
    last.run(|| {
        let (here, there) = (("eth0", [0x02, 0, 0, 0, 0, 2]), ("last0", [0x02, 0, 0, 0, 0, 3]));
        Route::default().create_veth(here, there, own.as_fd());
    });
    // It is the last in the queue, and its cable's end goes from here when it goes.
    drop(last);
    while route.find("last0").is_some() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// A host, and a caller of it.
#[derive(Debug)]
pub struct World {
    /// The host of the namespace the world was made in.
    pub host: Host,
    runtime: Runtime,
}

impl Default for World {
    /// On the calling thread's namespace.
    fn default() -> Self {
        let host = Host::open(Owner::new(OWNER).expect("an owner")).expect("a host");
        // Without drivers, so that waiting is a futex and not a poll.
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        Self { host, runtime }
    }
}

impl World {
    /// On the calling thread's namespace, deleting so many devices together.
    ///
    /// # Panics
    /// When there is no host to be had.
    #[must_use]
    pub fn with_sweep(devices: NonZeroUsize) -> Self {
        let options = HostOptions::default().with_sweep(devices);
        let owner = Owner::new(OWNER).expect("an owner");
        Self { host: Host::open_with(owner, options).expect("a host"), ..Self::default() }
    }

    /// Waits for a future.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Makes everything that is wanted be there; gives the number of steps it took.
    ///
    /// # Panics
    /// When it fails.
    pub fn ensure(&self, desired: &Desired) -> usize {
        self.wait(self.host.ensure(desired)).expect("what was wanted").steps
    }

    /// Carries a plan out.
    ///
    /// # Panics
    /// When it fails.
    pub fn apply(&self, plan: &Plan) {
        let applied = self.wait(self.host.apply(plan)).expect("a plan carried out");
        assert_eq!(applied.steps, plan.len());
    }

    /// Looks at everything.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn observe(&self) -> Observed {
        self.wait(self.host.observe()).expect("an observation")
    }

    /// What is to be done for this, as the namespace is now.
    ///
    /// # Panics
    /// When something is in the way.
    pub fn plan(&self, desired: &Desired) -> Plan {
        let observed = self.wait(self.host.observe_for(desired)).expect("an observation");
        hostnet::plan(desired, &observed).expect("a plan")
    }

    /// Removes VMs.
    ///
    /// # Panics
    /// When it fails.
    pub fn remove(&self, vms: impl IntoIterator<Item = u32>) {
        self.wait(self.host.remove(&subjects(vms))).expect("a removal");
    }
}

/// The VMs as what is to be removed.
pub fn subjects(vms: impl IntoIterator<Item = u32>) -> BTreeSet<Subject> {
    vms.into_iter().map(|n| Subject::Attachment(id(n))).collect()
}

/// A network with a bridge. Sources are not checked, since `ip` and the floor do not check them either.
///
/// # Panics
/// Never: its parts are right.
#[must_use]
pub fn network() -> Network {
    let gateway = "172.16.0.1/16".parse().expect("a prefix");
    let bridge = DeviceName::new(BRIDGE).expect("a name");
    let network = Network::bridged(lan(), bridge, gateway).expect("a network");
    network.with_masquerade().with_unchecked_sources()
}

/// The network, and these VMs on it.
///
/// # Panics
/// When there are too many.
pub fn desired(vms: impl IntoIterator<Item = Attachment>) -> Desired {
    let mut desired = Desired::new(Owner::new(OWNER).expect("an owner"));
    desired.add_network(network()).expect("a network that fits");
    for vm in vms {
        desired.add_attachment(vm).expect("a VM that fits");
    }
    desired
}

/// The network without a bridge, and these VMs on it.
///
/// # Panics
/// When there are too many.
pub fn routed_desired(vms: impl IntoIterator<Item = Attachment>) -> Desired {
    let gateway = "172.16.0.1/16".parse().expect("a prefix");
    let device = DeviceName::new(BRIDGE).expect("a name");
    let network = Network::routed(lan(), device, gateway).expect("a network");
    let network = network.with_masquerade().with_unchecked_sources();
    let mut desired = Desired::new(Owner::new(OWNER).expect("an owner"));
    desired.add_network(network).expect("a network that fits");
    for vm in vms {
        desired.add_attachment(vm).expect("a VM that fits");
    }
    desired
}

/// The VM of this number in a namespace of its own, with a forward.
///
/// # Panics
/// When the number is above 40,000.
#[must_use]
pub fn sandboxed(n: u32) -> Attachment {
    let device = |prefix: &str| DeviceName::new(&format!("{prefix}_{}", id(n))).expect("a name");
    let name = NamespaceName::new(&format!("ns_vm_{}", id(n))).expect("a name");
    vm(n)
        .with_namespace(hostnet::Namespace::new(name, device("vh"), device("vn")))
        .with_forward(forward(u16::try_from(20_000 + n).expect("a port")))
}

/// The VM of this number, without forwards.
///
/// # Panics
/// When the number is above 65,000.
#[must_use]
pub fn vm(n: u32) -> Attachment {
    let [_, _, high, low] = n.to_be_bytes();
    let mac = [0xAA, 0xFC, 0xA1, 0xB2, high, low];
    let tap = DeviceName::new(&tap_name(n)).expect("a name");
    Attachment::tap(id(n), lan(), tap, mac.into(), address(n).into()).expect("an attachment")
}

/// A forward to a VM's SSH.
///
/// # Panics
/// When the port is 0.
#[must_use]
pub fn forward(host_port: u16) -> Forward {
    let port = |number| NonZeroU16::new(number).expect("not zero");
    Forward::tcp(port(host_port), port(22))
}

/// The same forward as an element.
#[must_use]
pub fn element(n: u32, host_port: u16) -> Element {
    let to = SocketAddrV4::new(address(n), 22);
    Element { host_port, to, tag: tag(n, Role::Rules) }
}

/// The VM's TAP as the floor makes it.
#[must_use]
pub fn port(n: u32) -> Port {
    Port { name: tap_name(n), mac: vm(n).host_mac().into_array(), tag: tag(n, Role::Tap) }
}

/// The name of the VM's TAP.
#[must_use]
pub fn tap_name(n: u32) -> String {
    format!("tap_{}", id(n))
}

/// The VM's address.
#[must_use]
pub fn address(n: u32) -> Ipv4Addr {
    (u32::from(Ipv4Addr::new(172, 16, 0, 2)) + n).into()
}

/// The tag of something of the VM's, as hostnet would give it.
///
/// # Panics
/// When [`OWNER`] is no owner.
#[must_use]
pub fn tag(n: u32, role: Role) -> String {
    let owner = Owner::new(OWNER).expect("an owner");
    Tag::new(owner, Subject::Attachment(id(n)), role, 0).to_string()
}

fn id(n: u32) -> AttachmentId {
    AttachmentId::new(&format!("a1b2{n:04x}")).expect("an id")
}

fn lan() -> NetworkName {
    NetworkName::new("default").expect("a name")
}

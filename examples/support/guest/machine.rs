use super::console::{Console, WithIpv4, link_local};
use super::wire::Wire;
use ipnet::Ipv4Net;
use macaddr::MacAddr6;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{icmp, tcp};
use smoltcp::wire::{
    EthernetAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr, Ipv4Cidr, Ipv6Cidr,
};
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What the guest is told about itself, as cloud-init's metadata would.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its host name.
    pub name: String,
    /// Its MAC.
    pub mac: MacAddr6,
    /// Its address with the prefix length.
    pub address: Ipv4Net,
    /// Where it sends what is not for its own prefix.
    pub gateway: Ipv4Addr,
}

/// A running guest. It is switched off when this value is dropped.
#[derive(Debug)]
pub struct Guest {
    off: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Guest {
    /// Switches the guest on: `tap` is its network card, `console` its serial port's log.
    ///
    /// # Errors
    /// When the log cannot be written or no thread can be had.
    pub fn start(identity: Identity, tap: File, console: &Path) -> io::Result<Self> {
        let console = Console::open(console)?;
        let off = Arc::new(AtomicBool::new(false));
        let switch = Arc::clone(&off);
        let thread = thread::Builder::new()
            .name("guest".to_owned())
            .spawn(move || Machine { identity, wire: Wire(tap), console, off: switch }.run())?;
        Ok(Self { off, thread: Some(thread) })
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Switches it off and waits until it is.
    pub fn stop(&mut self) {
        self.off.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How long a step of a boot takes. Real machines take ten times as long; nobody would wait for the example then.
const STEP: Duration = Duration::from_millis(400);
/// How often the guest looks at its card.
const TICK: Duration = Duration::from_millis(2);

/// It says what it is: nobody can log in.
const BANNER: &[u8] = b"SSH-2.0-smoltcp_guest\r\n";

struct Machine {
    identity: Identity,
    wire: Wire,
    console: Console,
    off: Arc<AtomicBool>,
}

impl Machine {
    /// Boots, boots again, and stays up until it is switched off.
    fn run(mut self) {
        // A log that cannot be written any more is a disk that is full: the machine stops, as one would.
        let _ = self.first_boot().and_then(|()| self.second_boot());
    }

    /// As on a real first boot the table is printed before DHCP is through: it has no IPv4 row.
    fn first_boot(&mut self) -> io::Result<()> {
        self.console.boot(&self.identity.name)?;
        let mut stack = Stack::new(&mut self.wire, &self.identity);
        self.pass(&mut stack, STEP);
        self.console.network_table(&self.identity, WithIpv4::NotYet)?;
        self.pass(&mut stack, STEP);
        stack.configure(&self.identity);
        self.pass(&mut stack, STEP);
        stack.listen();
        self.console.ready(&self.identity.name)?;
        self.pass(&mut stack, STEP);
        self.console.kernel("reboot: Restarting system")
    }

    fn second_boot(&mut self) -> io::Result<()> {
        self.console.boot(&self.identity.name)?;
        let mut stack = Stack::new(&mut self.wire, &self.identity);
        self.pass(&mut stack, STEP);
        stack.configure(&self.identity);
        self.console.network_table(&self.identity, WithIpv4::Yes)?;
        self.pass(&mut stack, STEP);
        stack.listen();
        self.console.ready(&self.identity.name)?;
        self.pass(&mut stack, Duration::MAX);
        Ok(())
    }

    /// Lets time pass with the network running.
    fn pass(&mut self, stack: &mut Stack, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time && !self.off.load(Ordering::Relaxed) {
            stack.poll(&mut self.wire);
            thread::sleep(TICK);
        }
    }
}

/// The guest's network stack from one boot to the next.
struct Stack {
    interface: Interface,
    sockets: SocketSet<'static>,
    ping: SocketHandle,
    servers: Vec<SocketHandle>,
    gateway: Ipv4Addr,
    pinged: bool,
}

impl Stack {
    fn new(wire: &mut Wire, identity: &Identity) -> Self {
        let mac = EthernetAddress(identity.mac.into_array());
        let mut config = Config::new(mac.into());
        config.random_seed = rand::random();
        let mut interface = Interface::new(config, wire, now());
        interface.update_ip_addrs(|addresses| {
            let address = IpCidr::Ipv6(Ipv6Cidr::new(link_local(identity.mac), 64));
            let _ = addresses.push(address);
        });
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; 256]);
        let ping = sockets.add(icmp::Socket::new(buffer(), buffer()));
        let gateway = identity.gateway;
        Self { interface, sockets, ping, servers: Vec::new(), gateway, pinged: true }
    }

    /// Takes the IPv4 address and greets the gateway, by which the host learns where the address is.
    fn configure(&mut self, identity: &Identity) {
        let Ok(address) =
            Ipv4Cidr::from_netmask(identity.address.addr(), identity.address.netmask())
        else {
            return;
        };
        self.interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::Ipv4(address));
        });
        let _ = self.interface.routes_mut().add_default_ipv4_route(identity.gateway);
        self.pinged = false;
    }

    /// Starts to answer on port 22, several connections at a time.
    fn listen(&mut self) {
        for _ in 0..4 {
            let buffer = || tcp::SocketBuffer::new(vec![0; 1024]);
            self.servers.push(self.sockets.add(tcp::Socket::new(buffer(), buffer())));
        }
    }

    fn poll(&mut self, wire: &mut Wire) {
        self.interface.poll(now(), wire, &mut self.sockets);
        self.greet_gateway(wire);
        for server in &self.servers {
            serve(self.sockets.get_mut::<tcp::Socket<'_>>(*server));
        }
    }

    fn greet_gateway(&mut self, wire: &Wire) {
        if self.pinged {
            return;
        }
        let socket = self.sockets.get_mut::<icmp::Socket<'_>>(self.ping);
        if !socket.is_open() {
            let _ = socket.bind(icmp::Endpoint::Ident(1));
        }
        let request = Icmpv4Repr::EchoRequest { ident: 1, seq_no: 1, data: b"hello" };
        if let Ok(bytes) = socket.send(request.buffer_len(), IpAddress::Ipv4(self.gateway)) {
            let checksums = smoltcp::phy::Device::capabilities(wire).checksum;
            request.emit(&mut Icmpv4Packet::new_unchecked(bytes), &checksums);
            self.pinged = true;
        }
    }
}

/// Greets whoever connects with a banner, and hangs up when they do.
fn serve(socket: &mut tcp::Socket<'_>) {
    if !socket.is_open() {
        let _ = socket.listen(22);
    }
    if socket.state() == tcp::State::Established && socket.send_queue() == 0 && socket.can_send() {
        // The mark that this connection was greeted: afterwards our side is closed.
        let _ = socket.send_slice(BANNER);
        socket.close();
    }
}

fn now() -> smoltcp::time::Instant {
    smoltcp::time::Instant::now()
}

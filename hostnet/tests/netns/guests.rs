//! Guests and outsiders with a real network stack: the kernel's, in namespaces of their own.

use crate::world::{Outcome, Stranger, block_on, port};
use hostnet::{
    Attachment, AttachmentId, Desired, DeviceName, Host, Netns, Network, NetworkName, Owner,
};
use ipnet::IpNet;
use std::error::Error;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long an answer may take: the first packets are lost until the kernel has noticed that a cable is plugged in.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long nothing must come through for a way to count as closed, once it is known that packets arrive.
const BRIEFLY: Duration = Duration::from_millis(700);

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A machine in a namespace of its own. The namespace goes with this value.
pub(crate) struct Machine {
    name: String,
    cable: Option<Cable>,
}

/// Carries frames between a TAP of the host's and one of the guest's.
struct Cable {
    cut: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Machine {
    fn new() -> Result<Self, Box<dyn Error>> {
        let name =
            format!("machine-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Netns::create(&name)?;
        Ok(Self { name, cable: None })
    }

    /// A guest behind this attachment's TAP, with its MAC and addresses and the gateways as its routers.
    pub(crate) fn guest(
        attachment: &Attachment,
        network: &Network,
    ) -> Result<Self, Box<dyn Error>> {
        let tap = hostnet::open_tap(attachment.tap_name(), attachment.tap_options())?;
        let (addresses, routers): (Vec<_>, Vec<_>) = attachment
            .addresses()
            .map(|address| {
                let gateway = network.gateways().find(|gateway| gateway.contains(&address));
                let gateway = gateway.expect("a gateway of its family");
                let address = IpNet::new(address, gateway.prefix_len());
                (address.expect("the network's own length"), gateway.addr())
            })
            .unzip();
        Self::plugged(tap, attachment, &addresses, routers)
    }

    /// A guest behind the TAP in this attachment's namespace, with the addresses that every guest has there.
    pub(crate) fn guest_in_namespace(attachment: &Attachment) -> Result<Self, Box<dyn Error>> {
        let namespace = attachment.namespace().ok_or("no namespace")?.clone();
        let tap = in_namespace(namespace.name().as_str(), {
            let (name, options) = (attachment.tap_name().clone(), attachment.tap_options());
            move || Ok(hostnet::open_tap(&name, options)?)
        })?;
        let (addresses, routers): (Vec<IpNet>, Vec<IpAddr>) = attachment
            .addresses()
            .map(|address| match address {
                IpAddr::V4(_) => (IpNet::V4(namespace.guest4()), IpAddr::V4(namespace.gateway4())),
                IpAddr::V6(_) => (IpNet::V6(namespace.guest6()), IpAddr::V6(namespace.gateway6())),
            })
            .unzip();
        Self::plugged(tap, attachment, &addresses, routers)
    }

    /// Inside, a bridge plays the guest's network card and a TAP its end of the cable: the crate under test makes both.
    fn plugged(
        ours: File,
        attachment: &Attachment,
        addresses: &[IpNet],
        routers: Vec<IpAddr>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut machine = Self::new()?;
        let inside = Host::open_in(Owner::new("guest")?, Netns::named(&machine.name)?)?;
        let (first, others) = addresses.split_first().ok_or("no address")?;
        let card = Network::bridged(NetworkName::new("card")?, DeviceName::new("eth0")?, *first)?;
        let card = others.iter().copied().try_fold(card, Network::with_gateway)?;
        // What comes by the cable is from everybody.
        let card = card.with_mac(attachment.mac())?.with_unchecked_sources();
        let mut wish = Desired::new(inside.owner().clone());
        // The cable's end needs an address for form's sake; nothing in the guest uses it.
        let unused = card.prefixes().next().map(unused_guest);
        wish.add_network(card)?;
        wish.add_attachment(
            Attachment::tap(
                AttachmentId::new("cable")?,
                NetworkName::new("card")?,
                DeviceName::new("cable")?,
                [2, 0, 0, 0, 0, 1].into(),
                unused.ok_or("no prefix")?,
            )?
            .with_tap_options(attachment.tap_options()),
        )?;
        block_on(inside.ensure(&wish))?;
        let options = attachment.tap_options();
        let theirs =
            machine.run(move || Ok(hostnet::open_tap(&DeviceName::new("cable")?, options)?))?;
        machine.cable = Some(Cable::plug(ours, theirs)?);
        machine.run(move || {
            block_on(async {
                let stranger = Stranger::new();
                for router in routers {
                    stranger.add_default_route(router).await?;
                }
                Ok(())
            })
        })?;
        Ok(machine)
    }

    /// A machine outside, joined to the host by a wire: the host's end has `host`, its own `outside`, both in a /24 or
    /// a /64. It knows no way to the guests.
    pub(crate) fn outside(pairs: &[(IpAddr, IpAddr)]) -> Result<Self, Box<dyn Error>> {
        let machine = Self::new()?;
        let netns = Netns::named(&machine.name)?;
        let length = |address: IpAddr| if address.is_ipv4() { 24 } else { 64 };
        block_on(async {
            let stranger = Stranger::new();
            stranger.add_veth("uplink", "wire").await?;
            stranger.move_to("wire", &netns).await?;
            stranger.up("uplink").await?;
            for (host, _) in pairs {
                stranger.add_address("uplink", *host, length(*host)).await?;
            }
            Ok::<_, Box<dyn Error>>(())
        })?;
        let own: Vec<IpAddr> = pairs.iter().map(|(_, outside)| *outside).collect();
        machine.run(move || {
            block_on(async {
                let stranger = Stranger::new();
                stranger.up("wire").await?;
                for address in own {
                    stranger.add_address("wire", address, length(address)).await?;
                }
                Ok(())
            })
        })?;
        Ok(machine)
    }

    /// The name of its namespace.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs something in the machine, on a thread that ends with it.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Box<dyn Error>> + Send + 'static,
    ) -> Result<T, Box<dyn Error>> {
        in_namespace(&self.name, work)
    }

    /// Answers TCP connections on a port by telling the client where it came from.
    pub(crate) fn serve_tcp(&self, address: SocketAddr) -> Outcome {
        let listener = self.run(move || Ok(TcpListener::bind(address)?))?;
        thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { return };
                if let Ok(peer) = connection.peer_addr() {
                    let _ = write!(connection, "{}", peer.ip());
                }
            }
        });
        Ok(())
    }

    /// Answers UDP datagrams on a port in the same way.
    pub(crate) fn serve_udp(&self, address: SocketAddr) -> Outcome {
        let socket = self.run(move || Ok(UdpSocket::bind(address)?))?;
        thread::spawn(move || {
            let mut datagram = [0; 64];
            while let Ok((_, peer)) = socket.recv_from(&mut datagram) {
                let _ = socket.send_to(peer.ip().to_string().as_bytes(), peer);
            }
        });
        Ok(())
    }

    /// Connects from the machine; what the server says is where it saw the connection come from.
    pub(crate) fn ask_tcp(&self, server: SocketAddr) -> Result<IpAddr, Box<dyn Error>> {
        self.run(move || ask_tcp(server))
    }

    /// Sends a datagram from the machine and waits for the answer.
    pub(crate) fn ask_udp(&self, server: SocketAddr) -> Result<IpAddr, Box<dyn Error>> {
        self.run(move || ask_udp(server))
    }
}

/// Connects from the calling thread's namespace.
pub(crate) fn ask_tcp(server: SocketAddr) -> Result<IpAddr, Box<dyn Error>> {
    let failed = |error| format!("connect to {server}: {error}");
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.parse()?)
}

/// Whether no TCP connection is to be had.
pub(crate) fn is_closed(server: SocketAddr) -> bool {
    TcpStream::connect_timeout(&server, BRIEFLY).is_err()
}

/// Sends datagrams from the calling thread's namespace until one is answered.
pub(crate) fn ask_udp(server: SocketAddr) -> Result<IpAddr, Box<dyn Error>> {
    let any: SocketAddr = if server.is_ipv4() { "0.0.0.0:0".parse()? } else { "[::]:0".parse()? };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(Duration::from_millis(250)))?;
    let start = Instant::now();
    let mut answer = [0; 64];
    while start.elapsed() < PATIENCE {
        // There may be no route to a neighbour that does not answer yet.
        let _ = socket.send_to(b"?", server);
        if let Ok((len, from)) = socket.recv_from(&mut answer) {
            if from != server {
                return Err(format!("asked {server}, {from} answered").into());
            }
            return Ok(std::str::from_utf8(&answer[..len])?.parse()?);
        }
    }
    Err(format!("{server} does not answer").into())
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.cable = None;
        let _ = Netns::remove(&self.name);
    }
}

impl Cable {
    fn plug(ours: File, theirs: File) -> Result<Self, Box<dyn Error>> {
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        let thread = thread::Builder::new().name("cable".to_owned()).spawn(move || {
            let (mut ours, mut theirs) = (ours, theirs);
            while !is_cut.load(Ordering::Relaxed) {
                let carried = carry(&mut ours, &mut theirs) | carry(&mut theirs, &mut ours);
                if !carried {
                    thread::sleep(Duration::from_micros(200));
                }
            }
        })?;
        Ok(Self { cut, thread: Some(thread) })
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.cut.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Carries what has come in; says whether there was anything.
fn carry(from: &mut File, to: &mut File) -> bool {
    let mut frame = [0; 2048];
    match from.read(&mut frame) {
        Ok(len) => {
            // A full queue loses the frame, as a cable does.
            let _ = to.write(&frame[..len]);
            true
        }
        Err(error) => error.kind() == ErrorKind::Interrupted,
    }
}

/// An address that a guest can have and none has: the third one.
fn unused_guest(prefix: IpNet) -> IpAddr {
    match prefix.network() {
        IpAddr::V4(first) if prefix.prefix_len() == 30 => IpAddr::V4((u32::from(first) + 1).into()),
        IpAddr::V4(first) => IpAddr::V4((u32::from(first) + 250).into()),
        IpAddr::V6(first) => IpAddr::V6((u128::from(first) + 3).into()),
    }
}

/// Runs something in a named namespace, on a thread that ends with it.
pub(crate) fn in_namespace<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, Box<dyn Error>> + Send + 'static,
) -> Result<T, Box<dyn Error>> {
    let netns = Netns::named(name)?;
    let thread = thread::spawn(move || {
        netns.enter().map_err(|error| error.to_string())?;
        work().map_err(|error| error.to_string())
    });
    Ok(thread.join().map_err(|_panic| "the machine's thread panicked")??)
}

/// A socket address from a text, for brevity.
pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address with a port")
}

/// Any address of the machine, on this port.
pub(crate) fn any(number: u16) -> SocketAddr {
    // Takes IPv4 too, unless `bindv6only` is set, which no fresh namespace has.
    (std::net::Ipv6Addr::UNSPECIFIED, port(number).get()).into()
}

//! From a base name to everything a VM is known by: one batch of claims, all or none.

use ippool::{AddressPool, Addresses, PortPool, Ports};
use netid::{Claim, ClaimKey, ClaimStore, NetId, Owner, Protocol, claim_with};
use std::error::Error;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};
use vmname::{BaseName, Namer, VmName};

/// What finds vacant addresses and ports quickly. Who holds them is the claim store's to say.
#[derive(Debug)]
pub struct Pools {
    /// The guests' addresses.
    pub addresses: AddressPool<Ipv4Addr, u64>,
    /// The host's ports.
    pub ports: PortPool<u64>,
}

/// What a VM is known by, and the claims that say so.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name, everywhere.
    pub name: VmName,
    /// Its network id.
    pub id: NetId,
    /// Its address.
    pub address: Ipv4Addr,
    /// The port of the host that leads to its port 22.
    pub port: u16,
    /// The claims on these four.
    pub claims: Vec<Claim>,
}

impl Pools {
    /// Pools over a prefix with its gateway, and over the ports of the host.
    #[must_use]
    pub fn new(addresses: Addresses<Ipv4Addr>, ports: Ports) -> Self {
        Self { addresses: AddressPool::new(addresses), ports: PortPool::new(ports) }
    }
}

impl Identity {
    /// Claims a name, an id, an address and a port for one owner. What is taken is replaced by another draw; any
    /// other error stops at once.
    ///
    /// # Errors
    /// When a pool has nothing left or the store fails.
    pub async fn claim<S: ClaimStore>(
        store: &S,
        owner: &Owner,
        base: BaseName,
        pools: &mut Pools,
    ) -> Result<Self, Box<dyn Error>> {
        // The pools' owner is a number of our own; the claims carry the real one.
        let token = 1;
        let mut id = NetId::random(&mut rand::rng());
        let mut address = pools.addresses.allocate(token, now())?.item;
        let mut port = pools.ports.allocate(token, now())?.item;
        let ask = async |name: &VmName| -> Result<vmname::Claim<Vec<Claim>>, Box<dyn Error>> {
            let key = ClaimKey::name(name.as_str())?;
            let batch = |id, address: Ipv4Addr, port| {
                let port = ClaimKey::port(Protocol::Tcp, port);
                vec![key.clone(), ClaimKey::id(id), ClaimKey::address(address.into()), port]
            };
            let first = batch(id, address, port);
            let claimed = claim_with(store, owner, first, now(), |taken| {
                match taken.key.kind() {
                    ClaimKey::ID => id = NetId::random(&mut rand::rng()),
                    // What somebody else holds stays allocated here, so that it is not proposed again.
                    ClaimKey::ADDRESS => {
                        address = pools.addresses.allocate(token, now()).ok()?.item;
                    }
                    ClaimKey::PORT => port = pools.ports.allocate(token, now()).ok()?.item,
                    _ => return None,
                }
                Some(batch(id, address, port))
            });
            match claimed.await {
                Ok(claims) => Ok(vmname::Claim::Claimed(claims)),
                Err(error) => match error.source {
                    netid::ClaimError::Taken(by) if by.key == key => Ok(vmname::Claim::Taken),
                    source => Err(source.into()),
                },
            }
        };
        let claimed = Namer::new().claim_async(base, &mut rand::rng(), ask).await.map_err(plain)?;
        Ok(Self { name: claimed.name, id, address, port, claims: claimed.receipt })
    }

    /// The generation of the claim on the id, which the devices carry.
    #[must_use]
    pub fn generation(&self) -> u64 {
        let id = ClaimKey::id(self.id);
        self.claims
            .iter()
            .find(|claim| claim.key == id)
            .map_or(0, |claim| claim.generation.number())
    }
}

/// The time since the Unix epoch.
#[must_use]
pub fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// An error that can leave the scope of what it was borrowed from.
fn plain(error: vmname::ClaimError<Box<dyn Error>>) -> Box<dyn Error> {
    match error {
        vmname::ClaimError::Failed { source, .. } => source,
        other => other.to_string().into(),
    }
}

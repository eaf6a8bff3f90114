use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt;
use core::net::Ipv4Addr;
use core::time::Duration;

use ipnet::Ipv4Net;
use macaddr::MacAddr6;

use super::{Candidate, Confidence, Source, is_host_address};
use crate::{Generation, SshAnswer};

/// Chooses the guest's address among candidates, and says why.
///
/// Candidates are refused when they cannot be right: not a host address, outside the served
/// subnets, of another MAC, of an older boot, or expired. The rest is ranked by [`Source`]; a
/// candidate that a second source repeats, that the neighbour table holds as reachable, or that
/// answered with an SSH banner becomes [`Confidence::Confirmed`]. A cached address counts only
/// once it is confirmed.
///
/// ```
/// use core::time::Duration;
/// use vmstatus::Generation;
/// use vmstatus::address::{Candidate, Resolver, Source};
///
/// let (now, boot) = (Duration::from_secs(1_700_000_000), Generation::new(1, 1));
/// let resolution = Resolver::new(boot, now)
///     .with_subnet("192.168.64.0/24".parse()?)
///     .resolve(&[
///         Candidate::new([192, 168, 64, 9].into(), Source::Cache, now, boot),
///         Candidate::new([192, 168, 64, 7].into(), Source::Lease, now, boot),
///         Candidate::new([172, 17, 0, 1].into(), Source::Console, now, boot),
///     ]);
/// assert_eq!(
///     resolution.to_string(),
///     "192.168.64.7 from the DHCP lease (likely); registry cache says 192.168.64.9; \
///      172.17.0.1 from the console log refused: outside the served subnets",
/// );
/// # Ok::<(), ipnet::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Resolver {
    generation: Generation,
    now: Duration,
    subnets: Vec<Ipv4Net>,
    mac: Option<MacAddr6>,
    answer: Option<Ipv4Addr>,
}

impl Resolver {
    /// Resolves for this generation at the time `now`, since the Unix epoch.
    #[must_use]
    pub const fn new(generation: Generation, now: Duration) -> Self {
        Self { generation, now, subnets: Vec::new(), mac: None, answer: None }
    }

    /// Adds a subnet that guests are served from. Without any, every subnet will do.
    #[must_use]
    pub fn with_subnet(mut self, subnet: Ipv4Net) -> Self {
        self.subnets.push(subnet);
        self
    }

    /// The guest's MAC: candidates with another one are refused.
    #[must_use]
    pub const fn with_mac(mut self, mac: MacAddr6) -> Self {
        self.mac = Some(mac);
        self
    }

    /// An SSH answer: it confirms the candidate it came from, if it is of this generation.
    #[must_use]
    pub fn with_answer(mut self, answer: &SshAnswer) -> Self {
        if let (true, core::net::IpAddr::V4(ip)) =
            (answer.generation() == self.generation, answer.from().ip())
        {
            self.answer = Some(ip);
        }
        self
    }

    /// Chooses among the candidates; their order matters only between equals.
    pub fn resolve(&self, candidates: &[Candidate]) -> Resolution {
        let mut refused = Vec::new();
        let mut accepted: Vec<Candidate> = Vec::new();
        for candidate in candidates {
            match self.refusal(candidate) {
                Some(why) => refused.push((*candidate, why)),
                None => accepted.push(*candidate),
            }
        }
        let known = accepted.clone();
        for candidate in &mut accepted {
            let repeated = known.iter().any(|other| confirms(other, candidate));
            if repeated || self.answer == Some(candidate.ip()) {
                *candidate = candidate.with_confidence(Confidence::Confirmed);
            }
        }
        // The sort is stable: between equals the caller's order decides.
        accepted.sort_by_key(|candidate| {
            let unconfirmed = candidate.confidence() == Confidence::Unconfirmed;
            // Of several leases the one that runs longest was given last.
            let expires = candidate.expires().unwrap_or(Duration::MAX);
            (unconfirmed, candidate.source(), Reverse((candidate.confidence(), expires)))
        });
        let chosen = accepted
            .first()
            .copied()
            .filter(|candidate| candidate.confidence() > Confidence::Unconfirmed);
        let others = accepted
            .into_iter()
            .filter(|candidate| chosen.is_none_or(|chosen| chosen.ip() != candidate.ip()))
            .collect();
        Resolution { chosen, others, refused }
    }

    fn refusal(&self, candidate: &Candidate) -> Option<Rejection> {
        if !is_host_address(candidate.ip()) {
            Some(Rejection::NotAHost)
        } else if candidate.generation() > self.generation {
            Some(Rejection::NewerBoot)
        } else if candidate.generation() < self.generation {
            Some(Rejection::OlderBoot)
        } else if !self.subnets.is_empty()
            && !self.subnets.iter().any(|subnet| subnet.contains(&candidate.ip()))
        {
            Some(Rejection::OutsideSubnets)
        } else if matches!((self.mac, candidate.mac()), (Some(ours), Some(theirs)) if ours != theirs)
        {
            Some(Rejection::OtherMac)
        } else if candidate.expires().is_some_and(|at| at <= self.now) {
            Some(Rejection::Expired)
        } else {
            None
        }
    }
}

/// Whether a second source says the same. A cache confirms nothing, and is itself confirmed by
/// the neighbour table only: a lease or a name may be as old as the cache.
fn confirms(other: &Candidate, candidate: &Candidate) -> bool {
    other.ip() == candidate.ip()
        && match (candidate.source(), other.source()) {
            (_, Source::Cache) => false,
            (Source::Cache, source) => source == Source::Neighbour,
            (ours, theirs) => ours != theirs,
        }
}

/// Why a candidate cannot be the guest's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Rejection {
    /// Loopback, link-local, multicast, broadcast or reserved.
    NotAHost,
    /// It belongs to an older boot or an earlier start of the process.
    OlderBoot,
    /// It belongs to a boot that the resolver does not know of yet.
    NewerBoot,
    /// None of the served subnets holds it.
    OutsideSubnets,
    /// The source gives it to another MAC.
    OtherMac,
    /// Its lease has run out.
    Expired,
}

impl Rejection {
    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAHost => "not a host address",
            Self::OlderBoot => "of an older boot",
            Self::NewerBoot => "of a newer boot",
            Self::OutsideSubnets => "outside the served subnets",
            Self::OtherMac => "belongs to another MAC",
            Self::Expired => "lease expired",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the candidates come to. `Display` explains it in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[must_use]
pub struct Resolution {
    chosen: Option<Candidate>,
    others: Vec<Candidate>,
    refused: Vec<(Candidate, Rejection)>,
}

impl Resolution {
    /// The address to believe, if there is one.
    #[must_use]
    pub const fn chosen(&self) -> Option<Candidate> {
        self.chosen
    }

    /// Candidates that could be right but say something else, best first: a disagreement, or
    /// addresses worth a probe while nothing is chosen.
    #[must_use]
    pub fn others(&self) -> &[Candidate] {
        &self.others
    }

    /// Candidates that cannot be right, and why.
    #[must_use]
    pub fn refused(&self) -> &[(Candidate, Rejection)] {
        &self.refused
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.chosen {
            Some(chosen) => write!(f, "{chosen}")?,
            None => f.write_str("no IPv4 address")?,
        }
        for other in &self.others {
            write!(f, "; {} says {}", other.source(), other.ip())?;
            if self.chosen.is_none() {
                write!(f, " ({})", other.confidence())?;
            }
        }
        for (candidate, why) in &self.refused {
            write!(f, "; {} from the {} refused: {why}", candidate.ip(), candidate.source())?;
        }
        Ok(())
    }
}

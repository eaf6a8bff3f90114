use super::NetworkName;
use ipnet::IpNet;

/// Leave for two networks to reach each other. Without one, no network reaches another.
///
/// Each side may expose only some of its prefixes; without any named it exposes all. Whether both sides agreed is for the
/// caller to know.
///
/// ```
/// use hostnet::{NetworkName, Peering};
///
/// let (web, db) = (NetworkName::new("web")?, NetworkName::new("db")?);
/// // The web servers reach one subnet of the databases; the databases reach all web servers.
/// let peering = Peering::new(web, db).exposing_second("10.2.0.0/28".parse()?);
/// assert_eq!(peering.second_exposes().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Peering {
    first: NetworkName,
    second: NetworkName,
    #[cfg_attr(feature = "serde", serde(default))]
    first_exposes: Vec<IpNet>,
    #[cfg_attr(feature = "serde", serde(default))]
    second_exposes: Vec<IpNet>,
}

impl Peering {
    /// Two networks that reach all of each other.
    #[must_use]
    pub const fn new(first: NetworkName, second: NetworkName) -> Self {
        Self { first, second, first_exposes: Vec::new(), second_exposes: Vec::new() }
    }

    /// Lets the second network reach this prefix of the first's, and none that is not named in the same way.
    #[must_use]
    pub fn exposing_first(mut self, prefix: IpNet) -> Self {
        self.first_exposes.push(prefix);
        self
    }

    /// Lets the first network reach this prefix of the second's, and none that is not named in the same way.
    #[must_use]
    pub fn exposing_second(mut self, prefix: IpNet) -> Self {
        self.second_exposes.push(prefix);
        self
    }

    /// The first network.
    #[must_use]
    pub const fn first(&self) -> &NetworkName {
        &self.first
    }

    /// The second network.
    #[must_use]
    pub const fn second(&self) -> &NetworkName {
        &self.second
    }

    /// What the second network may reach of the first's; all if empty.
    #[must_use]
    pub fn first_exposes(&self) -> &[IpNet] {
        &self.first_exposes
    }

    /// What the first network may reach of the second's; all if empty.
    #[must_use]
    pub fn second_exposes(&self) -> &[IpNet] {
        &self.second_exposes
    }
}

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::host_key::HostKey;
use super::line::{Mark, Marks};
use super::network::{Network, Primary};
use super::tables::Tables;
use super::trouble::Trouble;

/// Most host keys kept; a guest has four at most.
const MAX_HOST_KEYS: usize = 16;

/// What the current boot has told on the console so far.
#[derive(Clone, Debug)]
pub struct Boot {
    pub(super) marks: Marks,
    pub(super) tables: Tables,
    pub(super) cloud_init: CloudInit,
    pub(super) host_keys: Vec<HostKey>,
    pub(super) in_host_keys: bool,
    pub(super) login: Option<String>,
    pub(super) trouble: Option<Trouble>,
}

/// How far cloud-init has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
pub enum CloudInit {
    /// It has not been heard of in this boot.
    #[default]
    Unseen,
    /// It has begun.
    Started,
    /// It has finished: packages are installed, users exist, scripts have run.
    Finished,
}

impl CloudInit {
    /// The progress in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unseen => "unseen",
            Self::Started => "started",
            Self::Finished => "finished",
        }
    }
}

impl fmt::Display for CloudInit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Boot {
    pub(super) const fn new(tables: Tables) -> Self {
        Self {
            marks: Marks::NONE,
            tables,
            cloud_init: CloudInit::Unseen,
            host_keys: Vec::new(),
            in_host_keys: false,
            login: None,
            trouble: None,
        }
    }

    /// The network as the boot's last table shows it; `None` until a row of it was read.
    #[must_use]
    pub const fn network(&self) -> Option<&Network> {
        self.tables.network()
    }

    /// The interface by which the guest can be reached: see [`Network::primary`].
    #[must_use]
    pub fn primary(&self) -> Option<Primary<'_>> {
        self.network()?.primary()
    }

    /// How far cloud-init has come.
    #[must_use]
    pub const fn cloud_init(&self) -> CloudInit {
        self.cloud_init
    }

    /// The public host keys that were printed, in order.
    #[must_use]
    pub fn host_keys(&self) -> &[HostKey] {
        &self.host_keys
    }

    /// The host name in the login prompt, once one was shown; empty if the prompt names none.
    #[must_use]
    pub fn login_prompt(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// The trouble that the boot tells of: a fatal one if there is any, or else the latest.
    #[must_use]
    pub const fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Whether the kernel has said that it powers off or restarts.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.marks.has(Mark::Ended)
    }

    pub(super) fn add_host_key(&mut self, key: HostKey) {
        if self.host_keys.len() < MAX_HOST_KEYS && !self.host_keys.contains(&key) {
            self.host_keys.push(key);
        }
    }

    pub(super) fn add_trouble(&mut self, trouble: Trouble) {
        // The first line of a panic is the one that says why.
        if !self.trouble.as_ref().is_some_and(Trouble::is_fatal) {
            self.trouble = Some(trouble);
        }
    }
}

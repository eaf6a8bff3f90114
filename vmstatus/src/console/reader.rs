use alloc::string::String;

use super::boot::{Boot, CloudInit};
use super::host_key::HostKey;
use super::line::{Mark, Said};
use super::tables::Tables;
use super::trouble::Trouble;

/// Lines of which each counts after the one that opens a list of CirrOS or of host keys: more than
/// any such list has, with the kernel's lines in between.
const ATTENTION: u8 = 200;

/// Reads clean lines and keeps what the current boot has told.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    boot: Boot,
    boots: u32,
    /// How many of the next lines count whatever they say.
    attention: u8,
    /// The text after `ci-info:` of a row that the next line may complete.
    cut: String,
}

impl Reader {
    pub(super) const fn new() -> Self {
        Self { boot: Boot::new(Tables::at_start()), boots: 0, attention: 0, cut: String::new() }
    }

    pub(super) const fn boot(&self) -> &Boot {
        &self.boot
    }

    pub(super) fn into_boot(self) -> Boot {
        self.boot
    }

    pub(super) const fn boots(&self) -> u32 {
        self.boots
    }

    /// Whether the next line counts, be it one that by itself says nothing.
    pub(super) const fn is_attentive(&self) -> bool {
        self.attention > 0 || !self.cut.is_empty()
    }

    /// Takes a line that has ended.
    pub(super) fn read(&mut self, line: &str) {
        if line.is_empty() {
            return;
        }
        if self.attention == 1 {
            self.boot.in_host_keys = false;
            self.boot.tables.close_cirros();
        }
        self.attention = self.attention.saturating_sub(1);
        let cut = core::mem::take(&mut self.cut);
        if line.contains("ci-info:") {
            // A lost line end leaves two rows on one line.
            for row in line.split("ci-info:").skip(1) {
                self.read_row(row);
            }
            let last = line.rsplit("ci-info:").next().unwrap_or_default();
            if self.boot.tables.is_cut(last) {
                self.cut.push_str(last);
            }
        } else if !cut.is_empty()
            && let Some(row) = self.boot.tables.join(&cut, line)
        {
            self.read_row(&row);
        } else if let Some((_, interface)) = line.split_once("if-info:") {
            if self.boot.tables.feed_cirros_interface(interface, true) {
                self.attention = ATTENTION;
            }
        } else if let Some((_, route)) = line.split_once("ip-route") {
            self.boot.tables.feed_cirros_route(route);
        } else if let Some(said) = Said::parse(line) {
            self.boot.tables.interrupt();
            self.hear(&said);
        } else if let Some(trouble) = Trouble::from_line(line.as_bytes()) {
            self.boot.add_trouble(trouble);
        } else if self.boot.in_host_keys
            && let Some(key) = HostKey::from_line(line.as_bytes())
        {
            self.boot.add_host_key(key);
        }
    }

    /// Takes a line that may go on: only what cannot change by it counts.
    pub(super) fn read_unfinished(&mut self, line: &str) {
        if line.contains("ci-info:") {
            for row in line.split("ci-info:").skip(1) {
                // Without bars, the last word may be cut, unless it is a whole MAC.
                let last = row.split_ascii_whitespace().next_back().unwrap_or_default();
                if row.trim_start().starts_with('|') || last.len() == "00:00:00:00:00:00".len() {
                    self.read_row(row);
                }
            }
        } else if let Some((_, interface)) = line.split_once("if-info:") {
            self.boot.tables.feed_cirros_interface(interface, false);
        } else if let Some(login @ Said::Login(_)) = Said::parse(line) {
            self.hear(&login);
        }
    }

    fn read_row(&mut self, row: &str) {
        // A line of version 0.6 has no table around it, so any user could print one later.
        let settled = self.boot.login.is_some() || self.boot.marks.has(Mark::Finished);
        if settled && !row.trim_start().starts_with(['|', '+']) {
            return;
        }
        if self.boot.tables.begins_table(row) {
            self.mark(Mark::Table);
        }
        self.boot.tables.feed(row);
    }

    fn hear(&mut self, said: &Said<'_>) {
        match said {
            Said::Mark(mark) => {
                self.mark(*mark);
                match mark {
                    Mark::InitLocal | Mark::Init => self.advance(CloudInit::Started),
                    Mark::Finished => self.advance(CloudInit::Finished),
                    _ => {}
                }
            }
            Said::CloudInitStage => self.advance(CloudInit::Started),
            Said::CirrosNetwork => {
                self.mark(Mark::Table);
                self.boot.tables.open_cirros();
                self.attention = ATTENTION;
            }
            Said::CirrosSection => {
                self.boot.tables.close_cirros();
                self.attention = 0;
            }
            Said::HostKeysBegin => {
                self.boot.in_host_keys = true;
                self.attention = ATTENTION;
            }
            Said::HostKeysEnd => {
                self.boot.in_host_keys = false;
                self.attention = 0;
            }
            Said::Login(host) => {
                self.boot.tables.close_cirros();
                self.attention = 0;
                self.boot.login = Some((*host).into());
            }
        }
    }

    /// Notes how far the boot has come, or that another one has begun.
    fn mark(&mut self, mark: Mark) {
        // A log that has lost its head may show a table before any other sign of a boot.
        let headless = self.boots == 0 && mark.begins() && self.boot.network().is_some();
        let new_boot = headless || self.boot.marks.is_new_boot(mark);
        self.boots = self.boots.max(1).saturating_add(u32::from(new_boot));
        if new_boot {
            let tables = if mark == Mark::Table {
                self.boot.tables.clone().without_network()
            } else {
                Tables::at_boot()
            };
            self.boot = Boot::new(tables);
        }
        self.boot.marks.add(mark);
    }

    fn advance(&mut self, to: CloudInit) {
        self.boot.cloud_init = self.boot.cloud_init.max(to);
    }
}

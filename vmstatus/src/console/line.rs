use super::trouble::message;

/// A line that shows how far a boot has come. The order is the order within a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mark {
    Firmware,
    LinuxBanner,
    FreeBsdBoot,
    FreeBsdBanner,
    InitLocal,
    Init,
    Table,
    Finished,
    Ended,
}

impl Mark {
    /// Whether a boot may begin with it, as far as a log shows.
    pub(super) const fn begins(self) -> bool {
        !matches!(self, Self::Finished | Self::Ended)
    }

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// The marks that a boot has shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks(u16);

impl Marks {
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn has(self, mark: Mark) -> bool {
        self.0 & mark.bit() != 0
    }

    pub(super) const fn add(&mut self, mark: Mark) {
        self.0 |= mark.bit();
    }

    /// Whether the mark can only belong to another boot: this one has shown it, or a later one.
    pub(super) const fn is_new_boot(self, mark: Mark) -> bool {
        let later = self.0 >> mark as u8 >> 1 != 0;
        // Firmware says many things before it hands over.
        let again = self.has(mark) && !matches!(mark, Mark::Firmware);
        mark.begins() && (later || again)
    }
}

/// What a whole line says, apart from tables and trouble.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    Mark(Mark),
    CloudInitStage,
    CirrosNetwork,
    CirrosSection,
    HostKeysBegin,
    HostKeysEnd,
    Login(&'a str),
}

impl<'a> Said<'a> {
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        if let Some(said) = parse_cloud_init(line) {
            return Some(said);
        }
        let mark = if line.contains("SeaBIOS (") || line.contains("BdsDxe: ") {
            Mark::Firmware
        } else if after(line, "Linux version ")
            .is_some_and(|rest| rest.bytes().next().is_some_and(|byte| byte.is_ascii_digit()))
        {
            Mark::LinuxBanner
        } else if line.contains("---<<BOOT>>---") {
            Mark::FreeBsdBoot
        } else if line.contains("The FreeBSD Project.") {
            Mark::FreeBsdBanner
        } else if is_end(line) {
            Mark::Ended
        } else if line.contains("=== network info ===") {
            return Some(Self::CirrosNetwork);
        } else if line.contains("=== cirros: current=") {
            Mark::Finished
        } else if line.contains("=== datasource: ") {
            return Some(Self::CirrosSection);
        } else if line.contains("BEGIN SSH HOST KEY KEYS-") {
            return Some(Self::HostKeysBegin);
        } else if line.contains("END SSH HOST KEY KEYS-") {
            return Some(Self::HostKeysEnd);
        } else {
            return parse_login(line).map(Self::Login);
        };
        Some(Self::Mark(mark))
    }
}

/// `Cloud-init v. 24.1 running 'init' at …`, `Cloud-init v. 24.1 finished at …`, and their
/// counterparts of version 0.6: `cloud-init start-local running: …`, `cloud-init boot finished at …`.
/// The `start` of 0.6 comes after its table, so it is no mark. Where its own line is lost, systemd's
/// target tells that all has finished.
fn parse_cloud_init<'a>(line: &str) -> Option<Said<'a>> {
    if let Some(rest) = after(line, "Cloud-init v. ") {
        let (_, rest) = rest.split_once(' ')?;
        return Some(if rest.starts_with("finished at ") {
            Said::Mark(Mark::Finished)
        } else if rest.starts_with("running 'init-local'") {
            Said::Mark(Mark::InitLocal)
        } else if rest.starts_with("running 'init'") {
            Said::Mark(Mark::Init)
        } else {
            Said::CloudInitStage
        });
    }
    if after(line, "Reached target ").is_some_and(|rest| rest.contains("loud-init target")) {
        return Some(Said::Mark(Mark::Finished));
    }
    let rest = after(line, "cloud-init ")?;
    if rest.starts_with("boot finished at ") {
        Some(Said::Mark(Mark::Finished))
    } else if rest.starts_with("start-local running") {
        Some(Said::Mark(Mark::InitLocal))
    } else if rest.starts_with("start running") {
        Some(Said::CloudInitStage)
    } else {
        None
    }
}

/// What the kernel prints last, as `reboot: Power down` or `reboot: Restarting system`.
fn is_end(line: &str) -> bool {
    after(line, "reboot: ").is_some_and(|rest| {
        ["Power down", "Restarting system", "System halted", "machine restart"]
            .iter()
            .any(|end| rest.starts_with(end))
    })
}

/// A login prompt is a host name, ` login:` and nothing before them but a time stamp. FreeBSD's has
/// no host name. `Last login:` is not one.
fn parse_login(line: &str) -> Option<&str> {
    let prompt = core::str::from_utf8(message(line.as_bytes())).ok()?;
    let (host, typed) = match prompt.strip_prefix("login:") {
        Some(typed) => ("", typed),
        None => prompt.split_once(" login:").filter(|(host, _)| !host.is_empty())?,
    };
    let is_host = host != "Last"
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    (is_host && (typed.is_empty() || typed.starts_with(' '))).then_some(host)
}

fn after<'a>(line: &'a str, needle: &str) -> Option<&'a str> {
    line.split_once(needle).map(|(_, rest)| rest)
}

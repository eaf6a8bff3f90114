use core::fmt;

use crate::Escaped;

/// A line on the console that tells of trouble.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Trouble {
    kind: TroubleKind,
    line: Escaped,
}

/// What kind of trouble a console line tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum TroubleKind {
    /// The kernel has panicked.
    Panic,
    /// The kernel has hit a bug (an oops) and goes on.
    Oops,
    /// The kernel has killed a process for want of memory.
    OutOfMemory,
    /// A CPU is stuck (soft or hard lock-up, RCU stall).
    Lockup,
    /// A task is blocked for minutes.
    HungTask,
    /// The boot has ended in a rescue or emergency shell.
    Emergency,
}

impl TroubleKind {
    /// The kind in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Panic => "kernel panic",
            Self::Oops => "kernel oops",
            Self::OutOfMemory => "out of memory",
            Self::Lockup => "CPU lock-up",
            Self::HungTask => "hung task",
            Self::Emergency => "emergency shell",
        }
    }
}

impl fmt::Display for TroubleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Trouble {
    /// Trouble of this kind, told by this line.
    #[must_use]
    pub const fn new(kind: TroubleKind, line: Escaped) -> Self {
        Self { kind, line }
    }

    /// Reads one line of a console, without escape sequences.
    ///
    /// ```
    /// use vmstatus::console::{Trouble, TroubleKind};
    ///
    /// let line = b"[   12.3] Kernel panic - not syncing: VFS: Unable to mount root fs";
    /// let trouble = Trouble::from_line(line).expect("a panic");
    /// assert_eq!(trouble.kind(), TroubleKind::Panic);
    /// assert!(Trouble::from_line(b"Command line: panic=1 oops=panic").is_none());
    /// ```
    #[must_use]
    pub fn from_line(line: &[u8]) -> Option<Self> {
        let has = |needle: &[u8]| memchr::memmem::find(line, needle).is_some();
        let message = message(line);
        let kind = if has(b"Kernel panic - not syncing")
            || message.starts_with(b"Kernel panic: ")
            || message.starts_with(b"panic: ")
        {
            TroubleKind::Panic
        } else if is_oops(message)
            || has(b"BUG: unable to handle")
            || has(b"BUG: kernel NULL pointer")
        {
            TroubleKind::Oops
        } else if has(b"ut of memory: Kill")
            || has(b"invoked oom-killer")
            || message.starts_with(b"oom-kill:")
        {
            TroubleKind::OutOfMemory
        } else if has(b"BUG: soft lockup")
            || has(b"ard LOCKUP")
            || (has(b"INFO: rcu") && has(b" stall"))
        {
            TroubleKind::Lockup
        } else if has(b"INFO: task ") && has(b" blocked for more than ") {
            TroubleKind::HungTask
        } else if has(b"You are in emergency mode")
            || has(b"You are in rescue mode")
            || has(b"Entering emergency mode")
        {
            TroubleKind::Emergency
        } else {
            return None;
        };
        Some(Self::new(kind, Escaped::from_bytes(line)))
    }

    /// The kind of trouble.
    #[must_use]
    pub const fn kind(&self) -> TroubleKind {
        self.kind
    }

    /// The line that tells of it.
    #[must_use]
    pub const fn line(&self) -> &Escaped {
        &self.line
    }

    /// Whether the machine cannot go on after it.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self.kind, TroubleKind::Panic)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.line)
    }
}

/// Whether the kernel has counted the line as an oops, as in `Oops: 0002 [#1] SMP` or `invalid
/// opcode: 0000 [#1]`, or has said `kernel BUG at` before one.
fn is_oops(message: &[u8]) -> bool {
    let counted = memchr::memmem::find(message, b"[#").is_some_and(|at| {
        let (before, after) = message.split_at(at);
        let code = before.trim_ascii_end().rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        after.get(2).is_some_and(u8::is_ascii_digit)
            && (memchr::memmem::find(before, b"Oops").is_some()
                || (code.len() == 4 && code.iter().all(u8::is_ascii_hexdigit)))
    });
    counted || message.starts_with(b"kernel BUG at ")
}

/// The kernel's message, without its level and time stamp.
pub(super) fn message(line: &[u8]) -> &[u8] {
    let mut message = line.trim_ascii_start();
    if let Some(rest) = message.strip_prefix(b"<") {
        message = rest.splitn(2, |byte| *byte == b'>').nth(1).unwrap_or(message);
    }
    if let Some(rest) = message.strip_prefix(b"[") {
        message = rest.splitn(2, |byte| *byte == b']').nth(1).unwrap_or(message);
    }
    message.trim_ascii_start()
}

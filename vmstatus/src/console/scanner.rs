use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::boot::Boot;
use super::clean::clean;
use super::needles::{Interest, Needles};
use super::reader::Reader;

/// Longest piece of a line that is read; what follows is skipped.
const MAX_LINE: usize = 4096;

/// Reads a console log as it grows and keeps what the current boot has told.
///
/// Bytes may be pushed in pieces of any size: the answer is the same. Escape sequences, NULs, any
/// line ends, torn rows, prefixes of any program, and bytes outside ASCII are all right; nothing
/// makes it panic, and it holds at most one line of 4 KiB besides its answer.
///
/// ```
/// use vmstatus::console::Scanner;
///
/// let mut scanner = Scanner::new();
/// scanner.push(b"[    0.000000] Linux version 6.8.0\n");
/// scanner.push(b"ci-info: ++++++++++++++++++Net device info++++++++++++++++++\n");
/// scanner.push(b"ci-info: | Device |  Up  | Address | Mask | Scope | Hw-Address |\n");
/// scanner.push(b"ci-info: | enp0s1 | True | fe80::5054:ff:fe15:7ae3/64 | . | link | 52:54:0");
/// scanner.push(b"0:15:7a:e3 |\n");
///
/// let boot = scanner.boot();
/// let primary = boot.primary().expect("one interface");
/// assert_eq!((primary.name, primary.ipv4), ("enp0s1", None));
/// assert_eq!(primary.mac, vmstatus::parse_mac(b"52:54:00:15:7a:e3"));
/// assert_eq!(scanner.boots(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Scanner {
    needles: Needles,
    reader: Reader,
    offset: u64,
    /// The line that has not ended yet, up to [`MAX_LINE`].
    pending: Vec<u8>,
    /// The clean copy of the line being read.
    buffer: Vec<u8>,
    /// Bytes that were searched, copied or read so far.
    #[cfg(test)]
    work: usize,
}

impl Scanner {
    /// At the start of a log.
    #[must_use]
    pub fn new() -> Self {
        Self {
            needles: Needles::new(Interest::Everything),
            reader: Reader::new(),
            offset: 0,
            pending: Vec::new(),
            buffer: Vec::new(),
            #[cfg(test)]
            work: 0,
        }
    }

    /// Looks for less than everything.
    #[must_use]
    pub fn with_interest(mut self, interest: Interest) -> Self {
        self.needles = Needles::new(interest);
        self
    }

    /// Takes the next bytes of the log.
    pub fn push(&mut self, bytes: &[u8]) {
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        let mut rest = bytes;
        if !self.pending.is_empty() {
            let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
                self.keep(bytes);
                return;
            };
            let (line, after) = bytes.split_at(end);
            self.keep(line);
            rest = after;
            let line = core::mem::take(&mut self.pending);
            self.read(&line);
            // Gives the buffer back, so that steady tailing does not allocate.
            self.pending = line;
            self.pending.clear();
        }
        let ended = memchr::memrchr2(b'\n', b'\r', rest).map_or(0, |end| end.saturating_add(1));
        let (lines, begun) = rest.split_at(ended);
        self.scan(lines);
        self.keep(begun);
    }

    /// Forgets the unfinished line and starts to count bytes anew: the log was truncated or
    /// replaced. What the boot has told is kept until the new log tells of another boot.
    pub fn restart(&mut self) {
        self.pending.clear();
        self.offset = 0;
    }

    /// Bytes taken since the start or the last [`restart`](Self::restart): where to read on.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// How many boots the log has shown. Zero until it has shown any sign of one.
    #[must_use]
    pub const fn boots(&self) -> u32 {
        self.reader.boots()
    }

    /// What the current boot has told, the unfinished last line included as far as it is sure:
    /// a row with all of its bars, and a login prompt.
    #[must_use]
    pub fn boot(&self) -> Cow<'_, Boot> {
        if self.needles.find(&self.pending).is_none() {
            return Cow::Borrowed(self.reader.boot());
        }
        let mut line = Vec::new();
        clean(&self.pending, &mut line);
        let mut ahead = self.reader.clone();
        ahead.read_unfinished(text(&line));
        Cow::Owned(ahead.into_boot())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.pending.len());
        self.pending.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Reads those of these lines that may say something. All of them have ended.
    fn scan(&mut self, lines: &[u8]) {
        let mut rest = lines;
        while !rest.is_empty() {
            let found = if self.is_attentive() { Some(0) } else { self.needles.find(rest) };
            #[cfg(test)]
            self.count(found.unwrap_or(rest.len()));
            let Some(found) = found else { return };
            let (before, after) = rest.split_at(found);
            let from =
                memchr::memrchr2(b'\n', b'\r', before).map_or(0, |end| end.saturating_add(1));
            let to = memchr::memchr2(b'\n', b'\r', after)
                .map_or(rest.len(), |end| end.saturating_add(found));
            self.read(rest.get(from..to).unwrap_or_default());
            rest = rest.get(to.saturating_add(1)..).unwrap_or_default();
        }
    }

    /// Reads one line. What it says depends on the lines alone, not on how they came here.
    fn read(&mut self, line: &[u8]) {
        let line = line.get(..MAX_LINE).unwrap_or(line);
        #[cfg(test)]
        self.count(line.len());
        if self.is_attentive() || self.needles.find(line).is_some() {
            clean(line, &mut self.buffer);
            #[cfg(test)]
            self.count(self.buffer.len());
            self.reader.read(text(&self.buffer));
        }
    }

    #[cfg(test)]
    const fn count(&mut self, bytes: usize) {
        self.work = self.work.saturating_add(bytes);
    }

    /// Whether the next line counts whatever it says.
    const fn is_attentive(&self) -> bool {
        self.needles.follows_context() && self.reader.is_attentive()
    }
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

/// A clean line is ASCII.
fn text(line: &[u8]) -> &str {
    core::str::from_utf8(line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::Scanner;

    /// Bytes that a log costs, pushed in pieces of this size.
    fn work(log: &[u8], piece: usize) -> usize {
        let mut scanner = Scanner::new();
        for piece in log.chunks(piece) {
            scanner.push(piece);
        }
        scanner.work
    }

    #[test]
    fn the_work_grows_with_the_log_and_no_faster() {
        let head = "ci-info: ++++Net device info++++\nci-info: | Device | Up | Address | Mask | Hw-Address |\n";
        for hostile in [
            "-i",
            "-i\n",
            "\n",
            "\r\n",
            "n:n:n:n:t: c: UP",
            "ci-info:ci-info:ci-info: | a\n",
            "ci-info: | eth0 | True |\n",
            "if-info: eth0,up,10.0.0.1,8,\n=== network info ===\n",
            "-----BEGIN SSH HOST KEY KEYS-----\n\n",
            "\0\0\x1b[-\x1b[\0-\0",
            "\x1b]",
            "panic: \nKernel panic - not syncing\nlogin:",
            "ordinary words\n",
        ] {
            for piece in [1, 7, 4096, usize::MAX] {
                let of = |length: usize| {
                    let text = hostile.repeat(length / hostile.len());
                    work(format!("{head}{text}").as_bytes(), piece)
                };
                let (small, large) = (of(20_000), of(80_000));
                // Each byte is searched for where a line begins and in its line, and copied.
                assert!(large <= 3 * 80_500, "{hostile:?}: {large}");
                assert!(large <= 5 * small, "{hostile:?}: {small}, {large}");
            }
        }
    }
}

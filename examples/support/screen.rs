//! A terminal that is drawn on, and given back as it was.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

/// Colours of the eight that every terminal has, and two manners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// As it is.
    Plain,
    /// What needs no attention.
    Dim,
    /// Heads.
    Bold,
    /// Bad.
    Red,
    /// Good.
    Green,
    /// Not yet.
    Yellow,
    /// Put aside.
    Blue,
    /// Doubtful.
    Magenta,
    /// Beginning.
    Cyan,
}

/// What the standard output can show.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Whether it is a terminal that can be drawn on.
    pub is_live: bool,
    /// Whether it is to have colours: never when `NO_COLOR` is set, as <https://no-color.org> has it.
    pub has_colour: bool,
}

impl Screen {
    /// Looks at the standard output and the environment.
    #[must_use]
    pub fn of_stdout() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_live = io::stdout().is_terminal() && !is_dumb;
        Self { is_live, has_colour: is_live && !is_set("NO_COLOR") }
    }

    /// Columns and rows: 80 and 24 where nobody says.
    #[must_use]
    pub fn size(self) -> (usize, usize) {
        let size = terminal_size::terminal_size().filter(|_| self.is_live);
        size.map_or((80, 24), |(width, height)| (width.0.max(20).into(), height.0.max(4).into()))
    }

    /// The text in this colour, if there are colours.
    #[must_use]
    pub const fn paint<T: fmt::Display>(self, paint: Paint, text: T) -> Painted<T> {
        Painted { paint: if self.has_colour { paint } else { Paint::Plain }, text }
    }

    /// Draws on a page of its own until it is dropped.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
    pub fn open(self) -> io::Result<Page> {
        let mut out = io::stdout().lock();
        out.write_all(b"\x1b[?1049h\x1b[?25l")?;
        out.flush()?;
        Ok(Page(()))
    }
}

/// Text in a colour.
#[derive(Debug, Clone, Copy)]
pub struct Painted<T> {
    paint: Paint,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.paint {
            Paint::Plain => return self.text.fmt(f),
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Red => "31;1",
            Paint::Green => "32",
            Paint::Yellow => "33",
            Paint::Blue => "34",
            Paint::Magenta => "35;1",
            Paint::Cyan => "36",
        };
        // Padding goes inside, so that it counts what is seen.
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

/// A page of the terminal: cursor and what was there before come back when it is dropped.
#[derive(Debug)]
pub struct Page(());

impl Page {
    /// Shows these lines instead of those before.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
    pub fn show(&mut self, lines: &[String]) -> io::Result<()> {
        let mut frame = String::from("\x1b[H");
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(line);
            frame.push_str("\x1b[K");
        }
        frame.push_str("\x1b[J");
        let mut out = io::stdout().lock();
        out.write_all(frame.as_bytes())?;
        out.flush()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(b"\x1b[?25h\x1b[?1049l").and_then(|()| out.flush());
    }
}

//! Machines and their status as a table for people and as objects for scripts.

use crate::identity::now;
use crate::screen::{Paint, Screen};
use serde_json::{Value, json};
use std::time::Duration;
use vmstatus::{Escaped, Machine, Status, Transition};

/// From this many columns on the evidence stands beside the status and not below it.
const WIDE: usize = 120;

/// One machine at one moment.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What is known of it.
    pub machine: Machine,
}

/// The rows as lines of at most `width` columns, worst news first, then by name.
#[must_use]
pub fn lines(rows: &[Row], screen: Screen, width: usize) -> Vec<String> {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| (urgency(row.machine.status()), &row.name));
    let longest = rows.iter().map(|row| shown(&row.name).len()).max().unwrap_or(0);
    let name_width = longest.clamp(4, if width >= WIDE { 32 } else { width.saturating_sub(46) });
    let head = format!(
        "{:<name_width$}  {:<12}  {:>6}  {:<5}  {:<15}{}",
        "NAME",
        "STATUS",
        "FOR",
        "BOOT",
        "ADDRESS",
        if width >= WIDE { "  EVIDENCE" } else { "" }
    );
    let mut lines = vec![screen.paint(Paint::Bold, cut(head.trim_end(), width)).to_string()];
    for row in rows {
        lines.extend(row.lines(screen, width, name_width));
    }
    lines
}

impl Row {
    fn lines(&self, screen: Screen, width: usize, name_width: usize) -> Vec<String> {
        let (machine, status) = (&self.machine, self.machine.status());
        let name = cut(&shown(&self.name), name_width);
        let lasts = since(now().saturating_sub(machine.since()));
        let ipv4 = status.ipv4().map_or_else(|| "-".to_owned(), |ipv4| ipv4.to_string());
        let boot = machine.generation().to_string();
        let word = screen.paint(colour(status), format!("{:<12}", status.as_str()));
        let row = format!("{name:<name_width$}  {word}  {lasts:>6}  {boot:<5}  {ipv4:<15}");
        let evidence = self.evidence();
        if width >= WIDE {
            // Name, status, time, boot and address, and two spaces after each.
            let room = width.saturating_sub(name_width + 12 + 6 + 5 + 15 + 10);
            return vec![format!("{row}  {}", cut(&evidence, room))];
        }
        let below = wrap(&evidence, width.saturating_sub(2));
        let below = below.into_iter().map(|line| format!("  {}", screen.paint(Paint::Dim, line)));
        std::iter::once(row.trim_end().to_owned()).chain(below).collect()
    }

    /// Why the status is what it is, and how old that is where nobody could look of late.
    fn evidence(&self) -> String {
        let age = now().saturating_sub(self.machine.last_observed());
        let reason = self.machine.reason();
        if age < Duration::from_secs(10) {
            return reason.to_string();
        }
        format!("{reason} (last seen {} ago)", since(age))
    }

    /// The machine for scripts.
    #[must_use]
    pub fn json(&self) -> Value {
        let machine = &self.machine;
        json!({
            "vm": self.name,
            "status": machine.status().as_str(),
            "since": machine.since().as_secs_f64(),
            "ipv4": machine.status().ipv4(),
            "generation": machine.generation().to_string(),
            "evidence": machine.reason().to_string(),
        })
    }
}

/// A change for people.
#[must_use]
pub fn change_line(name: &str, change: &Transition, screen: Screen) -> String {
    let (from, to) = (change.from().as_str(), change.to().as_str());
    let to = screen.paint(colour(change.to()), to);
    let lasted = since(change.lasted());
    format!("{}: {from} -> {to} after {lasted}: {}", shown(name), change.reason())
}

/// A change for scripts.
#[must_use]
pub fn change_json(name: &str, change: &Transition) -> Value {
    json!({
        "vm": name,
        "from": change.from().as_str(),
        "status": change.to().as_str(),
        "since": change.since().as_secs_f64(),
        "lasted": change.lasted().as_secs_f64(),
        "ipv4": change.to().ipv4(),
        "generation": change.generation().to_string(),
        "evidence": change.reason().to_string(),
    })
}

/// What people look for first.
const fn urgency(status: &Status) -> u8 {
    match status {
        Status::Crashed { .. } => 0,
        Status::Degraded { .. } => 1,
        Status::Initializing => 2,
        Status::Booting { .. } => 3,
        Status::Running(_) => 4,
        Status::Paused => 5,
        Status::Stopped => 6,
        _ => 7,
    }
}

const fn colour(status: &Status) -> Paint {
    match status {
        Status::Crashed { .. } => Paint::Red,
        Status::Degraded { .. } => Paint::Magenta,
        Status::Initializing => Paint::Cyan,
        Status::Booting { .. } => Paint::Yellow,
        Status::Running(_) => Paint::Green,
        Status::Paused => Paint::Blue,
        _ => Paint::Dim,
    }
}

/// A time in at most six columns.
fn since(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// Folders may be called anything; a terminal is not to obey their names.
fn shown(name: &str) -> String {
    Escaped::from_bytes(name.as_bytes()).to_string()
}

/// At most so many columns of text that is ASCII, with a sign where something is missing.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(3)).collect();
    format!("{kept}...")
}

/// Two lines of at most so many columns, broken between words where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let fits = text.char_indices().nth(width).map_or(text.len(), |(end, _)| end);
    let end = text[..=fits].rfind(' ').filter(|end| *end > width / 2).unwrap_or(fits);
    vec![text[..end].to_owned(), cut(text[end..].trim_start(), width)]
}

//! The table of all ratios that were measured last.

use crate::report::{Bar, Direction};
use core::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// Reads what the benches wrote.
///
/// # Errors
/// When there is nothing, or it cannot be read.
pub fn read(folder: &Path) -> io::Result<Vec<Bar>> {
    let mut files: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    let mut bars = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "json")) {
        for line in fs::read_to_string(file)?.lines() {
            bars.push(serde_json::from_str(line)?);
        }
    }
    Ok(bars)
}

/// The table, in Markdown.
#[must_use]
pub fn table(bars: &[Bar], margin: f64) -> String {
    let head = ["bench", "what", "ours", "reference", "ratio", "bar", ""].map(str::to_owned);
    let rows: Vec<[String; 7]> =
        core::iter::once(head).chain(bars.iter().map(|bar| row(bar, margin))).collect();
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Words to the left, numbers to the right.
            let _ = match column {
                0 | 1 | 6 => write!(text, "| {cell:<width$} "),
                _ => write!(text, "| {cell:>width$} "),
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.into_iter().enumerate() {
                let end = if matches!(column, 0 | 1 | 6) { '-' } else { ':' };
                let _ = write!(text, "|{}{end}", "-".repeat(width + 1));
            }
            text.push_str("|\n");
        }
    }
    text
}

fn row(bar: &Bar, margin: f64) -> [String; 7] {
    let wanted = bar.bar.map_or_else(String::new, |number| match bar.direction {
        Direction::AtMost => format!("<= {number}"),
        Direction::AtLeast => format!(">= {number}"),
    });
    let verdict = match (bar.bar, bar.passes(margin)) {
        (None, _) => "",
        (_, true) => "ok",
        (_, false) => "MISSED",
    };
    [
        bar.bench.clone(),
        bar.what.clone(),
        duration(bar.ours_us),
        duration(bar.reference_us),
        format!("{:.2}", bar.ratio),
        wanted,
        verdict.to_owned(),
    ]
}

fn duration(micros: f64) -> String {
    match micros {
        0.0 => "-".to_owned(),
        m if m < 1e3 => format!("{m:.1} us"),
        m if m < 1e6 => format!("{:.2} ms", m / 1e3),
        m => format!("{:.2} s", m / 1e6),
    }
}

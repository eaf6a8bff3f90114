//! The record of ratios: one line of JSON each under the target folder, and a line on the screen.

use crate::measure::{Pair, Samples};
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;

/// On which side of its bar a ratio must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Not above.
    AtMost,
    /// Not below.
    AtLeast,
}

/// One ratio and its bar.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bar {
    /// Which bench measured it.
    pub bench: String,
    /// What was compared with what.
    pub what: String,
    /// The ratio.
    pub ratio: f64,
    /// What it must reach; none for a ratio that is only told.
    pub bar: Option<f64>,
    /// On which side.
    pub direction: Direction,
    /// How many times ours was measured.
    pub samples: usize,
    /// How long ours took, in microseconds.
    pub ours_us: f64,
    /// How long the reference took, in microseconds.
    pub reference_us: f64,
}

impl Bar {
    /// Whether the ratio reaches its bar, given so much leeway for noise (1 is none).
    #[must_use]
    pub fn passes(&self, margin: f64) -> bool {
        self.bar.is_none_or(|bar| match self.direction {
            Direction::AtMost => self.ratio <= bar * margin,
            Direction::AtLeast => self.ratio >= bar / margin,
        })
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bench, what, ratio, ours_us, reference_us, .. } = self;
        write!(f, "{bench}: {what}: {ratio:.2}")?;
        if let Some(bar) = self.bar {
            let side = match self.direction {
                Direction::AtMost => "at most",
                Direction::AtLeast => "at least",
            };
            write!(f, ", to be {side} {bar}: {}", if self.passes(1.0) { "ok" } else { "MISSED" })?;
        }
        write!(f, " ({ours_us:.1} us, reference {reference_us:.1} us, {} samples)", self.samples)
    }
}

/// The ratios of one bench.
#[derive(Debug)]
pub struct Report {
    bench: &'static str,
    bars: Vec<Bar>,
}

impl Report {
    /// An empty one.
    #[must_use]
    pub const fn new(bench: &'static str) -> Self {
        Self { bench, bars: Vec::new() }
    }

    /// Ours in relation to the reference's time, which must not be above the bar.
    pub fn at_most(&mut self, what: impl Into<String>, pair: &Pair, bar: f64) {
        let (ours, reference) = (pair.ours.median(), pair.reference.median());
        let ratio = ours.as_secs_f64() / reference.as_secs_f64();
        self.add(what, ratio, (Direction::AtMost, Some(bar)), pair.ours.len(), (ours, reference));
    }

    /// How many times faster ours is than the reference, which must not be below the bar.
    pub fn faster(&mut self, what: impl Into<String>, pair: &Pair, bar: f64) {
        self.faster_or_told(what, pair, Some(bar));
    }

    /// How many times faster ours is than the reference, for information.
    pub fn told_faster(&mut self, what: impl Into<String>, pair: &Pair) {
        self.faster_or_told(what, pair, None);
    }

    /// Ours in relation to the reference's time, for information.
    pub fn told(&mut self, what: impl Into<String>, pair: &Pair) {
        let (ours, reference) = (pair.ours.median(), pair.reference.median());
        let ratio = ours.as_secs_f64() / reference.as_secs_f64();
        self.add(what, ratio, (Direction::AtMost, None), pair.ours.len(), (ours, reference));
    }

    /// The last in relation to the first, which must not be above the bar.
    pub fn flat(&mut self, what: impl Into<String>, first: &Samples, last: &Samples, bar: f64) {
        self.at_most(what, &Pair { ours: last.clone(), reference: first.clone() }, bar);
    }

    /// Any ratio of two times.
    pub fn add(
        &mut self,
        what: impl Into<String>,
        ratio: f64,
        (direction, bar): (Direction, Option<f64>),
        samples: usize,
        (ours, reference): (Duration, Duration),
    ) {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        self.bars.push(Bar {
            bench: self.bench.to_owned(),
            what: what.into(),
            ratio,
            bar,
            direction,
            samples,
            ours_us: micros(ours),
            reference_us: micros(reference),
        });
    }

    /// Writes the ratios to their file and to the screen. A run that measured none leaves the last ones.
    ///
    /// # Panics
    /// When the target folder cannot be written to.
    #[expect(clippy::print_stdout, reason = "what a bench is for")]
    pub fn finish(self) {
        if self.bars.is_empty() {
            return;
        }
        let folder = folder();
        fs::create_dir_all(&folder).expect("a folder for the bars");
        let lines: String = self
            .bars
            .iter()
            .map(|bar| serde_json::to_string(bar).expect("plain data") + "\n")
            .collect();
        fs::write(folder.join(format!("{}.json", self.bench)), lines).expect("the bars written");
        println!();
        for bar in &self.bars {
            println!("{bar}");
        }
    }

    fn faster_or_told(&mut self, what: impl Into<String>, pair: &Pair, bar: Option<f64>) {
        let (ours, reference) = (pair.ours.median(), pair.reference.median());
        let ratio = reference.as_secs_f64() / ours.as_secs_f64();
        self.add(what, ratio, (Direction::AtLeast, bar), pair.ours.len(), (ours, reference));
    }
}

/// Where the ratios are kept: the folder `bars` of the target folder.
///
/// # Panics
/// When the program was not built by cargo.
#[must_use]
pub fn folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).or_else(|| {
        // Cargo marks the folder it builds in, which is somewhere above this program.
        let program = std::env::current_exe().ok()?;
        let marked = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
        marked.map(PathBuf::from)
    });
    target.expect("a target folder above this program").join("bars")
}

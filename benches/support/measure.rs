//! Times, taken so that noise hits both sides: ours and the reference in alternation, and medians of each.

use core::time::Duration;
use std::time::Instant;

/// What a run is told on its command line.
#[derive(Debug, Clone)]
pub struct Options {
    /// Short, for a gate: fewer samples of the same work.
    pub quick: bool,
    /// Only what has this in its name.
    filter: Option<String>,
    /// Whether criterion is only to list or to try what there is.
    only_criterion: bool,
}

impl Options {
    /// Reads the command line, which is criterion's: `--quick` and a filter mean the same here.
    #[must_use]
    pub fn from_args() -> Self {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let has = |flag: &str| args.iter().any(|arg| arg == flag);
        // Criterion's other options with a value all start with a dash and hold it in the next word.
        let switches =
            ["--bench", "--quick", "--list", "--test", "--exact", "--verbose", "--quiet"];
        let mut filter = None;
        let mut words = args.iter();
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                filter = Some(word.clone());
            } else if !switches.contains(&word.as_str()) && !word.contains('=') {
                words.next();
            }
        }
        Self {
            quick: has("--quick") || std::env::var_os("BENCH_QUICK").is_some(),
            filter,
            // Without `--bench` it is `cargo test` that runs us.
            only_criterion: has("--list") || has("--test") || !has("--bench"),
        }
    }

    /// Whether the ratios of this name are wanted. The filter `bars` wants all of them, and nothing of criterion.
    #[must_use]
    pub fn wants_bar(&self, name: &str) -> bool {
        let matches = |filter: &String| format!("bars/{name}").contains(filter.as_str());
        !self.only_criterion && self.filter.as_ref().is_none_or(matches)
    }

    /// Whether anything in the group of this name is wanted of criterion.
    #[must_use]
    pub fn wants_group(&self, name: &str) -> bool {
        let matches = |f: &String| name.contains(f.as_str()) || f.contains(name);
        self.filter.as_ref().is_none_or(matches)
    }

    /// One of two numbers of samples.
    #[must_use]
    pub const fn samples(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// Criterion with as many samples as work of milliseconds bears.
    #[must_use]
    pub fn criterion(&self) -> criterion::Criterion {
        let (warm_up, measurement) = if self.quick { (50, 200) } else { (300, 1000) };
        criterion::Criterion::default()
            .sample_size(10)
            .warm_up_time(Duration::from_millis(warm_up))
            .measurement_time(Duration::from_millis(measurement))
            .configure_from_args()
            .without_plots()
    }
}

/// How long something took.
pub fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = work();
    let elapsed = start.elapsed();
    drop(result);
    elapsed
}

/// Times of the same work.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Takes one more.
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// Each of them, in the order they were taken.
    pub fn iter(&self) -> impl Iterator<Item = Duration> + '_ {
        self.0.iter().copied()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one in the middle.
    #[must_use]
    pub fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// The time within which so many percent of the samples were done.
    ///
    /// # Panics
    /// When there are no samples.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
    }

    /// The longest.
    #[must_use]
    pub fn worst(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    /// The first and the last so many of them.
    #[must_use]
    pub fn ends(&self, count: usize) -> (Self, Self) {
        let count = count.min(self.0.len() / 2);
        let last = self.0.len() - count;
        (Self(self.0[..count].to_vec()), Self(self.0[last..].to_vec()))
    }
}

impl Extend<Duration> for Samples {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, samples: T) {
        self.0.extend(samples);
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<T: IntoIterator<Item = Duration>>(samples: T) -> Self {
        Self(samples.into_iter().collect())
    }
}

/// Times of ours and of a reference, taken in the same breath.
#[derive(Debug, Clone, Default)]
pub struct Pair {
    /// Ours.
    pub ours: Samples,
    /// What it is compared with.
    pub reference: Samples,
}

impl Pair {
    /// Times ours and the reference once, in this order in even rounds and in the other one in odd rounds, since whoever
    /// is second finds warm caches and the work that the first put off.
    pub fn take(
        &mut self,
        round: usize,
        ours: impl FnOnce() -> Duration,
        reference: impl FnOnce() -> Duration,
    ) {
        if round.is_multiple_of(2) {
            self.ours.push(ours());
            self.reference.push(reference());
        } else {
            self.reference.push(reference());
            self.ours.push(ours());
        }
    }
}

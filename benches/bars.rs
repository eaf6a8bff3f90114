//! Prints every ratio that was measured last beside its bar, and fails if one does not reach it.
//!
//! ```text
//! cargo bench -p benches
//! cargo run -p benches --bin bars -- --margin 1.25
//! ```

use benches::{bars, report};
use clap::Parser;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    about = "Prints the ratios that the benches measured last, and whether they reach their bars"
)]
struct Arguments {
    /// Leeway for noise: bars are multiplied (at most) or divided (at least) by it.
    #[arg(long, default_value_t = 1.0)]
    margin: f64,
}

fn main() -> ExitCode {
    let Arguments { margin } = Arguments::parse();
    let folder = report::folder();
    let bars = match bars::read(&folder) {
        Ok(bars) if !bars.is_empty() => bars,
        Ok(_) => {
            eprintln!("nothing was measured yet: cargo bench -p benches");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("{}: {error}; measure first: cargo bench -p benches", folder.display());
            return ExitCode::FAILURE;
        }
    };
    print!("{}", bars::table(&bars, margin));
    let missed = bars.iter().filter(|bar| !bar.passes(margin)).count();
    if missed > 0 {
        eprintln!("{missed} of {} ratios miss their bars (margin {margin})", bars.len());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

//! The status, the evidence it follows from, and the machine that keeps it from flapping.

mod derive;
mod evidence;
mod machine;
mod transition;
mod value;

pub use derive::derive;
pub use evidence::{Evidence, Exit, Folder, Process, Ssh, SshAnswer};
pub use machine::{Machine, ObserveError, Thresholds};
pub use transition::{Reason, Transition};
pub use value::{Crash, Degradation, Running, Status};

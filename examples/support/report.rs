//! Output for people, or one JSON object per line for scripts.

use serde_json::{Map, Value};
use std::fmt::Display;
use std::io::{ErrorKind, Write as _};
use std::sync::OnceLock;

/// Where an example says what it does. A reader who goes away (`| head`) stops the words, not the work.
#[derive(Debug, Clone, Copy)]
pub enum Report {
    /// Lines for people, at most 80 columns where the content allows.
    Text,
    /// One JSON object per line.
    Json,
}

/// Why something that was to be said could not be, such as a full disk.
static LOST: OnceLock<String> = OnceLock::new();

impl Report {
    /// Whether everything was said, for the exit status.
    ///
    /// # Errors
    /// What went wrong first, in words.
    pub fn finish(self) -> Result<(), String> {
        LOST.get().map_or(Ok(()), |error| Err(format!("write to standard output: {error}")))
    }

    /// Starts a stage of the example. JSON readers see it as the `stage` of what follows.
    pub fn heading(self, text: impl Display) {
        if matches!(self, Self::Text) {
            write(&format!("\n{text}"));
        }
    }

    /// One fact of a stage: a short name and a value.
    pub fn fact(self, stage: &str, name: &str, value: impl Display) {
        match self {
            Self::Text => write(&format!("  {name:<12} {value}")),
            Self::Json => {
                event(stage, [("fact", name.into()), ("value", value.to_string().into())]);
            }
        }
    }

    /// Several lines of text under a fact's name, such as the commands of a plan.
    pub fn block(self, stage: &str, name: &str, text: impl Display) {
        let text = text.to_string();
        match self {
            Self::Text => text.lines().for_each(|line| write(&format!("  {line}"))),
            Self::Json => {
                let lines = text.lines().map(Value::from).collect::<Vec<_>>();
                event(stage, [("fact", name.into()), ("lines", lines.into())]);
            }
        }
    }

    /// A line of its own for people, a full object for scripts.
    pub fn say<const N: usize>(self, stage: &str, fields: [(&str, Value); N], text: impl Display) {
        match self {
            Self::Text => write(&format!("  {text}")),
            Self::Json => event(stage, fields),
        }
    }
}

fn event<const N: usize>(stage: &str, fields: [(&str, Value); N]) {
    let mut object = Map::from_iter([("stage".to_owned(), Value::from(stage))]);
    object.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
    write(&Value::from(object).to_string());
}

fn write(line: &str) {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            LOST.get_or_init(|| error.to_string());
        }
        _ => {}
    }
}

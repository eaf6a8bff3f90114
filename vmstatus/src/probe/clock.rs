use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time now, since the Unix epoch.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

use crate::Process;

/// Tells the boots of the current process in the log from those of the one before.
#[derive(Debug, Default)]
pub(super) struct History {
    looks: u32,
    starts: u32,
    was_alive: bool,
    /// Boots that the log had shown after the last look, and after the look before it.
    boots: [u32; 2],
    /// Boots in the log that are not the current process's.
    before: u32,
}

impl History {
    /// Takes in the process's state, before the log is read.
    pub(super) const fn check(&mut self, process: Process, starts: u32) {
        if starts != self.starts {
            self.starts = starts;
            // A process that was there at the first look owns the log. A new one may have begun
            // to write between the last look at the old one's end and the reading of the log
            // after it, so that reading does not count.
            self.before = match (self.looks, self.was_alive) {
                (0, _) => 0,
                (_, true) => self.boots[0],
                (_, false) => self.boots[1],
            };
        }
        self.was_alive = matches!(process, Process::Alive | Process::Paused);
    }

    /// Takes in the boots of the log, after it was read, and whether the log was last written to
    /// before the process began.
    pub(super) const fn record(&mut self, boots: u32, log_is_older: bool) {
        if self.looks == 0 && log_is_older {
            self.before = boots;
        }
        self.looks = self.looks.saturating_add(1);
        self.boots = [boots, self.boots[0]];
    }

    /// How many boots of the log are the current process's; `None` while the log still ends with
    /// another one's.
    pub(super) const fn boots_of_this_start(&self, boots: u32) -> Option<u32> {
        match boots.checked_sub(self.before) {
            Some(0) if self.before > 0 => None,
            boots => boots,
        }
    }
}

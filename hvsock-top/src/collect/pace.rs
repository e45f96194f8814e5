//! When to take the inventory again.

use std::time::{Duration, Instant};

/// At least so long between two walks over all open files.
const SHORTEST: Duration = Duration::from_secs(2);

/// And so many times as long as the last walk took: it never uses more than 1 % of a CPU, however many files are open.
const SHARE: u32 = 100;

/// When to take the inventory again.
pub(super) struct Pace {
    due: Instant,
}

impl Pace {
    /// The inventory has just been taken.
    pub(super) fn new() -> Self {
        Self { due: Instant::now() + SHORTEST }
    }

    /// Whether it is time.
    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// The inventory has been taken, and it took so long.
    pub(super) fn taken(&mut self, took: Duration) {
        self.due = Instant::now() + pause(took);
    }
}

fn pause(took: Duration) -> Duration {
    SHORTEST.max(took.saturating_mul(SHARE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_walks_are_rare() {
        assert_eq!(pause(Duration::from_micros(300)), Duration::from_secs(2));
        assert_eq!(pause(Duration::from_millis(100)), Duration::from_secs(10));
    }
}

//! How long each phase of the start took: shown with `--verbose`, and by the benchmark.

use std::time::{Duration, Instant};

/// The phases of the start, in the order in which they were first entered.
#[derive(Clone, Debug, Default)]
pub struct Timing {
    phases: Vec<(&'static str, Duration)>,
}

impl Timing {
    /// Runs `work` and adds its time to `phase`.
    pub(super) fn of<T>(&mut self, phase: &'static str, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = work();
        self.add(phase, begin.elapsed());
        result
    }

    /// Adds `time` to `phase`.
    pub fn add(&mut self, phase: &'static str, time: Duration) {
        match self.phases.iter_mut().find(|(name, _)| *name == phase) {
            Some((_, sum)) => *sum += time,
            None => self.phases.push((phase, time)),
        }
    }

    /// Each phase and its time.
    pub fn phases(&self) -> &[(&'static str, Duration)] {
        &self.phases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_entered_again_adds_up_in_its_place() {
        let mut timing = Timing::default();
        timing.add("a", Duration::from_millis(1));
        timing.add("b", Duration::from_millis(2));
        timing.add("a", Duration::from_millis(4));
        let expected = [("a", Duration::from_millis(5)), ("b", Duration::from_millis(2))];
        assert_eq!(timing.phases(), expected);
    }
}

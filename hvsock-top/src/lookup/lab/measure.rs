//! One measurement: lookups of one kind in one structure, round after round.

use hvsock_common::{LAB_BATCH, LAB_STRIDE, LabKey};

use super::{
    Cache, Cell, CrossCheck, Fixed, Kind, LabError, Nodes, Structure,
    cache::Emptier,
    kernel::Kernel,
    population::{Population, Random},
    stats::spread,
    structures::Addresses,
    theory::{Lookup, Theory},
    user,
};

/// Nodes that a round visits, about: enough for the clock, and little enough that a round is not often interrupted.
const NODES_PER_ROUND: f64 = 20_000.0;

/// Lookups that a round makes at least, so that a hit at random is not one socket.
const LOOKUPS: u32 = 8;

/// What is measured with.
pub(super) struct Bench<'a> {
    pub(super) kernel: &'a mut Kernel,
    pub(super) emptier: &'a Emptier,
    pub(super) random: &'a mut Random,
    /// Says when to stop.
    pub(super) stop: &'a mut dyn FnMut() -> bool,
    pub(super) rounds: u32,
    pub(super) fixed: Fixed,
}

/// What is measured.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) structure: Structure,
    pub(super) population: &'a Population,
    pub(super) addresses: &'a Addresses,
}

/// Runs that a lookup of so many nodes takes.
fn runs_of(nodes: u32) -> u32 {
    nodes.div_ceil(LAB_STRIDE).max(1)
}

/// Counts of all lookups of a measurement.
#[derive(Clone, Copy, Debug)]
struct Count {
    lookups: u64,
    visited: u64,
    expected: u64,
    exact: bool,
}

impl Count {
    const NONE: Self = Self { lookups: 0, visited: 0, expected: 0, exact: true };

    fn add(&mut self, lookups: &[Lookup], visited: u64, found: u64) {
        let expected: u64 = lookups.iter().map(|lookup| u64::from(lookup.nodes)).sum();
        let there = lookups.iter().filter(|lookup| lookup.there).count() as u64;
        self.lookups += lookups.len() as u64;
        self.visited += visited;
        self.expected += expected;
        self.exact &= visited == expected && found == there;
    }
}

impl Bench<'_> {
    /// What a program costs that does not walk. `None`: told to stop.
    pub(super) fn fixed(&mut self) -> Result<Option<Fixed>, LabError> {
        let (mut single, mut further, mut users) = (Vec::new(), Vec::new(), Vec::new());
        let keys = vec![LabKey::default(); LAB_BATCH as usize];
        self.kernel.set_keys(&keys);
        for _ in 0..self.rounds {
            if (self.stop)() {
                return Ok(None);
            }
            // Twice each: what counts is the second time, as with the walks.
            self.kernel.batch(None, 1, 1)?;
            let one = self.kernel.batch(None, 1, 1)?.ns;
            self.kernel.batch(None, LAB_BATCH, LAB_BATCH)?;
            let many = self.kernel.batch(None, LAB_BATCH, LAB_BATCH)?.ns;
            single.push(one);
            further.push((many - one) / f64::from(LAB_BATCH - 1));
            let addresses = Addresses::default();
            user::run(None, &self.kernel.memory, &addresses, &keys);
            let in_user = user::run(None, &self.kernel.memory, &addresses, &keys).ns;
            users.push(in_user / f64::from(LAB_BATCH));
        }
        let fixed =
            Fixed { single_ns: spread(&single), further_ns: spread(&further), user_ns: spread(&users) };
        self.fixed = fixed;
        Ok(Some(fixed))
    }

    /// Measures lookups of one kind. `None`: told to stop before enough rounds were made.
    pub(super) fn cell(
        &mut self,
        subject: &Subject<'_>,
        kind: Kind,
        cache: Cache,
    ) -> Result<Option<Cell>, LabError> {
        let Subject { structure, population, addresses } = *subject;
        let theory = Theory::new(structure, population);
        let batch = match cache {
            Cache::Cold => 1,
            Cache::Warm => {
                let nodes = theory.formula(kind).unwrap_or(1.0).max(1.0);
                ((NODES_PER_ROUND / nodes) as u32).clamp(LOOKUPS, LAB_BATCH)
            }
        };
        let (mut ns, mut users) = (Vec::new(), Vec::new());
        let (mut counts, mut user_counts) = (Count::NONE, Count::NONE);
        for _ in 0..self.rounds {
            if (self.stop)() {
                return Ok(None);
            }
            let lookups: Vec<Lookup> = (0..batch).map(|_| theory.draw(kind, self.random)).collect();
            let keys: Vec<LabKey> = lookups.iter().map(|lookup| lookup.key).collect();
            let runs: u32 = lookups.iter().map(|lookup| runs_of(lookup.nodes)).sum();
            self.kernel.set_keys(&keys);
            match cache {
                Cache::Warm => {
                    self.kernel.batch(Some(structure), batch, runs)?;
                }
                Cache::Cold => {
                    self.emptier.empty(&self.kernel.memory, population, addresses);
                    // Brings back what is not the structure's: the key, the record, the way into a program.
                    self.kernel.batch(None, 1, 1)?;
                }
            }
            let done = self.kernel.batch(Some(structure), batch, runs)?;
            counts.add(&lookups, done.visited, done.found);
            let fixed = self.fixed.single_ns.median + f64::from(runs - 1) * self.fixed.further_ns.median;
            ns.push((done.ns - fixed) / f64::from(batch));
            if cache == Cache::Warm {
                user::run(Some(structure), &self.kernel.memory, addresses, &keys);
                let done = user::run(Some(structure), &self.kernel.memory, addresses, &keys);
                user_counts.add(&lookups, done.visited, done.found);
                users.push(done.ns / f64::from(batch) - self.fixed.user_ns.median);
            }
        }
        Ok(Some(Cell {
            structure,
            sockets: population.sockets.len() as u32,
            kind,
            cache,
            lookups_per_round: batch,
            ns: spread(&ns),
            nodes: nodes(&theory, kind, counts),
            user: (cache == Cache::Warm).then(|| CrossCheck { ns: spread(&users), exact: user_counts.exact }),
        }))
    }
}

fn nodes(theory: &Theory<'_>, kind: Kind, count: Count) -> Nodes {
    let mean = count.visited as f64 / count.lookups.max(1) as f64;
    let formula = theory.formula(kind);
    let z = formula.map(|formula| {
        let (difference, error) = (mean - formula, theory.standard_error(kind, count.lookups));
        if difference == 0.0 {
            0.0
        } else if error == 0.0 {
            f64::MAX
        } else {
            difference / error
        }
    });
    Nodes {
        lookups: count.lookups,
        visited: count.visited,
        expected: count.expected,
        exact: count.exact,
        mean,
        formula,
        z,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_takes_as_many_runs_as_it_has_parts() {
        assert_eq!([0, 1, LAB_STRIDE, LAB_STRIDE + 1, 16_384].map(runs_of), [1, 1, 1, 2, 16]);
    }

    #[test]
    fn one_node_too_many_is_not_exact() {
        let lookup = Lookup { key: LabKey::default(), nodes: 3, there: true };
        let of = |visited, found| {
            let mut count = Count::NONE;
            count.add(&[lookup, lookup], visited, found);
            count.exact
        };
        assert!(of(6, 2));
        assert!(!of(7, 2));
        assert!(!of(6, 1));
        // Errors of two batches must not cancel.
        let mut count = Count::NONE;
        count.add(&[lookup], 4, 1);
        count.add(&[lookup], 2, 1);
        assert_eq!((count.visited, count.expected, count.exact), (6, 6, false));
    }
}

//! How many nodes a lookup must visit, from the order in which the sockets were inserted and from nothing else.
//!
//! All structures put a new socket in front (`list_add`, `hlist_add_head_rcu`), so a socket is found after all that came later into its chain.

use std::collections::HashMap;

use hvsock_common::{LAB_GROWN, LabKey, lab_jhash};

use super::{
    Kind, Structure,
    population::{Population, Random},
};

/// The smallest size of the hash that grows (`HASH_DEFAULT_SIZE`, lib/rhashtable.c).
const SMALLEST: u32 = 64;

/// Buckets of the hash that grows, with so many sockets in it: it doubles when it is more than three quarters full.
pub(super) fn grown_buckets(sockets: u32) -> u32 {
    let mut buckets = SMALLEST;
    while sockets > buckets / 4 * 3 && buckets < LAB_GROWN {
        buckets *= 2;
    }
    buckets
}

/// The chain in which a structure of `sockets` looks for `key`; the pointer has none.
fn chain(structure: Structure, sockets: u32, key: &LabKey) -> u32 {
    match structure {
        Structure::ListByGuid | Structure::ListByChannel | Structure::Pointer => 0,
        Structure::Hash251 => key.port % 251,
        Structure::HashGrowing => lab_jhash(key.port) % grown_buckets(sockets),
    }
}

/// How many chains there are.
fn chains(structure: Structure, sockets: u32) -> Option<u32> {
    match structure {
        Structure::ListByGuid | Structure::ListByChannel => Some(1),
        Structure::Hash251 => Some(251),
        Structure::HashGrowing => Some(grown_buckets(sockets)),
        Structure::Pointer => None,
    }
}

/// A lookup, and the nodes it must visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lookup {
    /// What is looked for.
    pub(super) key: LabKey,
    /// Nodes.
    pub(super) nodes: u32,
    /// Whether it is there.
    pub(super) there: bool,
}

/// What theory says of one structure with one population.
#[derive(Debug)]
pub(super) struct Theory<'a> {
    structure: Structure,
    population: &'a Population,
    /// By socket: nodes until it is found.
    ranks: Vec<u32>,
    /// By chain: how long it is.
    lengths: HashMap<u32, u32>,
    /// The socket that takes longest.
    worst: usize,
}

impl<'a> Theory<'a> {
    pub(super) fn new(structure: Structure, population: &'a Population) -> Self {
        let count = population.sockets.len() as u32;
        let mut lengths = HashMap::new();
        let mut ranks = vec![0; population.sockets.len()];
        for (rank, key) in ranks.iter_mut().zip(&population.sockets).rev() {
            *rank = if structure == Structure::Pointer {
                1
            } else {
                let length = lengths.entry(chain(structure, count, key)).or_insert(0);
                *length += 1;
                *length
            };
        }
        let worst = (0..ranks.len()).max_by_key(|socket| ranks[*socket]).unwrap_or(0);
        Self { structure, population, ranks, lengths, worst }
    }

    /// A lookup of that kind.
    pub(super) fn draw(&self, kind: Kind, random: &mut Random) -> Lookup {
        let Population { sockets, absent, .. } = self.population;
        let socket = match kind {
            Kind::Hit => random.below(sockets.len() as u32) as usize,
            Kind::Worst => self.worst,
            Kind::Miss => {
                let key = absent[random.below(absent.len() as u32) as usize];
                let chain = chain(self.structure, sockets.len() as u32, &key);
                let nodes = match self.structure {
                    Structure::Pointer => 0,
                    _ => self.lengths.get(&chain).copied().unwrap_or(0),
                };
                return Lookup { key, nodes, there: false };
            }
        };
        Lookup { key: sockets[socket], nodes: self.ranks[socket], there: true }
    }

    /// Nodes per lookup by the formula, over all populations; the worst case of a hash has none.
    pub(super) fn formula(&self, kind: Kind) -> Option<f64> {
        let n = self.population.sockets.len() as f64;
        let Some(chains) = chains(self.structure, self.population.sockets.len() as u32) else {
            return Some(if kind == Kind::Miss { 0.0 } else { 1.0 });
        };
        let b = f64::from(chains);
        match kind {
            Kind::Hit => Some(1.0 + (n - 1.0) / (2.0 * b)),
            Kind::Miss => Some(n / b),
            Kind::Worst if chains == 1 => Some(n),
            Kind::Worst => None,
        }
    }

    /// Standard error of the mean of `lookups` draws about the formula: of the draws, given where the sockets are, and of where they are.
    pub(super) fn standard_error(&self, kind: Kind, lookups: u64) -> f64 {
        let n = self.population.sockets.len() as f64;
        let Some(chains) = chains(self.structure, self.population.sockets.len() as u32) else { return 0.0 };
        let b = f64::from(chains);
        let of_draws = |mean: f64, squares: f64| (squares - mean * mean).max(0.0) / lookups as f64;
        let variance = match kind {
            Kind::Worst => 0.0,
            Kind::Hit => {
                let sum: f64 = self.ranks.iter().map(|rank| f64::from(*rank)).sum();
                let squares: f64 = self.ranks.iter().map(|rank| f64::from(*rank).powi(2)).sum();
                // Pairs of sockets that share a chain: n(n-1)/2 of them, each with probability 1/b, uncorrelated.
                of_draws(sum / n, squares / n) + (n - 1.0) / (2.0 * n) / b * (1.0 - 1.0 / b)
            }
            Kind::Miss => {
                let squares: f64 = self.lengths.values().map(|length| f64::from(*length).powi(2)).sum();
                // What is not there is drawn from n keys, chosen once.
                of_draws(n / b, squares / b) * (1.0 + lookups as f64 / n)
            }
        };
        variance.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population(count: u32) -> Population {
        Population::new(count, &mut Random::new(42))
    }

    #[test]
    fn the_growing_hash_has_the_sizes_of_rhashtable() {
        for (sockets, buckets) in
            [(1, 64), (48, 64), (49, 128), (96, 128), (97, 256), (2048, 4096), (16_384, 32_768)]
        {
            assert_eq!(grown_buckets(sockets), buckets, "{sockets}");
        }
    }

    #[test]
    fn the_last_socket_of_a_list_is_found_first() {
        let population = population(5);
        let theory = Theory::new(Structure::ListByGuid, &population);
        assert_eq!(theory.ranks, [5, 4, 3, 2, 1]);
        let mut random = Random::new(0);
        let worst = theory.draw(Kind::Worst, &mut random);
        assert_eq!((worst.key, worst.nodes, worst.there), (population.sockets[0], 5, true));
        assert_eq!(theory.draw(Kind::Miss, &mut random).nodes, 5);
        assert_eq!(theory.formula(Kind::Hit), Some(3.0));
    }

    #[test]
    fn the_mean_over_all_sockets_is_the_formula() {
        for structure in Structure::ALL {
            for count in [1, 2, 251, 4096] {
                let population = population(count);
                let theory = Theory::new(structure, &population);
                let mean = theory.ranks.iter().map(|rank| f64::from(*rank)).sum::<f64>() / f64::from(count);
                let formula = theory.formula(Kind::Hit).unwrap();
                // All sockets were looked at: what is left is the chance of where they are.
                let error = theory.standard_error(Kind::Hit, u64::MAX);
                assert!(
                    (mean - formula).abs() <= 4.0 * error + 1e-9,
                    "{structure:?} {count}: {mean} {formula}"
                );
            }
        }
    }

    #[test]
    fn a_pointer_leads_to_one_node_or_to_none() {
        let population = population(100);
        let theory = Theory::new(Structure::Pointer, &population);
        let mut random = Random::new(0);
        assert_eq!(theory.draw(Kind::Hit, &mut random).nodes, 1);
        assert_eq!(theory.draw(Kind::Miss, &mut random).nodes, 0);
    }
}

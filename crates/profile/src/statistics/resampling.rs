//! Which windows a bootstrap draws: [`Resampling`].

use std::collections::BTreeMap;

/// How a bootstrap draws replicates that are not independent: whole clusters of them, or blocks of neighbours.
///
/// ```
/// use stratigraph_profile::statistics::Resampling;
/// let resampling = Resampling::of_clusters(&[0, 0, 1, 2, 2]);
/// let mut always_last = |n: usize| n - 1;
/// assert_eq!(resampling.draw(&mut always_last), [3, 4, 3, 4, 3, 4]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resampling(Units);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Units {
    /// The replicates of each cluster.
    Clusters(Vec<Vec<usize>>),
    /// Blocks of neighbouring replicates; the last replicate is followed by the first.
    Blocks { n: usize, length: usize },
}

impl Resampling {
    /// As many whole clusters as there are, with replacement; `clusters` has the cluster of each replicate. Draws of clusters of
    /// different sizes have different lengths, and their mean is over the replicates that were drawn.
    pub fn of_clusters(clusters: &[usize]) -> Self {
        let mut members = BTreeMap::<usize, Vec<usize>>::new();
        clusters
            .iter()
            .enumerate()
            .for_each(|(replicate, &cluster)| members.entry(cluster).or_default().push(replicate));
        Self(Units::Clusters(members.into_values().collect()))
    }

    /// As many of `n` replicates as there are, with replacement, independently.
    pub fn independent(n: usize) -> Self {
        Self(Units::Blocks { n, length: 1 })
    }

    /// Blocks of [neighbouring windows](Resampling::block_length), with replacement, until there are as many as before (the
    /// circular block bootstrap: Politis and Romano, 1992).
    pub fn of_windows(n: usize) -> Self {
        Self(Units::Blocks { n, length: Self::block_length(n) })
    }

    /// How many neighbouring windows of `n` are drawn together: `n^(1/3)`, rounded (Hall, Horowitz and Jing, *On blocking rules for
    /// the bootstrap with dependent data*, 1995).
    pub fn block_length(n: usize) -> usize {
        ((n as f64).cbrt().round() as usize).max(1)
    }

    /// A draw: indices of replicates. `below(n)` is to give a random number from 0 to `n - 1`.
    pub fn draw(&self, mut below: impl FnMut(usize) -> usize) -> Vec<usize> {
        match &self.0 {
            Units::Clusters(clusters) => {
                (0..clusters.len()).flat_map(|_| clusters[below(clusters.len())].clone()).collect()
            }
            &Units::Blocks { n, length } => {
                let mut drawn = Vec::with_capacity(n + length);
                while drawn.len() < n {
                    let start = below(n);
                    drawn.extend((start..start + length).map(|at| at % n));
                }
                drawn.truncate(n);
                drawn
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence of numbers below any limit.
    fn counter() -> impl FnMut(usize) -> usize {
        let mut next = 0;
        move |n| {
            next += 7;
            next % n
        }
    }

    #[test]
    fn single_replicates_are_drawn_one_by_one() {
        assert_eq!(Resampling::independent(4).draw(counter()), [3, 2, 1, 0]);
        assert_eq!(Resampling::of_windows(3).draw(counter()), [1, 2, 0]);
        assert!(Resampling::independent(0).draw(counter()).is_empty());
    }

    #[test]
    fn windows_are_drawn_with_their_neighbours() {
        let drawn = Resampling::of_windows(27).draw(counter());
        assert_eq!(drawn.len(), 27);
        assert!(drawn.chunks(3).all(|block| block[1] == (block[0] + 1) % 27 && block[2] == (block[0] + 2) % 27));
    }

    #[test]
    fn clusters_are_drawn_whole() {
        let drawn = Resampling::of_clusters(&[5, 9, 5]).draw(counter());
        assert_eq!(drawn, [1, 0, 2]); // the cluster of one replicate, then that of two
    }
}

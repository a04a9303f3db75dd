//! Random sets of neurons to compare a set with: [`MatchedSets`].

use stratigraph_core::SplitMix64;

use super::{LayerNeurons, NeuronSet};

/// Draws random sets of neurons that match a given one: as many neurons in each of its layers, none of its own, and each
/// with output weights of about the same norm as those of a member.
///
/// For each member of a layer, in random order, one of the [`CANDIDATES`](MatchedSets::CANDIDATES) neurons with the closest
/// `|w_out|` is drawn among those of the layer that are neither in the set nor drawn before.
///
/// ```
/// use stratigraph_core::SplitMix64;
/// use stratigraph_probes::neurons::{MatchedSets, NeuronSet};
///
/// let norms = vec![(0..100).map(f64::from).collect()]; // of one layer
/// let matched = MatchedSets::new(norms);
/// let set = NeuronSet::default().with_layer(0, [50]);
/// let drawn = matched.draw(&set, &mut SplitMix64::new(0)).expect("99 others");
/// let neurons = drawn.layers().next().expect("a layer").neurons;
/// assert!(neurons.len() == 1 && (45..=55).contains(&neurons[0]) && neurons[0] != 50);
/// ```
#[derive(Debug, Clone)]
pub struct MatchedSets {
    norms: Vec<Vec<f64>>,
}

impl MatchedSets {
    /// How many neurons of the closest norm one is drawn from.
    pub const CANDIDATES: usize = 10;

    /// For neurons with output weights of these lengths, `[layer][neuron]`: [`output_norms`](super::output_norms).
    pub fn new(norms: Vec<Vec<f64>>) -> Self {
        Self { norms }
    }

    /// A random set like `set`; none where a layer does not have as many neurons outside it as in it.
    ///
    /// # Panics
    /// When the set has a layer or a neuron that has no norm.
    pub fn draw(&self, set: &NeuronSet, random: &mut SplitMix64) -> Option<NeuronSet> {
        set.layers().try_fold(NeuronSet::default(), |drawn, LayerNeurons { layer, neurons }| {
            let norms = &self.norms[layer];
            let others = (0..norms.len()).filter(|neuron| !set.contains(layer, *neuron)).collect();
            Some(drawn.with_layer(layer, draw_from(others, norms, neurons, random)?))
        })
    }
}

/// One of `others` for each of `members`.
fn draw_from(mut others: Vec<usize>, norms: &[f64], members: &[usize], random: &mut SplitMix64) -> Option<Vec<usize>> {
    if others.len() < members.len() {
        return None;
    }
    others.sort_by(|a, b| norms[*a].total_cmp(&norms[*b])); // stable: equal ones in their order
    let mut members = members.to_vec();
    random.shuffle(&mut members);
    let drawn = members.into_iter().map(|member| {
        let first = first_candidate(&others, norms, norms[member]);
        let n = MatchedSets::CANDIDATES.min(others.len());
        others.remove(first + random.below(n))
    });
    Some(drawn.collect())
}

/// Where the candidates begin in `others`, which are in the order of their norms: those closest to `norm` are neighbours.
fn first_candidate(others: &[usize], norms: &[f64], norm: f64) -> usize {
    let at = others.partition_point(|other| norms[*other].total_cmp(&norm).is_lt());
    let (mut first, mut end) = (at, at);
    let apart = |index: usize| (norms[others[index]] - norm).abs();
    while end - first < MatchedSets::CANDIDATES.min(others.len()) {
        if end == others.len() || (first > 0 && apart(first - 1) <= apart(end)) { first -= 1 } else { end += 1 }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norms() -> Vec<Vec<f64>> {
        let mut random = SplitMix64::new(5);
        (0..3).map(|_| (0..64).map(|_| random.normal().abs()).collect()).collect()
    }

    #[test]
    fn sets_are_as_large_outside_the_set_and_follow_the_seed() {
        let matched = MatchedSets::new(norms());
        let set = NeuronSet::default().with_layer(0, 0..20).with_layer(2, [63, 7]);
        let draw = |seed| matched.draw(&set, &mut SplitMix64::new(seed)).unwrap();
        for seed in 0..20 {
            let drawn = draw(seed);
            let sizes = |set: &NeuronSet| set.layers().map(|it| (it.layer, it.neurons.len())).collect::<Vec<_>>();
            assert_eq!(sizes(&drawn), sizes(&set));
            assert!(drawn.layers().all(|it| it.neurons.iter().all(|neuron| !set.contains(it.layer, *neuron))));
        }
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }

    #[test]
    fn norms_are_matched_far_better_than_by_chance() {
        let norms = norms();
        let longest = (0..64).max_by(|a, b| norms[1][*a].total_cmp(&norms[1][*b])).unwrap();
        let set = NeuronSet::default().with_layer(1, [longest]);
        let mut order: Vec<usize> = (0..64).collect();
        order.sort_by(|a, b| norms[1][*b].total_cmp(&norms[1][*a]));
        let matched = MatchedSets::new(norms);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let drawn = matched.draw(&set, &mut SplitMix64::new(seed)).unwrap();
            let neurons = drawn.layers().next().unwrap().neurons;
            assert!(order[1..=MatchedSets::CANDIDATES].contains(&neurons[0]), "one of the ten next longest");
            seen.insert(neurons[0]);
        }
        assert_eq!(seen.len(), MatchedSets::CANDIDATES, "each of them is drawn at times");
    }

    #[test]
    fn a_set_of_half_a_layer_leaves_one_other_and_a_larger_one_none() {
        let matched = MatchedSets::new(norms());
        let half = NeuronSet::default().with_layer(0, 0..32);
        let rest = NeuronSet::default().with_layer(0, 32..64);
        assert_eq!(matched.draw(&half, &mut SplitMix64::new(1)), Some(rest));
        assert_eq!(matched.draw(&half.with_layer(0, [40]), &mut SplitMix64::new(1)), None);
    }

    #[test]
    fn candidates_are_the_closest() {
        let norms: Vec<f64> = (0..30).map(|i| f64::from(i * i)).collect();
        let others: Vec<usize> = (0..30).filter(|i| *i != 12).collect();
        let first = first_candidate(&others, &norms, norms[12]);
        let mut apart: Vec<(f64, usize)> = others.iter().map(|i| ((norms[*i] - norms[12]).abs(), *i)).collect();
        apart.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut expected: Vec<usize> = apart[..MatchedSets::CANDIDATES].iter().map(|(_, i)| *i).collect();
        expected.sort_unstable();
        assert_eq!(others[first..first + MatchedSets::CANDIDATES], expected);
        assert_eq!(first_candidate(&others, &norms, 1e9), others.len() - MatchedSets::CANDIDATES);
        assert_eq!(first_candidate(&others, &norms, -1.0), 0);
    }
}

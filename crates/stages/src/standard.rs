//! The signals of the rule: [`Signal::standard`].

use stratigraph_profile::Stage;

use crate::{ComparisonScale, EvidenceKind, Expected, Reading, Rule, Signal};

impl Signal {
    /// The curves that the rule reads, with the weights and spreads of `rule`.
    pub fn standard(rule: &Rule) -> Vec<Signal> {
        use ComparisonScale::{Log, LogComplement, SquareRoot};
        let kurtosis = ComparisonScale::linear(rule.least_kurtosis_spread);
        let accuracy = ComparisonScale::linear(rule.least_accuracy_spread);
        let [deletion, swap, rewriting, locality, meaning, convergence, vocabulary, suppression, mlp_write] =
            kinds(rule);
        let high = |curve: &str, kind: &EvidenceKind, scale| Signal::new(curve, kind.clone(), Reading::High(scale));
        let approach = |curve: &str| Signal::new(curve, convergence.clone(), Reading::Approach);
        vec![
            high("delete_kl", &deletion, Log),
            high("delete_top1_agreement", &deletion, LogComplement),
            high("swap_kl", &swap, Log),
            high("swap_top1_agreement", &swap, LogComplement),
            high("block_influence", &rewriting, Log),
            high("cka_adjacent", &rewriting, LogComplement),
            high("prev5_attention_mass", &locality, Log),
            Signal::new("wic_accuracy", meaning, Reading::Low(accuracy)),
            approach("lens_kl"),
            approach("lens_top1_agreement"),
            approach("lens_entropy_bits"),
            high("prediction_neurons", &vocabulary, SquareRoot),
            high("mean_kurtosis", &vocabulary, kurtosis),
            Signal::new("suppression_neurons", suppression, Reading::NearPeak),
            high("mlp_out_norm", &mlp_write, Log),
        ]
    }
}

/// The kinds of evidence: how often a layer of each stage should show each, and the stages that are recognised by it.
fn kinds(rule: &Rule) -> [EvidenceKind; 9] {
    use Expected::{Always, Either, Often, Rarely};
    use Stage::{Detokenization as D, FeatureEngineering as F, PredictionEnsembling as P, ResidualSharpening as R};
    let weights = &rule.weights;
    let kind = |name: &str, weight: f64, expected| EvidenceKind::new(name, expected).with_weight(weight);
    [
        // The paper's U: the first and last layers cannot be removed or swapped, the middle can. A curve in which no layer
        // stands out is evidence, since the stages are defined by it.
        kind("deletion", weights.deletion, [Always, Rarely, Rarely, Always])
            .informative_when_flat()
            .characteristic_of([D, F, R]),
        // The swaps of a shallow model all touch its first or last layers.
        kind("swap", weights.swap, [Always, Rarely, Rarely, Always]).characteristic_of([D, F]),
        // Layers that cannot be removed often rewrite much, but need not.
        kind("rewriting", weights.rewriting, [Often, Rarely, Rarely, Often]),
        // Tokens are joined with their neighbours, and words get their meaning, before anything else.
        kind("locality", weights.locality, [Often, Rarely, Rarely, Rarely]).characteristic_of([D]),
        kind("meaning", weights.meaning, [Often, Rarely, Rarely, Rarely]).characteristic_of([D, F]),
        // The embedding's lens means nothing, so the first stage may do anything to it.
        kind("convergence", weights.convergence, [Either, Rarely, Always, Always])
            .informative_when_flat()
            .characteristic_of([F, P]),
        // Neurons that raise single tokens come with predictions, where the vocabulary is large enough to see them: a small
        // one keeps every kurtosis below any threshold.
        kind("vocabulary", weights.vocabulary, [Rarely, Rarely, Often, Often]).characteristic_of([P]),
        kind("suppression", weights.suppression, [Rarely, Rarely, Rarely, Often]).characteristic_of([R]),
        kind("mlp_write", weights.mlp_write, [Rarely, Rarely, Rarely, Often]).characteristic_of([R]),
    ]
}

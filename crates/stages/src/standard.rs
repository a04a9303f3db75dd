//! The signals of the rule: [`Signal::standard`].

use stratigraph_profile::Stage;

use crate::{ComparisonScale, EvidenceKind, Expected, Reading, Rule, Signal};

/// What is measured through the unembedding: the logit lens, and what neurons say to the vocabulary. They share a basis, so they
/// are one group. A fitted lens has a basis of its own.
pub(crate) const UNEMBEDDING: &str = "unembedding";
/// What is measured by taking whole layers out of their place.
pub(crate) const REMOVAL: &str = "removal";
/// What a lens that is fitted to the model says.
pub(crate) const FITTED_LENS: &str = "fitted lens";
/// The curves of the logit lens, which a fitted lens replaces.
const LOGIT_LENS: [&str; 3] = ["lens_kl", "lens_top1_agreement", "lens_entropy_bits"];

impl Signal {
    /// The curves that the rule reads, with the weights and spreads of `rule`.
    pub fn standard(rule: &Rule) -> Vec<Signal> {
        use ComparisonScale::{Log, LogComplement, SquareRoot};
        let kurtosis = ComparisonScale::linear(rule.least_kurtosis_spread);
        let damage = ComparisonScale::linear(rule.least_damage_spread);
        let kinds = Kinds::new(rule);
        let high = |curve: &str, kind: &EvidenceKind, scale| Signal::new(curve, kind.clone(), Reading::High(scale));
        let low = |curve: &str, kind: &EvidenceKind, scale| Signal::new(curve, kind.clone(), Reading::Low(scale));
        let approach = |curve: &str| Signal::new(curve, kinds.convergence.clone(), Reading::Approach);
        let logit = |curve: &str| approach(curve).with_group(UNEMBEDDING);
        let fitted = |curve: &str| approach(curve).with_group(FITTED_LENS).in_place_of(LOGIT_LENS);
        let remove = |curve: &str, kind, scale| high(curve, kind, scale).with_group(REMOVAL);
        vec![
            remove("delete_after_first_kl", &kinds.removal, Log).in_place_of(["delete_kl", "delete_top1_agreement"]),
            remove("delete_after_first_top1_agreement", &kinds.removal, LogComplement)
                .in_place_of(["delete_kl", "delete_top1_agreement"]),
            remove("delete_kl", &kinds.removal, Log),
            remove("delete_top1_agreement", &kinds.removal, LogComplement),
            remove("swap_kl", &kinds.swap, Log),
            remove("swap_top1_agreement", &kinds.swap, LogComplement),
            high("local_attention", &kinds.locality, Log),
            high("knock_out_words_kl", &kinds.words, damage),
            high("lexical_damage", &kinds.lexical, Log),
            low("wic_accuracy", &kinds.meaning, ComparisonScale::linear(rule.least_accuracy_spread)),
            fitted("affine_lens_kl"),
            fitted("affine_lens_top1_agreement"),
            logit("lens_kl"),
            logit("lens_top1_agreement"),
            logit("lens_entropy_bits"),
            high("prediction_neurons", &kinds.vocabulary, SquareRoot).with_group(UNEMBEDDING),
            high("mean_kurtosis", &kinds.vocabulary, kurtosis).with_group(UNEMBEDDING),
            Signal::new("suppression_neurons", kinds.suppression.clone(), Reading::NearPeak).with_group(UNEMBEDDING),
            high("block_influence", &kinds.geometry, Log),
            high("cka_adjacent_after_first", &kinds.geometry, LogComplement).in_place_of(["cka_adjacent"]),
            high("cka_adjacent", &kinds.geometry, LogComplement),
            high("mlp_write_ratio", &kinds.write, Log),
            high("attn_write_ratio", &kinds.write, Log),
        ]
    }
}

/// The kinds of evidence: how often a layer of each stage should show each, and the stages that are recognised by it.
struct Kinds {
    removal: EvidenceKind,
    swap: EvidenceKind,
    locality: EvidenceKind,
    words: EvidenceKind,
    lexical: EvidenceKind,
    meaning: EvidenceKind,
    convergence: EvidenceKind,
    vocabulary: EvidenceKind,
    suppression: EvidenceKind,
    geometry: EvidenceKind,
    write: EvidenceKind,
}

impl Kinds {
    fn new(rule: &Rule) -> Self {
        use Expected::{Always, Either, Often, Rarely};
        use Stage::{Detokenization as D, FeatureEngineering as F, PredictionEnsembling as P, ResidualSharpening as R};
        let weights = &rule.weights;
        let kind = |name: &str, weight: f64, expected| EvidenceKind::new(name, expected).with_weight(weight);
        let of_words = |name: &str, weight| kind(name, weight, [Often, Rarely, Rarely, Rarely]);
        Self {
            // The paper's U: the first and last layers cannot be removed or swapped, the middle can. A curve in which no layer
            // stands out is evidence, since the stages are defined by it.
            removal: kind("removal", weights.removal, [Always, Rarely, Rarely, Always])
                .informative_when_flat()
                .with_floor()
                .characteristic_of([D, F, R]),
            // The swaps of a shallow model all touch its first or last layers.
            swap: kind("swap", weights.swap, [Always, Rarely, Rarely, Always]).characteristic_of([D, F]),
            // Tokens are joined with their neighbours, and words get their meaning, before anything else.
            locality: of_words("locality", weights.locality).characteristic_of([D]),
            words: of_words("words", weights.words).characteristic_of([D]),
            lexical: of_words("lexical damage", weights.lexical).characteristic_of([D]),
            meaning: of_words("meaning", weights.meaning).characteristic_of([D, F]),
            // The embedding's lens means nothing, so the first stage may do anything to it.
            convergence: kind("convergence", weights.convergence, [Either, Rarely, Always, Always])
                .informative_when_flat()
                .characteristic_of([F, P]),
            // Neurons that raise single tokens come with predictions, where the vocabulary is large enough to see them: a
            // small one keeps every kurtosis below any threshold.
            vocabulary: kind("vocabulary", weights.vocabulary, [Rarely, Rarely, Often, Often]).characteristic_of([P]),
            suppression: kind("suppression", weights.suppression, [Rarely, Rarely, Rarely, Often])
                .characteristic_of([R]),
            // Layers that cannot be removed often rewrite much, but need not.
            geometry: kind("geometry", weights.geometry, [Often, Rarely, Rarely, Often]),
            // The first layers write more than there is, and the last ones write much; between them layers add little.
            write: kind("write", weights.write, [Either, Rarely, Rarely, Often]),
        }
    }
}

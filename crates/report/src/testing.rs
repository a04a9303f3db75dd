//! Profiles for tests.

use std::collections::BTreeMap;

use stratigraph_stages::{
    Boundary, CorpusRecord, Curve, Doubt, Evidence, Measurement, ModelRecord, Outlier, Profile, Rejected, Rule,
    Segmentation, Stage, StageSpan, Stand, Verdict,
};

/// A profile of these curves, with standard errors of an eighth.
pub(crate) fn profile(n_layers: usize, curves: &[(&str, &[f64])]) -> Profile {
    let curve = |mean: &[f64]| Curve { mean: mean.to_vec(), sem: vec![Some(0.125); mean.len()], ..Curve::default() };
    Profile {
        model: ModelRecord { name: "m".into(), n_layers, d_model: 4, d_vocab: 8 },
        corpus: CorpusRecord { name: "c".into(), n_sequences: 3, seq_len: 5, special_tokens: false },
        device: "flex".into(),
        versions: BTreeMap::new(),
        command: Vec::new(),
        seed: 0,
        values: BTreeMap::new(),
        matrices: BTreeMap::new(),
        curves: curves.iter().map(|(name, mean)| ((*name).to_owned(), curve(mean))).collect(),
        stages: None,
    }
}

/// Stages of a model with so many layers: the first layer, and all others; with everything that can be said of them.
pub(crate) fn segmentation(n_layers: usize) -> Segmentation {
    let (first, last) = (Stage::Detokenization, Stage::ResidualSharpening);
    let evidence = |stand| Evidence {
        signal: "delete_kl".into(),
        measurement: Measurement::Deletion,
        stand,
        strength: 0.5,
        text: "deleting these layers costs more than the median layer does, many times over, in all <8> & \"more\""
            .into(),
    };
    let span = |stage, first, end| StageSpan {
        stage,
        first,
        end,
        evidence: [Stand::For, Stand::Against, Stand::Unclear, Stand::Absent].map(evidence).to_vec(),
    };
    let doubt = Doubt { low: 1, high: 2, support: 0.9, within_one: 0.9 };
    let rejected = Rejected { before: first, after: last, at: 1, reason: "it <wavers>".into() };
    let outlier = Outlier { layer: 1, signal: "delete_kl".into(), z: 12.5, reason: "its <norm> & all".into() };
    Segmentation {
        n_layers,
        verdict: Verdict::Stages,
        reason: "a <reason> & more".into(),
        p_value: 0.001,
        p_value_alone: 0.02,
        gain: 3.0,
        stages: vec![span(first, 0, 1), span(last, 1, n_layers.max(2))],
        boundaries: vec![Boundary { before: first, after: last, at: 1, doubt: Some(doubt) }],
        rejected: vec![rejected],
        outliers: vec![outlier],
        change_points: vec![1],
        missing: vec!["wic_accuracy".into()],
        unreadable: Vec::new(),
        rule: Rule::default(),
    }
}

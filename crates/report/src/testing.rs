//! Profiles for tests.

use std::collections::BTreeMap;

use stratigraph_stages::{CorpusRecord, Curve, ModelRecord, Profile};

use crate::view::{Evidence, StageView, Stages};

/// A profile of these curves, with standard errors of an eighth.
pub(crate) fn profile(n_layers: usize, curves: &[(&str, &[f64])]) -> Profile {
    let curve =
        |mean: &[f64]| Curve { mean: mean.to_vec(), sem: vec![Some(0.125); mean.len()], replicates: Vec::new() };
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
    }
}

/// Stages of a model with so many layers: the first layer, and all others.
pub(crate) fn stages(n_layers: usize) -> Stages {
    let evidence = |speaks_for| Evidence {
        signal: "deletion".into(),
        speaks_for,
        text:
            "deleting these layers costs more than the median layer does, many times over, in every window <1> & \"2\""
                .into(),
    };
    let stage = |index, name: &str, layers: std::ops::Range<usize>| StageView {
        name: name.into(),
        index,
        start_interval: Some((layers.start as f64, (layers.start + index) as f64)),
        layers,
        evidence: [Some(true), Some(false), None].map(evidence).to_vec(),
    };
    let last = n_layers.max(2);
    Stages {
        verdict: "Two stages: detokenization & feature engineering".into(),
        stages: vec![stage(0, "detokenization", 0..1), stage(1, "feature engineering", 1..last)],
        outliers: vec![(1, "its deletion <hurts>".into())],
        changes: vec![(1, "everything".into())],
    }
}

//! Profiles for tests.

use std::collections::BTreeMap;

use stratigraph_stages::{CorpusRecord, Curve, ModelRecord, Profile};

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

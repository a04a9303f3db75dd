//! Single numbers and matrices: [`ValueEntry`], [`MatrixEntry`].

use super::find_metric;
use crate::Unit;

/// A single number.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ValueEntry {
    /// The name under which it is kept.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What a legend calls it beside curves.
    pub label: &'static str,
    /// What it is measured in.
    pub unit: Unit,
    /// How it is computed.
    pub definition: String,
}

impl ValueEntry {
    fn wic(name: &str, title: &str, label: &'static str, definition: &str) -> Self {
        let (name, title, definition) = (name.to_owned(), title.to_owned(), definition.to_owned());
        Self { name, title, label, unit: Unit::Fraction, definition }
    }
}

/// The beginning of the names of the unchanged model's own metrics.
const CLEAN: &str = "clean_";

/// All single numbers but those of the unchanged model, which are `clean_` and the name of a metric.
pub fn values() -> Vec<ValueEntry> {
    vec![
        ValueEntry::wic(
            "wic_static",
            "Word-in-Context accuracy without any layer",
            "static embeddings",
            "`wic_accuracy` of a probe on the mean of each sentence's embeddings",
        ),
        ValueEntry::wic(
            "wic_majority",
            "Word-in-Context accuracy of one answer to all",
            "majority",
            "the larger of the fractions of pairs with the same and with another sense",
        ),
    ]
}

/// The single number of a name.
pub fn find_value(name: &str) -> Option<ValueEntry> {
    let clean = || {
        let metric = find_metric(name.strip_prefix(CLEAN)?)?;
        let title = format!("{} of the unchanged model", metric.title);
        let (label, unit, definition) = ("unchanged model", metric.unit, metric.definition);
        Some(ValueEntry { name: name.to_owned(), title, label, unit, definition })
    };
    values().into_iter().find(|entry| entry.name == name).or_else(clean)
}

/// A matrix; `{suffix}` stands for any text.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MatrixEntry {
    /// The name under which it is kept.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it is measured in.
    pub unit: Unit,
    /// What runs downwards and to the right.
    pub axes: &'static str,
    /// How it is computed.
    pub definition: &'static str,
}

const POSITIONS: &str = "residual positions, both ways";

static MATRICES: [MatrixEntry; 5] = [
    MatrixEntry {
        name: "cosine",
        title: "Cosine",
        unit: Unit::Cosine,
        axes: POSITIONS,
        definition: "mean of `cos(h_a, h_b)`",
    },
    MatrixEntry {
        name: "cka",
        title: "CKA over all positions",
        unit: Unit::Dimensionless,
        axes: POSITIONS,
        definition: "linear CKA of `h_a` and `h_b`, biased estimator, over the positions of `cka_adjacent`",
    },
    MatrixEntry {
        name: "cka_last_unbiased",
        title: "Unbiased CKA, last position",
        unit: Unit::Dimensionless,
        axes: POSITIONS,
        definition: "the same by the unbiased estimator HSIC_1 over the last positions of windows, when there are four or more",
    },
    MatrixEntry {
        name: "merging_heads",
        title: "Attention within a word, less that elsewhere",
        unit: Unit::Fraction,
        axes: "layer, head",
        definition: "a head's attention from the last token of a four-token word to its other three, less the attention \
                     over the same distances between other tokens",
    },
    MatrixEntry {
        name: "ensemble_{suffix}",
        title: "Ensemble of neurons",
        unit: Unit::Fraction,
        axes: "probe or model, neurons `k`",
        definition: "accuracy of probes on `k` neurons, and of the model, in telling whether the next word ends in the suffix",
    },
];

/// All matrices.
pub fn matrices() -> &'static [MatrixEntry] {
    &MATRICES
}

/// The matrix of a name.
pub fn find_matrix(name: &str) -> Option<&'static MatrixEntry> {
    let fits = |entry: &&MatrixEntry| match entry.name.split_once("{suffix}") {
        Some((before, _)) => name.strip_prefix(before).is_some_and(|suffix| !suffix.is_empty()),
        None => entry.name == name,
    };
    MATRICES.iter().find(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_matrices_are_found_by_name() {
        assert_eq!(find_value("clean_nll").unwrap().unit, Unit::Nats);
        assert_eq!(find_value("wic_majority").unwrap().unit, Unit::Fraction);
        assert!(find_value("clean_").is_none() && find_value("dirty_nll").is_none());
        assert_eq!(find_matrix("ensemble_ing").unwrap().name, "ensemble_{suffix}");
        assert!(find_matrix("ensemble_").is_none() && find_matrix("cka_other").is_none());
    }
}

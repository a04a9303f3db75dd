//! Single numbers: [`ValueEntry`].

use super::find_metric;
use super::lenses::FIRST_AGREEMENT;
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

    fn measured(name: &str, unit: Unit, [title, label, definition]: [&'static str; 3]) -> Self {
        Self { unit, ..Self::wic(name, title, label, definition) }
    }
}

/// The beginning of the names of the unchanged model's own metrics.
const CLEAN: &str = "clean_";

/// All single numbers except those of the unchanged model, which are `clean_` and the name of a metric.
pub fn values() -> Vec<ValueEntry> {
    let mut values = vec![
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
        ValueEntry::measured(
            "merging_heads_threshold",
            Unit::Dimensionless,
            [
                "Standard errors beyond which a head attends within words",
                "merging heads threshold",
                "the 95 % quantile of the largest of all heads' differences, in their standard errors, over 1,000 bootstrap \
                 resamples of the windows, centred at the differences found: a head of `merging_heads` beyond it differs, with \
                 an error of 5 % for all heads together",
            ],
        ),
        ValueEntry::measured(
            "unigram_loss",
            Unit::Nats,
            [
                "Loss of a unigram model",
                "unigram model",
                "the entropy of the distribution of tokens, estimated from the counts of the tokens in the windows with a \
                 correction for tokens that do not occur (Chao and Shen 2003): the loss of a model that knows only how \
                 frequent each token is",
            ],
        ),
        ValueEntry::measured(
            "own_continuation_clean_nll",
            Unit::Nats,
            [
                "Loss of the model's own text",
                "unchanged model",
                "as `own_continuation_nll`, in the unchanged model, which wrote the text",
            ],
        ),
        ValueEntry::measured(
            "centred_logit",
            Unit::Logits,
            [
                "Logit of the next token above the mean logit",
                "centred logit",
                "mean over `t < T - 1` of the logit of `x_{t+1}` minus the mean logit over the vocabulary, both before a soft \
                 cap where the model has one: the sum of `dla_embed`, `dla_attention` and `dla_mlp` of all layers, and \
                 `dla_final_bias`",
            ],
        ),
        ValueEntry::measured(
            "dla_embed",
            Unit::Logits,
            [
                "Direct logit attribution of the embedding",
                "embedding",
                "as `dla_attention`, of `h_0`, learned positions included",
            ],
        ),
        ValueEntry::measured(
            "dla_final_bias",
            Unit::Logits,
            [
                "Direct logit attribution of the final biases",
                "final biases",
                "what the bias of the final norm and that of the unembedding add to the logit of `x_{t+1}` above their mean \
                 over the vocabulary; 0 in models without them",
            ],
        ),
        ValueEntry::measured(
            "patch_clean_logit_difference",
            Unit::Logits,
            [
                "Logit difference after the clean prompts",
                "clean prompts",
                "`d_clean`: the logit of a pair's answer minus that of its other answer, at the last position; mean over pairs",
            ],
        ),
        ValueEntry::measured(
            "patch_corrupted_logit_difference",
            Unit::Logits,
            ["Logit difference after the corrupted prompts", "corrupted prompts", "`d_corrupted`, the same"],
        ),
        ValueEntry::measured(
            "patch_pairs",
            Unit::Count,
            ["Pairs of prompts that were patched", "pairs", "pairs with `|d_clean - d_corrupted|` of 0.5 or more"],
        ),
        ValueEntry::measured(
            "patch_pairs_left_out",
            Unit::Count,
            ["Pairs of prompts that were left out", "pairs left out", "the other pairs, which no number counts"],
        ),
    ];
    values.extend(FIRST_AGREEMENT.map(|(name, lens)| {
        let title = format!("Depth of the first agreement of the {lens} with the model");
        let definition = "mean over positions of the least residual position `l` at which `argmax q` is `argmax p`";
        ValueEntry { unit: Unit::from("layers"), ..ValueEntry::wic(name, &title, "first agreement", definition) }
    }));
    values
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name() {
        assert_eq!(find_value("clean_nll").unwrap().unit, Unit::Nats);
        assert_eq!(find_value("wic_majority").unwrap().unit, Unit::Fraction);
        assert!(find_value("clean_").is_none() && find_value("dirty_nll").is_none());
    }
}

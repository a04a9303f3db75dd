//! The scores of benchmarks at the points of sweeps, which are metrics of their own: [`task_scores`].

use super::MetricEntry;
use crate::{Scale, Unit};

/// A benchmark.
struct Row {
    name: &'static str,
    title: &'static str,
    kind: Kind,
}

/// How a benchmark is answered.
enum Kind {
    /// By the last word of a text.
    LastWord,
    /// By one of some choices.
    Choice {
        /// Whether the choices differ in length.
        has_acc_norm: bool,
    },
    /// By a text with a number.
    Written,
}

const TASKS: [Row; 8] = [
    Row { name: "lambada", title: "LAMBADA", kind: Kind::LastWord },
    Row { name: "hellaswag", title: "HellaSwag", kind: Kind::Choice { has_acc_norm: true } },
    Row { name: "arc_easy", title: "ARC-Easy", kind: Kind::Choice { has_acc_norm: true } },
    Row { name: "arc_challenge", title: "ARC-Challenge", kind: Kind::Choice { has_acc_norm: true } },
    Row { name: "piqa", title: "PIQA", kind: Kind::Choice { has_acc_norm: true } },
    Row { name: "winogrande", title: "WinoGrande", kind: Kind::Choice { has_acc_norm: false } },
    Row { name: "mmlu", title: "MMLU", kind: Kind::Choice { has_acc_norm: false } },
    Row { name: "gsm8k", title: "GSM8K", kind: Kind::Written },
];

impl Row {
    fn entry(&self, score: &str, (title, label): (&str, &str), scale: Scale, definition: &str) -> MetricEntry {
        MetricEntry {
            name: format!("{}_{score}", self.name),
            title: format!("{title} on {}", self.title),
            label: format!("{} {label}", self.title),
            unit: if score == "perplexity" { Unit::Dimensionless } else { Unit::Fraction },
            scale,
            definition: definition.to_owned(),
            positions: "items",
        }
    }

    /// A score that is a fraction of items, and its change.
    fn fraction(&self, score: &str, [title, changed]: [&str; 2], definition: &str) -> [MetricEntry; 2] {
        let label = score.replace("_match", " match").replace("_extract", " extract");
        let change = format!("`{score}` minus that of the unchanged model, item by item");
        [
            self.entry(score, (title, &label), Scale::Share, definition),
            self.entry(
                &format!("{score}_change"),
                (&format!("Change of the {changed}"), &format!("{label} change")),
                Scale::Fitted,
                &change,
            ),
        ]
    }

    fn entries(&self) -> Vec<MetricEntry> {
        let accuracy = |definition| self.fraction("acc", ["Accuracy", "accuracy"], definition);
        match self.kind {
            Kind::LastWord => {
                let acc = "the fraction of items of which every token of the last word is the most likely one";
                let perplexity = "`exp` of the mean negative log-probability of the last word";
                let perplexity = self.entry("perplexity", ("Perplexity", "perplexity"), Scale::Log, perplexity);
                accuracy(acc).into_iter().chain([perplexity]).collect()
            }
            Kind::Choice { has_acc_norm } => {
                let acc = "the fraction of items whose right continuation has the largest log-probability; on ties the first \
                           counts";
                let norm = "as `acc`, with log-probabilities divided by the characters of the continuation";
                let norm =
                    has_acc_norm.then(|| self.entry("acc_norm", ("Normed accuracy", "acc_norm"), Scale::Share, norm));
                accuracy(acc).into_iter().chain(norm).collect()
            }
            Kind::Written => {
                let strict =
                    "the fraction of items whose text has the number of the answer as its first one after `#### `";
                let flexible = "the fraction of items whose text has the number of the answer as its last one";
                let strict = self.fraction("strict_match", ["Strict match", "strict match"], strict);
                let flexible = self.fraction("flexible_extract", ["Flexible extract", "flexible extract"], flexible);
                strict.into_iter().chain(flexible).collect()
            }
        }
    }
}

/// The scores of all benchmarks, such as `arc_easy_acc`: `delete_arc_easy_acc` is the accuracy without each layer in turn.
pub fn task_scores() -> Vec<MetricEntry> {
    TASKS.iter().flat_map(Row::entries).collect()
}

/// The score of a name.
pub(super) fn find(name: &str) -> Option<MetricEntry> {
    let task = TASKS.iter().find(|task| name.strip_prefix(task.name).is_some_and(|rest| rest.starts_with('_')))?;
    task.entries().into_iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{find, find_metric, find_value, metrics};

    #[test]
    fn scores_are_metrics_of_sweeps_and_values_of_the_unchanged_model() {
        let entry = find("delete_arc_easy_acc").unwrap();
        assert_eq!((&entry.title[..], entry.unit), ("Deleting a layer: ARC-Easy acc", Unit::Fraction));
        assert_eq!(find("swap_lambada_perplexity").unwrap().scale, Scale::Log);
        assert_eq!(find_value("clean_mmlu_acc").unwrap().title, "Accuracy on MMLU of the unchanged model");
        let written = find("swap_gsm8k_strict_match_change").unwrap();
        assert_eq!(
            (&written.title[..], written.unit),
            ("Swapping neighbours: GSM8K strict match change", Unit::Fraction)
        );
        assert!(find_metric("mmlu_acc_norm").is_none() && find_metric("winogrande").is_none());
        for score in task_scores() {
            assert_eq!(find_metric(&score.name), Some(score.clone()));
            assert!(metrics().iter().all(|metric| metric.name != score.name));
        }
    }
}

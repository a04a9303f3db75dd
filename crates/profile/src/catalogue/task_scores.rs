//! The scores of benchmarks at the points of sweeps, which are metrics of their own: [`task_scores`].

use super::MetricEntry;
use crate::{Scale, Unit};

/// A benchmark.
struct Row {
    name: &'static str,
    title: &'static str,
    /// Whether its choices differ in length.
    has_acc_norm: bool,
}

const TASKS: [Row; 7] = [
    Row { name: "lambada", title: "LAMBADA", has_acc_norm: false },
    Row { name: "hellaswag", title: "HellaSwag", has_acc_norm: true },
    Row { name: "arc_easy", title: "ARC-Easy", has_acc_norm: true },
    Row { name: "arc_challenge", title: "ARC-Challenge", has_acc_norm: true },
    Row { name: "piqa", title: "PIQA", has_acc_norm: true },
    Row { name: "winogrande", title: "WinoGrande", has_acc_norm: false },
    Row { name: "mmlu", title: "MMLU", has_acc_norm: false },
];

const LAMBADA: &str = "lambada";

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

    fn entries(&self) -> Vec<MetricEntry> {
        let acc = match self.name {
            LAMBADA => "the fraction of items of which every token of the last word is the most likely one",
            _ => {
                "the fraction of items whose right continuation has the largest log-probability; on ties the first counts"
            }
        };
        let mut entries = vec![
            self.entry("acc", ("Accuracy", "acc"), Scale::Share, acc),
            self.entry(
                "acc_change",
                ("Change of the accuracy", "acc change"),
                Scale::Fitted,
                "`acc` minus that of the unchanged model, item by item",
            ),
        ];
        if self.has_acc_norm {
            let definition = "as `acc`, with log-probabilities divided by the characters of the continuation";
            entries.push(self.entry("acc_norm", ("Normed accuracy", "acc_norm"), Scale::Share, definition));
        }
        if self.name == LAMBADA {
            let definition = "`exp` of the mean negative log-probability of the last word";
            entries.push(self.entry("perplexity", ("Perplexity", "perplexity"), Scale::Log, definition));
        }
        entries
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
        assert!(find_metric("mmlu_acc_norm").is_none() && find_metric("winogrande").is_none());
        for score in task_scores() {
            assert_eq!(find_metric(&score.name), Some(score.clone()));
            assert!(metrics().iter().all(|metric| metric.name != score.name));
        }
    }
}

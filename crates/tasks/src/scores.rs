//! From log-probabilities to accuracy and perplexity: [`TaskScores`].

use std::fmt;

use serde::{Deserialize, Serialize};

use stratigraph_core::{Moments, Summary};

use crate::{EncodedItems, Item, Task};

/// How likely a continuation is to a model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// The sum of its tokens' log-probabilities, in nats.
    pub log_prob: f64,
    /// Whether each of its tokens is the model's most likely one there.
    pub is_greedy: bool,
}

/// How one item was answered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ItemScore {
    /// The log-probability of the right continuation, in nats.
    pub log_prob: f64,
    /// Whether the item counts for `acc`.
    pub correct: bool,
    /// Whether it counts for `acc_norm`.
    pub correct_norm: Option<bool>,
}

/// How well a model does a task. Standard errors are over items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskScores {
    /// The task.
    pub task: Task,
    /// The fraction of items whose right continuation is the most likely one, the first on ties; in LAMBADA, the fraction
    /// of items whose word is generated when the most likely token is always taken.
    pub acc: Summary,
    /// The same with log-probabilities divided by the characters of the continuation. None where the harness has none: in
    /// LAMBADA, WinoGrande and MMLU.
    pub acc_norm: Option<Summary>,
    /// `exp` of the mean negative log-probability of the last word (of the word, not of each token). In LAMBADA only. Its
    /// standard error is the first-order one, the perplexity times that of the mean.
    pub perplexity: Option<Summary>,
    /// The accuracy of guessing, where it is known. None in LAMBADA.
    pub chance: Option<f64>,
    /// Each item's outcome.
    pub items: Vec<ItemScore>,
}

/// One of the scores of a task.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NamedScore {
    /// Its name in lm-evaluation-harness, such as `acc`, `acc_norm` or `perplexity`.
    pub name: &'static str,
    /// Its value and standard error.
    pub score: Summary,
}

impl TaskScores {
    /// Scores items by the likelihood of each of their continuations.
    ///
    /// # Panics
    /// When likelihoods and items do not pair up, or there are none.
    pub fn new(task: Task, items: &[Item], likelihoods: &[Vec<Likelihood>]) -> Self {
        assert!(!items.is_empty(), "there are items");
        assert_eq!(items.len(), likelihoods.len(), "there are as many likelihoods as items");
        let scored = items.iter().zip(likelihoods).map(|(item, likelihoods)| score(task, item, likelihoods));
        let chance = items.iter().map(|item| 1.0 / item.continuations.len() as f64).collect::<Moments>().mean;
        Self { chance: task.is_choice().then_some(chance), ..Self::from_items(task, scored.collect()) }
    }

    /// Scores from each item's outcome, without the accuracy of guessing.
    ///
    /// # Panics
    /// When there are none.
    pub fn from_items(task: Task, items: Vec<ItemScore>) -> Self {
        assert!(!items.is_empty(), "there are items");
        Self {
            task,
            acc: fraction(items.iter().map(|item| item.correct)),
            acc_norm: task.has_acc_norm().then(|| fraction(items.iter().filter_map(|item| item.correct_norm))),
            perplexity: (!task.is_choice()).then(|| perplexity(&items)),
            chance: None,
            items,
        }
    }

    /// The scores that the task has, with their names: `acc`, and `acc_norm` or `perplexity`.
    pub fn named(&self) -> Vec<NamedScore> {
        let scores = [("acc", Some(self.acc)), ("acc_norm", self.acc_norm), ("perplexity", self.perplexity)];
        scores.into_iter().filter_map(|(name, score)| Some(NamedScore { name, score: score? })).collect()
    }

    /// How much higher the accuracy is than `other`'s on the same items. Its standard error is that of the items'
    /// differences: smaller than the two accuracies' own, since an item is hard or easy for both.
    ///
    /// # Panics
    /// When the numbers of items differ.
    pub fn change_from(&self, other: &TaskScores) -> Summary {
        assert_eq!(self.items.len(), other.items.len(), "the items are the same");
        let pairs = self.items.iter().zip(&other.items);
        let differences: Moments = pairs.map(|(a, b)| number(a.correct) - number(b.correct)).collect();
        let right = |scores: &TaskScores| scores.items.iter().filter(|item| item.correct).count() as f64;
        // From the counts, so that no change gives exactly 0.
        Summary { mean: (right(self) - right(other)) / self.items.len() as f64, sem: differences.sem() }
    }
}

impl EncodedItems {
    /// Scores the items by the likelihood of each of their continuations.
    ///
    /// # Panics
    /// When likelihoods and items do not pair up, or there are none.
    pub fn score(&self, likelihoods: &[Vec<Likelihood>]) -> TaskScores {
        TaskScores::new(self.task, &self.items, likelihoods)
    }
}

fn score(task: Task, item: &Item, likelihoods: &[Likelihood]) -> ItemScore {
    assert_eq!(item.continuations.len(), likelihoods.len(), "there are as many likelihoods as continuations");
    let right = likelihoods[item.answer];
    if !task.is_choice() {
        return ItemScore { log_prob: right.log_prob, correct: right.is_greedy, correct_norm: None };
    }
    // An empty continuation comes to minus infinity and is never chosen.
    let by_length = |(index, one): (usize, &Likelihood)| one.log_prob / item.n_chars(index) as f64;
    ItemScore {
        log_prob: right.log_prob,
        correct: first_largest(likelihoods.iter().map(|one| one.log_prob)) == item.answer,
        correct_norm: task
            .has_acc_norm()
            .then(|| first_largest(likelihoods.iter().enumerate().map(by_length)) == item.answer),
    }
}

fn first_largest(values: impl Iterator<Item = f64>) -> usize {
    let larger = |best: (usize, f64), next: (usize, f64)| if next.1 > best.1 { next } else { best };
    values.enumerate().reduce(larger).map_or(0, |(index, _)| index)
}

pub(crate) fn number(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

pub(crate) fn fraction(yes: impl Iterator<Item = bool>) -> Summary {
    summary(yes.map(number).collect())
}

fn summary(moments: Moments) -> Summary {
    Summary { mean: moments.mean, sem: moments.sem() }
}

fn perplexity(items: &[ItemScore]) -> Summary {
    let Summary { mean, sem } = summary(items.iter().map(|item| -item.log_prob).collect());
    Summary { mean: mean.exp(), sem: sem.map(|sem| mean.exp() * sem) }
}

impl fmt::Display for TaskScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} items):", self.task, self.items.len())?;
        write_scores(f, self.named())
    }
}

/// Writes ` acc 0.420 ± 0.070, ..`.
pub(crate) fn write_scores(f: &mut fmt::Formatter<'_>, named: impl IntoIterator<Item = NamedScore>) -> fmt::Result {
    for (index, NamedScore { name, score: Summary { mean, sem } }) in named.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(f, "{comma} {name} {mean:.3}")?;
        sem.map_or(Ok(()), |sem| write!(f, " ± {sem:.3}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(continuations: &[&str], answer: usize) -> Item {
        let continuations = continuations.iter().map(|&text| text.to_owned()).collect();
        Item::new("c", continuations, answer)
    }

    fn likelihoods(log_probs: &[f64]) -> Vec<Likelihood> {
        log_probs.iter().map(|&log_prob| Likelihood { log_prob, is_greedy: false }).collect()
    }

    /// Three items: sums are -2, -3 | -6, -5 | -4, -4; a character -1, -0.5 | -1, -5/2 | -4, -2.
    #[test]
    fn accuracies_by_hand() {
        let items = [item(&[" ab", " abcdef"], 0), item(&[" abcdef", " ab"], 0), item(&[" a", " äß"], 1)];
        let found = [&[-2.0, -3.0], &[-6.0, -5.0], &[-4.0, -4.0]].map(|sums| likelihoods(sums));
        let scores = TaskScores::new(Task::HellaSwag, &items, &found);
        assert!((scores.acc.mean - 1.0 / 3.0).abs() < 1e-15);
        assert!((scores.acc.sem.unwrap() - 1.0 / 3.0).abs() < 1e-15); // sqrt((2/3) / 2 / 3)
        assert!((scores.acc_norm.unwrap().mean - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!(scores.items.iter().map(|item| item.correct).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!((scores.chance, scores.perplexity), (Some(0.5), None));
        let expected = "hellaswag (3 items): acc 0.333 ± 0.333, acc_norm 0.667 ± 0.333";
        assert_eq!(scores.to_string(), expected);
    }

    #[test]
    fn perplexity_by_hand() {
        let items = [item(&[" a"], 0), item(&[" b"], 0)];
        let found = [(0.25f64, true), (1.0 / 16.0, false)];
        let found = found.map(|(prob, is_greedy)| vec![Likelihood { log_prob: prob.ln(), is_greedy }]);
        let scores = TaskScores::new(Task::Lambada, &items, &found);
        let Summary { mean, sem } = scores.perplexity.unwrap();
        assert!((mean - 8.0).abs() < 1e-12);
        // Half the distance of two numbers is the standard error of their mean.
        assert!((sem.unwrap() - 8.0 * 4f64.ln() / 2.0).abs() < 1e-12);
        assert_eq!((scores.acc.mean, scores.acc_norm, scores.chance), (0.5, None, None));
    }

    #[test]
    fn an_empty_continuation_is_never_chosen_by_length() {
        let scores = TaskScores::new(Task::ArcEasy, &[item(&[" ", " ab"], 1)], &[likelihoods(&[-0.1, -9.0])]);
        assert_eq!((scores.items[0].correct, scores.items[0].correct_norm), (false, Some(true)));
        assert_eq!(scores.acc.sem, None);
    }

    #[test]
    fn a_change_is_paired() {
        let items = [item(&[" a", " b"], 0), item(&[" a", " b"], 0), item(&[" a", " b"], 0)];
        let scores = |found: [[f64; 2]; 3]| TaskScores::new(Task::ArcEasy, &items, &found.map(|l| likelihoods(&l)));
        let before = scores([[-1.0, -2.0], [-1.0, -2.0], [-2.0, -1.0]]);
        let after = scores([[-3.0, -2.0], [-1.0, -2.0], [-2.0, -1.0]]);
        let change = after.change_from(&before);
        assert!((change.mean + 1.0 / 3.0).abs() < 1e-15);
        assert_eq!(before.change_from(&before), Summary { mean: 0.0, sem: Some(0.0) });
    }
}

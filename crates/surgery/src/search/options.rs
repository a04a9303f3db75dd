//! The options of a search: [`SearchOptions`], with a [`Method`].

use serde::{Deserialize, Serialize};

use super::Operator;
use crate::{Result, SurgeryError};

/// How many plans a search follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// The best one.
    Greedy,
    /// The best `width` ones at once.
    Beam {
        /// How many.
        width: usize,
    },
    /// The best one, several times: the first time as the greedy search, then with a random half of the candidates of each round.
    /// The best plans of all starts are compared at the end.
    Random {
        /// How many times.
        restarts: usize,
    },
}

/// What a search does. First it removes the given number of layers or sublayers, one in each round, whatever the cost. Then it
/// makes other changes, one in each round, as long as they improve the objective.
///
/// ```
/// use stratigraph_surgery::search::{Method, Operator, SearchOptions};
///
/// let prune = SearchOptions::removing(4, Operator::Delete).with_method(Method::Beam { width: 4 }).with_budget(20_000);
/// let repeat = SearchOptions::changing(1, [Operator::RepeatBlock]).with_longest_block(6);
/// assert!(prune.check().is_ok() && repeat.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SearchOptions {
    /// How many plans are followed.
    pub method: Method,
    /// The changes that are tried.
    pub operators: Vec<Operator>,
    /// How many layers or sublayers to remove.
    pub remove: usize,
    /// How many other changes to make at most.
    pub changes: usize,
    /// The most slots of a block that is repeated.
    pub longest_block: usize,
    /// The most windows to evaluate, over all candidates and without validation. None for no limit.
    pub budget: Option<usize>,
    /// The number of windows on which all candidates of a round are compared before the first are dropped; none for an eighth of
    /// the windows that are not held out.
    pub first_windows: Option<usize>,
    /// Draws windows and candidates.
    pub seed: u64,
}

impl SearchOptions {
    fn new(operators: Vec<Operator>, remove: usize, changes: usize) -> Self {
        let (method, longest_block) = (Method::Greedy, 8);
        Self { method, operators, remove, changes, longest_block, budget: None, first_windows: None, seed: 0 }
    }

    /// Removes layers, or sublayers, greedily.
    pub fn removing(n: usize, operator: Operator) -> Self {
        Self::new(vec![operator], n, 0)
    }

    /// Makes up to `n` changes that improve the objective, greedily.
    pub fn changing(n: usize, operators: impl IntoIterator<Item = Operator>) -> Self {
        Self::new(operators.into_iter().collect(), 0, n)
    }

    /// With `n` layers or sublayers that are removed first.
    pub fn with_removals(self, n: usize) -> Self {
        Self { remove: n, ..self }
    }

    /// With one more operator.
    pub fn with_operator(mut self, operator: Operator) -> Self {
        self.operators.push(operator);
        self
    }

    /// With up to `n` changes by the operators that remove nothing, after the removals.
    pub fn with_changes(self, n: usize) -> Self {
        Self { changes: n, ..self }
    }

    /// With another method.
    pub fn with_method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// With a budget of evaluated windows.
    pub fn with_budget(self, windows: usize) -> Self {
        Self { budget: Some(windows), ..self }
    }

    /// With blocks of at most `n` slots that are repeated; 8 by default.
    pub fn with_longest_block(self, n: usize) -> Self {
        Self { longest_block: n, ..self }
    }

    /// With another number of windows on which all candidates are compared.
    pub fn with_first_windows(self, n: usize) -> Self {
        Self { first_windows: Some(n), ..self }
    }

    /// With another seed; 0 by default.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Refuses options that cannot be searched with.
    ///
    /// # Errors
    /// [`SurgeryError::BadSearch`] when there is nothing to do, no operator for it, an operator that would not be used, or a
    /// layer is to be removed together with sublayers, which do not save the same.
    pub fn check(&self) -> Result<()> {
        let bad = |reason: &str| Err(SurgeryError::BadSearch { reason: reason.to_owned() });
        let has = |operator| self.operators.contains(&operator);
        let removes = self.operators.iter().any(|operator| operator.removes());
        let changes = self.operators.iter().any(|operator| !operator.removes());
        match self.method {
            Method::Beam { width: 0 } => return bad("a beam has a width of at least 1"),
            Method::Random { restarts: 0 } => return bad("there is at least one start"),
            _ => {}
        }
        match (self.remove, self.changes) {
            (0, 0) => bad("there is nothing to do: give a number of layers to remove, or of changes to make"),
            _ if self.operators.is_empty() => bad("there are no operators"),
            (1.., _) if !removes => bad("layers are to be removed, and no operator removes one: give delete"),
            (1.., 1..) if !changes => {
                bad("changes are to be made after the removals, and every operator removes: give swap")
            }
            (1.., 0) if changes => {
                bad("an operator that removes nothing is not used: give a number of changes to make")
            }
            (1.., _) if has(Operator::Delete) && (has(Operator::DeleteAttention) || has(Operator::DeleteMlp)) => {
                bad("a layer and a sublayer are not the same saving: give delete, or delete_attention and delete_mlp")
            }
            _ => Ok(()),
        }
    }

    /// How many plans are kept after a round.
    pub(super) fn width(&self) -> usize {
        match self.method {
            Method::Beam { width } => width,
            _ => 1,
        }
    }

    /// How often it starts.
    pub(super) fn restarts(&self) -> usize {
        match self.method {
            Method::Random { restarts } => restarts,
            _ => 1,
        }
    }

    /// The operators of the round after `step` changes; none when all are made.
    pub(super) fn operators_at(&self, step: usize) -> Option<Vec<Operator>> {
        let removing = step < self.remove;
        let is_used = |operator: &Operator| self.remove == 0 || operator.removes() == removing;
        (step < self.remove.saturating_add(self.changes))
            .then(|| self.operators.iter().copied().filter(is_used).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_make_no_search_are_refused() {
        let refused = |options: SearchOptions| options.check().unwrap_err().to_string();
        let pruning = || SearchOptions::removing(2, Operator::Delete);
        assert!(refused(SearchOptions::removing(2, Operator::Swap)).contains("no operator removes one"));
        assert!(refused(SearchOptions::changing(0, [Operator::Swap])).contains("nothing to do"));
        assert!(refused(SearchOptions::changing(1, [])).contains("no operators"));
        assert!(refused(pruning().with_operator(Operator::Swap)).contains("is not used"));
        assert!(refused(pruning().with_changes(1)).contains("every operator removes"));
        assert!(refused(pruning().with_operator(Operator::DeleteMlp)).contains("not the same saving"));
        assert!(refused(pruning().with_method(Method::Beam { width: 0 })).contains("width"));
    }

    #[test]
    fn layers_are_removed_before_other_changes() {
        let options = SearchOptions::removing(1, Operator::Delete).with_operator(Operator::Swap).with_changes(1);
        let operators = [0, 1, 2].map(|step| options.operators_at(step));
        assert_eq!(operators, [Some(vec![Operator::Delete]), Some(vec![Operator::Swap]), None]);
        let both = SearchOptions::changing(1, [Operator::Delete, Operator::Swap]);
        assert_eq!(both.operators_at(0).unwrap().len(), 2, "without removals every change has to be better");
    }
}

//! Items as tokens: [`EncodedItems`], a [`Pair`] for each continuation.

use serde::{Deserialize, Serialize};

use crate::{Item, Task};

/// The tokens of a context and of one continuation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// What the model reads first.
    pub context: Vec<u32>,
    /// What is scored.
    pub continuation: Vec<u32>,
}

impl Pair {
    /// Encodes a context with its continuation.
    ///
    /// Both are encoded as one text, since a token contains the space before its word. As many tokens as the context has
    /// when it is encoded alone belong to the context, the rest to the continuation. White space at the context's end
    /// belongs to the continuation.
    ///
    /// # Errors
    /// Those of `encode`.
    pub fn encode<E>(
        context: &str,
        continuation: &str,
        encode: impl Fn(&str) -> Result<Vec<u32>, E>,
    ) -> Result<Self, E> {
        let whole = encode(&format!("{context}{continuation}"))?;
        let context = encode(context.trim_end())?;
        let continuation = whole.get(context.len()..).unwrap_or_default().to_vec();
        Ok(Self { context, continuation })
    }
}

/// The items of a task with their tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncodedItems {
    pub(crate) task: Task,
    pub(crate) items: Vec<Item>,
    pub(crate) pairs: Vec<Vec<Pair>>,
}

impl EncodedItems {
    /// The task.
    pub fn task(&self) -> Task {
        self.task
    }

    /// The items.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Some of the items, in the order given.
    ///
    /// # Panics
    /// When there is no such item.
    pub fn select(&self, items: impl IntoIterator<Item = usize>) -> Self {
        let (items, pairs) = items.into_iter().map(|item| (self.items[item].clone(), self.pairs[item].clone())).unzip();
        Self { task: self.task, items, pairs }
    }

    /// The tokens of each continuation of each item.
    pub fn pairs(&self) -> &[Vec<Pair>] {
        &self.pairs
    }

    /// Tokens of the longest context with its continuation.
    pub fn longest(&self) -> usize {
        let tokens = |pair: &Pair| pair.context.len() + pair.continuation.len();
        self.pairs.iter().flatten().map(tokens).max().unwrap_or(0)
    }
}

impl Task {
    /// Encodes items with a tokenizer, given as a function from text to token ids.
    ///
    /// If the model was trained with a token at the start of every text, `encode` should add it.
    ///
    /// # Errors
    /// Those of `encode`.
    pub fn encode<E>(self, items: Vec<Item>, encode: impl Fn(&str) -> Result<Vec<u32>, E>) -> Result<EncodedItems, E> {
        let pair = |item: &Item, index: usize| Pair::encode(&item.prompt(index), &item.continuations[index], &encode);
        let pairs = items.iter().map(|item| (0..item.continuations.len()).map(|index| pair(item, index)).collect());
        let pairs = pairs.collect::<Result<_, E>>()?;
        Ok(EncodedItems { task: self, items, pairs })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// A token for each letter; `ab` is one token.
    fn letters(text: &str) -> Result<Vec<u32>, Infallible> {
        Ok(text.replace("ab", "\u{1}").chars().map(u32::from).collect())
    }

    fn pair(context: &str, continuation: &str) -> (Vec<u32>, Vec<u32>) {
        let Pair { context, continuation } = Pair::encode(context, continuation, letters).unwrap();
        (context, continuation)
    }

    #[test]
    fn the_continuation_is_what_lies_beyond_the_context() {
        assert_eq!(pair("xy", " z"), (vec![120, 121], vec![32, 122]));
        assert_eq!(pair("xy \n", " z"), (vec![120, 121], vec![32, 10, 32, 122]));
    }

    #[test]
    fn a_token_across_the_border_counts_as_the_contexts() {
        assert_eq!(pair("xa", "bc"), (vec![120, 97], vec![99]));
        assert_eq!(pair("xa", "b"), (vec![120, 97], vec![]));
    }

    #[test]
    fn a_token_at_the_start_is_part_of_the_context() {
        let start = |text: &str| Ok::<_, Infallible>([vec![0], letters(text)?].concat());
        let pair = Pair::encode("x", " z", start).unwrap();
        assert_eq!((pair.context, pair.continuation), (vec![0, 120], vec![32, 122]));
    }
}

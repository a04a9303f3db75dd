//! What a probe is fitted to: [`Examples`].

/// Feature vectors, each with an answer.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    pub(super) width: usize,
    pub(super) features: Vec<f64>,
    pub(super) answers: Vec<bool>,
}

impl Examples {
    /// No examples yet, of `width` numbers each.
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// Adds one.
    ///
    /// # Panics
    /// When it has another width.
    pub fn push(&mut self, features: impl IntoIterator<Item = f64>, answer: bool) {
        self.features.extend(features);
        self.answers.push(answer);
        assert_eq!(self.features.len(), self.width * self.answers.len(), "an example has {} numbers", self.width);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// The share of the more frequent answer: the accuracy of always giving it.
    pub fn majority(&self) -> f64 {
        let yes = self.answers.iter().filter(|answer| **answer).count() as f64 / self.len() as f64;
        yes.max(1.0 - yes)
    }

    pub(super) fn row(&self, index: usize) -> &[f64] {
        &self.features[index * self.width..(index + 1) * self.width]
    }

    pub(super) fn subset(&self, indices: impl Iterator<Item = usize>) -> Self {
        let mut part = Self::new(self.width);
        indices.for_each(|index| part.push(self.row(index).iter().copied(), self.answers[index]));
        part
    }
}

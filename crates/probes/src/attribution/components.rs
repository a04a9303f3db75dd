//! The components that logits are attributed to, and their numbers: [`Component`], [`Columns`].

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::SequenceCount;

use crate::readout::begun;
use crate::statistics::PerSequence;

/// A part of the residual stream, or of the logit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Component {
    /// All of the logit.
    Logit,
    Embed,
    Attention(usize),
    /// A number for each head.
    Heads(usize),
    AttentionBias(usize),
    Mlp(usize),
    /// The biases of the final norm and of the unembedding.
    FinalBias,
}

impl Component {
    /// The layer it is in; the first for components in no layer.
    pub(super) fn layer(self) -> usize {
        match self {
            Component::Attention(layer)
            | Component::Heads(layer)
            | Component::AttentionBias(layer)
            | Component::Mlp(layer) => layer,
            Component::Logit | Component::Embed | Component::FinalBias => 0,
        }
    }
}

/// Numbers of each row of a run, which stay on the device until its end.
#[derive(Default)]
pub(super) struct Columns {
    tensors: Vec<Tensor<2>>,
    width: usize,
}

impl Columns {
    /// Takes columns `[rows, n]`, and returns where they stand.
    pub(super) fn push(&mut self, columns: Tensor<2>) -> Range<usize> {
        let [_, n] = columns.dims();
        self.tensors.push(begun(columns));
        self.width += n;
        self.width - n..self.width
    }

    /// All numbers, row after row, and how many there are in a row.
    pub(super) fn read(self) -> (Vec<f32>, usize) {
        (Tensor::cat(self.tensors, 1).try_into_vec_as().expect("any float"), self.width)
    }
}

/// What was collected of each component: a number for each of its columns.
#[derive(Default)]
pub(super) struct Collected(BTreeMap<Component, Vec<PerSequence>>);

impl Collected {
    pub(super) fn push(&mut self, component: Component, window: usize, values: impl ExactSizeIterator<Item = f64>) {
        let columns = self.0.entry(component).or_insert_with(|| vec![PerSequence::default(); values.len()]);
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(window, value));
    }

    /// The numbers of a component; none before the first run.
    pub(super) fn of(&self, component: Component) -> &[PerSequence] {
        self.0.get(&component).map_or(&[], Vec::as_slice)
    }

    /// A component and a window in which one of its numbers is not finite.
    pub(super) fn not_finite(&self) -> Option<(Component, usize)> {
        let broken = |column: &PerSequence| column.counts().zip(column.means()).find(|(_, mean)| !mean.is_finite());
        self.0.iter().find_map(|(&component, columns)| {
            let (SequenceCount { sequence, .. }, _) = columns.iter().find_map(broken)?;
            Some((component, sequence))
        })
    }
}

//! What the values of a curve or a matrix run over: [`Axis`].

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// One side of a [`Curve`](crate::Curve) or a [`Matrix`](crate::Matrix): its length, and a label for each of its points.
///
/// Axes over the depth of a model give each point a [depth](Axis::depth) in layers, so that curves over layers, residual
/// positions and pairs of layers can share one plot.
///
/// ```
/// use stratigraph_profile::Axis;
///
/// let positions = Axis::residual_positions(12);
/// assert_eq!(positions.len(), 13);
/// assert_eq!((positions.label(3), positions.depth(3)), ("before layer 3".to_owned(), Some(2.5)));
/// assert_eq!(positions.label(12), "after the last layer");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Axis {
    /// The layers of a model.
    #[non_exhaustive]
    Layers {
        /// How many layers the model has.
        n_layers: usize,
    },
    /// The residual stream before each layer, and after the last one.
    #[non_exhaustive]
    ResidualPositions {
        /// How many layers the model has.
        n_layers: usize,
    },
    /// Each layer with the next one.
    #[non_exhaustive]
    AdjacentPairs {
        /// How many layers the model has.
        n_layers: usize,
    },
    /// Blocks of neighbouring layers, by their first layer.
    #[non_exhaustive]
    BlockStarts {
        /// How many layers the model has.
        n_layers: usize,
        /// How many layers a block has.
        length: usize,
    },
    /// Attention heads.
    #[non_exhaustive]
    Heads {
        /// How many heads there are.
        n_heads: usize,
    },
    /// Things that are counted from 0.
    #[non_exhaustive]
    Counting {
        /// What is counted, in the singular.
        name: String,
        /// How many there are.
        length: usize,
    },
    /// Named things.
    #[non_exhaustive]
    Labelled {
        /// What they are, in the singular.
        name: String,
        /// The name of each.
        labels: Vec<String>,
    },
}

/// What a head is called, and a block of neighbouring layers.
const HEAD: &str = "head";
const BLOCK: &str = "block of layers";

impl Axis {
    /// The `n_layers` layers of a model.
    pub fn layers(n_layers: usize) -> Self {
        Axis::Layers { n_layers }
    }

    /// The `n_layers + 1` residual positions of a model: before each layer, and after the last one.
    pub fn residual_positions(n_layers: usize) -> Self {
        Axis::ResidualPositions { n_layers }
    }

    /// The `n_layers - 1` pairs of a layer and the next one.
    pub fn adjacent_pairs(n_layers: usize) -> Self {
        Axis::AdjacentPairs { n_layers }
    }

    /// The `n_layers - length + 1` blocks of `length` neighbouring layers.
    pub fn block_starts(n_layers: usize, length: usize) -> Self {
        Axis::BlockStarts { n_layers, length }
    }

    /// The heads of a layer.
    pub fn heads(n_heads: usize) -> Self {
        Axis::Heads { n_heads }
    }

    /// Every head of every layer, one after the other; head 2 of layer 3 is labelled `3.2`.
    ///
    /// ```
    /// use stratigraph_profile::Axis;
    /// let heads = Axis::all_heads(30, 9);
    /// assert_eq!((heads.len(), heads.tick(29)), (270, "3.2".to_owned()));
    /// assert!(heads.is_of_all_heads());
    /// ```
    pub fn all_heads(n_layers: usize, n_heads: usize) -> Self {
        let heads = (0..n_layers).flat_map(|layer| (0..n_heads).map(move |head| format!("{layer}.{head}")));
        Axis::labelled(HEAD, heads)
    }

    /// Every block of one to `longest` neighbouring layers, the shorter ones first, labelled as in plans: `3..5` has the layers 3
    /// and 4.
    ///
    /// ```
    /// use stratigraph_profile::Axis;
    /// let blocks = Axis::all_blocks(4, 2);
    /// assert_eq!((blocks.len(), blocks.tick(4), blocks.block(4)), (7, "0..2".to_owned(), Some(0..2)));
    /// ```
    pub fn all_blocks(n_layers: usize, longest: usize) -> Self {
        let of_length =
            |length: usize| (0..=n_layers - length).map(move |start| format!("{start}..{}", start + length));
        Axis::labelled(BLOCK, (1..=longest.min(n_layers)).flat_map(of_length))
    }

    /// The layers of a point of [`all_blocks`](Axis::all_blocks); none on other axes.
    pub fn block(&self, index: usize) -> Option<Range<usize>> {
        let Axis::Labelled { name, labels } = self else { return None };
        let (start, end) = labels.get(index).filter(|_| name == BLOCK)?.split_once("..")?;
        Some(start.parse().ok()?..end.parse().ok()?)
    }

    /// Whether it runs over blocks of neighbouring layers, as [`all_blocks`](Axis::all_blocks) does.
    pub fn is_of_all_blocks(&self) -> bool {
        !self.is_empty() && (0..self.len()).all(|index| self.block(index).is_some_and(|block| block.start < block.end))
    }

    /// `length` things that are counted from 0; `name` is the word for one of them, such as `position`.
    pub fn counting(name: impl Into<String>, length: usize) -> Self {
        Axis::Counting { name: name.into(), length }
    }

    /// Labelled things; `name` is the word for one of them, such as `neurons`.
    pub fn labelled(name: impl Into<String>, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Axis::Labelled { name: name.into(), labels: labels.into_iter().map(Into::into).collect() }
    }

    /// Whether it runs over every head of every layer, as [`all_heads`](Axis::all_heads) does.
    pub fn is_of_all_heads(&self) -> bool {
        let is_head = |label: &String| {
            let numbers = label.split_once('.').map(|(layer, head)| [layer, head].map(str::parse::<usize>));
            matches!(numbers, Some([Ok(_), Ok(_)]))
        };
        matches!(self, Axis::Labelled { name, labels } if name == HEAD && labels.iter().all(is_head))
    }

    /// What one point of the axis is called: `layer`, `residual position`, `head`.
    pub fn name(&self) -> String {
        match self {
            Axis::Layers { .. } => "layer".to_owned(),
            Axis::ResidualPositions { .. } => "residual position".to_owned(),
            Axis::AdjacentPairs { .. } => "layer and the next".to_owned(),
            Axis::BlockStarts { length, .. } => format!("first of {length} layers"),
            Axis::Heads { .. } => HEAD.to_owned(),
            Axis::Counting { name, .. } | Axis::Labelled { name, .. } => name.clone(),
        }
    }

    /// How many points it has.
    pub fn len(&self) -> usize {
        match self {
            Axis::Layers { n_layers } => *n_layers,
            Axis::ResidualPositions { n_layers } => n_layers.saturating_add(1),
            Axis::AdjacentPairs { n_layers } => n_layers.saturating_sub(1),
            Axis::BlockStarts { n_layers, length } => n_layers.saturating_add(1).saturating_sub(*length),
            Axis::Heads { n_heads } => *n_heads,
            Axis::Counting { length, .. } => *length,
            Axis::Labelled { labels, .. } => labels.len(),
        }
    }

    /// Whether it has no point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A point in words: `layer 3`, `before layer 3`, `after the last layer`, `layers 3 and 4`, `layers 3 to 7`, `head 2`.
    pub fn label(&self, index: usize) -> String {
        match self {
            Axis::ResidualPositions { n_layers } if index == *n_layers => "after the last layer".to_owned(),
            Axis::ResidualPositions { .. } => format!("before layer {index}"),
            Axis::AdjacentPairs { .. } => format!("layers {index} and {}", index + 1),
            Axis::BlockStarts { length, .. } if *length > 1 => format!("layers {index} to {}", index + length - 1),
            Axis::Layers { .. } | Axis::BlockStarts { .. } => format!("layer {index}"),
            _ => format!("{} {}", self.name(), self.tick(index)),
        }
    }

    /// A point in as few characters as possible, for a table or beside a plot: its number, or its label.
    pub fn tick(&self, index: usize) -> String {
        match self {
            Axis::Labelled { labels, .. } => labels.get(index).cloned().unwrap_or_else(|| index.to_string()),
            _ => index.to_string(),
        }
    }

    /// The depth of a point in the model, in layers: layer `l` at `l`, the residual position before it at
    /// `l - 0.5`, the pair of `l` and `l + 1` at `l + 0.5`, a block at its first layer. None for axes that are not over depth.
    pub fn depth(&self, index: usize) -> Option<f64> {
        let at = index as f64;
        match self {
            Axis::Layers { .. } | Axis::BlockStarts { .. } => Some(at),
            Axis::ResidualPositions { .. } => Some(at - 0.5),
            Axis::AdjacentPairs { .. } => Some(at + 0.5),
            _ => None,
        }
    }

    /// The number of layers of the model over whose depth it runs; none for other axes.
    pub fn n_layers(&self) -> Option<usize> {
        match self {
            Axis::Layers { n_layers }
            | Axis::ResidualPositions { n_layers }
            | Axis::AdjacentPairs { n_layers }
            | Axis::BlockStarts { n_layers, .. } => Some(*n_layers),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_labels_follow_the_kind() {
        let axes = [
            (Axis::layers(12), 12, "layer 3", Some(3.0)),
            (Axis::residual_positions(12), 13, "before layer 3", Some(2.5)),
            (Axis::adjacent_pairs(12), 11, "layers 3 and 4", Some(3.5)),
            (Axis::block_starts(12, 5), 8, "layers 3 to 7", Some(3.0)),
            (Axis::block_starts(12, 1), 12, "layer 3", Some(3.0)),
            (Axis::heads(9), 9, "head 3", None),
            (Axis::counting("position", 7), 7, "position 3", None),
            (Axis::labelled("neurons", ["1", "2", "4", "8"]), 4, "neurons 8", None),
        ];
        for (axis, len, label, depth) in axes {
            assert_eq!((axis.len(), axis.label(3), axis.depth(3)), (len, label.to_owned(), depth), "{axis:?}");
            let json = serde_json::to_string(&axis).unwrap();
            assert_eq!(serde_json::from_str::<Axis>(&json).unwrap(), axis);
        }
        assert_eq!(Axis::residual_positions(12).label(12), "after the last layer");
    }

    #[test]
    fn all_heads_are_known_by_their_labels() {
        let heads = Axis::all_heads(2, 3);
        let labels: Vec<_> = (0..heads.len()).map(|index| heads.tick(index)).collect();
        assert_eq!(labels, ["0.0", "0.1", "0.2", "1.0", "1.1", "1.2"]);
        assert_eq!((heads.label(4), heads.n_layers()), ("head 1.1".to_owned(), None));
        assert!(heads.is_of_all_heads());
        for other in [Axis::heads(3), Axis::labelled("head", ["1.x"]), Axis::labelled("rate", ["0.1", "0.2"])] {
            assert!(!other.is_of_all_heads(), "{other:?}");
        }
    }

    #[test]
    fn a_model_that_is_too_shallow_has_empty_axes() {
        assert!(Axis::adjacent_pairs(0).is_empty() && Axis::adjacent_pairs(1).is_empty());
        assert!(Axis::block_starts(2, 5).is_empty());
        assert_eq!(Axis::residual_positions(0).len(), 1);
    }
}

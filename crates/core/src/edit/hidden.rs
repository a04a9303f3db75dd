//! Keys that an edit hides from queries: [`hidden_keys`].

use std::ops::Range;

use burn::tensor::{Bool, Device, Tensor, TensorData};

use super::{EditContext, EditKind, Units};
use crate::Edit;

/// Which scores are masked, `[batch, head, query, key]`; axes of length 1 stand for all.
pub(super) struct Hidden {
    chosen: Vec<bool>,
    shape: [usize; 4],
}

impl Hidden {
    /// As a tensor.
    pub(super) fn mask(self, device: &Device) -> Tensor<4, Bool> {
        Tensor::from_data(TensorData::new(self.chosen, self.shape), device)
    }
}

/// Which scores of a batch of shape `dims` an edit hides, if it hides keys.
pub(super) fn hidden_keys(edit: &Edit, dims: &[usize], context: &EditContext) -> Option<Hidden> {
    let keys_differ = match edit.kind() {
        EditKind::MaskDistances(_) => false,
        EditKind::MaskKeys(keys) => keys.differ(),
        EditKind::MaskPairs(_) => true,
        _ => return None,
    };
    let by_window = keys_differ || edit.positions().differ();
    let &[batch, n_heads, n_queries, n_keys] = dims else { return None };
    let of_all_heads = *edit.units() == Units::All;
    let shape = [if by_window { batch } else { 1 }, if of_all_heads { 1 } else { n_heads }, n_queries, n_keys];
    let mut chosen = vec![false; shape.iter().product()];
    for row in 0..shape[0] {
        let window = context.windows.get(row).copied().unwrap_or(row);
        let pairs = pairs(edit.kind(), window, context.first..context.first + n_queries);
        let pairs: Vec<_> = pairs.filter(|(query, _)| edit.positions().contains(window, *query)).collect();
        for head in (0..shape[1]).filter(|head| of_all_heads || edit.units().contains(*head)) {
            let first = (row * shape[1] + head) * n_queries * n_keys;
            pairs.iter().for_each(|(query, key)| chosen[first + (query - context.first) * n_keys + key] = true);
        }
    }
    Some(Hidden { chosen, shape })
}

/// Whether a kind of edit masks a key from a query after it, by their positions in a window. A query
/// attends to no later key anyway.
fn pairs<'a>(
    kind: &'a EditKind,
    window: usize,
    queries: Range<usize>,
) -> Box<dyn Iterator<Item = (usize, usize)> + 'a> {
    let before = queries.clone().flat_map(|query| (0..query).map(move |key| (query, key)));
    match kind {
        EditKind::MaskDistances(distances) => {
            Box::new(before.filter(|(query, key)| distances.contains(&(query - key))))
        }
        EditKind::MaskKeys(keys) => Box::new(before.filter(move |(_, key)| keys.contains(window, *key))),
        EditKind::MaskPairs(mask) => {
            let pairs = mask.of_window(window).iter().map(|pair| (pair.query, pair.key));
            Box::new(pairs.filter(move |(query, key)| key < query && queries.contains(query)))
        }
        _ => Box::new(std::iter::empty()),
    }
}

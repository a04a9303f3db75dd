//! Data that the texts of edits refer to by an id: [`EditData`].

use std::collections::BTreeMap;

use super::{EditKind, EditValues, PairMask};
use crate::Edit;

/// Tensors and pairs of queries and keys of edits, by their ids: with them, a text such as `blocks.3.hook_resid_pre add(#ID)` can be
/// read back.
///
/// ```
/// use stratigraph_core::{Edit, EditData, EditValues, Hook};
///
/// let edit = Edit::add(Hook::ResidPre.at(3), EditValues::from([0.5f32, -1.0].as_slice()));
/// let data = EditData::of([&edit]);
/// assert_eq!(Edit::parse_with(&edit.to_string(), &data)?, edit);
/// assert!(Edit::parse_with("blocks.3.hook_resid_pre add(#00000000)", &data).is_err());
/// # Ok::<(), stratigraph_core::CoreError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EditData {
    values: BTreeMap<String, EditValues>,
    pairs: BTreeMap<String, PairMask>,
}

impl EditData {
    /// The data of some edits.
    pub fn of<'e>(edits: impl IntoIterator<Item = &'e Edit>) -> Self {
        edits.into_iter().fold(Self::default(), |data, edit| match edit.kind() {
            EditKind::Add(values) | EditKind::Patch(values) => data.with_values(values.clone()),
            EditKind::MaskPairs(pairs) => data.with_pairs(pairs.clone()),
            _ => data,
        })
    }

    /// With a tensor.
    pub fn with_values(mut self, values: EditValues) -> Self {
        self.values.insert(values.id().to_owned(), values);
        self
    }

    /// With pairs.
    pub fn with_pairs(mut self, pairs: PairMask) -> Self {
        self.pairs.insert(pairs.id().to_owned(), pairs);
        self
    }

    /// With all data of another one.
    pub fn and(mut self, other: EditData) -> Self {
        self.values.extend(other.values);
        self.pairs.extend(other.pairs);
        self
    }

    /// The tensors, by their ids.
    pub fn values(&self) -> &BTreeMap<String, EditValues> {
        &self.values
    }

    /// The pairs, by their ids.
    pub fn pairs(&self) -> &BTreeMap<String, PairMask> {
        &self.pairs
    }
}

//! Which edits can be made where only some positions of a window run: [`Edit::takes_parts`].

use super::{EditKind, EditValues, MeanOver};
use crate::Edit;

impl Edit {
    /// Whether it can be made where only new positions of a window run, as in generation with a KV cache.
    /// Otherwise whole windows have to run: a function that is not [position-wise](crate::EditFunction::position_wise), or
    /// values that differ between positions.
    pub fn takes_parts(&self) -> bool {
        match self.kind() {
            EditKind::Custom(function) => function.takes_parts(),
            EditKind::Add(values) | EditKind::Patch(values) => self.serves_all_positions(values),
            EditKind::Mean(over) => *over != MeanOver::Each && !self.point().hook.is_square(),
            EditKind::Resample | EditKind::Clean => false,
            _ => true,
        }
    }

    /// Whether values are the same at every position, so that they fit windows of every length.
    fn serves_all_positions(&self, values: &EditValues) -> bool {
        let dims = values.activation().dims();
        if self.point().hook.is_square() { dims[2..] == [1, 1] } else { dims[1] == 1 }
    }

    /// Why it cannot be made in windows that grow, as in generation; none where it can.
    ///
    /// ```
    /// use stratigraph_core::{Edit, Hook};
    /// assert_eq!(Edit::zero(Hook::MlpOut.at(3)).why_not_in_growing_windows(), None);
    /// assert!(Edit::resample(Hook::MlpOut.at(3)).why_not_in_growing_windows().is_some());
    /// ```
    pub fn why_not_in_growing_windows(&self) -> Option<&'static str> {
        match self.kind() {
            EditKind::Add(values) | EditKind::Patch(values) if !self.serves_all_positions(values) => {
                Some("its values differ between positions and fit windows of one length; give values of one position")
            }
            EditKind::Mean(_) | EditKind::Resample | EditKind::Clean => {
                Some("it takes its values from a run on a corpus, and generation has none; use zero or add values")
            }
            _ => None,
        }
    }
}

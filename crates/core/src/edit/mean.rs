//! The positions that the mean of an edit is taken over: [`MeanOver`].

use std::ops::RangeFrom;

/// The positions of all windows of a corpus that a mean is taken over. Scores and patterns are averaged over windows, for each
/// query and key separately, in any case.
///
/// ```
/// use stratigraph_core::{Edit, Hook, MeanOver};
///
/// let without_first = Edit::mean_over(Hook::MlpOut.at(3), 1..);
/// assert_eq!(without_first.to_string(), "blocks.3.hook_mlp_out mean(1..)");
/// let by_position = Edit::mean_over(Hook::MlpOut.at(3), MeanOver::Each);
/// assert_eq!(by_position.to_string(), "blocks.3.hook_mlp_out mean(each)");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum MeanOver {
    /// All positions together; written `mean`.
    #[default]
    All,
    /// Over windows, for each position separately; written `mean(each)`.
    Each,
    /// All positions from this one on; written `mean(1..)`.
    From(usize),
}

impl From<RangeFrom<usize>> for MeanOver {
    fn from(range: RangeFrom<usize>) -> Self {
        if range.start == 0 { MeanOver::All } else { MeanOver::From(range.start) }
    }
}

//! Running only new positions: [`IncrementalModel`], whose blocks keep a [`BlockState`] of the earlier positions.

use std::any::Any;

use burn::tensor::{Int, Tensor};

use crate::{Result, Site, Tap};

/// A model that can run new positions of a window without running those before them again.
///
/// It is optional: [`ResidualModel::incremental`](crate::ResidualModel::incremental) returns it. Without it, generation runs
/// the whole window for every new token.
///
/// Running a window in parts must give what running it whole gives, up to rounding.
pub trait IncrementalModel: Sync {
    /// Token ids `[batch, pos]`, at positions `first..first + pos` of their windows, to the residual stream before
    /// the first block, `[batch, pos, d_model]`.
    ///
    /// # Errors
    /// When the window grows past the context; when a disk or a network fails.
    fn embed_from(&self, first: usize, tokens: Tensor<2, Int>) -> Result<Tensor<3>>;

    /// Runs the block of `site.layer` on the residual stream `[batch, pos, d_model]` of the positions that follow the
    /// [`n_positions`](BlockState::n_positions) of `state`, and keeps in it what later positions need.
    ///
    /// Hooks show only the new positions; scores and patterns are `[batch, n_heads, new queries, all keys]`.
    ///
    /// # Errors
    /// As [`ResidualModel::block`](crate::ResidualModel::block).
    fn block_from(&self, site: Site, resid: Tensor<3>, state: &mut BlockState, tap: &mut dyn Tap) -> Result<Tensor<3>>;

    /// Whether states of windows of `from` positions can be used in windows of `to` positions. They cannot where the length of the
    /// window changes what earlier positions compute, as in LongRoPE; then the window is run again from its first position.
    fn continues(&self, _from: usize, _to: usize) -> bool {
        true
    }

    /// Keeps only these windows of the batch in a state, in this order. Returns whether it can; by default it cannot,
    /// and texts of a batch that have ended still run.
    fn keep_windows(&self, _state: &mut BlockState, _windows: &[usize]) -> bool {
        false
    }
}

/// What a block keeps of the positions that it has run: in most models their keys and values (a KV cache). It belongs to a
/// slot of a run, not to a layer: a layer that runs twice has two.
///
/// ```
/// use stratigraph_core::BlockState;
///
/// let mut state = BlockState::default();
/// state.kept::<Vec<f32>>().push(0.5); // made by its default before the first position
/// assert_eq!((state.n_positions(), state.kept::<Vec<f32>>().len()), (0, 1));
/// ```
#[derive(Default)]
pub struct BlockState {
    n_positions: usize,
    kept: Option<Box<dyn Any + Send>>,
}

impl BlockState {
    /// How many positions of the window the block has run.
    pub fn n_positions(&self) -> usize {
        self.n_positions
    }

    /// What the model keeps, of a type that it chooses.
    ///
    /// # Panics
    /// When another type was kept before: the state is another model's.
    pub fn kept<T: Any + Send + Default>(&mut self) -> &mut T {
        let kept = self.kept.get_or_insert_with(|| Box::<T>::default());
        kept.downcast_mut().expect("a state belongs to one model")
    }

    /// Runs a block on the residual stream `[batch, pos, d_model]` of the positions after those of this state, and adds
    /// them to it.
    ///
    /// # Errors
    /// As [`IncrementalModel::block_from`]; the state cannot be used afterwards.
    pub fn run(
        &mut self,
        model: &dyn IncrementalModel,
        site: Site,
        resid: Tensor<3>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor<3>> {
        let [_, pos, _] = resid.dims();
        let resid = model.block_from(site, resid, self, tap)?;
        self.n_positions += pos;
        Ok(resid)
    }
}

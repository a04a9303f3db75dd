//! An intervention on windows that grow: [`IncrementalRun`].

use burn::tensor::{Int, Tensor, TensorData};
use stratigraph_core::{
    BlockState, CoreError, EditTap, Hook, IncrementalModel, ResidualModel, Site, Tap, Taps, check_tap, check_token_ids,
    finish, visit,
};

use crate::{Intervention, Result};

/// Runs an intervention on windows that grow, as in generation, and runs no position twice where that can be avoided.
///
/// Each slot of the plan keeps a state of its own (keys and values), so that a repeated layer has two. Whole windows run again
/// if the model has no [incremental](ResidualModel::incremental) way, or an edit or a tap needs all positions at once:
/// [`recomputes_because`](IncrementalRun::recomputes_because) says so. The result is the same up to rounding.
///
/// ```
/// # use stratigraph_core::{NoTap, ResidualModel};
/// # use stratigraph_surgery::{IncrementalRun, Intervention, SurgeryError};
/// # fn last(model: &dyn ResidualModel) -> Result<(), SurgeryError> {
/// let without_layer_1: Intervention = "0-2".parse()?;
/// let mut run = IncrementalRun::new(model, &without_layer_1, 1, 32)?; // one window, of at most 32 tokens
/// let prompt = run.extend(&[vec![5, 6, 7]], &mut NoTap)?; // [1, 3, d_model]
/// let next = run.extend(&[vec![8]], &mut NoTap)?; // [1, 1, d_model]
/// # Ok(())
/// # }
/// ```
pub struct IncrementalRun<'a> {
    model: &'a dyn ResidualModel,
    intervention: &'a Intervention,
    /// The tokens of each window that runs.
    ids: Vec<Vec<u32>>,
    /// The number of each of these windows, by which edits know it.
    windows: Vec<usize>,
    longest: usize,
    in_parts: bool,
    /// Of each layer in each slot.
    states: Vec<Vec<BlockState>>,
    /// The positions that all states have.
    n_kept: usize,
}

impl<'a> IncrementalRun<'a> {
    /// A run of an intervention on `batch` windows that may grow to `longest` tokens.
    ///
    /// # Errors
    /// When the intervention does not fit the model or windows of that length, the model cannot run them, or an edit cannot be
    /// made in windows that grow: one that takes values from a corpus, or has values for each position.
    pub fn new(
        model: &'a dyn ResidualModel,
        intervention: &'a Intervention,
        batch: usize,
        longest: usize,
    ) -> Result<Self> {
        if let Some(n_ctx) = model.n_ctx().filter(|n_ctx| *n_ctx < longest) {
            return Err(CoreError::WindowTooLong { seq_len: longest, n_ctx }.into());
        }
        for edit in intervention.edits() {
            if let Some(reason) = edit.why_not_in_growing_windows() {
                return Err(CoreError::BadEdit { edit: edit.to_string(), reason: reason.to_owned() }.into());
            }
        }
        intervention.check(&model.shape(), longest)?;
        let (ids, windows) = (vec![Vec::new(); batch], (0..batch).collect());
        Ok(Self { model, intervention, ids, windows, longest, in_parts: true, states: Vec::new(), n_kept: 0 })
    }

    /// Runs whole windows in any case.
    pub fn recomputing(self) -> Self {
        Self { in_parts: false, ..self }
    }

    /// With the numbers by which edits know the windows, which are `0..batch` otherwise.
    ///
    /// # Panics
    /// When there is not one for each window.
    pub fn with_windows(self, windows: Vec<usize>) -> Self {
        assert_eq!(windows.len(), self.ids.len(), "a number for each window");
        Self { windows, ..self }
    }

    /// Why whole windows run again for every new token; none where new positions run alone.
    pub fn recomputes_because(&self) -> Option<String> {
        if !self.in_parts {
            return Some("it was asked for".to_owned());
        }
        if self.model.incremental().is_none() {
            return Some("the model runs whole windows alone".to_owned());
        }
        let edit = self.intervention.edits().iter().find(|edit| !edit.takes_parts())?;
        Some(format!("the edit `{edit}` may need all positions at once"))
    }

    /// Tokens of each window so far.
    pub fn n_positions(&self) -> usize {
        self.ids.first().map_or(0, Vec::len)
    }

    /// Continues with only these windows, in this order. Returns whether it does: some models can
    /// [keep states](IncrementalModel::keep_windows) only of all windows.
    ///
    /// # Panics
    /// When there is no such window.
    pub fn keep_windows(&mut self, windows: &[usize]) -> bool {
        let mut states = self.states.iter_mut().flatten();
        if !states.all(|state| self.model.incremental().is_some_and(|model| model.keep_windows(state, windows))) {
            return false;
        }
        self.ids = windows.iter().map(|&window| std::mem::take(&mut self.ids[window])).collect();
        self.windows = windows.iter().map(|&window| self.windows[window]).collect();
        true
    }

    /// Adds the same number of tokens to each window, and runs what has not run yet. Returns the residual stream after the last
    /// step at the new positions, `[batch, new, d_model]`.
    ///
    /// The tap sees what the edits have changed, only at new positions if it [takes parts](Tap::takes_parts), and whole
    /// windows otherwise.
    ///
    /// # Errors
    /// When a token is outside the vocabulary, the windows become longer than announced, the model or the tap fails. The run
    /// cannot be continued then.
    ///
    /// # Panics
    /// When there is not one list for each window, or they have different lengths or none.
    pub fn extend(&mut self, tokens: &[Vec<u32>], tap: &mut dyn Tap) -> Result<Tensor<3>> {
        assert_eq!(tokens.len(), self.ids.len(), "tokens for each window");
        let n_new = tokens.first().map_or(0, Vec::len);
        assert!(n_new > 0 && tokens.iter().all(|new| new.len() == n_new), "as many new tokens for each window");
        let seq_len = self.n_positions() + n_new;
        if seq_len > self.longest {
            return Err(CoreError::WindowTooLong { seq_len, n_ctx: self.longest }.into());
        }
        for (ids, new) in self.ids.iter_mut().zip(tokens) {
            check_token_ids(new, self.model.d_vocab())?;
            ids.extend(new);
        }
        let resid = match self.model.incremental().filter(|_| self.recomputes_because().is_none()) {
            Some(model) if tap.takes_parts() => self.run_in_parts(model, seq_len, tap)?,
            _ => self.run_whole(seq_len, tap)?,
        };
        let [_, ran, _] = resid.dims();
        Ok(resid.narrow(1, ran - n_new, n_new))
    }

    fn run_whole(&mut self, seq_len: usize, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        let mut edits = self.edits();
        let mut taps = Taps::new([&mut edits as &mut dyn Tap, tap]);
        taps.at_positions(0..seq_len);
        self.intervention.plan().run(self.model, self.tokens(0), &mut taps)
    }

    /// Runs the positions that states do not have.
    fn run_in_parts(
        &mut self,
        incremental: &dyn IncrementalModel,
        seq_len: usize,
        tap: &mut dyn Tap,
    ) -> Result<Tensor<3>> {
        let steps = self.intervention.plan().steps();
        if self.n_kept == 0 || !incremental.continues(self.n_kept, seq_len) {
            self.n_kept = 0;
            self.states =
                steps.iter().map(|step| step.layers().iter().map(|_| BlockState::default()).collect()).collect();
        }
        let mut edits = self.edits();
        let mut taps = Taps::new([&mut edits as &mut dyn Tap, tap]);
        check_tap(self.model, &taps)?;
        self.intervention.plan().check_tap(&taps)?;
        taps.at_positions(self.n_kept..seq_len);
        let resid = incremental.embed_from(self.n_kept, self.tokens(self.n_kept))?;
        let mut resid = visit(&mut taps, Site { slot: 0, layer: 0 }, Hook::Embed, resid)?;
        for (slot, (step, states)) in steps.iter().zip(&mut self.states).enumerate() {
            resid = step.run_each(slot, resid, |index, site, resid| {
                Ok(states[index].run(incremental, site, resid, &mut taps)?)
            })?;
        }
        finish(self.model, &resid, &mut taps)?;
        self.n_kept = seq_len;
        Ok(resid)
    }

    fn edits(&self) -> EditTap<'a> {
        EditTap::new(self.intervention.edits(), self.windows.clone())
    }

    /// The tokens of all windows from a position on, `[batch, pos]`.
    fn tokens(&self, first: usize) -> Tensor<2, Int> {
        let ids: Vec<i32> = self.ids.iter().flat_map(|ids| &ids[first..]).map(|&id| id as i32).collect();
        let shape = [self.ids.len(), ids.len() / self.ids.len().max(1)];
        Tensor::from_data(TensorData::new(ids, shape), &self.model.device())
    }
}

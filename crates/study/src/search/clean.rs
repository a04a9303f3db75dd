//! What the unchanged model gives for windows, kept between the calls of a search: [`CleanStreams`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use burn::tensor::Tensor;
use stratigraph_core::{NoTap, ResidualModel, RunModel, TokenWindows};
use stratigraph_surgery::{Budget, Executor, Intervention};

use crate::Result;

/// The last residual streams of the unchanged model, with which a metric compares those of plans. Each is computed by itself, so that
/// it does not depend on the windows and plans of a call: a search that goes on from a file has the very numbers of one that was not
/// interrupted.
#[derive(Default)]
pub(super) struct CleanStreams {
    /// `[1, pos, d_model]` of each window that has run.
    by_window: BTreeMap<usize, Tensor<3>>,
}

impl CleanStreams {
    /// The part of a budget that they may take.
    const SHARE: usize = 4;

    /// The budget that is left beside them; none where all windows together would take more than their part of it, or where each
    /// run reads the weights from a disk.
    pub(super) fn budget_beside(model: &dyn ResidualModel, windows: &TokenWindows, budget: Budget) -> Option<Budget> {
        let bytes = windows.ids().len() * model.d_model() * size_of::<f32>();
        let fits = bytes <= budget.bytes / Self::SHARE && !model.shape().streams_blocks;
        fits.then(|| Budget { bytes: budget.bytes - bytes, ..budget })
    }

    /// Whether the unchanged model is better kept than run beside these plans: half of its steps or more are none of theirs.
    pub(super) fn are_worth_it(clean: &Intervention, plans: &[Intervention]) -> bool {
        let n_steps = |plans: &[Intervention]| Executor::new(plans.iter().cloned()).n_steps();
        let n_more = n_steps(&[plans, std::slice::from_ref(clean)].concat()) - n_steps(plans);
        2 * n_more >= clean.plan().steps().len()
    }

    /// Those of some windows, in their order; runs the model on those that are missing.
    pub(super) fn of(
        &mut self,
        model: &dyn ResidualModel,
        windows: &TokenWindows,
        chosen: &[usize],
    ) -> Result<Arc<[Tensor<3>]>> {
        for &window in chosen {
            if let Entry::Vacant(place) = self.by_window.entry(window) {
                let tokens = windows.batch(window..window + 1, &model.device());
                place.insert(model.forward(tokens, &mut NoTap)?);
            }
        }
        Ok(chosen.iter().map(|window| self.by_window[window].clone()).collect())
    }
}

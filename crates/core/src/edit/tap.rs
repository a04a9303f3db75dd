//! Edits while a model runs: [`EditTap`] over a whole run, [`BlockEdits`] of one block.

use std::ops::Range;

use burn::tensor::Tensor;

use super::apply::{apply, replacement, select};
use super::{EditContext, EditKind, MeanOver};
use crate::{
    Activation, CoreError, Edit, Hook, HookSet, NoTap, Positions, Replacement, ResidualModel, Result, Site, Tap,
};

/// Values that edits take from a corpus.
pub trait CorpusValues: Sync {
    /// The mean of an activation in the unchanged model, of a shape that broadcasts to the activation's; none where it
    /// was not measured.
    fn mean(&self, context: &EditContext, over: MeanOver) -> Option<Activation>;

    /// The activation of the window after each of the context's windows.
    fn next_window(&self, context: &EditContext) -> Option<Activation>;

    /// The activation of the context's windows in the unchanged model.
    fn clean(&self, context: &EditContext) -> Option<Activation>;
}

/// Makes edits while a model runs. A run in which one of them never fires is an error, [`CoreError::EditNeverFired`].
///
/// ```
/// # use burn::tensor::Tensor;
/// use stratigraph_core::{Edit, EditTap, Hook, ResidualModel, Result, RunModel, TokenWindows};
///
/// fn without_mlp(model: &dyn ResidualModel, windows: &TokenWindows, layer: usize) -> Result<Tensor<3>> {
///     let edits = [Edit::zero(Hook::MlpOut.at(layer))];
///     let mut tap = EditTap::new(&edits, vec![0]); // the batch holds window 0 of the corpus
///     model.forward(windows.batch(0..1, &model.device()), &mut tap)
/// }
/// ```
pub struct EditTap<'a> {
    edits: &'a [Edit],
    fired: Vec<bool>,
    windows: Vec<usize>,
    corpus: Option<&'a dyn CorpusValues>,
    /// The first position that runs.
    first: usize,
    /// The residual stream that entered the running block, kept if some positions skip the block.
    entered: Option<Tensor<3>>,
}

impl<'a> EditTap<'a> {
    /// Makes `edits` in a run whose batch holds these windows of a corpus, `0..batch` where there is none.
    pub fn new(edits: &'a [Edit], windows: Vec<usize>) -> Self {
        Self { edits, fired: vec![false; edits.len()], windows, corpus: None, first: 0, entered: None }
    }

    /// With values that edits take from a corpus.
    pub fn with_corpus(self, corpus: &'a dyn CorpusValues) -> Self {
        Self { corpus: Some(corpus), ..self }
    }

    fn at(&self, site: Site, hook: Hook) -> impl Iterator<Item = (usize, &'a Edit)> + use<'a> {
        let (edits, point) = (self.edits, hook.at(site.slot));
        edits.iter().enumerate().filter(move |(_, edit)| edit.point() == point)
    }

    fn skips(&self, slot: usize) -> bool {
        self.edits.iter().any(|edit| *edit.kind() == EditKind::SkipLayer && edit.point().slot == slot)
    }
}

impl Tap for EditTap<'_> {
    fn hooks(&self) -> HookSet {
        let hooks: HookSet = self.edits.iter().map(|edit| edit.point().hook).collect();
        let skips = self.edits.iter().any(|edit| *edit.kind() == EditKind::SkipLayer);
        if skips { hooks.with(Hook::ResidPre) } else { hooks }
    }

    fn wants(&self, site: Site, hook: Hook) -> bool {
        self.at(site, hook).next().is_some() || (hook == Hook::ResidPre && self.skips(site.slot))
    }

    fn visit(&mut self, site: Site, hook: Hook, mut activation: Activation) -> Result<Activation> {
        let windows = std::mem::take(&mut self.windows);
        let context = EditContext::new(site.layer, hook, &windows).starting_at(self.first);
        for (index, edit) in self.at(site, hook) {
            self.fired[index] = true;
            activation = match edit.kind() {
                EditKind::SkipLayer => {
                    let entered = self.entered.clone().ok_or(CoreError::HookMissing { hook: Hook::ResidPre })?;
                    select(edit, activation, entered.into(), &context)?
                }
                _ => apply(edit, activation, &context, self.corpus)?,
            };
        }
        if hook == Hook::ResidPre && self.skips(site.slot) {
            self.entered = Some(activation.clone().wide(hook.at(site.slot))?);
        } else if hook == Hook::ResidPost {
            self.entered = None;
        }
        self.windows = windows;
        Ok(activation)
    }

    fn replacement(&mut self, site: Site, hook: Hook, dims: [usize; 3]) -> Result<Option<Replacement>> {
        let mut edits = self.at(site, hook);
        let (Some((index, edit)), None) = (edits.next(), edits.next()) else { return Ok(None) };
        if !edit.is_replacement() {
            return Ok(None);
        }
        self.fired[index] = true;
        if *edit.kind() == EditKind::Zero {
            return Ok(Some(Replacement::Zero));
        }
        let context = EditContext::new(site.layer, hook, &self.windows).starting_at(self.first);
        Ok(Some(Replacement::Values(replacement(edit, dims, &context, self.corpus)?)))
    }

    fn takes_parts(&self) -> bool {
        self.edits.iter().all(Edit::takes_parts)
    }

    fn at_positions(&mut self, positions: Range<usize>) {
        self.first = positions.start;
    }

    fn finish(&mut self) -> Result<()> {
        self.first = 0;
        let fired = std::mem::replace(&mut self.fired, vec![false; self.edits.len()]); // the tap may see another run
        match fired.iter().position(|fired| !fired) {
            Some(index) => Err(CoreError::EditNeverFired { point: self.edits[index].point() }),
            None => Ok(()),
        }
    }
}

/// Edits of one block. All of them name slot 0, whatever slot the block runs in, so that equal edits of a layer can run
/// together.
#[derive(Clone, Copy)]
pub struct BlockEdits<'a> {
    /// The edits.
    pub edits: &'a [Edit],
    /// The values that they take from a corpus.
    pub corpus: Option<&'a dyn CorpusValues>,
}

impl BlockEdits<'_> {
    /// Runs the block of `layer` on the residual stream `[batch, pos, d_model]` of these windows of the corpus.
    ///
    /// Where a layer is skipped from some position on, only the positions before it are computed, unless what they compute depends on
    /// the length of the window ([`IncrementalModel::continues`](crate::IncrementalModel::continues)).
    ///
    /// # Errors
    /// What the model returns; when an edit does not fit, or never fires.
    pub fn run<M: ResidualModel + ?Sized>(
        &self,
        model: &M,
        layer: usize,
        resid: Tensor<3>,
        windows: Vec<usize>,
    ) -> Result<Tensor<3>> {
        let site = Site { slot: 0, layer };
        if let Some(first) = self.skipped_from() {
            let [batch, pos, d_model] = resid.dims();
            if first == 0 {
                return Ok(resid);
            }
            if first < pos && model.incremental().is_none_or(|model| model.continues(first, pos)) {
                let run = model.block(site, resid.clone().slice([0..batch, 0..first, 0..d_model]), &mut NoTap)?;
                return Ok(Tensor::cat(vec![run, resid.slice([0..batch, first..pos, 0..d_model])], 1));
            }
        }
        let mut tap = EditTap::new(self.edits, windows);
        tap.corpus = self.corpus;
        let resid = model.block(site, resid, &mut tap)?;
        tap.finish()?;
        Ok(resid)
    }

    /// The first position from which on the layer is skipped, if that is the block's only edit.
    fn skipped_from(&self) -> Option<usize> {
        match self.edits {
            [edit] if *edit.kind() == EditKind::SkipLayer => match edit.positions() {
                Positions::All => Some(0),
                Positions::From(first) => Some(*first),
                _ => None,
            },
            _ => None,
        }
    }
}

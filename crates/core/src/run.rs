//! Running a model in its own order of layers: [`RunModel`], methods of every [`ResidualModel`].

use burn::tensor::{Int, Tensor};

use crate::{ActivationCache, CoreError, Edit, EditTap, Hook, ResidualModel, Result, Site, Tap, TokenWindows, visit};

/// Runs of a model in its own order of layers, with taps, edits or a cache.
///
/// ```
/// use stratigraph_core::{ActivationCache, Edit, Hook, ResidualModel, Result, RunModel, TokenWindows};
///
/// /// How far the last residual stream moves when what the MLP of layer 3 writes is zeroed.
/// fn effect(model: &dyn ResidualModel, windows: &TokenWindows) -> Result<f64> {
///     let last = Hook::ResidPost.at(model.n_layers() - 1);
///     let cache = model.run_with_cache(windows, ActivationCache::at([last]))?;
///     let changed = model.run_with_edits(windows, &[Edit::zero(Hook::MlpOut.at(3))])?;
///     let difference = (cache.tensor(last)? - changed).square().mean();
///     Ok(difference.into_scalar::<f64>())
/// }
/// ```
pub trait RunModel: ResidualModel {
    /// Runs every layer on tokens `[batch, pos]` to the last residual stream `[batch, pos, d_model]`.
    ///
    /// # Errors
    /// When a token is outside the vocabulary, the window longer than the context, the tap wants a hook that the model
    /// lacks, or an edit never fired.
    fn forward(&self, tokens: Tensor<2, Int>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        check_tokens(self, &tokens)?;
        run_from_tokens(self, tokens, tap)
    }

    /// Runs the layers from `layer` on, on the residual stream `[batch, pos, d_model]` that enters it. At `n_layers` it
    /// returns the stream unchanged.
    ///
    /// # Errors
    /// When there is no such layer, the stream is not `d_model` wide or longer than the context, the tap wants a hook that
    /// the model lacks, or an edit never fired.
    fn forward_from(&self, layer: usize, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        let shape = self.shape();
        if layer > shape.n_layers {
            return Err(CoreError::LayerOutOfRange { layer, n_layers: shape.n_layers });
        }
        check_resid(self, &resid)?;
        check_tap(self, tap)?;
        run_layers(self, layer, resid, tap)
    }

    /// Runs all windows at once, and keeps the activations that `cache` asks for.
    ///
    /// # Errors
    /// As [`forward`](RunModel::forward).
    fn run_with_cache(&self, windows: &TokenWindows, mut cache: ActivationCache) -> Result<ActivationCache> {
        windows.check(self)?;
        run_from_tokens(self, windows.batch(0..windows.n_sequences(), &self.device()), &mut cache)?;
        Ok(cache)
    }

    /// Runs all windows at once under some edits, to the last residual stream `[batch, pos, d_model]`.
    ///
    /// # Errors
    /// As [`forward`](RunModel::forward); when an edit does not fit the model, or takes its values from a pass over a
    /// corpus (mean, resample), which an executor of `stratigraph-surgery` makes.
    fn run_with_edits(&self, windows: &TokenWindows, edits: &[Edit]) -> Result<Tensor<3>> {
        windows.check(self)?;
        let n_layers = self.n_layers();
        edits.iter().try_for_each(|edit| edit.check(&self.shape(), n_layers, windows.seq_len()))?;
        let n_sequences = windows.n_sequences();
        let mut tap = EditTap::new(edits, (0..n_sequences).collect());
        run_from_tokens(self, windows.batch(0..n_sequences, &self.device()), &mut tap)
    }

    /// The logits `[batch, pos, d_vocab]` of a residual stream `[batch, pos, d_model]`, all at once.
    ///
    /// For a few positions or a small vocabulary; the measures of `stratigraph-probes` never hold more than a tile.
    ///
    /// # Errors
    /// When the stream is not `d_model` wide.
    fn logits(&self, resid: Tensor<3>) -> Result<Tensor<3>> {
        let ([batch, pos, d_model], d_vocab) = (resid.dims(), self.d_vocab());
        check_width(self, d_model)?;
        let normed = self.final_norm(resid.reshape([batch * pos, d_model]))?;
        Ok(self.unembed(normed, 0..d_vocab)?.reshape([batch, pos, d_vocab]))
    }
}

impl<M: ResidualModel + ?Sized> RunModel for M {}

/// Refuses a tap that asks for a hook the model does not have. Code that runs blocks itself calls it before the first
/// one.
///
/// # Errors
/// [`CoreError::HookMissing`] with the first such hook.
pub fn check_tap<M: ResidualModel + ?Sized>(model: &M, tap: &dyn Tap) -> Result<()> {
    let offered = model.hooks();
    match tap.hooks().iter().find(|hook| !offered.contains(*hook)) {
        Some(hook) => Err(CoreError::HookMissing { hook }),
        None => Ok(()),
    }
}

/// Embeds tokens, and shows the tap the input of the first block.
///
/// # Errors
/// What the model or the tap returns.
pub fn embed<M: ResidualModel + ?Sized>(model: &M, tokens: Tensor<2, Int>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
    let site = Site { slot: 0, layer: 0 };
    visit(tap, site, Hook::Embed, model.embed(tokens)?)
}

/// Ends a run with its last residual stream: shows the tap the output of the final norm, and lets the tap finish.
///
/// # Errors
/// What the model or the tap returns.
pub fn finish<M: ResidualModel + ?Sized>(model: &M, resid: &Tensor<3>, tap: &mut dyn Tap) -> Result<()> {
    let site = Site { slot: 0, layer: 0 };
    if tap.wants(site, Hook::LnFinalNormalized) {
        let [batch, pos, d_model] = resid.dims();
        let normed = model.final_norm(resid.clone().reshape([batch * pos, d_model]))?;
        tap.visit(site, Hook::LnFinalNormalized, normed.reshape([batch, pos, d_model]).into())?;
    }
    tap.finish()
}

fn run_from_tokens<M: ResidualModel + ?Sized>(
    model: &M,
    tokens: Tensor<2, Int>,
    tap: &mut dyn Tap,
) -> Result<Tensor<3>> {
    check_tap(model, tap)?;
    let resid = embed(model, tokens, tap)?;
    run_layers(model, 0, resid, tap)
}

fn run_layers<M: ResidualModel + ?Sized>(
    model: &M,
    first: usize,
    mut resid: Tensor<3>,
    tap: &mut dyn Tap,
) -> Result<Tensor<3>> {
    for layer in first..model.n_layers() {
        resid = model.block(Site { slot: layer, layer }, resid, tap)?;
    }
    finish(model, &resid, tap)?;
    Ok(resid)
}

/// Checks token ids `[batch, pos]` and their number: an embedding in chunks has a row of zeros for an id that it does not
/// know.
///
/// # Errors
/// [`CoreError::TokenOutOfRange`], [`CoreError::WindowTooLong`].
pub fn check_tokens<M: ResidualModel + ?Sized>(model: &M, tokens: &Tensor<2, Int>) -> Result<()> {
    let (shape, [_, seq_len]) = (model.shape(), tokens.dims());
    check_length(model, seq_len)?;
    let ids: Vec<i64> = tokens.clone().try_into_vec_as().expect("token ids are whole numbers");
    match ids.into_iter().find(|id| !(0..shape.d_vocab as i64).contains(id)) {
        Some(id) => Err(CoreError::TokenOutOfRange { id, d_vocab: shape.d_vocab }),
        None => Ok(()),
    }
}

fn check_resid<M: ResidualModel + ?Sized>(model: &M, resid: &Tensor<3>) -> Result<()> {
    let [_, seq_len, d_model] = resid.dims();
    check_width(model, d_model)?;
    check_length(model, seq_len)
}

fn check_width<M: ResidualModel + ?Sized>(model: &M, found: usize) -> Result<()> {
    let d_model = model.d_model();
    if found == d_model { Ok(()) } else { Err(CoreError::OtherWidth { found, d_model }) }
}

pub(crate) fn check_length<M: ResidualModel + ?Sized>(model: &M, seq_len: usize) -> Result<()> {
    match model.n_ctx() {
        Some(n_ctx) if n_ctx < seq_len => Err(CoreError::WindowTooLong { seq_len, n_ctx }),
        _ => Ok(()),
    }
}

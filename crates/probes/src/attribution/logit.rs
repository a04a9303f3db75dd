//! Direct logit attribution: [`LogitAttribution`].

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use stratigraph_core::{
    Activation, CoreError, HeadShape, Hook, HookSet, ModelWeights, Observer, ResidualModel, Result as CoreResult, Site,
    Tap, TokenWindows,
};

use super::components::{Collected, Columns, Component};
use super::directions::{TokenDirections, bias_logits};
use super::heads::{HeadWrites, Misfit};
use crate::neurons::weights_of;
use crate::readout::check_shape;
use crate::statistics::PerSequence;
use crate::{ProbeError, Result};

/// How much each component of the residual stream adds to the logit of the next token, above the mean logit over the
/// vocabulary, in the unchanged model and over a corpus (direct logit attribution).
///
/// At position `t` a component `c[t]` adds `(W_U[x_{t+1}] - mean_v W_U[v]) . (gain * c[t] / scale)`, where `scale` is what the
/// final norm divides the residual stream after the last layer by, at this position of this run; where that norm subtracts
/// the mean over `d_model`, it is subtracted from the component too. Numbers of all components and the
/// [final bias](LogitAttribution::final_bias) add up to the [centred logit](LogitAttribution::centred_logit) at every position.
/// Components are the embedding, what each attention and MLP writes, and of attention each head and the output bias. The
/// bias of values is in the heads.
///
/// A norm after attention (Gemma 3) is applied as in the run: what heads write is multiplied by the norm's gain and
/// divided by its scale at this position.
///
/// ```
/// use burn::tensor::Device;
/// use stratigraph_core::{TokenWindows, observe};
/// use stratigraph_models::DecoderConfig;
/// use stratigraph_probes::attribution::LogitAttribution;
///
/// let model = DecoderConfig::new(2, 16, 4, 50).init(0, &Device::flex())?;
/// let windows = TokenWindows::new(&[3, 1, 4, 1, 5, 9, 2, 6], 4)?;
/// let mut attribution = LogitAttribution::new(&model, &windows)?;
/// observe(&model, &windows, 2, &mut [&mut attribution], |_| {})?;
/// attribution.check()?;
///
/// let mean = |it: &stratigraph_core::PerSequence| it.summary().mean;
/// let layers: f64 = attribution.attention().chain(attribution.mlp()).map(mean).sum();
/// let all = mean(&attribution.embed()) + layers + mean(&attribution.final_bias());
/// assert!((all - mean(&attribution.centred_logit())).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LogitAttribution<'a> {
    model: &'a dyn ResidualModel,
    weights: &'a dyn ModelWeights,
    windows: &'a TokenWindows,
    directions: TokenDirections<'a>,
    /// Of each token.
    final_bias: Vec<f64>,
    run: Run,
    collected: Collected,
    /// Of each layer.
    misfits: Vec<Misfit>,
    has_attention_bias: bool,
}

/// What is known of the batch of windows that runs.
#[derive(Default)]
struct Run {
    sequences: Range<usize>,
    /// `[rows, d_model]`; a row for each position but the last of each window.
    directions: Option<Tensor<2>>,
    heads: Option<HeadWrites>,
    columns: Columns,
    components: Vec<(Component, Range<usize>)>,
    misfits: Vec<(usize, Range<usize>)>,
}

impl<'a> LogitAttribution<'a> {
    /// Reads the unembedding once, for its mean over the vocabulary.
    ///
    /// # Errors
    /// As [`check_model`](LogitAttribution::check_model); when the windows do not fit the model.
    pub fn new(model: &'a dyn ResidualModel, windows: &'a TokenWindows) -> Result<Self> {
        Self::check_model(model)?;
        windows.check(model)?;
        Ok(Self {
            model,
            weights: weights_of(model)?,
            windows,
            directions: TokenDirections::new(model)?,
            final_bias: bias_logits(model)?,
            run: Run::default(),
            collected: Collected::default(),
            misfits: vec![Misfit::default(); model.n_layers()],
            has_attention_bias: false,
        })
    }

    /// Refuses a model that does not give the weights which attribution reads.
    ///
    /// # Errors
    /// [`ProbeError::WeightsMissing`], [`CoreError::WeightsIncomplete`]; [`ProbeError::HeadsUnknown`] when its shape does
    /// not say how many heads it has; [`ProbeError::WrongShape`].
    pub fn check_model(model: &dyn ResidualModel) -> Result<()> {
        let (weights, d_model) = (weights_of(model)?, model.d_model());
        let HeadShape { n_heads, d_head, .. } = model.shape().heads.ok_or(ProbeError::HeadsUnknown)?;
        let scale = weights.final_norm_scale(Tensor::ones([1, d_model], &model.device()))?;
        check_shape(|| "the scale of the final norm of one row".to_owned(), scale.dims(), [1, 1])?;
        if model.n_layers() > 0 {
            check_shape(|| "w_o of layer 0".to_owned(), weights.w_o(0)?.dims(), [n_heads, d_head, d_model])?;
        }
        Ok(())
    }

    /// Refuses what was measured where it cannot be right.
    ///
    /// # Errors
    /// [`ProbeError::ActivationNotFinite`]; [`ProbeError::HeadsDoNotAddUp`] when the output weights of a layer's heads do
    /// not give what its attention wrote.
    pub fn check(&self) -> Result<()> {
        if let Some((component, sequence)) = self.collected.not_finite() {
            let (what, place) = ("the logit attribution of layer", component.layer());
            return Err(ProbeError::ActivationNotFinite { what, place, sequence });
        }
        self.misfits.iter().enumerate().try_for_each(|(layer, misfit)| misfit.check(layer))
    }

    /// What each layer's attention adds, with its output bias.
    pub fn attention(&self) -> impl Iterator<Item = &PerSequence> {
        self.layers(Component::Attention)
    }

    /// What each layer's MLP adds.
    pub fn mlp(&self) -> impl Iterator<Item = &PerSequence> {
        self.layers(Component::Mlp)
    }

    /// What each head adds, `[layer][head]`. The heads of a layer and its output bias add up to its attention.
    pub fn heads(&self) -> impl Iterator<Item = &[PerSequence]> {
        (0..self.misfits.len()).map(|layer| self.collected.of(Component::Heads(layer)))
    }

    /// What the output bias of each layer's attention adds; none in models without such biases.
    pub fn attention_bias(&self) -> Option<impl Iterator<Item = &PerSequence>> {
        self.has_attention_bias.then(|| self.layers(Component::AttentionBias))
    }

    /// What the embedding adds, with learned positions where there are any.
    pub fn embed(&self) -> PerSequence {
        self.single(Component::Embed)
    }

    /// The part of the logit that does not depend on the residual stream: the final norm's bias and the unembedding's, minus their mean
    /// over the vocabulary; 0 in a model that has neither.
    pub fn final_bias(&self) -> PerSequence {
        self.single(Component::FinalBias)
    }

    /// The logit of the next token, minus the mean logit over the vocabulary.
    pub fn centred_logit(&self) -> PerSequence {
        self.single(Component::Logit)
    }

    fn layers(&self, component: fn(usize) -> Component) -> impl Iterator<Item = &PerSequence> {
        (0..self.misfits.len()).flat_map(move |layer| self.collected.of(component(layer)))
    }

    fn single(&self, component: Component) -> PerSequence {
        self.collected.of(component).first().cloned().unwrap_or_default()
    }
}

impl LogitAttribution<'_> {
    fn device(&self) -> Device {
        self.model.device()
    }

    /// The windows that run, and the directions of their next tokens.
    fn start(&mut self, batch: usize) -> CoreResult<()> {
        let first = self.run.sequences.start;
        self.run = Run { sequences: first..first + batch, ..Run::default() };
        let tokens: Vec<u32> = self.next_tokens().map(|(_, token)| token).collect();
        self.run.directions = Some(self.directions.of(&tokens, &self.device())?);
        Ok(())
    }

    /// The window and the next token of each row.
    fn next_tokens(&self) -> impl Iterator<Item = (usize, u32)> {
        let next = |window| self.windows.sequence(window)[1..].iter().map(move |&token| (window, token));
        self.run.sequences.clone().flat_map(next)
    }

    fn directions(&self) -> CoreResult<Tensor<2>> {
        let point = Hook::Embed.at(0);
        self.run.directions.clone().ok_or(CoreError::NotCached { point })
    }

    /// Attributes rows `[rows, d_model]` of the residual stream.
    fn attribute(&mut self, component: Component, rows: Tensor<2>) -> CoreResult<()> {
        let along = (rows * self.directions()?).sum_dim(1);
        self.put(component, along);
        Ok(())
    }

    fn put(&mut self, component: Component, columns: Tensor<2>) {
        let range = self.run.columns.push(columns);
        self.run.components.push((component, range));
    }

    /// Attributes what attention writes, and the parts of its heads.
    fn attribute_attention(&mut self, layer: usize, out: Tensor<2>) -> CoreResult<()> {
        if let Some(heads) = self.run.heads.take() {
            let numbers = heads.scaled_to(&out);
            self.put(Component::Heads(layer), numbers.heads);
            self.has_attention_bias |= numbers.bias.is_some();
            let bias = numbers.bias.unwrap_or_else(|| Tensor::zeros([out.dims()[0], 1], &out.device()));
            self.put(Component::AttentionBias(layer), bias);
            let range = self.run.columns.push(numbers.misfit);
            self.run.misfits.push((layer, range));
        }
        self.attribute(Component::Attention(layer), out)
    }

    /// Reads the numbers of the run, and divides those of components by the final norm's scale.
    fn collect(&mut self, scale: Tensor<2>) {
        let at = self.run.columns.push(scale);
        let rows: Vec<_> = self.next_tokens().collect();
        let run = std::mem::take(&mut self.run);
        let (numbers, width) = run.columns.read();
        let (n_rows, skipped) = (self.windows.seq_len() - 1, self.windows.scored_from());
        let counted = rows.iter().zip(numbers.chunks(width)).enumerate().filter(|(row, _)| row % n_rows >= skipped);
        for (_, (&(window, token), numbers)) in counted {
            let scale = f64::from(numbers[at.start]);
            let bias = self.final_bias[token as usize];
            self.collected.push(Component::FinalBias, window, [bias].into_iter());
            for (component, range) in &run.components {
                let rest = if *component == Component::Logit { bias } else { 0.0 };
                let values = numbers[range.clone()].iter().map(|&number| f64::from(number) / scale + rest);
                self.collected.push(*component, window, values);
            }
            for (layer, range) in &run.misfits {
                self.misfits[*layer].length += f64::from(numbers[range.start]);
                self.misfits[*layer].missing += f64::from(numbers[range.start + 1]);
            }
        }
    }
}

impl Tap for LogitAttribution<'_> {
    fn hooks(&self) -> HookSet {
        [Hook::Embed, Hook::Z, Hook::AttnOut, Hook::MlpOut].into()
    }

    /// # Panics
    /// When the run is of other windows than those of the corpus.
    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> CoreResult<Activation> {
        let (point, layer) = (hook.at(site.slot), site.layer);
        match hook {
            Hook::Z => {
                let z = rows_of_heads(activation.clone().heads(point)?);
                self.run.heads = Some(HeadWrites::new(self.weights, layer, z, &self.directions()?)?);
            }
            Hook::AttnOut => self.attribute_attention(layer, rows(activation.clone().wide(point)?))?,
            Hook::MlpOut => self.attribute(Component::Mlp(layer), rows(activation.clone().wide(point)?))?,
            _ => {
                let resid = activation.clone().wide(point)?;
                self.start(resid.dims()[0])?;
                self.attribute(Component::Embed, rows(resid))?;
            }
        }
        Ok(activation)
    }
}

impl Observer for LogitAttribution<'_> {
    fn begin(&mut self, windows: Range<usize>) {
        self.run.sequences = windows;
    }

    fn end(&mut self, resid: &Tensor<3>) -> CoreResult<()> {
        let rows = rows(resid.clone());
        self.attribute(Component::Logit, rows.clone())?;
        let scale = self.weights.final_norm_scale(rows)?;
        self.collect(scale);
        Ok(())
    }
}

/// The positions that have a next token, `[batch, pos, d_model]` to `[rows, d_model]`.
fn rows(x: Tensor<3>) -> Tensor<2> {
    let [batch, pos, width] = x.dims();
    x.narrow(1, 0, pos - 1).reshape([batch * (pos - 1), width])
}

/// The same of heads, `[batch, pos, n_heads, d_head]` to `[rows, n_heads * d_head]`.
fn rows_of_heads(z: Tensor<4>) -> Tensor<2> {
    let [batch, pos, n_heads, d_head] = z.dims();
    z.narrow(1, 0, pos - 1).reshape([batch * (pos - 1), n_heads * d_head])
}

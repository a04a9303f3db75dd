//! Direct logit attribution of one token against another at one position of a prompt: [`attribute_difference`], which gives
//! [`DifferenceParts`].

use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{
    Activation, Hook, HookSet, ModelWeights, ResidualModel, Result as CoreResult, RunModel, Site, Tap, TokenWindows,
    check_token_ids,
};

use super::LogitAttribution;
use super::directions::final_bias_row;
use super::heads::{HeadWrites, Misfit};
use super::neurons::NeuronWrites;
use crate::neurons::weights_of;
use crate::{ProbeError, Result};

/// What the parts of a model add to the logit of a token minus that of another one, at one position of one prompt, in logits.
///
/// A component `c` adds `(W_U[a] - W_U[b]) . (gain * c / scale)`, where `scale` is what the final norm divides the last residual
/// stream by at this position; where that norm subtracts the mean over `d_model`, it is subtracted from the component too. So
/// `embedding + bias + sum of attention and MLPs = total`, and [`total`](Self::total) is the difference of the model's logits,
/// before a soft cap where the model has one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DifferenceParts {
    /// The embedding, with learned positions where there are any.
    pub embedding: f64,
    /// The biases of the final norm and of the unembedding, which do not depend on the prompt.
    pub bias: f64,
    /// Each layer.
    pub layers: Vec<LayerParts>,
    /// The whole difference, from the last residual stream.
    pub total: f64,
}

/// What the parts of a layer add.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct LayerParts {
    /// All of attention: its heads and its output bias.
    pub attention: f64,
    /// Each head.
    pub heads: Vec<f64>,
    /// The output bias of attention, 0 where there is none.
    pub attention_bias: f64,
    /// The MLP.
    pub mlp: f64,
    /// Each neuron of the MLP. None where the output weights do not account for what the MLP writes: in mixtures of experts, whose
    /// routers scale it, and in models that do not show their neurons.
    pub neurons: Option<Vec<f64>>,
}

impl DifferenceParts {
    /// The sum of the embedding, the biases, attention and MLPs, which equals [`total`](Self::total) up to rounding.
    pub fn sum(&self) -> f64 {
        self.embedding + self.bias + self.layers.iter().map(|layer| layer.attention + layer.mlp).sum::<f64>()
    }
}

/// Attributes the logit of `tokens[0]` minus that of `tokens[1]` after position `position` of the first window.
///
/// ```
/// use burn::tensor::Device;
/// use stratigraph_core::TokenWindows;
/// use stratigraph_models::DecoderConfig;
/// use stratigraph_probes::attribution::attribute_difference;
///
/// let model = DecoderConfig::new(2, 16, 4, 50).init(0, &Device::flex())?;
/// let prompt = TokenWindows::new(&[3, 1, 4, 1, 5, 9], 6)?;
/// let parts = attribute_difference(&model, &prompt, 5, [7, 8])?;
/// assert!((parts.sum() - parts.total).abs() < 1e-5);
/// let heads: f64 = parts.layers[1].heads.iter().sum();
/// assert!((heads + parts.layers[1].attention_bias - parts.layers[1].attention).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`LogitAttribution::check_model`]; when there is no such position or token, the window does not fit the model, a number is
/// not finite, or the output weights of a layer's heads do not give what its attention wrote.
pub fn attribute_difference(
    model: &dyn ResidualModel,
    prompt: &TokenWindows,
    position: usize,
    tokens: [u32; 2],
) -> Result<DifferenceParts> {
    LogitAttribution::check_model(model)?;
    let prompt = prompt.clone().take(1);
    prompt.check(model)?;
    check_token_ids(&tokens, model.d_vocab())?;
    let n_rows = prompt.seq_len();
    if position >= n_rows {
        return Err(ProbeError::NoSuchRow { row: position, n_rows });
    }
    let mut tap = DifferenceTap::new(model, position, tokens)?;
    let resid = model.forward(prompt.batch(0..1, &model.device()), &mut tap)?;
    tap.misfits.iter().enumerate().try_for_each(|(layer, misfit)| misfit.check(layer))?;
    let scale = number(tap.weights.final_norm_scale(row(&resid, position))?);
    let bias = bias(model, tokens)?;
    let total = tap.along(&resid) / scale + bias;
    let parts = DifferenceParts { embedding: tap.embedding / scale, bias, layers: tap.scaled(scale), total };
    match parts.sum().is_finite() && parts.total.is_finite() {
        true => Ok(parts),
        false => Err(ProbeError::ActivationNotFinite { what: "the logit attribution of layer", place: 0, sequence: 0 }),
    }
}

/// The direction that raises one logit over another, `[1, d_model]`.
fn direction(weights: &dyn ModelWeights, tokens: [u32; 2]) -> Result<Tensor<2>> {
    let column = |token: u32| weights.w_u(one(token));
    let direction = (column(tokens[0])? - column(tokens[1])?).transpose();
    Ok(match weights.final_norm_is_centered() {
        true => direction.clone() - direction.mean_dim(1),
        false => direction,
    })
}

/// What biases add to the difference.
fn bias(model: &dyn ResidualModel, tokens: [u32; 2]) -> Result<f64> {
    let row = final_bias_row(model)?;
    let logit = |token: u32| -> Result<f64> { Ok(number(model.unembed(row.clone(), one(token))?)) };
    Ok(logit(tokens[0])? - logit(tokens[1])?)
}

fn one(token: u32) -> Range<usize> {
    token as usize..token as usize + 1
}

/// The number of a tensor of one.
fn number(tensor: Tensor<2>) -> f64 {
    f64::from(numbers(tensor)[0])
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.try_into_vec_as().expect("any float")
}

/// A row of the first window of `[batch, pos, width]`, `[1, width]`.
fn row(x: &Tensor<3>, position: usize) -> Tensor<2> {
    let [_, _, width] = x.dims();
    x.clone().narrow(0, 0, 1).narrow(1, position, 1).reshape([1, width])
}

/// Reads what each part writes along a direction; numbers are not yet divided by the final norm's scale.
struct DifferenceTap<'a> {
    weights: &'a dyn ModelWeights,
    /// `[1, d_model]`
    direction: Tensor<2>,
    position: usize,
    shows_neurons: bool,
    embedding: f64,
    layers: Vec<LayerParts>,
    misfits: Vec<Misfit>,
    heads: Option<HeadWrites>,
    neurons: Option<NeuronWrites>,
}

impl<'a> DifferenceTap<'a> {
    fn new(model: &'a dyn ResidualModel, position: usize, tokens: [u32; 2]) -> Result<Self> {
        let (weights, n_layers) = (weights_of(model)?, model.n_layers());
        Ok(Self {
            weights,
            direction: direction(weights, tokens)?,
            position,
            shows_neurons: model.hooks().contains(Hook::MlpPost) && model.shape().experts.is_none(),
            embedding: 0.0,
            layers: vec![LayerParts::default(); n_layers],
            misfits: vec![Misfit::default(); n_layers],
            heads: None,
            neurons: None,
        })
    }

    /// What the position's row of `[batch, pos, d_model]` is along the direction.
    fn along(&self, x: &Tensor<3>) -> f64 {
        number((row(x, self.position) * self.direction.clone()).sum_dim(1))
    }

    fn attention(&mut self, layer: usize, out: &Tensor<3>) {
        let of_all = self.along(out);
        let parts = &mut self.layers[layer];
        parts.attention = of_all;
        let Some(heads) = self.heads.take() else { return };
        let found = heads.scaled_to(&row(out, self.position));
        parts.heads = numbers(found.heads).into_iter().map(f64::from).collect();
        parts.attention_bias = found.bias.map_or(0.0, number);
        let [length, missing] = [0, 1].map(|at| f64::from(numbers(found.misfit.clone())[at]));
        self.misfits[layer] = Misfit { length, missing };
    }

    fn mlp(&mut self, layer: usize, out: &Tensor<3>) {
        self.layers[layer].mlp = self.along(out);
        self.layers[layer].neurons = self.neurons.take().and_then(|writes| writes.explaining(out, self.position));
    }

    /// The layers' numbers, divided by the final norm's scale.
    fn scaled(self, scale: f64) -> Vec<LayerParts> {
        let mut layers = self.layers;
        for parts in &mut layers {
            [&mut parts.attention, &mut parts.attention_bias, &mut parts.mlp].into_iter().for_each(|x| *x /= scale);
            parts.heads.iter_mut().chain(parts.neurons.iter_mut().flatten()).for_each(|x| *x /= scale);
        }
        layers
    }
}

impl Tap for DifferenceTap<'_> {
    fn hooks(&self) -> HookSet {
        let hooks: HookSet = [Hook::Embed, Hook::Z, Hook::AttnOut, Hook::MlpOut].into();
        if self.shows_neurons { hooks.with(Hook::MlpPost) } else { hooks }
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> CoreResult<Activation> {
        let (point, layer) = (hook.at(site.slot), site.layer);
        match hook {
            Hook::Z => {
                let z = activation.clone().heads(point)?;
                let [_, _, n_heads, d_head] = z.dims();
                let z = z.narrow(0, 0, 1).narrow(1, self.position, 1).reshape([1, n_heads * d_head]);
                self.heads = Some(HeadWrites::new(self.weights, layer, z, &self.direction)?);
            }
            Hook::MlpPost => {
                let post = activation.clone().wide(point)?;
                self.neurons = Some(NeuronWrites::new(self.weights.w_out(layer)?, &post, &self.direction));
            }
            Hook::AttnOut => self.attention(layer, &activation.clone().wide(point)?),
            Hook::MlpOut => self.mlp(layer, &activation.clone().wide(point)?),
            _ => self.embedding = self.along(&activation.clone().wide(point)?),
        }
        Ok(activation)
    }
}

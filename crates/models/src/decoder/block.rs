//! One layer: [`Block`], attention and an MLP that read the normed residual stream and add to it.

use burn::module::Module;
use burn::tensor::Tensor;
use stratigraph_core::{BlockState, CoreError, Hook, Replacement, Result, Site, Tap, visit};

use super::attention::{Attention, KeyValues, Past};
use super::linear::Linear;
use super::mlp::AnyMlp;
use super::norm::AnyNorm;
use crate::Residual;

/// Hooks inside attention; where a tap wants one of them, attention runs even if its output is replaced.
const IN_ATTENTION: [Hook; 8] =
    [Hook::Ln1Scale, Hook::Ln1Normalized, Hook::Q, Hook::K, Hook::V, Hook::AttnScores, Hook::Pattern, Hook::Z];
/// Hooks inside the MLP.
const IN_MLP: [Hook; 6] =
    [Hook::Ln2Scale, Hook::Ln2Normalized, Hook::ExpertWeights, Hook::ExpertIndices, Hook::MlpPre, Hook::MlpPost];

/// The hooks of a norm.
#[derive(Clone, Copy)]
struct NormHooks {
    scale: Hook,
    normalized: Hook,
}

const LN1: NormHooks = NormHooks { scale: Hook::Ln1Scale, normalized: Hook::Ln1Normalized };
const LN2: NormHooks = NormHooks { scale: Hook::Ln2Scale, normalized: Hook::Ln2Normalized };

/// A block; its sublayers run one after the other or side by side.
#[derive(Module, Debug)]
pub(crate) struct Block {
    /// None when norms are only after sublayers.
    pub(super) attn_norm: Option<AnyNorm>,
    pub(super) attn: Attention,
    /// The norm of attention's output.
    pub(super) attn_post_norm: Option<AnyNorm>,
    /// None when attention's norm serves the MLP too, or norms are only after sublayers.
    pub(super) mlp_norm: Option<AnyNorm>,
    pub(super) mlp: AnyMlp,
    /// The norm of the MLP's output.
    pub(super) mlp_post_norm: Option<AnyNorm>,
    /// The factor of what each sublayer adds.
    pub(super) scale: f64,
    #[module(skip)]
    pub(super) residual: Residual,
}

/// A residual stream, and what a sublayer adds to it: none when it adds nothing.
struct Added {
    resid: Tensor<3>,
    out: Option<Tensor<3>>,
}

impl Block {
    /// The whole block on whole windows, `[batch, pos, d_model]` to the same.
    pub(super) fn forward(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        self.run(site, resid, None, tap)
    }

    /// The whole block on the positions that follow those of `state`.
    pub(super) fn forward_from(
        &self,
        site: Site,
        resid: Tensor<3>,
        state: &mut BlockState,
        tap: &mut dyn Tap,
    ) -> Result<Tensor<3>> {
        let first = state.n_positions();
        self.run(site, resid, Some(Past { first, kept: state.kept::<KeyValues>() }), tap)
    }

    fn run(&self, site: Site, resid: Tensor<3>, past: Option<Past>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        let resid = visit(tap, site, Hook::ResidPre, resid)?;
        let resid = match self.residual {
            Residual::ParallelSharedNorm => self.with_shared_norm(site, resid, past, tap)?,
            Residual::Parallel => {
                let attn = self.attention(site, resid, past, tap)?;
                let mlp = self.feed_forward(site, attn.resid, tap)?;
                add(add(mlp.resid, attn.out), mlp.out)
            }
            Residual::Sequential => {
                let attn = self.attention(site, resid, past, tap)?;
                let resid = visit(tap, site, Hook::ResidMid, add(attn.resid, attn.out))?;
                let mlp = self.feed_forward(site, resid, tap)?;
                add(mlp.resid, mlp.out)
            }
        };
        visit(tap, site, Hook::ResidPost, resid)
    }

    /// The output weights of each neuron, `[d_mlp, d_model]`, with the linear part of the norm after the MLP.
    pub(super) fn w_out(&self) -> Tensor<2> {
        let weight = self.mlp.w_out();
        self.scaled(match &self.mlp_post_norm {
            Some(norm) => norm.linear_part(weight),
            None => weight,
        })
    }

    /// Bytes of its weights, as they are held.
    pub(super) fn n_bytes(&self) -> usize {
        self.num_params() * size_of::<f32>() + self.n_half_bytes()
    }

    /// Bytes of its weights in 16 bit, which are no parameters.
    pub(super) fn n_half_bytes(&self) -> usize {
        let Attention { query, key, value, output, .. } = &self.attn;
        [query, key, value, output].into_iter().chain(self.mlp.maps()).map(Linear::n_half_bytes).sum()
    }

    /// What each head writes for its `z`, `[n_heads, d_head, d_model]`, with the linear part of the norm after attention.
    pub(super) fn w_o(&self) -> Tensor<3> {
        let weight = self.behind_attention(self.attn.output.matrix());
        let [_, d_model] = weight.dims();
        weight.reshape([self.attn.n_heads, self.attn.d_head, d_model])
    }

    /// The bias of attention's output, `[d_model]`, with the linear part of the norm after attention.
    pub(super) fn b_o(&self) -> Option<Tensor<1>> {
        let bias = self.attn.output.bias.as_ref()?.val();
        Some(self.behind_attention(bias.unsqueeze()).squeeze_dim(0))
    }

    fn behind_attention(&self, rows: Tensor<2>) -> Tensor<2> {
        self.scaled(match &self.attn_post_norm {
            Some(norm) => norm.linear_part(rows),
            None => rows,
        })
    }

    /// What a sublayer adds, of what it computes.
    fn scaled<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if self.scale == 1.0 { x } else { x * self.scale }
    }

    fn attention(&self, site: Site, resid: Tensor<3>, past: Option<Past>, tap: &mut dyn Tap) -> Result<Added> {
        if let Some(replacement) = replacement(tap, site, Hook::AttnOut, &resid)? {
            return Ok(Added { out: replaced(replacement, site, Hook::AttnOut, &resid)?, resid });
        }
        let Normed { resid, normed } = visited_norm(self.attn_norm.as_ref(), resid, (site, LN1), tap)?;
        Ok(Added { out: Some(self.attn_out(site, normed, past, tap)?), resid })
    }

    fn feed_forward(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Added> {
        if let Some(replacement) = replacement(tap, site, Hook::MlpOut, &resid)? {
            return Ok(Added { out: replaced(replacement, site, Hook::MlpOut, &resid)?, resid });
        }
        let Normed { resid, normed } = visited_norm(self.mlp_norm.as_ref(), resid, (site, LN2), tap)?;
        Ok(Added { out: Some(self.mlp_out(site, normed, tap)?), resid })
    }

    /// Both sublayers side by side on one normed stream, which is computed only if one of them runs.
    fn with_shared_norm(
        &self,
        site: Site,
        resid: Tensor<3>,
        past: Option<Past>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor<3>> {
        let attn = replacement(tap, site, Hook::AttnOut, &resid)?;
        let mlp = replacement(tap, site, Hook::MlpOut, &resid)?;
        if let (Some(attn), Some(mlp)) = (&attn, &mlp) {
            let attn_out = replaced(attn.clone(), site, Hook::AttnOut, &resid)?;
            let mlp_out = replaced(mlp.clone(), site, Hook::MlpOut, &resid)?;
            return Ok(add(add(resid, attn_out), mlp_out));
        }
        let Normed { resid, normed } = visited_norm(self.attn_norm.as_ref(), resid, (site, LN1), tap)?;
        let attn_out = match attn {
            Some(attn) => replaced(attn, site, Hook::AttnOut, &resid)?,
            None => Some(self.attn_out(site, normed.clone(), past, tap)?),
        };
        let resid = add(resid, attn_out);
        let mlp_out = match mlp {
            Some(mlp) => replaced(mlp, site, Hook::MlpOut, &resid)?,
            None => Some(self.mlp_out(site, normed, tap)?),
        };
        Ok(add(resid, mlp_out))
    }

    pub(super) fn attn_out(
        &self,
        site: Site,
        normed: Tensor<3>,
        past: Option<Past>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor<3>> {
        let out = self.attn.forward(normed, site, past, tap)?;
        visit(tap, site, Hook::AttnOut, self.scaled(normed_by(&self.attn_post_norm, out)))
    }

    pub(super) fn mlp_out(&self, site: Site, normed: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        let out = self.mlp.forward(normed, site, tap)?;
        visit(tap, site, Hook::MlpOut, self.scaled(normed_by(&self.mlp_post_norm, out)))
    }
}

/// A residual stream as it is, and normed.
struct Normed {
    resid: Tensor<3>,
    normed: Tensor<3>,
}

/// Norms a residual stream, and shows the tap the norm's divisors and its output. Without a norm the stream is as it is.
fn visited_norm(
    norm: Option<&AnyNorm>,
    resid: Tensor<3>,
    (site, NormHooks { scale, normalized }): (Site, NormHooks),
    tap: &mut dyn Tap,
) -> Result<Normed> {
    let Some(norm) = norm else { return Ok(Normed { normed: resid.clone(), resid }) };
    let (resid, normed) = if tap.wants(site, scale) {
        let scales = visit(tap, site, scale, norm.scales(resid.clone()))?;
        (resid.clone(), norm.forward_by(resid, scales))
    } else {
        norm.beside(resid)
    };
    Ok(Normed { resid, normed: visit(tap, site, normalized, normed)? })
}

/// The tap's replacement for a sublayer's output, of the shape of `resid`; `None` if the sublayer has to run.
fn replacement(tap: &mut dyn Tap, site: Site, hook: Hook, resid: &Tensor<3>) -> Result<Option<Replacement>> {
    let inside: &[Hook] = if hook == Hook::AttnOut { &IN_ATTENTION } else { &IN_MLP };
    if !tap.wants(site, hook) || inside.iter().any(|inside| tap.wants(site, *inside)) {
        return Ok(None);
    }
    tap.replacement(site, hook, resid.dims())
}

/// What a replaced sublayer adds to `resid`.
fn replaced(replacement: Replacement, site: Site, hook: Hook, resid: &Tensor<3>) -> Result<Option<Tensor<3>>> {
    let Replacement::Values(values) = replacement else { return Ok(None) };
    let (point, before, after) = (hook.at(site.slot), resid.dims().to_vec(), values.dims());
    if after != before {
        return Err(CoreError::ShapeChanged { point, before, after });
    }
    values.to_device(&resid.device()).wide(point).map(Some)
}

fn add(resid: Tensor<3>, out: Option<Tensor<3>>) -> Tensor<3> {
    match out {
        Some(out) => resid + out,
        None => resid,
    }
}

fn normed_by(norm: &Option<AnyNorm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use stratigraph_core::ModelWeights;
    use stratigraph_testing::host;

    use crate::{DecoderConfig, Norm, NormPlacement};

    #[test]
    fn a_norm_that_subtracts_the_mean_leaves_weights_without_one() {
        let config = DecoderConfig::new(1, 16, 2, 32);
        let config = config.with_norm(Norm::Layer { eps: 1e-5 }).with_norm_placement(NormPlacement::Sandwich);
        let model = config.init(1, &Device::flex()).unwrap();
        let means = host(model.w_out(0).unwrap().mean_dim(1));
        assert!(means.iter().all(|mean| mean.abs() < 1e-6), "{means:?}");
    }
}

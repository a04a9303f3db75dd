//! One layer: [`Block`], attention and an MLP that read the normed residual stream and add to it.

use burn::module::Module;
use burn::tensor::Tensor;
use stratigraph_core::{Hook, Site, Sublayer, Tap};

use super::attention::Attention;
use super::mlp::FeedForward;
use super::norm::AnyNorm;
use super::visit;

/// A pre-norm block; its sublayers run one after the other or side by side.
#[derive(Module, Debug)]
pub(crate) struct Block {
    pub(super) attn_norm: AnyNorm,
    pub(super) attn: Attention,
    /// Of what attention writes.
    pub(super) attn_post_norm: Option<AnyNorm>,
    /// None when attention's norm serves the MLP too.
    pub(super) mlp_norm: Option<AnyNorm>,
    pub(super) mlp: FeedForward,
    /// Of what the MLP writes.
    pub(super) mlp_post_norm: Option<AnyNorm>,
    /// Whether the MLP reads what the block read, and not what attention has added to it.
    pub(super) side_by_side: bool,
}

impl Block {
    /// The whole block, `[batch, pos, d_model]` to the same.
    pub(super) fn forward(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        let resid = visit(tap, site, Hook::ResidPre, resid);
        let resid = if self.side_by_side {
            let (resid, normed) = self.attn_norm.beside(resid);
            let (resid, for_mlp) = match &self.mlp_norm {
                Some(norm) => norm.beside(resid),
                None => (resid, normed.clone()),
            };
            let attn_out = self.attn_out(site, normed, tap);
            resid + attn_out + self.mlp_out(site, for_mlp, tap)
        } else {
            let resid = self.with_sublayer(site, Sublayer::Attention, resid, tap);
            let resid = visit(tap, site, Hook::ResidMid, resid);
            self.with_sublayer(site, Sublayer::Mlp, resid, tap)
        };
        visit(tap, site, Hook::ResidPost, resid)
    }

    /// The block with one of its halves left out.
    pub(super) fn forward_sublayer(
        &self,
        site: Site,
        sublayer: Sublayer,
        resid: Tensor<3>,
        tap: &mut dyn Tap,
    ) -> Tensor<3> {
        let resid = visit(tap, site, Hook::ResidPre, resid);
        let resid = self.with_sublayer(site, sublayer, resid, tap);
        visit(tap, site, Hook::ResidPost, resid)
    }

    /// What each neuron writes, `[d_mlp, d_model]`, the gain of the norm behind the MLP folded in.
    pub(super) fn neuron_outputs(&self) -> Tensor<2> {
        let weight = self.mlp.down.weight.val();
        match &self.mlp_post_norm {
            Some(norm) => weight * norm.gains().unsqueeze(),
            None => weight,
        }
    }

    /// The residual stream with what a sublayer that reads it adds.
    fn with_sublayer(&self, site: Site, sublayer: Sublayer, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        match sublayer {
            Sublayer::Attention => {
                let (resid, normed) = self.attn_norm.beside(resid);
                resid + self.attn_out(site, normed, tap)
            }
            Sublayer::Mlp => {
                let (resid, normed) = self.mlp_norm.as_ref().unwrap_or(&self.attn_norm).beside(resid);
                resid + self.mlp_out(site, normed, tap)
            }
        }
    }

    fn attn_out(&self, site: Site, normed: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        let out = self.attn.forward(normed, site, tap);
        visit(tap, site, Hook::AttnOut, normed_by(&self.attn_post_norm, out))
    }

    fn mlp_out(&self, site: Site, normed: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        let out = self.mlp.forward(normed, site, tap);
        visit(tap, site, Hook::MlpOut, normed_by(&self.mlp_post_norm, out))
    }
}

fn normed_by(norm: &Option<AnyNorm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}

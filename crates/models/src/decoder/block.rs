//! One layer: [`Block`], attention and then an MLP, each reading the normed residual stream and adding to it.

use burn::module::Module;
use burn::nn::RmsNorm;
use burn::tensor::Tensor;
use stratigraph_core::{Hook, Site, Sublayer, Tap};

use super::attention::Attention;
use super::mlp::GatedMlp;
use super::visit;

/// A sequential pre-norm block.
#[derive(Module, Debug)]
pub(super) struct Block {
    pub(super) attn_norm: RmsNorm,
    pub(super) attn: Attention,
    pub(super) mlp_norm: RmsNorm,
    pub(super) mlp: GatedMlp,
}

impl Block {
    /// The whole block, `[batch, pos, d_model]` to the same.
    pub(super) fn forward(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        let resid = visit(tap, site, Hook::ResidPre, resid);
        let resid = resid.clone() + self.attn_out(site, resid, tap);
        let resid = visit(tap, site, Hook::ResidMid, resid);
        let resid = resid.clone() + self.mlp_out(site, resid, tap);
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
        let out = match sublayer {
            Sublayer::Attention => self.attn_out(site, resid.clone(), tap),
            Sublayer::Mlp => self.mlp_out(site, resid.clone(), tap),
        };
        visit(tap, site, Hook::ResidPost, resid + out)
    }

    fn attn_out(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        let out = self.attn.forward(self.attn_norm.forward(resid), site, tap);
        visit(tap, site, Hook::AttnOut, out)
    }

    fn mlp_out(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        let out = self.mlp.forward(self.mlp_norm.forward(resid), site, tap);
        visit(tap, site, Hook::MlpOut, out)
    }
}

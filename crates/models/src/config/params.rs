//! Which parameters a decoder of a configuration has, without its weights: [`DecoderConfig::params`].

use crate::param::{Kind, Param, Part};
use crate::{
    AttentionSinks, Bias, DecoderConfig, EmbedNorm, Experts, Head, Mlp, Norm, NormPlacement, Position, QkNorm, Residual,
};

/// A parameter and its shape in the layout of this crate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ParamShape {
    pub(crate) param: Param,
    pub(crate) shape: Vec<usize>,
}

impl DecoderConfig {
    /// Every parameter that a decoder of this configuration is built from.
    pub(crate) fn params(&self) -> Vec<ParamShape> {
        let mut list = List { config: self, layer: None, found: Vec::new() };
        list.weight(Part::Embed, &[self.d_vocab, self.d_model]);
        if self.embed_norm == EmbedNorm::Present {
            list.norm(Part::EmbedNorm, self.d_model);
        }
        if self.position == Position::Learned {
            list.weight(Part::PosEmbed, &[self.n_ctx, self.d_model]);
        }
        for layer in 0..self.n_layers {
            list.layer = Some(layer);
            list.attention();
            list.mlp(layer);
        }
        list.layer = None;
        list.norm(Part::FinalNorm, self.d_model);
        if self.head == Head::Untied {
            list.weight(Part::Unembed, &[self.d_vocab, self.d_model]);
        }
        list.bias(Part::Unembed, self.d_vocab, self.head_bias);
        list.found
    }
}

struct List<'a> {
    config: &'a DecoderConfig,
    layer: Option<usize>,
    found: Vec<ParamShape>,
}

impl List<'_> {
    fn add(&mut self, part: Part, kind: Kind, shape: &[usize]) {
        let param = Param { layer: self.layer, part, kind };
        self.found.push(ParamShape { param, shape: shape.to_vec() });
    }

    fn weight(&mut self, part: Part, shape: &[usize]) {
        self.add(part, Kind::Weight, shape);
    }

    fn bias(&mut self, part: Part, width: usize, bias: Bias) {
        if bias == Bias::Present {
            self.add(part, Kind::Bias, &[width]);
        }
    }

    fn linear(&mut self, part: Part, shape: [usize; 2], bias: Bias) {
        self.weight(part, &shape);
        self.bias(part, shape[1], bias);
    }

    fn norm(&mut self, part: Part, width: usize) {
        if !matches!(self.config.norm, Norm::LayerWithoutWeights { .. }) {
            self.weight(part, &[width]);
        }
        self.bias(part, width, matches!(self.config.norm, Norm::Layer { .. }).into());
    }

    fn attention(&mut self) {
        let DecoderConfig { d_model, n_heads, n_kv_heads, d_head, qkv_bias, .. } = *self.config;
        let placement = self.config.norm_placement;
        if placement != NormPlacement::Post {
            self.norm(Part::AttnNorm, d_model);
        }
        for (part, heads) in [(Part::Query, n_heads), (Part::Key, n_kv_heads), (Part::Value, n_kv_heads)] {
            self.linear(part, [d_model, heads * d_head], qkv_bias);
        }
        self.linear(Part::AttnOut, [n_heads * d_head, d_model], self.config.attn_out_bias);
        self.qk_norm(Part::QueryNorm, n_heads, Part::HeadQueryNorm);
        self.qk_norm(Part::KeyNorm, n_kv_heads, Part::HeadKeyNorm);
        if self.config.sinks == AttentionSinks::Present {
            self.weight(Part::Sinks, &[n_heads]);
        }
        if placement != NormPlacement::Pre {
            self.norm(Part::AttnPostNorm, d_model);
        }
    }

    /// `one` names the norm of one head.
    fn qk_norm(&mut self, part: Part, heads: usize, one: fn(u32) -> Part) {
        let d_head = self.config.d_head;
        match self.config.qk_norm {
            QkNorm::None => {}
            QkNorm::PerHead => self.norm(part, d_head),
            QkNorm::FullWidth => self.norm(part, heads * d_head),
            QkNorm::EachHead => (0..heads as u32).for_each(|head| self.weight(one(head), &[d_head])),
        }
    }

    fn mlp(&mut self, layer: usize) {
        let DecoderConfig { d_model, d_mlp, norm_placement, residual, .. } = *self.config;
        if norm_placement != NormPlacement::Post && residual != Residual::ParallelSharedNorm {
            self.norm(Part::MlpNorm, d_model);
        }
        match self.config.experts_of(layer) {
            Some(experts) => self.mixture(experts),
            None => self.feed_forward([Part::Gate, Part::Up, Part::Down], d_mlp),
        }
        if norm_placement != NormPlacement::Pre {
            self.norm(Part::MlpPostNorm, d_model);
        }
    }

    fn mixture(&mut self, experts: &Experts) {
        let d_model = self.config.d_model;
        self.linear(Part::Router, [d_model, experts.n_experts], experts.router_bias);
        for index in 0..experts.n_experts as u32 {
            let parts = [Part::ExpertGate(index), Part::ExpertUp(index), Part::ExpertDown(index)];
            self.feed_forward(parts, experts.d_expert);
        }
        if let Some(d_shared) = experts.d_shared {
            self.feed_forward([Part::SharedGate, Part::SharedUp, Part::SharedDown], d_shared);
            self.linear(Part::SharedWeight, [d_model, 1], Bias::Absent);
        }
    }

    fn feed_forward(&mut self, [gate, up, down]: [Part; 3], d_mlp: usize) {
        let DecoderConfig { d_model, mlp_bias, .. } = *self.config;
        if !matches!(self.config.mlp, Mlp::Plain { .. }) {
            self.linear(gate, [d_model, d_mlp], mlp_bias);
        }
        self.linear(up, [d_model, d_mlp], mlp_bias);
        self.linear(down, [d_mlp, d_model], mlp_bias);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use stratigraph_testing::{FAMILIES, fixture};

    use super::*;
    use crate::Checkpoint;

    #[test]
    fn the_list_is_what_a_decoder_has_in_every_family() {
        for name in FAMILIES {
            let checkpoint = Checkpoint::open(fixture(name)).unwrap();
            let mut expected = Vec::new();
            let decoder = checkpoint.load(&Device::flex()).unwrap();
            decoder.visit_params(&mut |param, shape, _| expected.push(ParamShape { param, shape: shape.to_vec() }));
            let mut found = checkpoint.config().params();
            let by_name = |listed: &ParamShape| format!("{:?}", listed.param);
            found.sort_by_key(by_name);
            expected.sort_by_key(by_name);
            assert_eq!(found, expected, "{name}");
        }
    }
}

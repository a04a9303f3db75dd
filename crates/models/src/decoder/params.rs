//! Reads a decoder's parameters back, by name: [`Decoder::visit_params`].

use burn::module::Param as BurnParam;
use burn::tensor::Tensor;

use super::attention::{Attention, EachHead, HeadNorm};
use super::block::Block;
use super::experts::{Mixture, Shared};
use super::linear::Linear;
use super::mlp::{AnyMlp, FeedForward};
use super::norm::AnyNorm;
use super::{Decoder, VocabMatrix};
use crate::param::{Kind, Param, Part};

/// Takes a parameter, its shape, and its values in row-major order.
pub(crate) type Visit<'a> = dyn FnMut(Param, &[usize], Vec<f32>) + 'a;

impl Decoder {
    /// Shows every parameter in the layout in which a [`ParamSource`](crate::param::ParamSource) gives it.
    pub(crate) fn visit_params(&self, visit: &mut Visit<'_>) {
        let whole = |part| Names { layer: None, part };
        whole(Part::Embed).vocab_matrix(&self.embed, visit);
        if let Some(norm) = &self.embed_norm {
            whole(Part::EmbedNorm).norm(norm, visit);
        }
        if let Some(positions) = &self.pos_embed {
            whole(Part::PosEmbed).tensor(Kind::Weight, positions, visit);
        }
        for (layer, block) in self.blocks.iter().enumerate() {
            visit_block(layer, block, visit);
        }
        whole(Part::FinalNorm).norm(&self.final_norm, visit);
        if let Some(head) = &self.unembed {
            whole(Part::Unembed).vocab_matrix(head, visit);
        }
        if let Some(bias) = &self.head_bias {
            whole(Part::Unembed).tensor(Kind::Bias, bias, visit);
        }
    }
}

fn visit_block(layer: usize, block: &Block, visit: &mut Visit<'_>) {
    let of = |part| Names { layer: Some(layer), part };
    let Attention { query, key, value, output, query_norm, key_norm, sinks, .. } = &block.attn;
    let norms = [
        (Part::AttnNorm, &block.attn_norm),
        (Part::AttnPostNorm, &block.attn_post_norm),
        (Part::MlpNorm, &block.mlp_norm),
        (Part::MlpPostNorm, &block.mlp_post_norm),
    ];
    for (part, norm) in norms {
        norm.iter().for_each(|norm| of(part).norm(norm, visit));
    }
    query_norm.iter().for_each(|norm| of(Part::QueryNorm).head_norm(norm, Part::HeadQueryNorm, visit));
    key_norm.iter().for_each(|norm| of(Part::KeyNorm).head_norm(norm, Part::HeadKeyNorm, visit));
    sinks.iter().for_each(|sinks| of(Part::Sinks).tensor(Kind::Weight, sinks, visit));
    for (part, map) in [(Part::Query, query), (Part::Key, key), (Part::Value, value), (Part::AttnOut, output)] {
        of(part).linear(map, visit);
    }
    match &block.mlp {
        AnyMlp::One(mlp) => visit_mlp(layer, [Part::Gate, Part::Up, Part::Down], mlp, visit),
        AnyMlp::Mixture(mixture) => visit_mixture(layer, mixture, visit),
    }
}

fn visit_mixture(layer: usize, mixture: &Mixture, visit: &mut Visit<'_>) {
    Names { layer: Some(layer), part: Part::Router }.linear(&mixture.router, visit);
    for (index, mlp) in (0..).zip(&mixture.experts) {
        visit_mlp(layer, [Part::ExpertGate(index), Part::ExpertUp(index), Part::ExpertDown(index)], mlp, visit);
    }
    if let Some(Shared { mlp, weight }) = &mixture.shared {
        visit_mlp(layer, [Part::SharedGate, Part::SharedUp, Part::SharedDown], mlp, visit);
        Names { layer: Some(layer), part: Part::SharedWeight }.linear(weight, visit);
    }
}

fn visit_mlp(layer: usize, [gate, up, down]: [Part; 3], mlp: &FeedForward, visit: &mut Visit<'_>) {
    let of = |part| Names { layer: Some(layer), part };
    mlp.gate.iter().for_each(|map| of(gate).linear(map, visit));
    of(up).linear(&mlp.up, visit);
    of(down).linear(&mlp.down, visit);
}

/// Names the tensors of one part.
struct Names {
    layer: Option<usize>,
    part: Part,
}

impl Names {
    fn named(&self, kind: Kind) -> Param {
        Param { layer: self.layer, part: self.part, kind }
    }

    fn tensor<const D: usize>(&self, kind: Kind, tensor: &BurnParam<Tensor<D>>, visit: &mut Visit<'_>) {
        let tensor = tensor.val();
        visit(self.named(kind), &tensor.dims(), values(tensor));
    }

    fn norm(&self, norm: &AnyNorm, visit: &mut Visit<'_>) {
        let (gains, bias) = match norm {
            AnyNorm::Layer(norm) => (norm.gamma.as_ref(), norm.beta.as_ref()),
            AnyNorm::Rms(norm) => (Some(&norm.gamma), None),
        };
        gains.into_iter().for_each(|gains| self.tensor(Kind::Weight, gains, visit));
        bias.into_iter().for_each(|bias| self.tensor(Kind::Bias, bias, visit));
    }

    /// `one` names the norm of one head.
    fn head_norm(&self, norm: &HeadNorm, one: fn(u32) -> Part, visit: &mut Visit<'_>) {
        match norm {
            HeadNorm::PerHead(norm) | HeadNorm::FullWidth(norm) => self.norm(norm, visit),
            HeadNorm::EachHead(EachHead { gains, .. }) => {
                let gains = gains.val();
                let [_, d_head] = gains.dims();
                for (head, gains) in (0..).zip(values(gains).chunks(d_head)) {
                    visit(Param { layer: self.layer, part: one(head), kind: Kind::Weight }, &[d_head], gains.to_vec());
                }
            }
        }
    }

    fn linear(&self, linear: &Linear, visit: &mut Visit<'_>) {
        visit(self.named(Kind::Weight), &linear.dims(), values(linear.matrix()));
        linear.bias.iter().for_each(|bias| self.tensor(Kind::Bias, bias, visit));
    }

    fn vocab_matrix(&self, matrix: &VocabMatrix, visit: &mut Visit<'_>) {
        let (shape, values) = matrix.values();
        visit(self.named(Kind::Weight), &shape, values);
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().expect("any float can be read as f32")
}

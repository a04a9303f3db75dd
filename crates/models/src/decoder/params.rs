//! Reads a decoder's parameters back, by name: [`Decoder::visit_params`].

use burn::module::Param as BurnParam;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::attention::Attention;
use super::block::Block;
use super::mlp::FeedForward;
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
    let Attention { query, key, value, output, query_norm, key_norm, .. } = &block.attn;
    let FeedForward { gate, up, down, .. } = &block.mlp;
    let norms = [
        (Part::AttnNorm, Some(&block.attn_norm)),
        (Part::QueryNorm, query_norm.as_ref()),
        (Part::KeyNorm, key_norm.as_ref()),
        (Part::AttnPostNorm, block.attn_post_norm.as_ref()),
        (Part::MlpNorm, block.mlp_norm.as_ref()),
        (Part::MlpPostNorm, block.mlp_post_norm.as_ref()),
    ];
    let maps = [
        (Part::Query, Some(query)),
        (Part::Key, Some(key)),
        (Part::Value, Some(value)),
        (Part::AttnOut, Some(output)),
        (Part::Gate, gate.as_ref()),
        (Part::Up, Some(up)),
        (Part::Down, Some(down)),
    ];
    norms
        .into_iter()
        .filter_map(|(part, norm)| Some((part, norm?)))
        .for_each(|(part, norm)| of(part).norm(norm, visit));
    maps.into_iter().filter_map(|(part, map)| Some((part, map?))).for_each(|(part, map)| of(part).linear(map, visit));
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
            AnyNorm::Layer(norm) => (&norm.gamma, Some(&norm.beta)),
            AnyNorm::Rms(norm) => (&norm.gamma, None),
        };
        self.tensor(Kind::Weight, gains, visit);
        bias.into_iter().for_each(|bias| self.tensor(Kind::Bias, bias, visit));
    }

    fn linear(&self, linear: &Linear, visit: &mut Visit<'_>) {
        self.tensor(Kind::Weight, &linear.weight, visit);
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

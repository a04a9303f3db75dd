//! Queries, keys and values by heads: their norms ([`HeadNorm`]), rotation and order of axes.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use stratigraph_kernels as kernels;

use super::super::host;
use super::super::norm::AnyNorm;
use super::super::rotary::Angles;

/// A norm of queries or keys `[batch, pos, heads, d_head]`.
#[derive(Module, Debug)]
pub(in super::super) enum HeadNorm {
    /// Over `d_head`, with weights that the heads share.
    PerHead(AnyNorm),
    /// Over `d_head`, with gains for each head.
    EachHead(EachHead),
    /// Over all heads together.
    FullWidth(AnyNorm),
}

/// A norm with gains for each head.
#[derive(Module, Debug)]
pub(in super::super) struct EachHead {
    /// The norm without weights.
    pub(in super::super) plain: AnyNorm,
    /// `[heads, d_head]`
    pub(in super::super) gains: Param<Tensor<2>>,
}

impl HeadNorm {
    pub(in super::super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            HeadNorm::PerHead(norm) => norm.forward(x),
            HeadNorm::EachHead(EachHead { plain, gains }) => plain.forward(x) * gains.val().unsqueeze(),
            HeadNorm::FullWidth(norm) => {
                let dims = x.dims();
                norm.forward(x.flatten::<3>(2, 3)).reshape(dims)
            }
        }
    }
}

/// Queries, keys or values `[batch, pos, heads, d_head]`, rotated if the model does so, as `[batch, heads, pos, d_head]`.
pub(super) fn by_heads(x: Tensor<4>, angles: Option<&Angles>) -> Tensor<4> {
    if host::on_host(&x.device()) {
        return heads_on_host(x, angles);
    }
    let x = match angles {
        Some(angles) => angles.rotate(x),
        None => x,
    };
    x.swap_dims(1, 2)
}

/// `[batch, pos, heads, d_head]` to `[batch, heads, pos, d_head]` in one pass over the tensor's memory, rotated on the way.
fn heads_on_host(x: Tensor<4>, angles: Option<&Angles>) -> Tensor<4> {
    let ([batch, pos, heads, d_head], device) = (x.dims(), x.device());
    let (x, angles) = (host::floats(x), angles.map(|angles| (angles.to_host(), angles.half())));
    let angles = angles.as_ref().map(|((cos, sin), half)| {
        let (cos, sin) = (host::slice(cos), host::slice(sin));
        kernels::Angles { cos, sin, half: *half }
    });
    let width = heads * d_head;
    let mut out = vec![0.0; batch * heads * pos * d_head];
    host::for_chunks(&mut out, pos * d_head, |index, out| {
        let (window, head) = (index / heads, index % heads);
        let rows = &host::slice(&x)[window * pos * width..(window + 1) * pos * width];
        kernels::split_head(rows, width, head * d_head, d_head, angles, out);
    });
    Tensor::from_data(TensorData::new(out, [batch, heads, pos, d_head]), &device)
}

//! The norm of a decoder, of either kind: [`AnyNorm`].

use burn::module::{Module, Param};
use burn::nn::RmsNorm;
use burn::tensor::module::layer_norm;
use burn::tensor::{Device, Tensor, TensorData};
use stratigraph_core::transfers;
use stratigraph_kernels as kernels;

use super::host;

/// Subtracts the mean, too.
#[derive(Module, Debug)]
pub(super) struct LayerNorm {
    /// None where every gain is one.
    pub(super) gamma: Option<Param<Tensor<1>>>,
    /// None where every bias is zero.
    pub(super) beta: Option<Param<Tensor<1>>>,
    pub(super) epsilon: f64,
}

/// Norms the last axis.
#[derive(Module, Debug)]
pub(super) enum AnyNorm {
    Layer(LayerNorm),
    Rms(RmsNorm),
}

impl AnyNorm {
    pub(super) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if host::on_host(&x.device()) {
            return self.on_host(x).1;
        }
        match self {
            AnyNorm::Layer(norm) => {
                let (width, device) = (x.dims()[D - 1], x.device());
                let beta = norm.beta.as_ref().map(Param::val);
                layer_norm(x, self.gains(width, &device), beta, norm.epsilon)
            }
            AnyNorm::Rms(norm) => norm.forward(x),
        }
    }

    /// A residual stream, unchanged and normed; its memory is read in place if it is not shared.
    pub(super) fn beside(&self, resid: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        if host::on_host(&resid.device()) { self.on_host(resid) } else { (resid.clone(), self.forward(resid)) }
    }

    /// The same in one vectorised pass over the tensor's memory.
    fn on_host<const D: usize>(&self, x: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
        let (dims, device) = (x.dims(), x.device());
        let width = dims[D - 1];
        let (x, gains) = (host::floats(x), host::floats(self.gains(width, &device)));
        let (rows, gains) = (host::slice(&x), host::slice(&gains));
        let normed = match self {
            AnyNorm::Layer(norm) => {
                let biases = host::floats(norm.biases(width, &device));
                kernels::layer_norm(rows, gains, host::slice(&biases), norm.epsilon as f32)
            }
            AnyNorm::Rms(norm) => kernels::rms_norm(rows, gains, norm.epsilon as f32),
        };
        (Tensor::from_data(x, &device), Tensor::from_data(TensorData::new(normed, dims), &device))
    }

    /// The divisor of each row, `[batch, pos, 1]`: `sqrt(mean(x^2) + eps)`, or `sqrt(variance + eps)`.
    pub(super) fn scales(&self, x: Tensor<3>) -> Tensor<3> {
        let ([batch, pos, width], device) = (x.dims(), x.device());
        if !host::on_host(&device) {
            return settled(match self {
                AnyNorm::Layer(norm) => ((x.clone() - x.mean_dim(2)).square().mean_dim(2) + norm.epsilon).sqrt(),
                AnyNorm::Rms(norm) => (x.square().mean_dim(2) + norm.epsilon).sqrt(),
            });
        }
        let x = host::floats(x);
        let scales = match self {
            AnyNorm::Layer(norm) => kernels::layer_scales(host::slice(&x), width, norm.epsilon as f32),
            AnyNorm::Rms(norm) => kernels::rms_scales(host::slice(&x), width, norm.epsilon as f32),
        };
        Tensor::from_data(TensorData::new(scales, [batch, pos, 1]), &device)
    }

    /// The norm with these [`scales`](AnyNorm::scales) in place of its own; on a CPU its own give the same bits.
    pub(super) fn forward_by(&self, x: Tensor<3>, scales: Tensor<3>) -> Tensor<3> {
        let (dims, device) = (x.dims(), x.device());
        if !host::on_host(&device) {
            let scales = settled(scales);
            return match self {
                AnyNorm::Layer(norm) => {
                    let centred = x.clone() - x.mean_dim(2);
                    let normed = self.times_gains(centred / scales);
                    norm.beta.as_ref().map_or(normed.clone(), |beta| normed + beta.val().unsqueeze())
                }
                AnyNorm::Rms(_) => self.times_gains(x / scales),
            };
        }
        let width = dims[2];
        let (x, gains, scales) = (host::floats(x), host::floats(self.gains(width, &device)), host::floats(scales));
        let (rows, gains, scales) = (host::slice(&x), host::slice(&gains), host::slice(&scales));
        let normed = match self {
            AnyNorm::Layer(norm) => {
                let biases = host::floats(norm.biases(width, &device));
                kernels::layer_norm_by(rows, gains, host::slice(&biases), scales)
            }
            AnyNorm::Rms(_) => kernels::rms_norm_by(rows, gains, scales),
        };
        Tensor::from_data(TensorData::new(normed, dims), &device)
    }

    /// What rows `[rows, width]` are divided by before the gains, `[rows, 1]`.
    pub(super) fn scales_of_rows(&self, rows: Tensor<2>) -> Tensor<2> {
        self.scales(rows.unsqueeze_dim(0)).squeeze_dim(0)
    }

    /// The linear part of the norm on rows `[rows, width]`: the mean is subtracted where the norm does so, and the gains are
    /// multiplied.
    pub(super) fn linear_part(&self, rows: Tensor<2>) -> Tensor<2> {
        let rows = match self {
            AnyNorm::Layer(_) => rows.clone() - rows.mean_dim(1),
            AnyNorm::Rms(_) => rows,
        };
        self.times_gains(rows)
    }

    /// A tensor whose last axis is multiplied by the gains.
    pub(super) fn times_gains<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self.gain_param() {
            Some(gains) => x * gains.val().unsqueeze(),
            None => x,
        }
    }

    /// The gains, `[width]`.
    fn gains(&self, width: usize, device: &Device) -> Tensor<1> {
        self.gain_param().map_or_else(|| Tensor::ones([width], device), Param::val)
    }

    fn gain_param(&self) -> Option<&Param<Tensor<1>>> {
        match self {
            AnyNorm::Layer(norm) => norm.gamma.as_ref(),
            AnyNorm::Rms(norm) => Some(&norm.gamma),
        }
    }
}

impl LayerNorm {
    /// The biases, `[width]`.
    fn biases(&self, width: usize, device: &Device) -> Tensor<1> {
        self.beta.as_ref().map_or_else(|| Tensor::zeros([width], device), Param::val)
    }
}

/// A tensor whose operations have run. burn 0.22.1's fusion gives wrong numbers where it joins the divisors of rows with what
/// is made of them.
fn settled(scales: Tensor<3>) -> Tensor<3> {
    let device = scales.device();
    transfers::upload(transfers::read(scales), &device)
}

//! Taylor importance of layers: [`taylor_importance`], and their removal by it ([`TaylorRemoval`]).

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use stratigraph_core::{NoTap, PerSequence, ResidualModel, Site, TokenWindows};
use stratigraph_profile::{Axis, Unit};
use stratigraph_study::{Measurement, Needs, Result, StudyContext, StudyError, Work, measured_curve};
use stratigraph_surgery::{Sweep, SweepContext};

/// The first-order estimate of how much the loss of each window rises when a layer writes nothing:
/// `- sum_t g_{l+1}[t] . (h_{l+1}[t] - h_l[t])`, with the gradient `g_{l+1}` of the window's mean loss by the residual stream after the
/// layer (Molchanov et al., *Importance Estimation for Neural Network Pruning*, CVPR 2019, with a gate on what the layer writes). The
/// loss counts from [`scored_from`](TokenWindows::scored_from) on.
///
/// The weights are constants; a window takes one backward pass through the residual stream.
///
/// # Errors
/// When the model cannot run the windows, or a gradient is not finite.
pub fn taylor_importance(model: &dyn ResidualModel, windows: &TokenWindows) -> Result<Vec<PerSequence>> {
    windows.check(model)?;
    let mut layers = vec![PerSequence::default(); model.n_layers()];
    for window in 0..windows.n_sequences() {
        for (layer, value) in of_window(model, windows, window)?.into_iter().enumerate() {
            if !value.is_finite() {
                let reason = format!("the gradient in window {window} at layer {layer} is not finite");
                return Err(StudyError::CannotMeasure { name: "taylor_importance".to_owned(), reason });
            }
            layers[layer].push(window, value);
        }
    }
    Ok(layers)
}

/// The estimate for each layer.
fn of_window(model: &dyn ResidualModel, windows: &TokenWindows, window: usize) -> Result<Vec<f64>> {
    let (device, seq_len, d_model) = (model.device(), windows.seq_len(), model.d_model());
    // What is added to the stream after each layer, nothing, has the gradient of the stream there.
    let zeros = || Tensor::<3>::zeros([1, seq_len, d_model], &device).autodiff().require_grad();
    let added: Vec<Tensor<3>> = (0..model.n_layers()).map(|_| zeros()).collect();
    let mut resid = model.embed(windows.batch(window..window + 1, &device))?.autodiff();
    let mut written = Vec::with_capacity(added.len());
    for (layer, added) in added.iter().enumerate() {
        let after = model.block(Site { slot: layer, layer }, resid.clone(), &mut NoTap)?;
        written.push((after.clone() - resid).inner());
        resid = after + added.clone();
    }
    let gradients = loss(model, resid, windows, window)?.backward();
    let estimate = |(added, written): (&Tensor<3>, Tensor<3>)| {
        let gradient = added.grad(&gradients).expect("the loss depends on the stream after every layer");
        let products: Vec<f32> = (gradient * written).try_into_vec_as().expect("any float");
        -products.into_iter().map(f64::from).sum::<f64>()
    };
    Ok(added.iter().zip(written).map(estimate).collect())
}

/// The mean loss of a window, from its last residual stream `[1, pos, d_model]`.
fn loss(model: &dyn ResidualModel, resid: Tensor<3>, windows: &TokenWindows, window: usize) -> Result<Tensor<1>> {
    let (first, last) = (windows.scored_from(), windows.seq_len() - 1);
    let n = last - first;
    let rows = resid.narrow(1, first, n).reshape([n, model.d_model()]);
    let log_probs = log_softmax(model.unembed(model.final_norm(rows)?, 0..model.d_vocab())?, 1);
    let next =
        windows.sequence(window)[first + 1..].iter().map(|&id| i32::try_from(id).expect("a token id fits 31 bits"));
    let next = TensorData::new(next.collect::<Vec<_>>(), [n, 1]);
    let next = Tensor::<2, Int>::from_data(next, &log_probs.device());
    Ok(log_probs.gather(1, next).mean().neg())
}

/// Layers left out by Taylor importance, none to all of them: the curve `taylor_importance`, and curves `remove_by_taylor_METRIC` against
/// the number of layers removed. The importance is computed on the same windows, before the study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaylorRemoval;

impl TaylorRemoval {
    /// Its name.
    pub const NAME: &'static str = "remove_by_taylor";
}

impl Measurement for TaylorRemoval {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        Needs::nothing().with_n_layers(1)
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let (model, windows) = (context.model, context.windows);
        let layers = taylor_importance(model, windows)?;
        let means: Vec<f64> = layers.iter().map(|layer| layer.summary().mean).collect();
        let mut order: Vec<usize> = (0..means.len()).collect();
        order.sort_by(|a, b| means[*a].total_cmp(&means[*b]));
        let sweep = Sweep::remove_in_order(Self::NAME, order);
        let points = sweep.points(&SweepContext::new(model.shape(), windows.seq_len()))?;
        let curve = measured_curve(Axis::layers(layers.len()), Unit::Nats, &layers);
        let add = Work::own(0, move |findings, _| findings.add_curve("taylor_importance", curve));
        Ok(vec![add, Work::Sweep { name: Self::NAME.to_owned(), points }])
    }
}

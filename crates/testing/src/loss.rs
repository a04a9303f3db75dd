//! The loss of a residual stream, by its definition: [`losses`].

use burn::tensor::Tensor;
use stratigraph_core::{ResidualModel, RunModel, TokenWindows};

use crate::host;

/// The mean loss of the next token in nats, window by window, of residual streams `[batch, pos, d_model]` after the last layer.
///
/// # Panics
/// When the model fails, or the residual streams are of other windows.
pub fn losses(model: &dyn ResidualModel, windows: &TokenWindows, resid: Tensor<3>) -> Vec<f64> {
    let logits = host(model.logits(resid).expect("the model unembeds"));
    let rows: Vec<_> = logits.chunks(model.d_vocab()).collect();
    assert_eq!(rows.len(), windows.ids().len(), "a row for each token");
    let loss = |at: usize| {
        let sum: f64 = rows[at].iter().map(|&logit| f64::from(logit).exp()).sum();
        sum.ln() - f64::from(rows[at][windows.ids()[at + 1] as usize])
    };
    let seq_len = windows.seq_len();
    let window = |window: usize| (0..seq_len - 1).map(|t| loss(window * seq_len + t)).sum::<f64>();
    (0..windows.n_sequences()).map(|index| window(index) / (seq_len - 1) as f64).collect()
}

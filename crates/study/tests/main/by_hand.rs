//! Divergences of runs that are edited by hand: [`kl_by_window`], [`Silenced`].

use burn::tensor::{Tensor, TensorData};
use stratigraph_core::{Activation, Hook, HookSet, NoTap, Result, RunModel, Site, Tap, TokenWindows};
use stratigraph_models::Decoder;
use stratigraph_probes::neurons::NeuronSet;
use stratigraph_testing::{device, host};

/// Puts numbers in the place of some neurons' activations, one after the other.
pub struct Silenced<'a> {
    pub set: &'a NeuronSet,
    /// From layer and neuron to the number.
    pub value: &'a dyn Fn(usize, usize) -> f32,
}

impl Tap for Silenced<'_> {
    fn hooks(&self) -> HookSet {
        [Hook::MlpPost].into()
    }

    fn visit(&mut self, site: Site, _hook: Hook, activation: Activation) -> Result<Activation> {
        let (dims, mut values) = (activation.dims(), activation.to_vec());
        for (at, value) in values.iter_mut().enumerate() {
            let neuron = at % dims[2];
            if self.set.contains(site.layer, neuron) {
                *value = (self.value)(site.layer, neuron);
            }
        }
        Ok(Tensor::<3>::from_data(TensorData::new(values, dims), &activation.device()).into())
    }
}

/// The mean over each window's positions of `KL(clean, changed)`, by its definition, where a tap changes the model.
pub fn kl_by_window(model: &Decoder, windows: &TokenWindows, tap: &mut dyn Tap) -> Vec<f64> {
    let (clean, changed) = (log_probs(model, windows, &mut NoTap), log_probs(model, windows, tap));
    let kl = |(p, q): (&Vec<f64>, &Vec<f64>)| p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
    let rows: Vec<f64> = clean.iter().zip(&changed).map(kl).collect();
    rows.chunks(windows.seq_len()).map(|rows| rows.iter().sum::<f64>() / rows.len() as f64).collect()
}

fn log_probs(model: &Decoder, windows: &TokenWindows, tap: &mut dyn Tap) -> Vec<Vec<f64>> {
    let resid = model.forward(windows.batch(0..windows.n_sequences(), &device()), tap).unwrap();
    let logits = host(model.logits(resid).unwrap());
    let row = |row: &[f32]| {
        let most = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum = row.iter().map(|&logit| (f64::from(logit) - most).exp()).sum::<f64>();
        row.iter().map(|&logit| f64::from(logit) - most - sum.ln()).collect()
    };
    logits.chunks(model.config().d_vocab).map(row).collect()
}

#[track_caller]
pub fn assert_near(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let close = approx::abs_diff_eq!(found, expected, epsilon = 2e-6 + 1e-4 * expected.abs());
        assert!(close, "{what}: {found} and {expected}");
    }
}

//! Attribution of one token against another in one prompt: its parts add up on every family, and those of neurons to their MLP.

use stratigraph_core::{ModelWeights, NoTap, ResidualModel, RunModel, TokenWindows};
use stratigraph_models::{Bias, Checkpoint, Decoder};
use stratigraph_probes::attribution::{DifferenceParts, attribute_difference};
use stratigraph_probes::readout::Readout;
use stratigraph_testing::{Expected, FAMILIES, device, devices, fixture, host};

const TOKENS: [u32; 2] = [7, 11];

fn load(name: &str) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap()
}

/// The largest part, to which rounding is relative, or 1 where all are smaller.
fn scale(parts: &DifferenceParts) -> f64 {
    let layers = parts.layers.iter().flat_map(|it| [it.attention, it.mlp]);
    layers.chain([parts.embedding, parts.bias]).map(f64::abs).fold(1.0, f64::max)
}

#[test]
fn parts_add_up_to_the_logit_difference_on_every_family() {
    for name in FAMILIES {
        let (model, windows) = (load(name), Expected::of_family(name).windows().take(1));
        let resid = model.forward(windows.batch(0..1, &device()), &mut NoTap).unwrap();
        for position in [0, windows.seq_len() - 1] {
            let parts = attribute_difference(&model, &windows, position, TOKENS).unwrap();
            let most = 1e-4 * scale(&parts);
            assert!((parts.sum() - parts.total).abs() < most, "{name}: {} and {}", parts.sum(), parts.total);
            for (layer, it) in parts.layers.iter().enumerate() {
                let heads = it.heads.iter().sum::<f64>() + it.attention_bias;
                assert!((heads - it.attention).abs() < most, "{name}, layer {layer}: {heads} and {}", it.attention);
                assert_eq!(it.heads.len(), model.shape().heads.unwrap().n_heads, "{name}");
            }
            if model.config().logit_soft_cap.is_some() {
                continue; // parts add up to the difference before the cap
            }
            let row = resid.clone().narrow(1, position, 1).reshape([1, model.d_model()]);
            let logits = Readout::new(&model).logits_of(row, &TOKENS).unwrap();
            let difference = f64::from(logits[0][0]) - f64::from(logits[0][1]);
            assert!((parts.total - difference).abs() < most, "{name}: {} and {difference}", parts.total);
        }
    }
}

/// What the neurons of each layer leave of its MLP after a position, before the final norm divides it; NaN where neurons are not
/// known.
fn rests(model: &Decoder, windows: &TokenWindows, position: usize) -> Vec<f64> {
    let resid = model.forward(windows.batch(0..1, &device()), &mut NoTap).unwrap();
    let row = resid.narrow(1, position, 1).reshape([1, model.d_model()]);
    let scale = f64::from(host(model.final_norm_scale(row).unwrap())[0]);
    let parts = attribute_difference(model, windows, position, TOKENS).unwrap();
    let rest = parts.layers.iter().map(|it| Some(it.mlp - it.neurons.as_ref()?.iter().sum::<f64>()));
    rest.map(|rest| rest.map_or(f64::NAN, |rest| rest * scale)).collect()
}

#[test]
fn neurons_add_up_to_their_mlp_or_differ_by_its_bias_alone() {
    for name in FAMILIES {
        let (model, windows) = (load(name), Expected::of_family(name).windows().take(1));
        let [early, late] = [1, windows.seq_len() - 1].map(|position| rests(&model, &windows, position));
        if model.shape().experts.is_some() {
            assert!(late.iter().all(|rest| rest.is_nan()), "{name}: a router scales what experts write");
            continue;
        }
        for (layer, (early, late)) in early.iter().zip(&late).enumerate() {
            let expected = if model.config().mlp_bias == Bias::Present { *early } else { 0.0 };
            assert!((late - expected).abs() < 1e-3, "{name}, layer {layer}: {late}, not {expected}");
        }
    }
}

#[test]
fn every_device_gives_the_same_parts() {
    let windows = Expected::of_family("gemma3").windows().take(1);
    let expected = attribute_difference(&load("gemma3"), &windows, 5, TOKENS).unwrap();
    for device in devices() {
        let model = Checkpoint::open(fixture("gemma3")).unwrap().load(&device.device).unwrap();
        let found = attribute_difference(&model, &windows, 5, TOKENS).unwrap();
        let layers = found.layers.iter().zip(&expected.layers);
        for (found, expected) in layers {
            let (found, expected) = (found.neurons.as_ref().unwrap(), expected.neurons.as_ref().unwrap());
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{:?}", device.backend);
        }
        assert!((found.total - expected.total).abs() < 1e-4, "{:?}", device.backend);
    }
}

#[test]
fn what_does_not_exist_is_refused() {
    let (model, windows) = (load("llama-gqa"), Expected::of_family("llama-gqa").windows());
    let n = windows.seq_len();
    assert!(attribute_difference(&model, &windows, n, TOKENS).unwrap_err().to_string().contains(&n.to_string()));
    assert!(attribute_difference(&model, &windows, 0, [7, 1_000_000]).is_err());
}

//! Attribution of logits and direct effects on every family, against what transformers computes and runs edited by hand.

use burn::tensor::Tensor;
use stratigraph_core::{
    Activation, ActivationCache, Hook, HookSet, ModelWeights, NoTap, PerSequence, ResidualModel, Result as CoreResult,
    RunModel, Site, Tap, TokenWindows, observe,
};
use stratigraph_models::{Checkpoint, Decoder, NormPlacement};
use stratigraph_probes::attribution::{DirectEffects, LogitAttribution};
use stratigraph_probes::readout::Readout;
use stratigraph_testing::{
    Backend, Expected, ExpectedTensor, FAMILIES, TestDevice, device, devices, fixture, host, losses,
};

fn load(name: &str) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap()
}

fn attributed<'a>(model: &'a dyn ResidualModel, windows: &'a TokenWindows, batch: usize) -> LogitAttribution<'a> {
    let mut attribution = LogitAttribution::new(model, windows).unwrap();
    observe(model, windows, batch, &mut [&mut attribution], |_| {}).unwrap();
    attribution.check().unwrap();
    attribution
}

/// Checks the means of windows, to within a part of the largest expected number.
#[track_caller]
fn assert_windows(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-2f64, |most, x| most.max(x.abs()));
    for (window, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance * scale, "{what}, window {window}: {found}, not {expected}");
    }
}

/// The sum of the means of some components, window by window.
fn sum<'p>(parts: impl IntoIterator<Item = &'p PerSequence>) -> Vec<f64> {
    let add = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(b).map(|(a, b)| a + b).collect();
    parts.into_iter().map(PerSequence::means).reduce(add).unwrap()
}

/// The logit of the next token minus the mean logit, the mean over each window.
fn centred_logits(logits: &[f32], windows: &TokenWindows) -> Vec<f64> {
    let (n_positions, n_predicted) = (windows.seq_len(), windows.seq_len() - 1);
    let rows: Vec<_> = logits.chunks(logits.len() / windows.ids().len()).collect();
    let centred = |at: usize| {
        let mean = rows[at].iter().map(|&x| f64::from(x)).sum::<f64>() / rows[at].len() as f64;
        f64::from(rows[at][windows.ids()[at + 1] as usize]) - mean
    };
    let window = |window: usize| (0..n_predicted).map(|t| centred(window * n_positions + t)).sum::<f64>();
    (0..windows.n_sequences()).map(|index| window(index) / n_predicted as f64).collect()
}

#[test]
fn components_and_biases_add_up_to_the_logits_of_transformers() {
    for name in FAMILIES {
        let (model, expected) = (load(name), Expected::of_family(name));
        if model.config().logit_soft_cap.is_some() {
            continue; // components add up to the logits before the cap
        }
        let windows = expected.windows();
        let logits = centred_logits(&expected.tensor("logits").values, &windows);
        for batch in [1, 2] {
            let found = attributed(&model, &windows, batch);
            let (embed, bias) = (found.embed(), found.final_bias());
            let all = sum([&embed, &bias].into_iter().chain(found.attention()).chain(found.mlp()));
            assert_windows(&all, &logits, 1e-4, &format!("{name}: the sum"));
            assert_windows(&found.centred_logit().means(), &logits, 1e-4, &format!("{name}: the logit"));
            let mut biases = found.attention_bias();
            for (layer, (attention, heads)) in found.attention().zip(found.heads()).enumerate() {
                let bias = biases.as_mut().and_then(Iterator::next);
                let of_heads = sum(heads.iter().chain(bias));
                assert_windows(&of_heads, &attention.means(), 1e-4, &format!("{name}: the heads of layer {layer}"));
            }
        }
    }
}

#[test]
fn models_with_biases_have_them_apart_and_others_do_not() {
    for (name, has_attention_bias, has_final_bias) in
        [("gpt2", true, true), ("phi", true, true), ("qwen2", false, false), ("gemma3", false, false)]
    {
        let (model, windows) = (load(name), Expected::of_family(name).windows());
        let found = attributed(&model, &windows, 2);
        let biases = found.attention_bias().map(|layers| layers.map(|it| it.summary().mean).collect::<Vec<_>>());
        assert_eq!(biases.is_some(), has_attention_bias, "{name}");
        assert!(biases.iter().flatten().all(|mean| mean.abs() > 1e-6), "{name}: {biases:?}");
        assert_eq!(found.final_bias().summary().mean != 0.0, has_final_bias, "{name}");
    }
}

/// The rows of some weights in f64.
fn rows(tensor: Tensor<2>) -> Vec<Vec<f64>> {
    let [_, width] = tensor.dims();
    host(tensor).chunks(width).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
}

fn mean(row: &[f64]) -> f64 {
    row.iter().sum::<f64>() / row.len() as f64
}

/// Attribution by its definition, in f64.
struct ByHand<'a> {
    windows: &'a TokenWindows,
    is_centred: bool,
    /// The column of the unembedding of each token, less their mean.
    tokens: Vec<Vec<f64>>,
    /// What the final norm divides each position by.
    scales: Vec<f64>,
}

impl<'a> ByHand<'a> {
    /// `last` is the residual stream after the last layer.
    fn new(model: &Decoder, windows: &'a TokenWindows, last: &[f32]) -> Self {
        let is_centred = model.final_norm_is_centered();
        let mut tokens = rows(model.w_u(0..model.d_vocab()).unwrap().transpose());
        for unit in 0..model.d_model() {
            let mean = mean(&tokens.iter().map(|row| row[unit]).collect::<Vec<_>>());
            tokens.iter_mut().for_each(|row| row[unit] -= mean);
        }
        let scale = |row: &[f32]| {
            let row = centred(row, is_centred);
            (row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64 + model.config().norm.eps()).sqrt()
        };
        let scales = last.chunks(model.d_model()).map(scale).collect();
        Self { windows, is_centred, tokens, scales }
    }

    /// The mean over each window of what a component adds.
    fn windows(&self, component: &[f32]) -> Vec<f64> {
        let (ids, seq_len) = (self.windows.ids(), self.windows.seq_len());
        let width = component.len() / ids.len();
        let at = |at: usize| {
            let row = centred(&component[at * width..][..width], self.is_centred);
            let token = &self.tokens[ids[at + 1] as usize];
            row.iter().zip(token).map(|(a, b)| a * b).sum::<f64>() / self.scales[at]
        };
        let window = |window: usize| mean(&(0..seq_len - 1).map(|t| at(window * seq_len + t)).collect::<Vec<_>>());
        (0..self.windows.n_sequences()).map(window).collect()
    }
}

fn centred(row: &[f32], is_centred: bool) -> Vec<f64> {
    let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
    let mean = if is_centred { mean(&row) } else { 0.0 };
    row.iter().map(|x| x - mean).collect()
}

#[test]
fn each_component_is_its_definition_on_the_activations_of_transformers() {
    for name in FAMILIES {
        let (model, expected) = (load(name), Expected::of_family(name));
        let windows = expected.windows();
        let found = attributed(&model, &windows, 2);
        let resid = expected.tensor("resid");
        let by_hand = ByHand::new(&model, &windows, resid.part(model.n_layers()));
        assert_windows(&found.embed().means(), &by_hand.windows(resid.part(0)), 1e-4, name);
        let of = |layers: Vec<&PerSequence>, tensor: ExpectedTensor| {
            assert_eq!(layers.len(), model.n_layers());
            for (layer, found) in layers.into_iter().enumerate() {
                let expected = by_hand.windows(tensor.part(layer));
                assert_windows(&found.means(), &expected, 1e-4, &format!("{name} {layer}"));
            }
        };
        of(found.attention().collect(), expected.tensor("attn_out"));
        of(found.mlp().collect(), expected.tensor("mlp_out"));
    }
}

/// Keeps what attention writes, from the `z` of one head alone or of none.
struct OneHead {
    head: Option<usize>,
    out: Option<Tensor<3>>,
}

impl Tap for OneHead {
    fn hooks(&self) -> HookSet {
        [Hook::Z, Hook::AttnOut].into()
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> CoreResult<Activation> {
        let point = hook.at(site.slot);
        if hook == Hook::AttnOut {
            self.out = Some(activation.clone().wide(point)?);
            return Ok(activation);
        }
        let z = activation.heads(point)?;
        let none = Tensor::zeros(z.dims(), &z.device());
        let [batch, pos, _, d_head] = z.dims();
        Ok(Activation::Heads(match self.head {
            Some(head) => none.slice_assign([0..batch, 0..pos, head..head + 1, 0..d_head], z.narrow(2, head, 1)),
            None => none,
        }))
    }
}

#[test]
fn a_head_adds_what_attention_writes_when_the_others_are_zeroed() {
    for name in FAMILIES {
        let (model, windows) = (load(name), Expected::of_family(name).windows());
        if model.config().norm_placement != NormPlacement::Pre {
            continue; // a norm after attention divides by what all heads write together
        }
        let cache = ActivationCache::at([Hook::ResidPre]);
        let cache = model.run_with_cache(&windows, cache.and([Hook::ResidPost.at(model.n_layers() - 1)])).unwrap();
        let last = host(cache.tensor(Hook::ResidPost.at(model.n_layers() - 1)).unwrap());
        let by_hand = ByHand::new(&model, &windows, &last);
        let found = attributed(&model, &windows, 2);
        for (layer, heads) in found.heads().enumerate() {
            let written = |head: Option<usize>| {
                let mut tap = OneHead { head, out: None };
                let resid = cache.tensor(Hook::ResidPre.at(layer)).unwrap();
                model.block(Site { slot: layer, layer }, resid, &mut tap).unwrap();
                tap.out.unwrap()
            };
            let nothing = written(None);
            for (head, found) in heads.iter().enumerate() {
                let alone = host(written(Some(head)) - nothing.clone());
                let what = format!("{name}: head {head} of layer {layer}");
                assert_windows(&found.means(), &by_hand.windows(&alone), 1e-4, &what);
            }
            if let Some(mut biases) = found.attention_bias() {
                let bias = biases.nth(layer).unwrap().means();
                assert_windows(&bias, &by_hand.windows(&host(nothing)), 1e-4, &format!("{name}: bias of {layer}"));
            }
        }
    }
}

#[test]
fn direct_effects_are_those_of_taking_an_output_from_the_last_residual_stream() {
    for name in FAMILIES {
        let (model, windows) = (load(name), Expected::of_family(name).windows());
        let (readout, mut cache) = (Readout::new(&model), DirectEffects::cache());
        let resid = model.forward(windows.batch(0..2, &device()), &mut cache).unwrap();
        let mut effects = DirectEffects::new(&readout, &windows);
        let mut n_readouts = 0;
        effects.add(0..2, &resid, &cache, || n_readouts += 1).unwrap();
        assert_eq!(n_readouts, DirectEffects::n_readouts(model.n_layers()));
        let clean = losses(&model, &windows, resid.clone());
        assert_windows(&effects.clean_loss().means(), &clean, 1e-5, name);
        for (hook, found) in [(Hook::AttnOut, effects.attention()), (Hook::MlpOut, effects.mlp())] {
            for (layer, found) in found.iter().enumerate() {
                let without = resid.clone() - cache.tensor(hook.at(layer)).unwrap();
                let without = losses(&model, &windows, without);
                let expected: Vec<f64> = without.iter().zip(&clean).map(|(a, b)| a - b).collect();
                assert_windows(&found.means(), &expected, 1e-4, &format!("{name} {layer} {hook}"));
            }
        }
    }
}

#[test]
fn every_backend_attributes_alike() {
    let mut first: Option<Vec<f64>> = None;
    for TestDevice { backend, device } in devices() {
        // wgpu may run in software.
        let names = ["gpt2", "gemma3", "llama-gqa"];
        for name in if backend == Backend::Wgpu { &names[..1] } else { &names[..] } {
            let model = Checkpoint::open(fixture(name)).unwrap().load(&device).unwrap();
            let windows = Expected::of_family(name).windows();
            let found = attributed(&model, &windows, 2);
            let heads = found.heads().flat_map(|heads| heads.iter().flat_map(PerSequence::means));
            let numbers: Vec<f64> = found.mlp().flat_map(PerSequence::means).chain(heads).collect();
            if *name == "gpt2" {
                assert_windows(&numbers, first.get_or_insert_with(|| numbers.clone()), 1e-4, &backend.to_string());
            }
            let logits = model.forward(windows.batch(0..2, &device), &mut NoTap).unwrap();
            let logits = centred_logits(&host(model.logits(logits).unwrap()), &windows);
            let (embed, bias) = (found.embed(), found.final_bias());
            let all = sum([&embed, &bias].into_iter().chain(found.attention()).chain(found.mlp()));
            assert_windows(&all, &logits, 1e-4, &format!("{name} on {backend}"));
        }
    }
}

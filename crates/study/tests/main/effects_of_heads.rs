//! What heads do for the logit where a norm follows attention, from the weights of a checkpoint, and models whose weights
//! do not give it.

use std::ops::Range;

use burn::tensor::Tensor;
use safetensors::SafeTensors;
use stratigraph_core::{
    ActivationCache, Hook, ModelShape, ModelWeights, ResidualModel, Result as CoreResult, RunModel, TokenWindows,
};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_study::Study;
use stratigraph_study::measurements::SublayerEffects;
use stratigraph_testing::{Expected, device, fixture, host};

fn load(name: &str) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap()
}

/// The numbers of a tensor of the checkpoint.
fn stored(bytes: &[u8], name: &str) -> Vec<f64> {
    let tensors = SafeTensors::deserialize(bytes).unwrap();
    let view = tensors.tensor(name).unwrap();
    view.data().as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    host(tensor).into_iter().map(f64::from).collect()
}

fn root_mean_square(row: &[f64], eps: f64) -> f64 {
    (row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64 + eps).sqrt()
}

#[test]
fn heads_before_a_norm_are_divided_by_its_scale() {
    let (model, windows) = (load("gemma3"), Expected::of_family("gemma3").windows());
    let bytes = std::fs::read(fixture("gemma3").join("model.safetensors")).unwrap();
    let (d_model, width, d_head, eps) = (16, 24, 12, 1e-6);
    let mut tokens = numbers(model.w_u(0..96).unwrap().transpose());
    for unit in 0..d_model {
        let mean = (0..96).map(|token| tokens[token * d_model + unit]).sum::<f64>() / 96.0;
        (0..96).for_each(|token| tokens[token * d_model + unit] -= mean);
    }
    let last = Hook::ResidPost.at(model.n_layers() - 1);
    let cache = model.run_with_cache(&windows, ActivationCache::at([Hook::Z]).and([last])).unwrap();
    let resid = numbers(cache.tensor(last).unwrap());
    let findings = Study::new(&model).add(SublayerEffects::new([])).run(&windows).unwrap();
    let found = findings.matrix("dla_heads").unwrap();
    let predicted: Vec<usize> = (0..windows.ids().len()).filter(|at| (at + 1) % windows.seq_len() != 0).collect();
    for layer in 0..model.n_layers() {
        let z = numbers(cache.heads(Hook::Z.at(layer)).unwrap());
        let w_o = stored(&bytes, &format!("model.layers.{layer}.self_attn.o_proj.weight"));
        let gain = stored(&bytes, &format!("model.layers.{layer}.post_attention_layernorm.weight"));
        // What the units `of` of z give, before the norm.
        let written = |at: usize, of: Range<usize>| -> Vec<f64> {
            let unit = |unit: usize| of.clone().map(|i| w_o[unit * width + i] * z[at * width + i]).sum();
            (0..d_model).map(unit).collect()
        };
        for head in 0..2 {
            let at = |&at: &usize| {
                let scale = root_mean_square(&written(at, 0..width), eps);
                let token = &tokens[windows.ids()[at + 1] as usize * d_model..];
                let own = written(at, head * d_head..(head + 1) * d_head);
                let along: f64 = (0..d_model).map(|i| own[i] * (1.0 + gain[i]) * token[i]).sum();
                along / scale / root_mean_square(&resid[at * d_model..(at + 1) * d_model], eps)
            };
            let expected = predicted.iter().map(at).sum::<f64>() / predicted.len() as f64;
            let found = found.values[layer][head];
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(0.1), "{layer} {head}: {found}, {expected}");
        }
    }
}

/// What is wrong with the weights of a model.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    NoWeights,
    NoHeads,
    NoScale,
    /// The first unit of each is left out.
    OtherHeads,
    UnknownHeads,
}

struct Faulty {
    model: Decoder,
    fault: Fault,
}

impl ResidualModel for Faulty {
    rest_of!(model: device embed block final_norm unembed);

    fn shape(&self) -> ModelShape {
        let mut shape = self.model.shape();
        if self.fault == Fault::UnknownHeads {
            shape.heads = None;
        }
        shape
    }

    fn weights(&self) -> Option<&dyn ModelWeights> {
        (self.fault != Fault::NoWeights).then_some(self)
    }
}

/// The weights of a model that gives only what it has to, so that defaults answer for the rest.
struct Least<'a>(&'a Decoder);

impl ModelWeights for Least<'_> {
    fn w_out(&self, layer: usize) -> CoreResult<Tensor<2>> {
        self.0.w_out(layer)
    }

    fn w_u(&self, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
        self.0.w_u(vocab)
    }

    fn final_norm_is_centered(&self) -> bool {
        self.0.final_norm_is_centered()
    }
}

impl ModelWeights for Faulty {
    fn w_out(&self, layer: usize) -> CoreResult<Tensor<2>> {
        self.model.w_out(layer)
    }

    fn w_u(&self, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
        self.model.w_u(vocab)
    }

    fn final_norm_is_centered(&self) -> bool {
        self.model.final_norm_is_centered()
    }

    fn w_o(&self, layer: usize) -> CoreResult<Tensor<3>> {
        match self.fault {
            Fault::NoHeads => Least(&self.model).w_o(layer),
            Fault::OtherHeads => {
                let w_o = self.model.w_o(layer)?;
                let [n_heads, _, d_model] = w_o.dims();
                let none = Tensor::zeros([n_heads, 1, d_model], &w_o.device());
                Ok(w_o.slice_assign([0..n_heads, 0..1, 0..d_model], none))
            }
            _ => self.model.w_o(layer),
        }
    }

    fn final_norm_scale(&self, rows: Tensor<2>) -> CoreResult<Tensor<2>> {
        match self.fault {
            Fault::NoScale => Least(&self.model).final_norm_scale(rows),
            _ => self.model.final_norm_scale(rows),
        }
    }
}

#[test]
fn weights_that_do_not_give_the_heads_are_refused() {
    let windows = TokenWindows::new(&[1, 5, 2, 7, 0, 3, 3, 6], 4).unwrap();
    for (fault, part) in [
        (Fault::NoWeights, "cannot measure effects: the model does not give access to its weights"),
        (
            Fault::NoHeads,
            "cannot measure effects: this model gives access to its weights, but not to the output weights",
        ),
        (Fault::NoScale, "implement ModelWeights::final_norm_scale"),
        (Fault::UnknownHeads, "cannot measure effects: this model does not say how many attention heads it has"),
        (Fault::OtherHeads, "the heads of layer 0 and their output bias do not add up to what its attention writes"),
    ] {
        let model = Faulty { model: load("llama-gqa"), fault };
        let mut n_events = 0;
        let study = Study::new(&model).add(SublayerEffects::new([])).on_progress(|_| n_events += 1);
        let message = study.run(&windows).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
        assert_eq!(n_events > 0, fault == Fault::OtherHeads, "{message}");
    }
}

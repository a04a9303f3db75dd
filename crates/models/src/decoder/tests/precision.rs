//! Weights in 16 bit: products with them, what they take, and what is refused.

use std::collections::HashMap;
use std::ops::Range;

use burn::tensor::Device;
use stratigraph_core::{NoTap, Precision, ResidualModel, RunModel};
use stratigraph_testing::{FAMILIES, assert_close, host};

use super::super::Decoder;
use super::{checkpoint, load, windows};
use crate::param::{Param, ParamSource};
use crate::{DecoderConfig, LoadOptions, ModelError, Result};

const HALVES: [Precision; 2] = [Precision::Bf16, Precision::F16];

fn options(precision: Precision) -> LoadOptions {
    LoadOptions::default().with_precision(precision)
}

fn logits(model: &dyn ResidualModel) -> Vec<f32> {
    let ids = windows().batch(0..2, &model.device());
    host(model.logits(model.forward(ids, &mut NoTap).unwrap()).unwrap())
}

/// The parameters of a decoder as it holds them, times a factor.
struct Held {
    values: HashMap<Param, Vec<f32>>,
    factor: f32,
}

impl Held {
    fn of(decoder: &Decoder, factor: f32) -> Self {
        let mut values = HashMap::new();
        decoder.visit_params(&mut |param, _, held| {
            values.insert(param, held);
        });
        Self { values, factor }
    }

    fn build(mut self, config: &DecoderConfig, options: &LoadOptions) -> Result<Decoder> {
        Decoder::build(config, config.n_layers, &mut self, options, &Device::flex())
    }
}

impl ParamSource for Held {
    fn values(&mut self, param: Param, _: &[usize]) -> Result<Vec<f32>> {
        Ok(self.values[&param].iter().map(|x| x * self.factor).collect())
    }

    fn rows(&mut self, param: Param, [_, width]: [usize; 2], rows: Range<usize>) -> Result<Vec<f32>> {
        Ok(self.values(param, &[])?[rows.start * width..rows.end * width].to_vec())
    }
}

#[test]
fn every_family_runs_in_sixteen_bit() {
    for name in FAMILIES {
        let full = load(name);
        let expected = logits(&full);
        for (precision, bound) in HALVES.into_iter().zip([0.06, 0.008]) {
            let what = format!("{name} in {precision}");
            let model = checkpoint(name).load_with(&options(precision), &Device::flex()).unwrap();
            assert_eq!((model.shape().precision, full.shape().precision), (precision, Precision::F32));
            let found = logits(&model);
            // A rounded weight may choose another expert.
            if full.shape().experts.is_none() {
                assert_close(&found, &expected, bound, &what);
            }
            if name == "llama-gqa" && precision == Precision::Bf16 {
                assert!(found != expected, "weights are rounded");
            }
            // But for that rounding, and in bfloat16 that of what enters a product, the numbers are those of f32.
            let same = Held::of(&model, 1.0).build(model.config(), &LoadOptions::default()).unwrap();
            if precision == Precision::F16 {
                assert_close(&found, &logits(&same), 2e-4, &what);
            } else if full.shape().experts.is_none() {
                assert_close(&found, &logits(&same), 0.03, &what);
            }
            let streamed = checkpoint(name).stream_with(options(precision), &Device::flex()).unwrap();
            assert!(logits(&streamed) == found && streamed.shape().precision == precision, "{what}, streamed");
        }
    }
}

#[test]
fn weights_take_half_the_memory() {
    let config = DecoderConfig::new(2, 128, 4, 1024).with_d_mlp(384);
    let full = config.init(1, &Device::flex()).unwrap();
    for precision in HALVES {
        let half = config.init_with(1, &options(precision), &Device::flex()).unwrap();
        let share = half.n_bytes() as f64 / full.n_bytes() as f64;
        assert!((0.5..0.51).contains(&share), "{precision}: {share}");
    }
}

#[test]
fn weights_of_measures_are_those_that_are_held() {
    let model = checkpoint("gemma3").load_with(&options(Precision::Bf16), &Device::flex()).unwrap();
    let same = Held::of(&model, 1.0).build(model.config(), &LoadOptions::default()).unwrap();
    let [model, same] = [&model, &same].map(|it| it.weights().unwrap());
    assert_eq!(host(model.w_out(1).unwrap()), host(same.w_out(1).unwrap()));
    assert_eq!(host(model.w_o(0).unwrap()), host(same.w_o(0).unwrap()));
    assert_eq!(host(model.w_u(3..17).unwrap()), host(same.w_u(3..17).unwrap()));
}

#[test]
fn what_cannot_be_held_is_refused() {
    let autodiff = Device::flex().autodiff();
    let refused = checkpoint("llama-gqa").load_with(&options(Precision::Bf16), &autodiff).unwrap_err();
    assert!(matches!(refused, ModelError::CannotHold { precision: Precision::Bf16, .. }), "{refused}");
    assert!(refused.to_string().contains("not trained in 16 bit"), "{refused}");
    let full = load("llama-gqa");
    let loud = || Held::of(&full, 1e8);
    let refused = loud().build(full.config(), &options(Precision::F16)).unwrap_err();
    assert!(matches!(&refused, ModelError::TooLarge { matrix, .. } if matrix == "Embed"), "{refused}");
    assert!(loud().build(full.config(), &options(Precision::Bf16)).is_ok());
}

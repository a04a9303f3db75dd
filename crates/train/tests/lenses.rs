//! Lenses that are fitted by automatic differentiation: Jacobians by PyTorch and by finite differences, tuned lenses.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};
use stratigraph_core::{
    ActivationCache, Hook, ModelShape, NoTap, ResidualModel, Result, RunModel, Site, Tap, TokenWindows, visit,
};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_probes::lens::{AffineConfig, FittedLens, Lens, LensKind, LinearMap, fit_affine};
use stratigraph_study::Backend;
use stratigraph_testing::{Expected, assert_close, fixture, host};
use stratigraph_train::lens::{JacobianConfig, TunedConfig, fit_jacobian, fit_tuned};

const N_LAYERS: usize = 3;
const D_MODEL: usize = 24;

fn device() -> Device {
    Backend::Flex.device().unwrap()
}

fn model() -> Decoder {
    Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device()).unwrap()
}

fn windows(n: usize) -> TokenWindows {
    Expected::open("lenses/expected.safetensors").windows().take(n)
}

/// `J` of a residual position, `[output, input]`.
fn jacobian(lens: &FittedLens, position: usize) -> Vec<f32> {
    host(lens.map(position).unwrap().weight().transpose())
}

#[test]
fn jacobians_are_those_of_torch() {
    let expected = Expected::open("lenses/expected.safetensors");
    let config = JacobianConfig::default().with_skip_first(2);
    let lens = fit_jacobian(&model(), &windows(3), &config, |_| {}).unwrap();
    assert_eq!((lens.kind(), lens.n_layers(), lens.record().n_sequences), (LensKind::Jacobian, N_LAYERS, 3));
    for position in 0..N_LAYERS {
        let torch = expected.tensor(&format!("jacobian.{position}")).values;
        assert_close(&jacobian(&lens, position), &torch, 1e-4, &format!("position {position}"));
    }
}

#[test]
fn jacobians_are_finite_differences() {
    const STEP: f32 = 5e-3;
    let (model, windows) = (model(), windows(1));
    let config = JacobianConfig::default().with_skip_first(4).with_units_per_pass(7);
    let lens = fit_jacobian(&model, &windows, &config, |_| {}).unwrap();
    let mut cache = ActivationCache::at([Hook::ResidPre]);
    model.forward(windows.batch(0..1, &device()), &mut cache).unwrap();
    let counted = 4..11;
    for position in 0..N_LAYERS {
        let resid = cache.tensor(Hook::ResidPre.at(position)).unwrap();
        let found = jacobian(&lens, position);
        for input in [0, 5, 23] {
            let mut column = vec![0.0; D_MODEL];
            for source in counted.clone() {
                let nudged = |step: f32| {
                    let mut nudge = vec![0.0; 12 * D_MODEL];
                    nudge[source * D_MODEL + input] = step;
                    let nudge = Tensor::<3>::from_data(TensorData::new(nudge, [1, 12, D_MODEL]), &device());
                    let last = model.forward_from(position, resid.clone() + nudge, &mut NoTap).unwrap();
                    host(last.narrow(1, counted.start, counted.len()).sum_dim(1))
                };
                let (up, down) = (nudged(STEP), nudged(-STEP));
                let slopes = up.iter().zip(&down).map(|(up, down)| (up - down) / (2.0 * STEP) / counted.len() as f32);
                column.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
            }
            let of_lens: Vec<f32> = (0..D_MODEL).map(|output| found[output * D_MODEL + input]).collect();
            assert_close(&of_lens, &column, 5e-3, &format!("input {input} at position {position}"));
        }
    }
}

#[test]
fn probes_drawn_at_random_are_rows_of_the_same_matrices() {
    let model = model();
    let one = windows(1);
    let twice = TokenWindows::new(&[one.ids(), one.ids()].concat(), one.seq_len()).unwrap();
    let config = JacobianConfig::default().with_skip_first(2);
    let all = fit_jacobian(&model, &one, &config, |_| {}).unwrap();
    // Half of the units in each of two equal windows are all of them once.
    let half = fit_jacobian(&model, &twice, &config.clone().with_probes(12).with_seed(3), |_| {}).unwrap();
    for position in 0..N_LAYERS {
        assert_close(&jacobian(&half, position), &jacobian(&all, position), 1e-5, &format!("position {position}"));
    }
    assert_eq!(half.record().fit["windows_of_each_unit"], [1.0; D_MODEL]);
    let refused = |config: JacobianConfig| fit_jacobian(&model, &one, &config, |_| {}).unwrap_err().to_string();
    let few = refused(config.clone().with_probes(10));
    assert!(few.contains("1 windows with 10 units each do not reach all 24; give 3 windows"), "{few}");
    assert!(refused(config.clone().with_probes(25)).contains("25 units of a window cannot be probed"));
    assert!(refused(config.clone().with_skip_first(11)).contains("no position after the first 11 but the last"));
    assert!(refused(config.with_units_per_pass(0)).contains("a pass of 0 units"));
}

#[test]
fn a_tuned_lens_is_no_worse_than_what_it_began_with() {
    let (model, windows) = (model(), windows(40));
    let config = TunedConfig::default().with_steps(60).with_windows_per_step(8).with_learning_rate(3e-3).with_seed(1);
    let trained = config.trained(&windows).unwrap();
    assert_eq!((trained.n_sequences(), trained.sequence(7)), (35, windows.sequence(8)));
    let affine = fit_affine(&model, &trained, &AffineConfig::default(), |_| {}).unwrap();
    let mut done = Vec::new();
    let tuned = fit_tuned(&model, &windows, &affine, &config, |part| done.push(part)).unwrap();
    assert!(done.is_sorted() && done.last() == Some(&1.0));
    let (start, end) = (&tuned.record().fit["start_kl"], &tuned.record().fit["held_out_kl"]);
    assert!(start.iter().zip(end).all(|(start, end)| end <= start), "{start:?} and {end:?}");
    assert!(end[0] < 0.97 * start[0], "training helps: {start:?} and {end:?}");
    // At the last residual position it is the model.
    let rows = Tensor::ones([2, D_MODEL], &device());
    assert_eq!(host(tuned.stream(N_LAYERS, rows.clone()).unwrap()), host(rows));
    // Without a step it is what it began with, and a lens with gaps begins with the logit lens there.
    let none = TunedConfig::default().with_steps(0);
    let same = fit_tuned(&model, &windows, &affine, &none, |_| {}).unwrap();
    let [a, b] = [&same, &affine].map(|lens| host(lens.map(1).unwrap().weight()));
    assert_close(&a, &b, 1e-6, "no step");
    let gaps = FittedLens::new(LensKind::Jacobian, [None, None, None]);
    assert!(fit_tuned(&model, &windows, &gaps, &config, |_| {}).unwrap().map(0).is_some());
}

#[test]
fn settings_of_a_tuned_lens_are_checked() {
    let (model, windows) = (model(), windows(9));
    let eye = || Some(LinearMap::new(Tensor::eye(D_MODEL, &device())));
    let start = FittedLens::new(LensKind::Affine, [eye(), eye(), eye()]);
    let refused = |start: &FittedLens, windows: &TokenWindows, config: TunedConfig| {
        fit_tuned(&model, windows, start, &config, |_| {}).unwrap_err().to_string()
    };
    let config = TunedConfig::default();
    assert!(
        refused(&start, &windows.clone().take(7), config.clone())
            .contains("one window in 8 is held out, and there are 7")
    );
    assert!(refused(&start, &windows, config.clone().with_learning_rate(0.0)).contains("the learning rate 0"));
    assert!(refused(&start, &windows, config.clone().with_windows_per_step(0)).contains("a step of 0 windows"));
    assert!(config.trained(&windows.clone().take(7)).is_err());
    let mut none_held_out = config.clone();
    none_held_out.held_out = 0;
    assert!(none_held_out.trained(&windows).unwrap_err().to_string().contains("one window in 2 is held out"));
    let other = FittedLens::new(LensKind::Affine, [eye(), eye()]);
    assert!(refused(&other, &windows, config).contains("the affine lens is for a model of 2 layers"));
}

/// A model without attention: what it predicts at a position depends on the token there alone.
struct Pointwise {
    embedding: Tensor<2>,
    weights: [Tensor<2>; 2],
}

impl Pointwise {
    const SHAPE: [usize; 3] = [2, 8, 30];

    fn new() -> Self {
        let [_, width, d_vocab] = Self::SHAPE;
        let waves = |rows: usize, frequency: f32| {
            let value = |at: usize| (at as f32 * frequency + (at as f32).sqrt()).sin();
            let values = (0..rows * width).map(value).collect::<Vec<_>>();
            Tensor::<2>::from_data(TensorData::new(values, [rows, width]), &device())
        };
        Self { embedding: waves(d_vocab, 0.37), weights: [waves(width, 1.3), waves(width, 2.1)] }
    }
}

impl ResidualModel for Pointwise {
    fn shape(&self) -> ModelShape {
        let [n_layers, width, d_vocab] = Self::SHAPE;
        ModelShape::new(n_layers, width, d_vocab).with_hooks([Hook::ResidPre])
    }

    fn device(&self) -> Device {
        device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Result<Tensor<3>> {
        let [batch, pos] = tokens.dims();
        Ok(self.embedding.clone().select(0, tokens.reshape([batch * pos])).reshape([batch, pos, Self::SHAPE[1]]))
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        let resid = visit(tap, site, Hook::ResidPre, resid)?;
        let weights = self.weights[site.layer].clone().unsqueeze::<3>();
        Ok(resid.clone() + resid.matmul(weights).tanh())
    }

    fn final_norm(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        Ok(rows * 0.5)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Result<Tensor<2>> {
        Ok(normed.matmul(self.embedding.clone().slice([vocab]).transpose()))
    }
}

/// Windows of six tokens of which the first three do not count are, for a model without attention, windows of the last three.
#[test]
fn positions_that_do_not_count_are_in_no_fit() {
    let model = Pointwise::new();
    let ids: Vec<u32> = (0..32 * 6).map(|at| (at * at * 7 + at / 5) % 30).collect();
    let long = TokenWindows::new(&ids, 6).unwrap().with_skip_first(3).unwrap();
    let ends: Vec<u32> = ids.chunks(6).flat_map(|window| window[3..].to_vec()).collect();
    let short = TokenWindows::new(&ends, 3).unwrap();
    let maps = |lens: &FittedLens| -> Vec<f32> {
        (0..2).flat_map(|position| host(lens.map(position).unwrap().weight())).collect()
    };
    let affine = |windows| fit_affine(&model, windows, &AffineConfig::default(), |_| {}).unwrap();
    assert_close(&maps(&affine(&long)), &maps(&affine(&short)), 1e-5, "affine");
    // From the logit lens, so that training helps.
    let eye = || Some(LinearMap::new(Tensor::eye(Pointwise::SHAPE[1], &device())));
    let start = FittedLens::new(LensKind::Affine, [eye(), eye()]);
    let config = TunedConfig::default().with_steps(40).with_learning_rate(0.01);
    let tuned = |windows| fit_tuned(&model, windows, &start, &config, |_| {}).unwrap();
    let [found, expected] = [tuned(&long), tuned(&short)];
    assert_close(&maps(&found), &maps(&expected), 1e-4, "tuned");
    assert_ne!(maps(&expected), maps(&start), "it was trained");
    let kl = |lens: &FittedLens| lens.record().fit["held_out_kl"].iter().map(|x| *x as f32).collect::<Vec<_>>();
    assert_close(&kl(&found), &kl(&expected), 1e-4, "divergence on held-out windows");
    // Fewer are left out by default than these windows leave out.
    let config = JacobianConfig::default().with_skip_first(0);
    let jacobian = |windows| fit_jacobian(&model, windows, &config, |_| {}).unwrap();
    let [found, expected] = [jacobian(&long), jacobian(&short)];
    assert_close(&maps(&found), &maps(&expected), 1e-5, "Jacobian");
    assert_eq!((&found.record().fit["skip_first"], &expected.record().fit["skip_first"]), (&vec![3.0], &vec![0.0]));
}

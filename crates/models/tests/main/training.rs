//! A decoder as something to train: gradients, weights that move to another device, a loss that falls, records.

use approx::abs_diff_eq;
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::store::ModuleRecord;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use stratigraph_core::{NoTap, ResidualModel, RunModel};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_testing::{Backend, FAMILIES, TestDevice, devices, fixture};

/// Token ids `[1, pos]`.
fn ids(ids: &[i32], device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(ids.to_vec(), [1, ids.len()]), device)
}

/// The mean of `-ln p` of each token behind those before it.
fn loss(model: &Decoder, tokens: &[i32]) -> Tensor<1> {
    let device = model.device();
    let last = tokens.len() - 1;
    let resid = model.forward(ids(&tokens[..last], &device), &mut NoTap).unwrap();
    let log_probs = log_softmax(model.logits(resid).unwrap(), 2);
    log_probs.gather(2, ids(&tokens[1..], &device).unsqueeze_dim::<3>(2)).mean().neg()
}

fn number(tensor: Tensor<1>) -> f64 {
    f64::from(tensor.into_scalar::<f32>())
}

const TOKENS: [i32; 12] = [3, 14, 15, 9, 2, 6, 5, 3, 5, 8, 9, 7];

fn many_tokens() -> Vec<i32> {
    (0..32).map(|i| i * i % 47).collect()
}

/// Along a gradient a loss rises by the gradient's length, which differences of the loss alone tell too.
#[test]
fn gradients_are_the_slope_of_the_loss() {
    for name in [Backend::Flex, Backend::Ndarray] {
        let device = name.device().unwrap();
        for family in FAMILIES {
            let checkpoint = Checkpoint::open(fixture(family)).unwrap();
            let model = checkpoint.load(&device.clone().autodiff()).unwrap();
            // An expert that no position chooses has no gradient: mixtures take more tokens.
            let tokens = if model.shape().experts.is_some() { many_tokens() } else { TOKENS.to_vec() };
            let gradients = GradientsParams::from_grads(loss(&model, &tokens).backward(), &model);
            let n = model.num_params();
            let mut squares = Squares { gradients: &gradients, sum: 0.0, n: 0 };
            model.visit(&mut squares);
            let length = squares.sum.sqrt();
            assert_eq!(squares.n, n, "{family} on {name}: parameters without a gradient");
            let at = |h: f64| {
                let along = Along { gradients: &gradients, h: h / length };
                number(loss(&model.valid().map(&mut { along }), &tokens))
            };
            let h = 0.01 / length; // the loss changes by about 0.01
            // Five points, so that the curvature of the loss does not matter.
            let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
            assert!(
                abs_diff_eq!(slope / length, 1.0, epsilon = 0.01),
                "{family} on {name}: slope {slope}, gradient {length}"
            );
        }
    }
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
    n: usize,
}

impl burn::module::ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.n += gradient.shape().num_elements();
            self.sum += number(gradient.square().sum());
        }
    }
}

struct Along<'a> {
    gradients: &'a GradientsParams,
    h: f64,
}

impl burn::module::ModuleMapper for Along<'_> {
    fn map_float<const D: usize>(&mut self, param: burn::module::Param<Tensor<D>>) -> burn::module::Param<Tensor<D>> {
        let gradient = self.gradients.get::<D>(param.id).expect("every parameter has one");
        param.map(|tensor| tensor + gradient * self.h)
    }
}

#[test]
fn a_loss_falls_and_a_record_goes_on_where_it_was() {
    let device = Device::flex().autodiff();
    let config = Checkpoint::open(fixture("gpt2")).unwrap().config().clone();
    let optimizer = || AdamWConfig::new().init();
    let train = |mut model: Decoder, mut optimizer: burn::optim::ModuleOptimizer, steps: usize| {
        for _ in 0..steps {
            // An expert that no position chooses has no gradient: mixtures take more tokens.
            let tokens = if model.shape().experts.is_some() { many_tokens() } else { TOKENS.to_vec() };
            let gradients = GradientsParams::from_grads(loss(&model, &tokens).backward(), &model);
            model = optimizer.step(0.01, model, gradients);
        }
        (model, optimizer)
    };
    let start = config.init(5, &device).unwrap();
    let (half, state) = train(start.clone(), optimizer(), 15);
    assert!(number(loss(&half, &TOKENS)) < 0.5 * number(loss(&start, &TOKENS)));
    // Both records through bytes, into a decoder that was made anew.
    let bytes = half.clone().into_record().into_bytes().unwrap();
    let copy = config.init(6, &device).unwrap().load_record(ModuleRecord::from_bytes(bytes).unwrap());
    let copied_state = optimizer().from_bytes(state.into_bytes().unwrap()).unwrap();
    let (straight, _) = train(half, state, 5);
    let (resumed, _) = train(copy, copied_state, 5);
    assert_eq!(number(loss(&straight, &TOKENS)), number(loss(&resumed, &TOKENS)));
}

#[test]
fn a_decoder_moves_between_devices() {
    let model = Checkpoint::open(fixture("gpt2")).unwrap().load(&Device::flex()).unwrap();
    let expected = number(loss(&model, &TOKENS));
    for TestDevice { backend, device } in devices() {
        let moved = model.clone().to_device(&device);
        assert!(abs_diff_eq!(number(loss(&moved, &TOKENS)), expected, epsilon = 1e-5), "{backend}");
    }
}

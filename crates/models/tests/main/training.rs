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

/// A decoder's loss along its gradient.
struct Line<'a> {
    model: &'a Decoder,
    tokens: Vec<i32>,
    gradients: GradientsParams,
    /// The length of the gradient.
    length: f64,
    /// How many parameters have a gradient.
    n: usize,
}

impl<'a> Line<'a> {
    fn new(model: &'a Decoder, tokens: Vec<i32>) -> Self {
        let gradients = GradientsParams::from_grads(loss(model, &tokens).backward(), model);
        let mut squares = Squares { gradients: &gradients, sum: 0.0, n: 0 };
        model.visit(&mut squares);
        let (length, n) = (squares.sum.sqrt(), squares.n);
        Self { model, tokens, gradients, length, n }
    }

    /// The loss after a step that changes it by about `change`.
    fn at(&self, change: f64) -> f64 {
        let along = Along { gradients: &self.gradients, h: change / self.length / self.length };
        number(loss(&self.model.valid().map(&mut { along }), &self.tokens))
    }

    /// Whether every parameter has a gradient, and the loss does not jump between steps back and forth. In a mixture neither is
    /// certain: no position may choose an expert, and a step may change a choice.
    fn is_smooth(&self, change: f64) -> bool {
        if self.n < self.model.num_params() {
            return false;
        }
        let middle = self.at(0.0);
        let is_even = |h: f64| (self.at(h) - 2.0 * middle + self.at(-h)).abs() < 0.05 * change;
        is_even(change) && is_even(2.0 * change)
    }

    /// From five points, so that the curvature of the loss does not matter: 1 where the gradient is right.
    fn slope(&self, change: f64) -> f64 {
        let difference = |h: f64| self.at(h) - self.at(-h);
        (8.0 * difference(change) - difference(2.0 * change)) / (12.0 * change)
    }
}

/// Along a gradient a loss rises by the gradient's length, which differences of the loss alone tell too.
#[test]
fn gradients_are_the_slope_of_the_loss() {
    for name in [Backend::Flex, Backend::Ndarray] {
        let device = name.device().unwrap();
        for family in FAMILIES {
            let checkpoint = Checkpoint::open(fixture(family)).unwrap();
            let model = checkpoint.load(&device.clone().autodiff()).unwrap();
            let (line, change) = if model.shape().experts.is_some() {
                let text = |seed: i32| (0..40).map(|i| (i * i * seed + 7 * i + seed) % 47).collect();
                let mut lines = (1..200).map(|seed| Line::new(&model, text(seed)));
                let smooth = lines.find(|line| line.is_smooth(0.003));
                (smooth.unwrap_or_else(|| panic!("{family}: no text without a jump")), 0.003)
            } else {
                (Line::new(&model, TOKENS.to_vec()), 0.01)
            };
            assert_eq!(line.n, model.num_params(), "{family} on {name}: parameters without a gradient");
            let slope = line.slope(change);
            assert!(abs_diff_eq!(slope, 1.0, epsilon = 0.01), "{family} on {name}: slope {slope}");
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
            let gradients = GradientsParams::from_grads(loss(&model, &TOKENS).backward(), &model);
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

//! What the tests share: models, windows, and a sink that keeps what it gets, [`Keep`].

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::Device;
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_surgery::{
    Budget, Executor, Intervention, LastStream, LayerPlan, Sink, SurgeryError, Sweep, SweepContext,
};
use stratigraph_testing::{fixture, host};

/// Grouped heads, learned positions, and sublayers side by side.
pub const KINDS: [&str; 3] = ["llama-gqa", "gpt2", "neox-parallel"];
pub const SEQ_LEN: usize = 12;

pub fn load(name: &str, device: &Device) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(device).unwrap()
}

/// Windows of tokens that the model has.
pub fn windows(model: &dyn ResidualModel, n_sequences: usize, seq_len: usize) -> TokenWindows {
    let ids: Vec<u32> = (0..n_sequences * seq_len).map(|i| (i * i * 37 % model.d_vocab()) as u32).collect();
    TokenWindows::new(&ids, seq_len).unwrap()
}

/// The last residual stream of every intervention, by window.
#[derive(Default)]
pub struct Keep {
    windows: Vec<BTreeMap<usize, Vec<f32>>>,
    /// The windows and the interventions of each call.
    pub calls: Vec<(Range<usize>, Vec<usize>)>,
    pub steps: usize,
}

impl Keep {
    /// The residual stream of each intervention over the whole corpus.
    pub fn residuals(&self) -> Vec<Vec<f32>> {
        self.windows.iter().map(|windows| windows.values().flatten().copied().collect()).collect()
    }
}

impl Sink for Keep {
    type Error = SurgeryError;

    fn batch(&mut self, sequences: Range<usize>, streams: Vec<LastStream>) -> Result<(), SurgeryError> {
        self.calls.push((sequences.clone(), streams.iter().map(|stream| stream.intervention).collect()));
        for LastStream { intervention, resid } in streams {
            if self.windows.len() <= intervention {
                self.windows.resize_with(intervention + 1, BTreeMap::new);
            }
            let [batch, pos, d_model] = resid.dims();
            assert_eq!(batch, sequences.len());
            let values = host(resid);
            for (window, values) in sequences.clone().zip(values.chunks(pos * d_model)) {
                let kept = &mut self.windows[intervention];
                assert!(kept.insert(window, values.to_vec()).is_none(), "window {window} came twice");
            }
        }
        Ok(())
    }

    fn step_done(&mut self, n_sequences: usize) {
        self.steps += n_sequences;
    }
}

/// The last residual stream of each intervention.
pub fn execute(
    model: &dyn ResidualModel,
    interventions: &[Intervention],
    windows: &TokenWindows,
    budget: Budget,
) -> Vec<Vec<f32>> {
    let executor = Executor::new(interventions.to_vec()).with_budget(budget);
    let mut keep = Keep::default();
    executor.run(model, windows, &mut keep).unwrap();
    assert_eq!(keep.steps, executor.n_steps() * windows.n_sequences(), "each distinct prefix runs once a window");
    keep.residuals()
}

/// The least budget that the executor accepts, with one window in a call.
pub fn least_budget(model: &dyn ResidualModel, interventions: &[Intervention], windows: &TokenWindows) -> Budget {
    let widest = windows.seq_len() * model.shape().widest_activation(windows.seq_len()) * size_of::<f32>();
    let budget = Budget { bytes: 0, largest_tensor_bytes: widest };
    let executor = Executor::new(interventions.to_vec()).with_budget(budget);
    match executor.run(model, windows, &mut Keep::default()) {
        Err(SurgeryError::BudgetTooSmall { budget: 0, needed }) => Budget { bytes: needed, ..budget },
        other => panic!("{other:?}"),
    }
}

/// What a sweep does with a model.
pub fn points(sweep: &Sweep, model: &dyn ResidualModel, seq_len: usize) -> Vec<Intervention> {
    sweep.points(&SweepContext::new(model.shape(), seq_len)).unwrap().interventions
}

/// The last residual stream of a plan with a tap.
pub fn run_with(
    model: &dyn ResidualModel,
    plan: &LayerPlan,
    windows: &TokenWindows,
    tap: &mut dyn stratigraph_core::Tap,
) -> Vec<f32> {
    host(plan.run(model, windows.batch(0..windows.n_sequences(), &model.device()), tap).unwrap())
}

/// Runs on one thread: several share windows out, and a product of fewer rows may round otherwise.
pub fn on_one_thread<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run)
}

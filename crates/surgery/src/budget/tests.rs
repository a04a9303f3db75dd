//! The calls that plans of whole sweeps make, by the shape of a model alone: its blocks return what they are given.

use std::ops::Range;
use std::sync::Mutex;

use burn::tensor::{Int, Tensor};
use stratigraph_core::{Site, Tap, TokenWindows};

use super::*;
use crate::batch::{Batch, Runner};
use crate::corpus::CorpusActivations;
use crate::tree::PrefixTree;
use crate::{Executor, Intervention, LastStream, Sink, Sweep, SweepContext};

const SEQ_LEN: usize = 128;

/// A model of a shape whose blocks write down how many windows they are given.
struct Counted {
    shape: ModelShape,
    calls: Mutex<Vec<usize>>,
}

impl ResidualModel for Counted {
    fn shape(&self) -> ModelShape {
        self.shape
    }

    fn device(&self) -> Device {
        Device::flex()
    }

    fn embed(&self, _: Tensor<2, Int>) -> stratigraph_core::Result<Tensor<3>> {
        unreachable!("the run begins after the embedding")
    }

    fn block(&self, _: Site, resid: Tensor<3>, _: &mut dyn Tap) -> stratigraph_core::Result<Tensor<3>> {
        self.calls.lock().unwrap().push(resid.dims()[0]);
        Ok(resid)
    }

    fn final_norm(&self, rows: Tensor<2>) -> stratigraph_core::Result<Tensor<2>> {
        Ok(rows)
    }

    fn unembed(&self, normed: Tensor<2>, _: Range<usize>) -> stratigraph_core::Result<Tensor<2>> {
        Ok(normed)
    }
}

/// Takes every stream.
struct Taken(usize);

impl Sink for Taken {
    type Error = SurgeryError;

    fn batch(&mut self, _: Range<usize>, streams: Vec<LastStream>) -> Result<()> {
        self.0 += streams.len();
        Ok(())
    }
}

/// The tokens of each call of a block in a sweep of all deletions and swaps over eight windows of 128 tokens on a device.
fn calls(shape: ModelShape, budget: Budget) -> Vec<usize> {
    let context = SweepContext::new(shape, SEQ_LEN);
    let points = |sweep: Sweep| sweep.points(&context).unwrap().interventions;
    let clean = Intervention::none(shape.n_layers);
    let interventions: Vec<_> =
        std::iter::once(clean).chain(points(Sweep::delete())).chain(points(Sweep::swap())).collect();
    let tree = PrefixTree::new(&interventions);
    let kept = Kept { states: interventions.len(), depth: tree.depth(), corpus: 0 };
    let sizes = budget.sizes(&shape, Suited::DEVICE, Part { n_sequences: 8, seq_len: SEQ_LEN }, kept).unwrap();
    assert_eq!((sizes.n_sequences, sizes.n_pools), (8, 1));
    let fit = Fit { sizes, pools: WorkerPools::new(1) };
    let model = Counted { shape, calls: Mutex::default() };
    let windows = TokenWindows::new(&[0; 8 * SEQ_LEN], SEQ_LEN).unwrap();
    let corpus = CorpusActivations::new(&interventions, &model, &windows).unwrap();
    let runner = Runner { model: &model, corpus: &corpus, first: 0 };
    let mut taken = Taken(0);
    let way = if interventions.len() < sizes.most_states { Default::default() } else { tree.way(0) };
    Batch::new(&tree, (runner, &fit), (&mut taken, 0..8), way).run(Tensor::zeros([8, 1, 1], &Device::flex())).unwrap();
    assert_eq!(taken.0, interventions.len());
    let calls: Vec<_> = model.calls.into_inner().unwrap().into_iter().map(|windows| windows * SEQ_LEN).collect();
    assert_eq!(calls.iter().sum::<usize>(), Executor::new(interventions).n_steps() * 8 * SEQ_LEN);
    calls
}

/// What an executor has of a device with `memory` bytes beside `weights` bytes of weights, as a study divides it: an eighth is
/// left free, and a quarter of the rest is the readout's.
fn budget_on_device(memory: usize, weights: usize, largest_tensor_bytes: usize) -> Budget {
    Budget { bytes: (memory - memory / 8 - weights) / 4 * 3, largest_tensor_bytes }
}

#[test]
fn batches_are_even_and_few() {
    assert_eq!([(32, 23), (32, 40), (9, 4), (1, 5), (0, 5)].map(|(n, most)| evenly(n, most)), [16, 32, 3, 1, 1]);
}

#[test]
fn the_sweep_of_smollm2_makes_few_calls() {
    let shape = || ModelShape::new(30, 576, 49_152).with_heads(9, 3, 64).with_d_mlp(1536);
    for budget in [
        budget_on_device(4_000_000_000, 538_000_000, 128 << 20),
        Budget { bytes: 786_000_000 / 4 * 3, ..Budget::default() },
    ] {
        let calls = calls(shape(), budget);
        assert!(calls.len() <= 155, "{} calls", calls.len());
        assert!(calls.iter().all(|tokens| *tokens <= 8192));
    }
}

#[test]
fn calls_of_seven_billion_parameters_are_long() {
    let weights = 26_953_000_000;
    let calls = |budget| calls(ModelShape::new(32, 4096, 32_000).with_heads(32, 32, 128).with_d_mlp(11_008), budget);
    for memory in [40_000_000_000, 80_000_000_000, 141_000_000_000] {
        let calls = calls(budget_on_device(memory, weights, 1 << 30));
        let mean = calls.iter().sum::<usize>() / calls.len();
        assert!(mean >= 2048, "{mean} tokens a call with {memory} bytes");
    }
    // The smallest buffers take the neurons of two interventions; a step for which only one waits is shorter.
    let smallest = [budget_on_device(40_000_000_000, weights, 128 << 20), budget_on_eighth(weights)].map(calls);
    for mut calls in smallest {
        calls.sort_unstable();
        assert!(calls[calls.len() / 2] >= 2048, "{calls:?}");
    }
}

/// Where a device does not say what it has.
fn budget_on_eighth(weights: usize) -> Budget {
    Budget { bytes: weights / 8 / 4 * 3, ..Budget::default() }
}

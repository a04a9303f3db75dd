//! The executor against plain runs: any budget, any cut of the corpus, any order of its parts.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{Edit, Hook, ModelShape, NoTap, ResidualModel, Result, RunModel, Site, Tap};
use stratigraph_surgery::{Budget, Executor, Intervention, LayerPlan, Sweep};
use stratigraph_testing::{Backend, TestDevice, Toy, assert_close, device, devices, host, toy};

use crate::support::{Keep, SEQ_LEN, execute, least_budget, load, on_one_thread, points, windows};

/// Plans of every kind over three layers, and edits.
fn every_kind() -> Vec<Intervention> {
    let full = LayerPlan::full(3);
    let prefixes = (0..=3).map(LayerPlan::full);
    let deletions = (0..3).map(|layer| full.delete(layer).unwrap());
    let swaps = (1..3).map(|layer| full.swap(layer - 1, layer).unwrap());
    let others = [full.repeat(0..3).unwrap(), full.reverse(0..3).unwrap(), full.parallel(1..3).unwrap(), full.clone()];
    let plans = prefixes.chain(deletions).chain(swaps).chain(others).map(Intervention::from);
    let edits = [
        Edit::zero(Hook::MlpOut.at(1)),
        Edit::zero(Hook::AttnOut.at(2)),
        Edit::scale(Hook::Z.at(1), 2.0).with_heads([1]),
        Edit::skip_layer(1).with_positions(1..),
    ];
    plans.chain(edits.into_iter().map(|edit| full.clone().edit(edit))).collect()
}

/// Edits that take values from the corpus.
fn resampled() -> [Intervention; 2] {
    let edits = [Edit::resample(Hook::MlpOut.at(1)), Edit::resample(Hook::Pattern.at(2))];
    edits.map(|edit| Intervention::none(3).edit(edit))
}

fn averaged() -> [Intervention; 2] {
    let edits = [Edit::mean(Hook::MlpOut.at(1)), Edit::mean(Hook::Z.at(0)).with_heads([0])];
    edits.map(|edit| Intervention::none(3).edit(edit))
}

fn with_corpus_edits() -> Vec<Intervention> {
    every_kind().into_iter().chain(resampled()).chain(averaged()).collect()
}

/// wgpu chooses its kernels by timing them, and two of them may round differently.
#[test]
fn a_plan_equal_to_the_models_order_gives_the_same_bits() {
    on_one_thread(|| {
        for TestDevice { backend, device } in devices() {
            let model = load("llama-gqa", &device);
            let windows = windows(&model, 2, SEQ_LEN);
            let straight = host(model.forward(windows.batch(0..2, &device), &mut NoTap).unwrap());
            let plan = LayerPlan::full(3);
            let planned = host(plan.run(&model, windows.batch(0..2, &device), &mut NoTap).unwrap());
            let executed = &execute(&model, &[plan.into()], &windows, Budget::default())[0];
            if backend == Backend::Wgpu {
                // Kernels are chosen by trying them, which another test may be about at the time of either pass.
                assert_close(&planned, &straight, 1e-5, "a plan on wgpu");
                assert_close(executed, &straight, 1e-5, "on wgpu");
            } else {
                assert_eq!(planned, straight);
                assert_eq!(*executed, straight);
            }
        }
    });
}

#[test]
fn the_executor_gives_what_each_intervention_gives_alone_under_any_budget() {
    for TestDevice { backend, device } in devices() {
        let model = load("llama-gqa", &device);
        let windows = windows(&model, 5, SEQ_LEN);
        let interventions = every_kind();
        let alone: Vec<_> =
            interventions.iter().map(|intervention| host(intervention.run(&model, &windows).unwrap())).collect();
        // From the least that one window needs to everything together.
        let least = least_budget(&model, &interventions, &windows).bytes;
        for bytes in [least, least + least / 4, 2 * least, 4 * least, 2 << 30] {
            let found = execute(&model, &interventions, &windows, Budget { bytes, ..Budget::default() });
            for ((intervention, found), expected) in interventions.iter().zip(&found).zip(&alone) {
                assert_close(found, expected, 1e-5, &format!("{intervention} on {backend} with {bytes} bytes"));
            }
        }
    }
}

#[test]
fn the_parts_of_a_corpus_give_what_the_whole_gives() {
    let model = load("llama-gqa", &device());
    let windows = windows(&model, 5, SEQ_LEN);
    let interventions = with_corpus_edits();
    let whole = execute(&model, &interventions, &windows, Budget::default());
    let executor = Executor::new(interventions.clone());
    for cut in 0..=5 {
        let mut keep = Keep::default();
        let mut prepared = executor.prepare(&model, &windows, 3).unwrap();
        [0..cut, cut..5].into_iter().for_each(|part| prepared.run(part, &mut keep).unwrap());
        assert_eq!(keep.steps, 5 * executor.n_steps(), "cut at {cut}");
        for ((intervention, found), expected) in interventions.iter().zip(&keep.residuals()).zip(&whole) {
            assert_close(found, expected, 1e-5, &format!("{intervention} cut at {cut}"));
        }
    }
}

/// Of a model in which nothing is computed over several windows at once, so that nothing may round otherwise; only means over
/// the corpus do.
#[test]
fn budgets_and_the_order_of_parts_change_no_bit() {
    let model = Toy::default();
    let windows = windows(&model, 6, 5);
    let interventions: Vec<_> = every_kind().into_iter().chain(resampled()).collect();
    let whole = execute(&model, &interventions, &windows, Budget::default());
    let least = least_budget(&model, &interventions, &windows);
    assert_eq!(execute(&model, &interventions, &windows, least), whole);
    for budget in [least, Budget::default()] {
        let executor = Executor::new(interventions.clone()).with_budget(budget);
        for parts in [[0..2, 2..3, 3..6], [3..6, 0..2, 2..3], [2..3, 3..6, 0..2]] {
            let mut keep = Keep::default();
            let mut prepared = executor.prepare(&model, &windows, 3).unwrap();
            parts.into_iter().for_each(|part| prepared.run(part, &mut keep).unwrap());
            assert_eq!(keep.residuals(), whole);
        }
    }
    let means = |budget| execute(&model, &averaged(), &windows, budget);
    let least = least_budget(&model, &averaged(), &windows);
    for (found, expected) in means(least).iter().zip(&means(Budget::default())) {
        assert_close(found, expected, 1e-6, "means in batches of one window");
    }
}

/// Of a decoder, in parts of one size: the same products of matrices run, in another order.
#[test]
fn the_order_of_parts_changes_no_bit_of_a_decoder() {
    on_one_thread(|| {
        let model = load("gpt2", &device());
        let windows = windows(&model, 6, SEQ_LEN);
        let executor = Executor::new(with_corpus_edits());
        let run = |parts: [usize; 3]| {
            let mut keep = Keep::default();
            let mut prepared = executor.prepare(&model, &windows, 2).unwrap();
            parts.into_iter().for_each(|part| prepared.run(2 * part..2 * part + 2, &mut keep).unwrap());
            keep.residuals()
        };
        let forwards = run([0, 1, 2]);
        assert!(run([2, 1, 0]) == forwards && run([1, 2, 0]) == forwards);
    });
}

#[test]
#[should_panic(expected = "windows 1..6 of a corpus of 5")]
fn a_part_ends_where_the_corpus_ends() {
    let model = load("llama-gqa", &device());
    let (windows, executor) = (windows(&model, 5, SEQ_LEN), Executor::new([LayerPlan::full(3)]));
    let _ = executor.prepare(&model, &windows, 5).unwrap().run(1..6, &mut Keep::default());
}

/// Deletions run each prefix of the model's order once.
#[test]
fn shared_prefixes_run_once() {
    let (model, windows) = (load("llama-gqa", &device()), toy::windows());
    let deletions = points(&Sweep::delete(), &model, windows.seq_len());
    let executor = Executor::new(std::iter::once(Intervention::none(3)).chain(deletions));
    assert_eq!(executor.n_steps(), 3 + 2 + 1); // 0-1-2; 1-2 from the start; 2 after 0
    let mut keep = Keep::default();
    executor.run(&model, &windows, &mut keep).unwrap();
    assert_eq!(keep.steps, 2 * executor.n_steps());
}

/// Scales of every sublayer by many factors, each a branch of its own, and the unchanged model in the middle of them.
fn many() -> (Vec<Intervention>, usize) {
    let edits = |factor: usize| {
        let of_hook = move |hook: Hook| (0..3).map(move |layer| Edit::scale(hook.at(layer), factor as f64 / 8.0));
        [Hook::AttnOut, Hook::MlpOut].into_iter().flat_map(of_hook)
    };
    let mut many: Vec<_> = (0..20).flat_map(edits).map(|edit| Intervention::none(3).edit(edit)).collect();
    many.insert(50, Intervention::none(3));
    (many, 50)
}

/// However many there are, no more wait or have ended than one for each layer and two groups of 16, and again one for each layer
/// while those furthest on go to their end.
#[test]
fn many_interventions_are_handed_on_in_groups() {
    let (model, (interventions, unchanged)) = (Toy::default(), many());
    let windows = windows(&model, 4, 5);
    let alone = interventions.iter().map(|intervention| host(intervention.run(&model, &windows).unwrap()));
    let least = least_budget(&model, &interventions, &windows);
    let usual = (Budget::default(), 3 + 2 * 16 + 3);
    for (budget, most) in [usual, (least, 3 + 2 + 3)] {
        let executor = Executor::new(interventions.clone()).with_budget(budget).with_first(unchanged);
        let mut keep = Keep::default();
        executor.run(&model, &windows, &mut keep).unwrap();
        assert!(keep.residuals().into_iter().eq(alone.clone()), "{budget:?}");
        assert_eq!(keep.steps, 4 * executor.n_steps());
        for calls in keep.calls.chunk_by(|(a, _), (b, _)| a == b) {
            assert!(calls.len() > 1 && calls.iter().all(|(_, streams)| streams.len() <= most), "{calls:?}");
            assert!(
                calls[0].1.contains(&unchanged) && calls.iter().all(|(_, streams)| streams.is_sorted()),
                "{calls:?}"
            );
        }
    }
}

/// A model that reads its blocks from a disk, as it says.
struct Streamed(Toy);

impl ResidualModel for Streamed {
    fn shape(&self) -> ModelShape {
        self.0.shape().with_streamed_blocks()
    }

    fn device(&self) -> Device {
        self.0.device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Result<Tensor<3>> {
        self.0.embed(tokens)
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        self.0.block(site, resid, tap)
    }

    fn final_norm(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        self.0.final_norm(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Result<Tensor<2>> {
        self.0.unembed(normed, vocab)
    }
}

/// Each group would read every block again.
#[test]
fn all_interventions_go_through_a_streamed_block_together_if_there_is_memory() {
    let (model, (interventions, _)) = (Streamed(Toy::default()), many());
    let windows = windows(&model, 4, 5);
    let calls = |budget| {
        let mut keep = Keep::default();
        Executor::new(interventions.clone()).with_budget(budget).run(&model, &windows, &mut keep).unwrap();
        keep.calls.len()
    };
    assert_eq!(calls(Budget::default()), 1);
    assert!(calls(least_budget(&model, &interventions, &windows)) > 4);
}

/// The least budget does not grow with the number of interventions.
#[test]
fn a_thousand_interventions_need_no_more_than_some() {
    let model = Toy::default();
    let windows = windows(&model, 4, 5);
    let some = many().0;
    let more = some.iter().cycle().take(1000).cloned().collect::<Vec<_>>();
    let [few, some, more] = [&some[..4], &some, &more].map(|them| least_budget(&model, them, &windows).bytes);
    assert!(few < some && some == more, "{few}, {some} and {more} bytes");
}

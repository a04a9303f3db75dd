//! Benchmarks under surgery: scores are those of a computation written out, however texts are batched and filled up.

mod common;

use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{FAMILIES, assert_close, device, devices, fixture, host};
use stratigraph::TaskRun;
use stratigraph::core::{CoreError, forward, logits};
use stratigraph::prelude::*;
use stratigraph::probes::readout::{Reduction, Tiles};
use stratigraph::surgery::Budget;
use stratigraph::tasks::{EncodedItems, Item, Likelihood, Pair, PairProblem, Task, TaskError, TaskScores};

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/tiny");

fn checkpoint(name: &str) -> Pretrained {
    if name == "tiny" { Pretrained::open(TINY).unwrap() } else { Pretrained::open(fixture(name)).unwrap() }
}

/// The items that come with the examples, the first `n` of them.
fn items(task: Task, n: usize) -> Vec<Item> {
    let path = format!("{}/examples/data/tasks/{task}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let mut items = task.read(path).unwrap();
    items.truncate(n);
    items
}

fn encoded(task: Task, n: usize, checkpoint: &Pretrained) -> EncodedItems {
    let tokenizer = checkpoint.tokenizer().unwrap();
    task.encode(items(task, n), |text| tokenizer.encode(text)).unwrap()
}

/// Items whose tokens are given, each with continuations of one text.
fn of_tokens(task: Task, pairs: Vec<Vec<Pair>>) -> EncodedItems {
    let item = |pairs: &Vec<Pair>| Item {
        context: "c".to_owned(),
        continuations: pairs.iter().enumerate().map(|(i, _)| format!(" {i}")).collect(),
        answer: 0,
    };
    let items = pairs.iter().map(item).collect();
    // Two texts are encoded for each continuation, the whole one first.
    let texts = pairs.into_iter().flatten().flat_map(|pair| {
        let whole = [&pair.context[..], &pair.continuation[..]].concat();
        [whole, pair.context]
    });
    let texts = std::cell::RefCell::new(texts.collect::<Vec<_>>().into_iter());
    task.encode(items, |_| Ok::<_, CoreError>(texts.borrow_mut().next().unwrap())).unwrap()
}

fn tensor(ids: &[u32], device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
    let n = ids.len();
    Tensor::from_data(TensorData::new(ids, [1, n]), device)
}

/// One continuation by itself: all logits of its text, without filling, and log-softmax in f64.
fn written_out(model: &Decoder, plan: &LayerPlan, pair: &Pair) -> Likelihood {
    let whole = [&pair.context[..], &pair.continuation[..]].concat();
    let longest = model.n_ctx().unwrap() + 1;
    let whole = &whole[whole.len().saturating_sub(longest)..];
    let first = whole.len() - pair.continuation.len();
    let resid = plan.run(model, tensor(&whole[..whole.len() - 1], &model.device()), &mut NoTap).unwrap();
    let all = host(logits(model, resid));
    let (mut log_prob, mut is_greedy) = (0.0, true);
    for (place, &token) in whole.iter().enumerate().skip(first) {
        let row = &all[(place - 1) * model.d_vocab()..place * model.d_vocab()];
        let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        log_prob += f64::from(row[token as usize]) - sum.ln();
        is_greedy &= row.iter().enumerate().all(|(id, &x)| x <= row[token as usize] || id == token as usize);
    }
    Likelihood { log_prob, is_greedy }
}

fn plans(n_layers: usize) -> Vec<LayerPlan> {
    let full = LayerPlan::full(n_layers);
    vec![full.clone(), full.delete(1).unwrap(), full.swap(0, 2).unwrap(), full.repeat(1..2).unwrap()]
}

/// Log-probabilities within `tolerance` nats, and the same items right.
#[track_caller]
fn assert_same(found: &TaskScores, expected: &TaskScores, tolerance: f64) {
    for (index, (a, b)) in found.items.iter().zip(&expected.items).enumerate() {
        assert!((a.log_prob - b.log_prob).abs() < tolerance, "{}, item {index}: {a:?}, {b:?}", found.task);
        assert_eq!((a.correct, a.correct_norm), (b.correct, b.correct_norm), "{}, item {index}", found.task);
    }
    assert_eq!((found.acc, found.acc_norm, found.chance), (expected.acc, expected.acc_norm, expected.chance));
    assert_eq!((found.task, found.items.len()), (expected.task, expected.items.len()));
}

/// Runs `n` items of a task under `plans`, and each of their continuations by itself.
fn check(name: &str, task: Task, n: usize, plans: &[LayerPlan], device: &Device) {
    let checkpoint = checkpoint(name);
    let model = checkpoint.load(device).unwrap();
    let encoded = encoded(task, n, &checkpoint);
    let results = TaskRun::new(&model).plans(plans.to_vec()).run(&encoded).unwrap();
    assert_eq!(results.len(), plans.len());
    for (result, plan) in results.iter().zip(plans) {
        assert_eq!(&result.plan, plan);
        let one = |pair: &Pair| written_out(&model, plan, pair);
        let likelihoods: Vec<_> = encoded.pairs().iter().map(|pairs| pairs.iter().map(one).collect()).collect();
        assert_same(&result.scores, &TaskScores::new(task, encoded.items(), &likelihoods), 1e-3);
    }
}

#[test]
fn scores_are_those_of_a_computation_written_out() {
    for (_, device) in devices().into_iter().filter(|(backend, _)| *backend != Backend::Wgpu) {
        for task in Task::ALL {
            check("llama-gqa", task, 12, &plans(3), &device);
            check("tiny", task, 12, &plans(12), &device);
        }
    }
}

/// On wgpu every length of a text is compiled anew, so these are of two lengths in one batch.
#[test]
fn every_backend_gives_the_same() {
    let pair =
        |context: &[u32], continuation: &[u32]| Pair { context: context.to_vec(), continuation: continuation.to_vec() };
    let pairs =
        [[pair(&[1, 2, 3, 4], &[5, 6, 7]), pair(&[1, 2, 3, 4], &[8, 9])], [(); 2].map(|()| pair(&[9; 5], &[1]))];
    let encoded = of_tokens(Task::HellaSwag, pairs.map(Vec::from).into());
    let run = |device: &Device| {
        let model = checkpoint("llama-gqa").load(device).unwrap();
        TaskRun::new(&model).plans(plans(3).into_iter().take(2)).run(&encoded).unwrap()
    };
    let expected = run(&device());
    for (_, device) in devices() {
        for (found, expected) in run(&device).iter().zip(&expected) {
            assert_same(&found.scores, &expected.scores, 1e-3);
        }
    }
}

#[test]
fn batches_budgets_and_tiles_change_nothing() {
    let checkpoint = checkpoint("tiny");
    let model = checkpoint.load(&device()).unwrap();
    for task in Task::ALL {
        let encoded = encoded(task, 8, &checkpoint);
        let run = || TaskRun::new(&model).plans(plans(model.n_layers()));
        let expected = run().run(&encoded).unwrap();
        let small = Budget { bytes: 8 << 20, largest_tensor_bytes: 1 << 16 };
        let tiles = Tiles { rows: 3, vocab: 1000 };
        let others = [run().batch_tokens(1), run().batch_tokens(1 << 20), run().budget(small), run().tiles(tiles)];
        for other in others {
            for (found, expected) in other.run(&encoded).unwrap().iter().zip(&expected) {
                assert_same(&found.scores, &expected.scores, 1e-3);
            }
        }
    }
}

#[test]
fn filling_up_on_the_right_changes_nothing_in_any_family() {
    for name in FAMILIES {
        let model = checkpoint(name).load(&device()).unwrap();
        let ids: Vec<u32> = (0..15).map(|i| (i * i * 7 + 3) % 60).collect();
        let run = |ids: &[u32]| forward(&model, tensor(ids, &device()), &mut NoTap).unwrap();
        for filled in [16, 24] {
            let fill = [&ids[..], &vec![5; filled - 15]].concat();
            let found = run(&fill).narrow(1, 0, 15);
            assert_close(&host(found), &host(run(&ids)), 1e-5, name);
        }
    }
}

#[test]
fn batches_hold_every_continuation_once_and_little_else() {
    let checkpoint = checkpoint("tiny");
    let model = checkpoint.load(&device()).unwrap();
    for task in Task::ALL {
        let encoded = encoded(task, 12, &checkpoint);
        let batches = encoded.batches(&model, 512).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for batch in &batches {
            let (windows, mut texts) = (&batch.windows, 0);
            assert!(windows.ids().len() <= 512);
            for (index, reads) in batch.reads.iter().enumerate() {
                for read in reads {
                    let pair = &encoded.pairs()[read.item][read.continuation];
                    let text = [&pair.context[..], &pair.continuation[..]].concat();
                    let text = &text[text.len().saturating_sub(129)..];
                    assert!(windows.sequence(index).starts_with(&text[..text.len() - 1]));
                    assert_eq!(read.tokens, text[read.position + 1..]);
                    assert!(seen.insert((read.item, read.continuation)), "each is read once");
                }
                texts += reads.iter().map(|read| read.position + read.tokens.len()).max().unwrap();
            }
            assert!(texts * 4 >= windows.ids().len() * 3, "{texts} of {}", windows.ids().len());
        }
        assert_eq!(seen.len(), encoded.pairs().iter().map(Vec::len).sum::<usize>());
    }
}

#[test]
fn a_text_with_which_another_begins_is_not_run_again() {
    let model = checkpoint("llama-gqa").load(&device()).unwrap();
    let context = vec![7, 8, 9, 10];
    let pair = |continuation: &[u32]| Pair { context: context.clone(), continuation: continuation.to_vec() };
    let own = Pair { context: vec![7, 8], continuation: vec![9] };
    let pairs = vec![vec![pair(&[1]), pair(&[2]), pair(&[1, 2, 3]), pair(&[2, 2, 3])], vec![own]];
    let encoded = of_tokens(Task::ArcEasy, pairs);
    let batches = encoded.batches(&model, 1000).unwrap();
    let n_windows: usize = batches.iter().map(|batch| batch.windows.n_sequences()).sum();
    assert_eq!(n_windows, 2);
    let found = TaskRun::new(&model).run(&encoded).unwrap().remove(0).scores;
    let one = |pair: &Pair| written_out(&model, &LayerPlan::full(3), pair);
    let likelihoods: Vec<_> = encoded.pairs().iter().map(|p| p.iter().map(one).collect()).collect();
    assert_same(&found, &encoded.score(&likelihoods), 1e-4);
}

#[test]
fn a_text_of_two_tokens_is_enough() {
    let model = checkpoint("llama-gqa").load(&device()).unwrap();
    let pair = Pair { context: vec![7], continuation: vec![8] };
    let encoded = of_tokens(Task::Lambada, vec![vec![pair.clone()]]);
    let result = TaskRun::new(&model).run(&encoded).unwrap().remove(0);
    let expected = written_out(&model, &LayerPlan::full(3), &pair);
    assert!((result.scores.items[0].log_prob - expected.log_prob).abs() < 1e-5);
    assert_eq!(result.scores.acc.sem, None);
    assert!(result.to_string().starts_with("0-1-2: lambada (1 items): acc "), "{result}");
    let json = serde_json::to_value(&result).unwrap();
    assert_eq!((&json["plan"], &json["scores"]["task"]), (&"0-1-2".into(), &"lambada".into()));
}

#[test]
fn what_cannot_be_scored_is_named() {
    let model = checkpoint("llama-gqa").load(&device()).unwrap();
    let run = |context: Vec<u32>, continuation: Vec<u32>| {
        let good = Pair { context: vec![1, 2], continuation: vec![3] };
        let pairs = vec![vec![good.clone()], vec![good, Pair { context, continuation }]];
        TaskRun::new(&model).run(&of_tokens(Task::ArcEasy, pairs)).unwrap_err()
    };
    let problem = |error| match error {
        stratigraph::Error::Task(TaskError::BadContinuation { item: 1, continuation: 1, problem }) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(problem(run(vec![], vec![1])), PairProblem::NoContext);
    assert_eq!(problem(run(vec![1], vec![])), PairProblem::NoContinuation);
    assert_eq!(problem(run(vec![1], vec![1; 129])), PairProblem::TooLong { n_tokens: 129, n_ctx: 128 });
    for (context, continuation) in [(vec![1], vec![99_999]), (vec![99_999], vec![1])] {
        let message = run(context, continuation).to_string();
        assert!(message.starts_with("token id 99999 is outside the model's vocabulary of "), "{message}");
    }
    let none = of_tokens(Task::ArcEasy, vec![]);
    assert_eq!(TaskRun::new(&model).run(&none).unwrap_err().to_string(), "there are no windows to run");
}

/// A model whose last token's embedding is not a number.
struct Broken(Decoder);

impl ResidualModel for Broken {
    fn n_layers(&self) -> usize {
        self.0.n_layers()
    }
    fn d_model(&self) -> usize {
        self.0.d_model()
    }
    fn d_vocab(&self) -> usize {
        self.0.d_vocab()
    }
    fn device(&self) -> Device {
        self.0.device()
    }
    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, pos] = tokens.dims();
        let hit = tokens.clone().equal_elem(11).reshape([batch, pos, 1]).repeat_dim(2, self.d_model());
        self.0.embed(tokens).mask_fill(hit, f32::NAN)
    }
    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Tensor<3> {
        self.0.block(site, resid, tap)
    }
    fn final_norm(&self, rows: Tensor<2>) -> Tensor<2> {
        self.0.final_norm(rows)
    }
    fn unembed(&self, normed: Tensor<2>, vocab: std::ops::Range<usize>) -> Tensor<2> {
        self.0.unembed(normed, vocab)
    }
}

#[test]
fn a_log_probability_that_is_not_finite_is_named() {
    let model = Broken(checkpoint("llama-gqa").load(&device()).unwrap());
    let pair = |continuation: &[u32]| Pair { context: vec![1, 2], continuation: continuation.to_vec() };
    let pairs = vec![vec![pair(&[3]), pair(&[4, 5])], vec![pair(&[3, 4]), pair(&[6, 11, 7])]];
    let error = TaskRun::new(&model).run(&of_tokens(Task::HellaSwag, pairs)).unwrap_err().to_string();
    let expected = "the log-probability of continuation 1 of item 1 (both from 0) is NaN under the plan 0-1-2";
    assert_eq!(error, expected);
}

#[test]
fn some_rows_read_out_alone_are_those_of_all_logits() {
    for name in ["llama-gqa", "tiny"] {
        let model = checkpoint(name).load(&device()).unwrap();
        let ids = [5, 7, 9, 11, 13];
        let resid = forward(&model, tensor(&ids, &device()), &mut NoTap).unwrap();
        let (rows, tokens) = ([4, 0, 2], [17, 250, 3]);
        let all = host(logits(&model, resid.clone()));
        for reduction in [Reduction::Host, Reduction::Device] {
            for tiles in [Tiles { rows: 2, vocab: 100 }, Tiles::usual(&model)] {
                let readout = Readout::new(&model).with_reduction(reduction).with_tiles(tiles);
                for ((row, token), found) in
                    rows.iter().zip(tokens).zip(readout.of_tokens(&resid, &rows, &tokens).unwrap())
                {
                    let row = &all[row * model.d_vocab()..][..model.d_vocab()];
                    let lse = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
                    assert!((found.log_prob - (f64::from(row[token as usize]) - lse)).abs() < 1e-4, "{found:?}");
                    assert_eq!(found.is_top1, row.iter().all(|&x| x <= row[token as usize]));
                }
                let broken = readout.of_tokens(&resid.clone().mul_scalar(f32::NAN), &rows, &tokens).unwrap();
                assert!(broken.iter().all(|found| found.log_prob.is_nan()), "{broken:?}");
            }
        }
    }
}

#[test]
fn the_model_in_the_box_knows_more_than_one_without_a_layer() {
    let checkpoint = checkpoint("tiny");
    let model = checkpoint.load(&device()).unwrap();
    let full = LayerPlan::full(model.n_layers());
    let plans = [full.clone(), full.delete(0).unwrap()];
    let results = TaskRun::new(&model).plans(plans).run(&encoded(Task::Lambada, 12, &checkpoint)).unwrap();
    let perplexity = |index: usize| results[index].scores.perplexity.unwrap().mean;
    assert!(perplexity(0) * 2.0 < perplexity(1), "{}, {}", results[0], results[1]);
}

//! Benchmarks under interventions: scores are those of a computation written out, however texts are batched and padded.

use std::cell::RefCell;

use approx::abs_diff_eq;
use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{CoreError, Edit, Hook, Positions, ResidualModel, Result as CoreResult, RunModel, TokenWindows};
use stratigraph_probes::readout::Tiles;
use stratigraph_study::{StudyError, TaskRun};
use stratigraph_surgery::{Budget, Intervention, LayerPlan, Sweep, SweepContext};
use stratigraph_tasks::{EncodedItems, Item, Likelihood, Pair, PairProblem, Task, TaskError, TaskScores};
use stratigraph_testing::{TestDevice, device, devices};

use crate::patching::load;
use crate::small::Small;

/// Items whose texts have many lengths; tokens are their bytes.
pub fn encoded(task: Task, n: usize) -> EncodedItems {
    let word =
        |seed: usize| "stratigraphy of layers ".chars().cycle().skip(seed).take(2 + seed % 5).collect::<String>();
    let item = |index: usize| {
        let context = (0..3 + index * 5 % 17).map(|nth| word(index + nth)).collect::<Vec<_>>().join(" ");
        let continuations = (0..if task.is_choice() { 4 } else { 1 }).map(|nth| format!(" {}", word(index * 3 + nth)));
        Item::new(context, continuations.collect(), 0)
    };
    let tokens = |text: &str| Ok::<_, CoreError>(text.bytes().map(|byte| u32::from(byte) % 60).collect());
    task.encode((0..n).map(item).collect(), tokens).unwrap()
}

/// Items whose tokens are given, each with continuations of one text.
pub fn of_tokens(task: Task, pairs: Vec<Vec<Pair>>) -> EncodedItems {
    let item = |pairs: &Vec<Pair>| {
        let continuations = pairs.iter().enumerate().map(|(i, _)| format!(" {i}")).collect();
        Item::new("c", continuations, 0)
    };
    let items = pairs.iter().map(item).collect();
    // Two texts are encoded for each continuation, the whole one first.
    let texts = pairs.into_iter().flatten().flat_map(|pair| {
        let whole = [&pair.context[..], &pair.continuation[..]].concat();
        [whole, pair.context]
    });
    let texts = RefCell::new(texts.collect::<Vec<_>>().into_iter());
    task.encode(items, |_| Ok::<_, CoreError>(texts.borrow_mut().next().unwrap())).unwrap()
}

pub fn pair(context: &[u32], continuation: &[u32]) -> Pair {
    Pair { context: context.to_vec(), continuation: continuation.to_vec() }
}

/// One continuation by itself: all logits of its text, without padding, and log-softmax in f64.
fn written_out(model: &Small, intervention: &Intervention, pair: &Pair) -> Likelihood {
    let whole = [&pair.context[..], &pair.continuation[..]].concat();
    let longest = model.n_ctx().unwrap() + 1;
    let whole = &whole[whole.len().saturating_sub(longest)..];
    let first = whole.len() - pair.continuation.len();
    // A window has two tokens at least; the token that is added changes nothing before it.
    let input = if whole.len() > 2 { &whole[..whole.len() - 1] } else { whole };
    let windows = TokenWindows::new(input, input.len()).unwrap();
    let resid = intervention.run(model, &windows).unwrap();
    let all: Vec<f32> = model.logits(resid).unwrap().try_into_vec_as().unwrap();
    let (mut log_prob, mut is_greedy) = (0.0, true);
    for (place, &token) in whole.iter().enumerate().skip(first) {
        let row = &all[(place - 1) * model.d_vocab()..place * model.d_vocab()];
        let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        log_prob += f64::from(row[token as usize]) - sum.ln();
        is_greedy &= row.iter().enumerate().all(|(id, &x)| x <= row[token as usize] || id == token as usize);
    }
    Likelihood { log_prob, is_greedy }
}

fn interventions() -> Vec<Intervention> {
    let full = LayerPlan::full(3);
    let edit = Edit::scale(Hook::MlpOut.at(1), 0.5).with_positions(Positions::from(1));
    let own = [full.delete(1).unwrap(), full.swap(0, 2).unwrap(), full.repeat(1..2).unwrap()].map(Intervention::from);
    own.into_iter().chain([Intervention::none(3).edit(edit)]).collect()
}

/// Log-probabilities within 1e-3 nats, and the same items right.
#[track_caller]
fn assert_same(found: &TaskScores, expected: &TaskScores) {
    for (index, (a, b)) in found.items.iter().zip(&expected.items).enumerate() {
        assert!(abs_diff_eq!(a.log_prob, b.log_prob, epsilon = 1e-3), "{}, item {index}: {a:?}, {b:?}", found.task);
        assert_eq!((a.correct, a.correct_norm), (b.correct, b.correct_norm), "{}, item {index}", found.task);
    }
    assert_eq!((found.acc, found.acc_norm, found.chance), (expected.acc, expected.acc_norm, expected.chance));
    assert_eq!((found.task, found.items.len()), (expected.task, expected.items.len()));
}

#[test]
fn scores_are_those_of_a_computation_written_out() {
    let model = Small::new(&device());
    for task in Task::ALL {
        let encoded = encoded(task, 12);
        let results = TaskRun::new(&model).interventions(interventions()).run(&encoded).unwrap();
        let all: Vec<_> = std::iter::once(Intervention::none(3)).chain(interventions()).collect();
        assert_eq!(results.len(), all.len());
        for (result, intervention) in results.iter().zip(&all) {
            assert_eq!(result.text, intervention.to_string());
            let one = |pair: &Pair| written_out(&model, intervention, pair);
            let likelihoods: Vec<_> = encoded.pairs().iter().map(|pairs| pairs.iter().map(one).collect()).collect();
            assert_same(&result.scores, &TaskScores::new(task, encoded.items(), &likelihoods));
        }
    }
}

/// On wgpu every length of a text is compiled anew, so these are of two lengths in one batch.
#[test]
fn every_backend_gives_the_same() {
    let pairs = [vec![pair(&[1, 2, 3, 4], &[5, 6, 7]), pair(&[1, 2, 3, 4], &[8, 9])], vec![pair(&[9; 5], &[1]); 2]];
    let encoded = of_tokens(Task::HellaSwag, pairs.into());
    let run = |device: &Device| {
        let model = Small::new(device);
        TaskRun::new(&model).interventions(interventions().into_iter().take(1)).run(&encoded).unwrap()
    };
    let expected = run(&device());
    for TestDevice { device, .. } in devices() {
        for (found, expected) in run(&device).iter().zip(&expected) {
            assert_same(&found.scores, &expected.scores);
        }
    }
}

#[test]
fn batches_budgets_and_tiles_change_nothing() {
    let model = Small::new(&device());
    for task in Task::ALL {
        let encoded = encoded(task, 8);
        let run = || TaskRun::new(&model).interventions(interventions());
        let expected = run().run(&encoded).unwrap();
        let small = Budget { bytes: 2 << 20, largest_tensor_bytes: 1 << 14 };
        let tiles = Tiles { rows: 3, vocab: 7 };
        let others = [
            run().with_batch_tokens(1),
            run().with_batch_tokens(1 << 20),
            run().with_budget(small),
            run().with_tiles(tiles),
        ];
        for other in others {
            for (found, expected) in other.run(&encoded).unwrap().iter().zip(&expected) {
                assert_same(&found.scores, &expected.scores);
            }
        }
    }
}

#[test]
fn batches_hold_every_continuation_once_and_little_else() {
    let model = Small::new(&device());
    for task in Task::ALL {
        let encoded = encoded(task, 24);
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
    let model = Small::new(&device());
    let context = [7, 8, 9, 10];
    let continuations: [&[u32]; 4] = [&[1], &[2], &[1, 2, 3], &[2, 2, 3]];
    let pairs = vec![continuations.map(|tokens| pair(&context, tokens)).to_vec(), vec![pair(&[7, 8], &[9])]];
    let encoded = of_tokens(Task::ArcEasy, pairs);
    let batches = encoded.batches(&model, 1000).unwrap();
    assert_eq!(batches.iter().map(|batch| batch.windows.n_sequences()).sum::<usize>(), 2);
    let found = TaskRun::new(&model).run(&encoded).unwrap().remove(0).scores;
    let one = |pair: &Pair| written_out(&model, &Intervention::none(3), pair);
    let likelihoods: Vec<_> = encoded.pairs().iter().map(|pairs| pairs.iter().map(one).collect()).collect();
    assert_same(&found, &encoded.score(&likelihoods));
}

#[test]
fn a_text_of_two_tokens_is_enough_and_results_go_by_name() {
    let model = Small::new(&device());
    let pair = pair(&[7], &[8]);
    let encoded = of_tokens(Task::Lambada, vec![vec![pair.clone()]]);
    let delete = LayerPlan::full(3).delete(1).unwrap();
    let named = Intervention::from(delete).with_name("delete 1");
    let [clean, deleted] =
        <[_; 2]>::try_from(TaskRun::new(&model).interventions([named]).run(&encoded).unwrap()).unwrap();
    let expected = written_out(&model, &Intervention::none(3), &pair);
    assert!(abs_diff_eq!(clean.scores.items[0].log_prob, expected.log_prob, epsilon = 1e-5));
    assert_eq!(clean.scores.acc.sem, None);
    assert!(clean.to_string().starts_with("clean: lambada (1 items): acc "), "{clean}");
    assert!(deleted.to_string().starts_with("delete 1: lambada (1 items): acc "), "{deleted}");
    let json = serde_json::to_value(&deleted).unwrap();
    assert_eq!(
        (&json["name"], &json["text"], &json["scores"]["task"]),
        (&"delete 1".into(), &"0-2".into(), &"lambada".into())
    );
}

#[test]
fn what_cannot_be_scored_is_named() {
    let model = Small::new(&device());
    let run = |context: Vec<u32>, continuation: Vec<u32>| {
        let good = pair(&[1, 2], &[3]);
        let pairs = vec![vec![good.clone()], vec![good, Pair { context, continuation }]];
        TaskRun::new(&model).run(&of_tokens(Task::ArcEasy, pairs)).unwrap_err()
    };
    let problem = |error| match error {
        StudyError::Task(TaskError::BadContinuation { item: 1, continuation: 1, problem }) => problem,
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

#[test]
fn keys_further_back_than_a_text_goes_are_not_hidden_in_it() {
    let model = load("llama-gqa");
    let long: Vec<u32> = (1..40).collect();
    let items = of_tokens(Task::Lambada, vec![vec![pair(&long, &[7])], vec![pair(&[1, 2, 3], &[4])]]);
    let points = Sweep::knock_out(20..=30).points(&SweepContext::new(model.shape(), 39)).unwrap();
    let results = TaskRun::new(&model).interventions(points.interventions).run(&items).unwrap();
    let (clean, hidden) = results.split_first().unwrap();
    for result in hidden {
        let changes = [0, 1].map(|item| result.scores.items[item].log_prob - clean.scores.items[item].log_prob);
        assert!(changes[0] != 0.0 && changes[1].abs() < 1e-5, "{}: {changes:?}", result.name);
    }
}

#[test]
fn edits_that_depend_on_a_corpus_are_refused() {
    let model = Small::new(&device());
    let refused = |edit: Edit| {
        let intervention = Intervention::none(3).edit(edit).with_name("mine");
        TaskRun::new(&model).interventions([intervention]).run(&encoded(Task::Lambada, 2)).unwrap_err().to_string()
    };
    let point = Hook::MlpOut.at(1);
    let mean = refused(Edit::mean(point));
    let expected = "cannot score tasks under mine: the edit `blocks.1.hook_mlp_out mean` takes values from a corpus, \
                    which a task does not have";
    assert_eq!(mean, expected);
    assert!(refused(Edit::resample(point)).contains("takes values from a corpus"));
    let values = Tensor::<3>::ones([2, 4, 32], &device());
    assert!(refused(Edit::patch(point, values)).contains("give the values of one window"));
    let mask = Positions::mask("first", vec![vec![true, false]]);
    assert!(refused(Edit::zero(point).with_positions(mask)).contains("other positions in each window"));
}

/// A model for which the embedding of token 11 is not a number.
struct Broken(Small);

impl ResidualModel for Broken {
    rest_of!(0: shape device block final_norm unembed);

    fn embed(&self, tokens: Tensor<2, Int>) -> CoreResult<Tensor<3>> {
        let [batch, pos] = tokens.dims();
        let hit = tokens.clone().equal_elem(11).reshape([batch, pos, 1]).repeat_dim(2, self.d_model());
        Ok(self.0.embed(tokens)?.mask_fill(hit, f32::NAN))
    }
}

#[test]
fn a_log_probability_that_is_not_finite_is_named() {
    let model = Broken(Small::new(&device()));
    let pairs = vec![
        vec![pair(&[1, 2], &[3]), pair(&[1, 2], &[4, 5])],
        vec![pair(&[1, 2], &[3, 4]), pair(&[1, 2], &[6, 11, 7])],
    ];
    let error = TaskRun::new(&model).run(&of_tokens(Task::HellaSwag, pairs)).unwrap_err().to_string();
    let expected = "the log-probability of continuation 1 of item 1 (both counted from 0) is NaN under clean";
    assert_eq!(error, expected);
}

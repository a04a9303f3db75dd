//! Answers that a model writes, under interventions: those of a generator that runs each prompt alone.

use std::error::Error;
use std::sync::Arc;

use stratigraph_core::ResidualModel;
use stratigraph_corpus::TextDecoder;
use stratigraph_generate::Generator;
use stratigraph_profile::catalogue;
use stratigraph_study::measurements::{GenerativeScoring, Questions};
use stratigraph_study::{GenerativeRun, Study};
use stratigraph_surgery::{Intervention, Sweep, SweepContext};
use stratigraph_tasks::{GenerativeItem, GenerativeTask};
use stratigraph_testing::device;

use crate::small::Small;

const TASK: GenerativeTask = GenerativeTask::Gsm8k;
/// The letters of [`Small`]'s tokens: digits and what a stop string consists of come up often.
const LETTERS: &[u8; 60] = b"0123456789Question:0123456789Question:0123456789 #.,$-abcdef";

/// A token for each letter.
pub struct Letters;

impl TextDecoder for Letters {
    fn decode_ids(&self, ids: &[u32]) -> Result<String, Box<dyn Error + Send + Sync>> {
        Ok(ids.iter().map(|&id| char::from(LETTERS[id as usize % LETTERS.len()])).collect())
    }
}

/// Items, and a prompt of another length for each; the last ones leave too little room.
fn given() -> (Vec<GenerativeItem>, Vec<Vec<u32>>) {
    let line = |n: usize| format!("{{\"question\": \"{n}?\", \"answer\": \"#### {n}\"}}\n");
    let items = TASK.parse((0..20).map(line).collect::<String>().as_bytes(), "items.jsonl").unwrap();
    let prompt = |n: u32| (0..1 + 6 * n).map(|i| (i * i * 7 + n) % 60).collect();
    (items, (0..20).map(prompt).collect())
}

#[test]
fn answers_are_those_of_prompts_that_run_alone() {
    let model = Small::new(&device());
    let (items, prompts) = given();
    let generator = || Generator::new(&model).with_text(&Letters).with_stop_tokens([59]);
    let without_1: Intervention = "0-2".parse().unwrap();
    let mut answered = 0;
    let run = GenerativeRun::new(generator()).interventions([without_1.clone()]).with_max_new_tokens(24);
    let results = run.on_answered(|n| answered += n).run(TASK, &items, &prompts).unwrap();
    assert_eq!((answered, results.len(), results[0].name.as_str()), (40, 2, "clean"));
    for (result, intervention) in results.iter().zip([Intervention::none(3), without_1]) {
        let alone =
            generator().with_intervention(intervention).with_max_new_tokens(24).with_stop_strings(["Question:"]);
        for ((item, prompt), written) in items.iter().zip(&prompts).zip(&result.scores.items) {
            let shown = prompt[prompt.len().saturating_sub(128 - 24)..].to_vec();
            let text = alone.run(&[shown]).unwrap().remove(0).text.unwrap();
            assert_eq!((&written.text, written.exact_match), (&text, item.exact_match(&text)));
        }
    }
    assert_ne!(results[0].scores.items, results[1].scores.items);
    assert!(results[1].to_string().starts_with("0-2: gsm8k (20 items): strict_match "), "{}", results[1]);
}

#[test]
fn what_cannot_be_answered_is_refused() {
    let model = Small::new(&device());
    let (items, prompts) = given();
    let run = || GenerativeRun::new(Generator::new(&model).with_text(&Letters));
    let refused = |run: GenerativeRun, n: usize| run.run(TASK, &items[..n], &prompts[..n]).unwrap_err().to_string();
    let message = refused(run(), 2); // 256 tokens
    assert!(message.contains("256 tokens leaves no room for a prompt in the model's context of 128"), "{message}");
    assert!(refused(run(), 0).contains("there are no items"));
    let corpus: Intervention = "0-1 | blocks.0.hook_mlp_out mean".parse().unwrap();
    let message = refused(run().with_max_new_tokens(4).interventions([corpus]), 2);
    assert!(message.starts_with("cannot measure gsm8k: "), "{message}");
    let silent = GenerativeRun::new(Generator::new(&model)).with_max_new_tokens(4);
    assert!(refused(silent, 2).contains("cannot measure gsm8k"));
}

/// The first items, with answers of up to 24 tokens, under two sweeps.
pub fn scoring(n: usize) -> GenerativeScoring {
    let (mut items, mut prompts) = given();
    items.truncate(n);
    prompts.truncate(n);
    let questions = Questions::new(TASK, items, prompts).with_stop_tokens([59]).with_max_new_tokens(24);
    GenerativeScoring::new(questions, Arc::new(Letters), [Sweep::delete(), Sweep::swap()])
}

#[test]
fn a_study_has_the_scores_of_a_run_under_its_sweeps() {
    let model = Small::new(&device());
    let (items, prompts) = given();
    let windows = crate::small::windows();
    let findings = Study::new(&model).add(scoring(20).with_items_at_once(20)).run(&windows).unwrap();
    let mut any = 0.0;
    for sweep in [Sweep::delete(), Sweep::swap()] {
        let points = sweep.points(&SweepContext::new(model.shape(), 0)).unwrap();
        let generator = Generator::new(&model).with_text(&Letters).with_stop_tokens([59]);
        let run = GenerativeRun::new(generator).with_max_new_tokens(24).interventions(points.interventions);
        let results = run.run(TASK, &items, &prompts).unwrap();
        let (clean, own) = results.split_first().unwrap();
        for score in clean.scores.named() {
            let value = findings.value(&format!("clean_gsm8k_{}", score.name)).unwrap();
            assert_eq!((value.mean, value.sem), (score.score.mean, score.score.sem));
        }
        for (point, result) in own.iter().enumerate() {
            for score in result.scores.named().into_iter().chain(result.scores.changes_from(&clean.scores)) {
                let name = format!("{}_gsm8k_{}", sweep.name(), score.name);
                let curve = findings.curve(&name).unwrap();
                assert_eq!(
                    (curve.mean[point], curve.sem[point]),
                    (score.score.mean, score.score.sem),
                    "{name} {point}"
                );
                assert!(curve.errors.is_some() && catalogue::find(&name).is_some(), "{name}");
                any += curve.mean[point].abs();
            }
        }
    }
    assert!(any > 0.0, "some answers are right");
}

#[test]
fn sweeps_that_cannot_write_are_refused_before_anything_runs() {
    let model = Small::new(&device());
    let (items, prompts) = given();
    let run = |sweep: &str, n: usize, max_new_tokens: usize| {
        let questions = Questions::new(TASK, items[..n].to_vec(), prompts[..n].to_vec());
        let questions = questions.with_max_new_tokens(max_new_tokens);
        let sweep = Sweep::by_name(sweep).unwrap();
        let scoring = GenerativeScoring::new(questions, Arc::new(Letters), [sweep]).with_items_at_once(1);
        Study::new(&model).add(scoring).run(&crate::small::windows())
    };
    let refused = |sweep: &str, n, max_new_tokens| run(sweep, n, max_new_tokens).unwrap_err().to_string();
    let message = refused("mean_mlp", 2, 4);
    assert!(message.starts_with("cannot measure gsm8k: ") && message.contains("mean"), "{message}");
    assert!(refused("delete", 0, 4).contains("there are no items"));
    assert!(refused("delete", 2, 256).contains("leaves no room for a prompt"));
    // The last token of an answer does not run.
    let n_run = prompts.iter().map(Vec::len).max().unwrap() + 4 - 1;
    assert!(prompts.iter().any(|prompt| prompt.len() + 4 < n_run), "some texts are shorter");
    run(&format!("delete_from_{}", n_run - 1), prompts.len(), 4).unwrap();
    assert!(refused(&format!("delete_from_{n_run}"), prompts.len(), 4).contains("none of its positions"));
}

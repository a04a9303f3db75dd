//! Searches in shards, of answers to a benchmark, and their records: against searches by one process and scores of a task run.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use approx::abs_diff_eq;
use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{ModelShape, ResidualModel, Result as CoreResult, Site, Tap, TokenWindows};
use stratigraph_profile::catalogue;
use stratigraph_study::search::{ModelObjective, SearchRecord, SearchRun, SearchSetup, TaskMeasure, TaskObjective};
use stratigraph_study::{Result, StudyError, TaskRun};
use stratigraph_surgery::search::{Goal, Method, Objective, Operator, SearchOptions};
use stratigraph_surgery::{Budget, Intervention};
use stratigraph_tasks::Task;

use crate::patching::load;
use crate::small::Small;
use crate::tasks::encoded;

/// The loss of a plan is what its layers are worth, and differs between windows.
struct Known {
    /// Plans that were scored, on any window.
    scored: usize,
}

impl Objective for Known {
    type Error = StudyError;

    fn n_windows(&self) -> usize {
        24
    }

    fn score(&mut self, plans: &[Intervention], windows: &[usize]) -> Result<Vec<Vec<f64>>> {
        self.scored += plans.len() * windows.len();
        let loss = |plan: &Intervention, window: usize| {
            let worth = |layer: usize| (layer * 37 % 11) as f64 + ((layer + window) % 5) as f64 / 3.0;
            100.0 - plan.plan().steps().iter().map(|step| worth(step.layers()[0])).sum::<f64>()
        };
        Ok(plans.iter().map(|plan| windows.iter().map(|&window| loss(plan, window)).collect()).collect())
    }
}

fn setup() -> SearchSetup {
    let model = load("llama-gqa");
    let ids: Vec<u32> = (0..24 * 4).map(|i| i % 50).collect();
    let windows = TokenWindows::new(&ids, 4).unwrap();
    let loss = ModelObjective::new(&model, &windows, "nll").unwrap();
    let options = SearchOptions::removing(3, Operator::Delete).with_method(Method::Beam { width: 3 });
    SearchSetup::new(&loss, options).with_start(Intervention::none(20))
}

fn run(directory: &Path, shard: Option<&str>) -> (SearchRecord, usize) {
    let mut known = Known { scored: 0 };
    let run = SearchRun::new(setup()).in_directory(directory);
    let run = shard.into_iter().fold(run, |run, shard| run.with_shard(shard.parse().unwrap()));
    (run.run(&mut known).unwrap(), known.scored)
}

fn json(directory: &Path) -> String {
    fs::read_to_string(directory.join("search.json")).unwrap()
}

#[test]
fn a_slow_process_does_not_take_the_record_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut n_rounds = 0;
    let slow = SearchRun::new(setup()).in_directory(directory.path()).on_round(|_| {
        if n_rounds == 0 {
            run(directory.path(), None); // another process ends the search
        }
        n_rounds += 1;
        let record = SearchRecord::read(directory.path().join("search.json")).unwrap();
        assert!(record.validated.is_some(), "after round {n_rounds}");
    });
    slow.run(&mut Known { scored: 0 }).unwrap();
    assert!(n_rounds > 1);
}

#[test]
fn two_shards_give_the_record_of_one_process() {
    let [alone, whole, shared] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let (expected, all) = run(alone.path(), None);
    assert_eq!(run(whole.path(), Some("0/1")), (expected.clone(), all));
    let both = thread::scope(|scope| {
        let shards = ["0/2", "1/2"].map(|shard| scope.spawn(|| run(shared.path(), Some(shard))));
        shards.map(|shard| shard.join().unwrap())
    });
    assert!(both.iter().all(|(record, _)| *record == expected));
    assert_eq!((json(shared.path()), json(whole.path())), (json(alone.path()), json(alone.path())));
    assert!(both.iter().map(|(_, scored)| scored).sum::<usize>() < 2 * all, "they have shared the work");
}

#[test]
fn a_shard_that_does_not_come_holds_nobody_up() {
    let [alone, shared] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (expected, all) = run(alone.path(), None);
    assert_eq!(run(shared.path(), Some("1/2")), (expected.clone(), all), "it has done everything itself");
    // The other one, late, finds the end; with its record lost it reads all numbers and computes none.
    assert_eq!(run(shared.path(), Some("0/2")), (expected.clone(), 0));
    fs::remove_file(shared.path().join("search.json")).unwrap();
    assert_eq!(run(shared.path(), Some("0/2")), (expected, 0));
    assert!(SearchRun::is_unfinished(shared.path()).unwrap());
    fs::write(shared.path().join("plan.txt"), "0").unwrap();
    assert!(!SearchRun::is_unfinished(shared.path()).unwrap());
}

#[test]
fn numbers_that_are_damaged_and_shards_without_a_directory_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), Some("0/1"));
    fs::remove_file(directory.path().join("search.json")).unwrap();
    for entry in fs::read_dir(directory.path().join("scores")).unwrap() {
        fs::write(entry.unwrap().path(), "[[1.0]]").unwrap();
    }
    let again = SearchRun::new(setup()).in_directory(directory.path()).with_shard("0/1".parse().unwrap());
    let message = again.run(&mut Known { scored: 0 }).unwrap_err().to_string();
    assert!(message.contains("does not have a number of each candidate"), "{message}");
    let nowhere = SearchRun::new(setup()).with_shard("0/2".parse().unwrap());
    let message = nowhere.run(&mut Known { scored: 0 }).unwrap_err().to_string();
    assert!(message.contains("the shard 0/2 has no directory"), "{message}");
}

#[test]
fn a_search_without_a_better_plan_ends_with_the_one_it_began_with() {
    let mut setup = setup();
    setup.options = SearchOptions::changing(1, [Operator::Delete]); // every layer is worth something
    let record = SearchRun::new(setup).run(&mut Known { scored: 0 }).unwrap();
    assert_eq!(record.state.best(), &record.state.from);
    let text = record.to_string();
    assert!(text.contains("No further change was better: 20 plans tried"), "{text}");
    assert!(text.contains("| the same plan |") && !text.contains("within noise"), "{text}");
}

#[test]
fn a_record_of_another_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), None);
    let path = directory.path().join("search.json");
    fs::write(&path, json(directory.path()).replacen("\"format\": 1", "\"format\": 2", 1)).unwrap();
    let message = SearchRecord::read(&path).unwrap_err().to_string();
    assert!(message.contains("its format is 2, and this version reads 1"), "{message}");
}

#[test]
fn high_numbers_are_better_of_fractions_alone() {
    let model = Small::new(&stratigraph_testing::device());
    let windows = TokenWindows::new(&(0..16).collect::<Vec<u32>>(), 4).unwrap();
    let is_high = |name: &&str| ModelObjective::new(&model, &windows, name).unwrap().goal() == Goal::Highest;
    let high = ["top1_agreement", "top5_overlap", "accuracy", "output_probability"];
    let low = ["kl", "reverse_kl", "js", "entropy_bits", "nll", "rank", "output_rank"];
    assert!(high.iter().all(is_high) && !low.iter().any(is_high));
    let n_metrics = catalogue::metrics().iter().filter(|metric| metric.name != "logit_difference").count();
    assert_eq!(high.len() + low.len(), n_metrics, "every metric with a name is in one of the lists");
}

/// A model that counts the windows that its blocks run.
struct Counted {
    model: Small,
    n_windows: AtomicUsize,
}

impl Counted {
    fn take(&self) -> usize {
        self.n_windows.swap(0, Ordering::Relaxed)
    }
}

impl ResidualModel for Counted {
    fn shape(&self) -> ModelShape {
        self.model.shape()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> CoreResult<Tensor<3>> {
        self.model.embed(tokens)
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> CoreResult<Tensor<3>> {
        self.n_windows.fetch_add(resid.dims()[0], Ordering::Relaxed);
        self.model.block(site, resid, tap)
    }

    fn final_norm(&self, rows: Tensor<2>) -> CoreResult<Tensor<2>> {
        self.model.final_norm(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> CoreResult<Tensor<2>> {
        self.model.unembed(normed, vocab)
    }
}

#[test]
fn the_unchanged_model_runs_once_where_plans_share_little_with_it() {
    let model = Counted { model: Small::new(&stratigraph_testing::device()), n_windows: AtomicUsize::new(0) };
    let windows = TokenWindows::new(&(0..64 * 8).map(|i| i * i * 7 % 60).collect::<Vec<u32>>(), 8).unwrap();
    let plans = |texts: [&str; 2]| texts.map(|text| text.parse::<Intervention>().unwrap());
    // Two plans that have no step with the unchanged model in common, and two that have all but one.
    let (apart, alike) = (plans(["1-2", "2-1"]), plans(["0-1", "0-1-1"]));
    let mut kl = ModelObjective::new(&model, &windows, "kl").unwrap();
    let mut scored = |plans: &[Intervention], windows: &[usize]| (kl.score(plans, windows).unwrap(), model.take());
    assert_eq!(scored(&alike, &[4, 0]).1, 2 * (3 + 1), "it runs beside them");
    let (first, n_first) = scored(&apart, &[4, 0]);
    assert_eq!(n_first, 2 * (4 + 3));
    assert_eq!(scored(&apart, &[4, 0]), (first.clone(), 2 * 4), "it is kept");
    let (more, n_more) = scored(&apart, &[0, 5, 4]);
    assert_eq!(n_more, 3 * 4 + 3, "one window is new");
    for (more, first) in more.iter().zip(&first) {
        assert!(abs_diff_eq!(more[0], first[1], epsilon = 1e-6) && abs_diff_eq!(more[2], first[0], epsilon = 1e-6));
    }
    // Without the memory for it the numbers are the same, and it runs each time.
    let bytes = 8 * 64 * model.d_model() * 4;
    let small = Budget { bytes: 4 * bytes - 1, ..Budget::default() };
    let mut beside = ModelObjective::new(&model, &windows, "kl").unwrap().with_budget(small);
    for _ in 0..2 {
        let found = beside.score(&apart, &[4, 0]).unwrap();
        assert_eq!(model.take(), 2 * (4 + 3));
        assert!(found.iter().flatten().zip(first.iter().flatten()).all(|(a, b)| abs_diff_eq!(*a, *b, epsilon = 1e-6)));
    }
    assert!(first.iter().flatten().all(|kl| *kl > 1e-3), "{first:?}");
}

#[test]
fn a_search_takes_the_answers_of_a_task_run() {
    let model = Small::new(&stratigraph_testing::device());
    let items = encoded(Task::HellaSwag, 12);
    let plans = ["1-2", "0-2", "0..3"].map(|text| text.parse::<Intervention>().unwrap());
    let results = TaskRun::new(&model).interventions(plans.clone()).run(&items).unwrap();
    for measure in TaskMeasure::ALL {
        let mut evaluated = 0;
        let mut answers = TaskObjective::new(&model, &items, measure).unwrap().on_evaluated(|n| evaluated += n);
        let scores = answers.score(&plans, &[7, 2, 11]).unwrap();
        drop(answers);
        assert_eq!(evaluated, 9);
        for (scores, result) in scores.iter().zip(&results[1..]) {
            for (score, item) in scores.iter().zip([7, 2, 11]) {
                let item = &result.scores.items[item];
                let expected = match measure {
                    TaskMeasure::LogProb => item.log_prob,
                    TaskMeasure::Acc => f64::from(u8::from(item.correct)),
                    _ => f64::from(u8::from(item.correct_norm.unwrap())),
                };
                assert!(abs_diff_eq!(*score, expected, epsilon = 1e-4), "{measure}: {score}, {expected}");
            }
        }
    }
}

#[test]
fn a_search_for_answers_ends_with_the_best_plan_on_items() {
    let (model, replica) = (Small::new(&stratigraph_testing::device()), Small::new(&stratigraph_testing::device()));
    let items = encoded(Task::ArcEasy, 30);
    let answers = TaskObjective::new(&model, &items, TaskMeasure::LogProb).unwrap();
    let mut answers = answers.also_on(&replica).unwrap();
    let options = SearchOptions::removing(1, Operator::Delete).with_first_windows(15).with_budget(45);
    let record = SearchRun::new(SearchSetup::of_task(&answers, options)).run(&mut answers).unwrap();
    // All candidates ran on all items that are searched: the best has the highest mean there.
    let searched = items.select(record.state.windows.search.iter().copied());
    let plans = ["1-2", "0-2", "0-1"].map(|text| text.parse::<Intervention>().unwrap());
    let results = TaskRun::new(&model).interventions(plans).run(&searched).unwrap();
    let mean = |scores: &stratigraph_tasks::TaskScores| {
        scores.items.iter().map(|item| item.log_prob).sum::<f64>() / scores.items.len() as f64
    };
    let best = results[1..].iter().max_by(|a, b| mean(&a.scores).total_cmp(&mean(&b.scores))).unwrap();
    assert_eq!(record.state.best().to_string(), best.text);
    assert!(abs_diff_eq!(record.state.rounds[0].mean, mean(&best.scores), epsilon = 1e-4));
    assert_eq!(record.state.evaluated, 45);
    let text = record.to_string();
    for part in
        ["right answer (arc_easy_log_prob)", "Searched on 15 items, validated on 15 others", "over 15 items, with 14"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let refused = TaskObjective::new(&model, &encoded(Task::Lambada, 4), TaskMeasure::AccNorm).err().unwrap();
    assert!(refused.to_string().contains("lambada has no acc_norm"), "{refused}");
    assert!("perplexity".parse::<TaskMeasure>().unwrap_err().to_string().contains("known: acc, acc_norm, log_prob"));
}

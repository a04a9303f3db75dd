//! Plans that a search cannot score are refused before it begins.

use stratigraph_core::TokenWindows;
use stratigraph_study::search::{ModelObjective, SearchRun, SearchSetup, TaskMeasure, TaskObjective};
use stratigraph_surgery::Intervention;
use stratigraph_surgery::search::{Objective, Operator, SearchOptions};
use stratigraph_tasks::Task;
use stratigraph_testing::device;

use crate::patching::load;
use crate::small::Small;
use crate::tasks::{of_tokens, pair};

#[test]
fn a_plan_that_the_model_cannot_run_is_refused_before_the_search() {
    let (directory, model) = (tempfile::tempdir().unwrap(), load("llama-gqa"));
    let windows = TokenWindows::new(&(0..24 * 4).map(|i| i % 50).collect::<Vec<_>>(), 4).unwrap();
    let mut loss = ModelObjective::new(&model, &windows, "nll").unwrap();
    let options = SearchOptions::removing(1, Operator::Delete);
    let compared = SearchSetup::new(&loss, options.clone()).with_compared([Intervention::none(40)]);
    let first = SearchSetup::new(&loss, options).with_start(Intervention::none(40));
    for setup in [compared, first] {
        let error = SearchRun::new(setup).in_directory(directory.path()).run(&mut loss).unwrap_err().to_string();
        assert!(error.contains("layer"), "{error}");
        assert!(!directory.path().join("search.json").exists());
    }
}

#[test]
fn an_edit_that_depends_on_the_whole_corpus_is_refused_before_the_search() {
    let model = load("llama-gqa");
    let windows = TokenWindows::new(&(0..24 * 4).map(|i| i % 50).collect::<Vec<_>>(), 4).unwrap();
    let mut loss = ModelObjective::new(&model, &windows, "nll").unwrap();
    for edit in ["mean", "resample"] {
        let plan: Intervention = format!("0..3 | blocks.1.hook_mlp_out {edit}").parse().unwrap();
        let setup = SearchSetup::new(&loss, SearchOptions::removing(1, Operator::Delete)).with_compared([plan]);
        let error = SearchRun::new(setup).run(&mut loss).unwrap_err().to_string();
        assert!(error.contains("depends on the whole corpus, and a search scores windows apart"), "{error}");
    }
}

#[test]
fn an_edit_at_a_position_that_no_text_runs_is_refused() {
    let model = Small::new(&device());
    let pairs = (0..4).map(|n| vec![pair(&[1, 2, 3, n], &[5])]).collect(); // the last token is not run
    let items = of_tokens(Task::Lambada, pairs);
    let answers = TaskObjective::new(&model, &items, TaskMeasure::LogProb).unwrap();
    let check =
        |position: usize| answers.check(&format!("0..3 | blocks.1.hook_mlp_out pos={position} zero").parse().unwrap());
    check(3).unwrap();
    let error = check(4).unwrap_err().to_string();
    assert!(error.contains("windows of 4 tokens have none of its positions"), "{error}");
}

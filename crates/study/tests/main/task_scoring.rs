//! Benchmarks as measurements of a study: curves are the scores of a run by itself.

use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_profile::catalogue;
use stratigraph_study::measurements::TaskScoring;
use stratigraph_study::{Findings, Study, TaskRun};
use stratigraph_surgery::{Sweep, SweepContext};
use stratigraph_tasks::{EncodedItems, Task};
use stratigraph_testing::device;

use crate::patching::load;
use crate::small::Small;
use crate::tasks::{encoded, of_tokens, pair};

fn windows() -> TokenWindows {
    TokenWindows::new(&(0..32).map(|place| place * 7 % 60).collect::<Vec<u32>>(), 8).unwrap()
}

/// Checks curves against a run of the same interventions.
fn assert_scored(findings: &Findings, model: &Small, items: &EncodedItems, sweeps: &[Sweep]) {
    let task = items.task();
    for sweep in sweeps {
        let points = sweep.points(&SweepContext::new(model.shape(), items.longest())).unwrap();
        let results = TaskRun::new(model).interventions(points.interventions).run(items).unwrap();
        let (clean, own) = results.split_first().unwrap();
        for (index, score) in clean.scores.named().iter().enumerate() {
            let value = findings.value(&format!("clean_{task}_{}", score.name)).unwrap();
            assert_eq!((value.mean, value.sem), (score.score.mean, score.score.sem));
            let curve = findings.curve(&format!("{}_{task}_{}", sweep.name(), score.name)).unwrap();
            assert_eq!(curve.axis, points.axes[0]);
            for (point, result) in own.iter().enumerate() {
                let expected = result.scores.named()[index].score;
                assert_eq!((curve.mean[point], curve.sem[point]), (expected.mean, expected.sem), "{task} {point}");
            }
            assert!(curve.errors.is_some(), "errors are over items");
        }
        let change = findings.curve(&format!("{}_{task}_acc_change", sweep.name())).unwrap();
        for (point, result) in own.iter().enumerate() {
            let expected = result.scores.change_from(&clean.scores);
            assert_eq!((change.mean[point], change.sem[point]), (expected.mean, expected.sem));
        }
    }
}

fn sweeps() -> [Sweep; 2] {
    [Sweep::delete(), Sweep::swap()]
}

#[test]
fn a_study_has_the_scores_of_every_benchmark_under_its_sweeps() {
    let model = Small::new(&device());
    for task in Task::ALL {
        let items = encoded(task, 6);
        let study = Study::new(&model)
            .add(Sweep::delete())
            .add(TaskScoring::new(items.clone(), sweeps()).with_items_at_once(4));
        let findings = study.run(&windows()).unwrap();
        assert_scored(&findings, &model, &items, &sweeps());
        let names = findings.curves().keys().chain(findings.values().keys()).filter(|name| name.contains(task.name()));
        for name in names {
            let known = catalogue::find(name).is_some() || catalogue::find_value(name).is_some();
            assert!(known, "the catalogue has no {name}");
        }
    }
}

#[test]
fn a_swap_at_some_positions_is_made_there_alone() {
    let model = Small::new(&device());
    let (items, sweeps) = (encoded(Task::Lambada, 6), [Sweep::swap(), Sweep::swap_at(1..)]);
    let findings = Study::new(&model).add(TaskScoring::new(items.clone(), sweeps.clone())).run(&windows()).unwrap();
    assert_scored(&findings, &model, &items, &sweeps);
    let curve = |sweep: &str| findings.curve(&format!("{sweep}_{}_perplexity", items.task())).unwrap().mean.clone();
    assert_ne!(curve("swap"), curve("swap_after_first"));
}

#[test]
fn sweeps_over_two_axes_are_matrices() {
    let model = load("llama-gqa");
    let items = encoded(Task::Piqa, 3);
    let heads = Sweep::by_name("zero_heads").unwrap();
    let findings = Study::new(&model).add(TaskScoring::new(items, [heads])).run(&windows()).unwrap();
    let matrix = findings.matrix("zero_heads_piqa_acc").unwrap();
    let shape = (matrix.values.len(), matrix.values[0].len());
    assert_eq!(shape, (model.n_layers(), model.config().n_heads));
}

#[test]
fn what_takes_values_from_a_corpus_is_refused() {
    let model = Small::new(&device());
    let mean = Sweep::by_name("mean_mlp").unwrap();
    let scoring = TaskScoring::new(encoded(Task::Piqa, 2), [mean]);
    let error = Study::new(&model).add(scoring).run(&windows()).unwrap_err().to_string();
    assert!(error.contains("takes values from a corpus"), "{error}");
}

#[test]
fn an_error_names_the_item_among_all() {
    let model = Small::new(&device());
    let pairs = [&[3][..], &[4], &[5], &[]].map(|continuation| vec![pair(&[1, 2], &[6]), pair(&[1, 2], continuation)]);
    let scoring = TaskScoring::new(of_tokens(Task::Piqa, pairs.into()), [Sweep::delete()]).with_items_at_once(2);
    let error = Study::new(&model).add(scoring).run(&windows()).unwrap_err().to_string();
    assert!(error.contains("continuation 1 of item 3 "), "{error}");
}

//! A text beside what an intervention makes of it.

use burn::tensor::{Tensor, TensorData};
use stratigraph_core::{Edit, Hook, NoTap, Positions, ResidualModel, RunModel};
use stratigraph_generate::Generator;
use stratigraph_models::Checkpoint;
use stratigraph_surgery::{Intervention, LayerPlan};
use stratigraph_testing::{device, fixture};

use crate::tiny;

#[test]
fn an_intervention_that_changes_nothing_leaves_the_text() {
    let (model, tokenizer) = tiny();
    let prompts = [tokenizer.encode("The king said").unwrap(), tokenizer.encode("One").unwrap()];
    let generator = Generator::new(&model).with_text(&tokenizer).with_max_new_tokens(12);
    for comparison in generator.compare(&prompts).unwrap() {
        assert_eq!((comparison.parts_at(), comparison.mean_kl()), (None, Some(0.0)));
        assert_eq!(comparison.clean, comparison.changed);
    }
    let none = generator.with_max_new_tokens(0).compare(&prompts[..1]).unwrap().remove(0);
    assert_eq!((none.parts_at(), none.mean_kl()), (None, None));
}

#[test]
fn divergence_is_measured_along_the_clean_text() {
    let (model, tokenizer) = tiny();
    let prompt = tokenizer.encode("The king said to the").unwrap();
    let without: LayerPlan = LayerPlan::full(model.n_layers()).delete(0).unwrap();
    let generator = Generator::new(&model).with_max_new_tokens(10).with_intervention(without.clone().into());
    let comparison = generator.compare(std::slice::from_ref(&prompt)).unwrap().remove(0);
    let ids: Vec<i32> = prompt.iter().chain(&comparison.clean.tokens).map(|id| *id as i32).collect();
    let tokens = || Tensor::from_data(TensorData::new(ids.clone(), [1, ids.len()]), &device());
    let rows = |plan: &LayerPlan| -> Vec<Vec<f64>> {
        let resid = plan.run(&model, tokens(), &mut NoTap).unwrap();
        let logits: Vec<f32> = model.logits(resid).unwrap().try_into_vec_as().unwrap();
        let row = |logits: &[f32]| {
            let sum = logits.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
            logits.iter().map(|x| f64::from(*x) - sum).collect()
        };
        logits.chunks(model.d_vocab()).map(row).collect()
    };
    let (clean, changed) = (rows(&LayerPlan::full(model.n_layers())), rows(&without));
    assert_eq!(comparison.along.len(), 10);
    for (at, token) in comparison.along.iter().enumerate() {
        let (p, q) = (&clean[prompt.len() - 1 + at], &changed[prompt.len() - 1 + at]);
        let expected: f64 = p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)).sum();
        assert!((token.kl - expected).abs() < 1e-4 * expected.max(1.0), "{at}: {} and {expected}", token.kl);
        assert_eq!(token.token, token.clean_top1);
        assert!(q.iter().all(|other| *other <= q[token.changed_top1 as usize]));
    }
    assert!(comparison.mean_kl().unwrap() > 0.1, "its first layer is its most important one");
    let at = comparison.parts_at().expect("the texts part");
    assert_eq!(comparison.clean.tokens[..at], comparison.changed.tokens[..at]);
    assert_ne!(comparison.clean.tokens[at], comparison.changed.tokens[at]);
    let free = Generator::new(&model).with_max_new_tokens(10).run(&[prompt]).unwrap().remove(0);
    assert_eq!(free, comparison.clean);
}

#[test]
fn a_prompt_is_compared_under_the_edits_of_its_own_window() {
    let (model, tokenizer) = tiny();
    let prompts = [tokenizer.encode("The king said").unwrap(), tokenizer.encode("One").unwrap()];
    let compare = |edit: Edit, prompts: &[Vec<u32>]| {
        let edited = Intervention::none(model.n_layers()).edit(edit);
        Generator::new(&model).with_max_new_tokens(6).with_intervention(edited).compare(prompts).unwrap()
    };
    let edit = Edit::zero(Hook::MlpOut.at(0));
    let second = Positions::mask("second", vec![vec![false; 16], vec![true; 16]]);
    let found = compare(edit.clone().with_positions(second), &prompts);
    let alone = compare(edit, &prompts[1..]).remove(0).mean_kl().unwrap();
    assert!(alone > 0.01, "{alone}");
    let [unchanged, changed] = [0, 1].map(|index| found[index].mean_kl().unwrap());
    assert!(unchanged < 1e-6 && (changed - alone).abs() < 1e-4 * alone, "{unchanged} {changed} {alone}");
}

#[test]
fn an_edit_changes_nothing_in_a_text_that_is_too_short_for_it() {
    let (model, tokenizer) = tiny();
    let long = tokenizer.encode("The king said to the people that all of them were free to go").unwrap();
    let prompts = [long[..2].to_vec(), long.clone()];
    let edit = Edit::zero(Hook::MlpOut.at(0)).with_positions(long.len() - 1..);
    let edited = Intervention::none(model.n_layers()).edit(edit);
    let generator = Generator::new(&model).with_max_new_tokens(3).with_intervention(edited);
    let found = generator.compare(&prompts).unwrap();
    let [short, long_enough] = [0, 1].map(|index| found[index].mean_kl().unwrap());
    assert!(short < 1e-6 && long_enough > 1e-3, "{short} {long_enough}");
    // So it is in a run of the short one alone, where the longest is announced.
    let message = generator.run(&prompts[..1]).unwrap_err().to_string();
    assert!(message.contains("none of its positions"), "{message}");
    let alone = generator.with_longest_prompt(long.len()).run(&prompts[..1]).unwrap().remove(0);
    assert_eq!(alone.tokens, found[0].changed.tokens);
}

/// Logits of eight positions are held at once with this vocabulary, and the text is longer.
#[test]
fn a_comparison_of_a_large_vocabulary_is_made_in_several_tiles() {
    let config = Checkpoint::open(fixture("llama-gqa")).unwrap().config().clone().with_d_vocab(1 << 19);
    let model = config.init(5, &device()).unwrap();
    let generator = Generator::new(&model).with_intervention("0-2".parse().unwrap());
    let comparison = generator.clone().with_max_new_tokens(11).compare(&[vec![1, 2]]).unwrap().remove(0);
    assert_eq!(comparison.along.len(), 11);
    for (at, token) in comparison.along.iter().enumerate() {
        let seen = [&[1, 2], &comparison.clean.tokens[..at]].concat();
        let changed = generator.clone().with_max_new_tokens(1).run(&[seen]).unwrap().remove(0);
        assert_eq!((token.clean_top1, token.changed_top1), (token.token, changed.tokens[0]), "token {at}");
        assert!(token.kl > 0.0, "token {at}");
    }
}

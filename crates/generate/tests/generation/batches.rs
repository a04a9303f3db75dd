//! A batch of prompts gives each the text that it has alone, with kept keys and values and without.

use stratigraph_core::{
    Activation, ActivationCache, Edit, Hook, HookSet, NoTap, ResidualModel, Result, RunModel, Site, Tap,
};
use stratigraph_generate::{Generation, Generator, Sampling};
use stratigraph_surgery::{Intervention, LayerPlan};
use stratigraph_testing::{assert_each_close, device};

use crate::{load, tiny};

fn prompts(d_vocab: usize) -> Vec<Vec<u32>> {
    let prompt = |n: u32| (0..n).map(|i| (i * i * 5 + 7 * n) % d_vocab as u32).collect();
    [3, 1, 9, 4].into_iter().map(prompt).collect()
}

fn tokens(generations: &[Generation]) -> Vec<&[u32]> {
    generations.iter().map(|generation| &generation.tokens[..]).collect()
}

#[test]
fn prompts_of_different_lengths_do_not_change_each_other() {
    for name in ["llama-gqa", "gemma3", "gpt2", "bloom", "phi3", "mixtral"] {
        let model = load(name);
        let prompts = prompts(model.d_vocab());
        let repeated = LayerPlan::full(model.n_layers()).repeat(0..2).unwrap();
        let edited: Intervention = repeated.edit(Edit::zero(Hook::MlpOut.at(1)).with_positions(4..));
        for sampling in [Sampling::greedy(), Sampling::at_temperature(1.0).with_top_k(20).with_seed(4)] {
            let generator =
                Generator::new(&model).with_intervention(edited.clone()).with_sampling(sampling).with_max_new_tokens(9);
            let together = generator.run(&prompts).unwrap();
            let whole = generator.clone().recomputing().run(&prompts).unwrap();
            assert_eq!(tokens(&together), tokens(&whole), "{name}");
            let Some(first) = together.first() else { panic!("four prompts") };
            let alone = generator.run(&prompts[..1]).unwrap();
            assert_eq!(alone[0].tokens, first.tokens, "{name}");
            if sampling.is_greedy() {
                for (prompt, expected) in prompts.iter().zip(&together) {
                    let alone = generator.run(std::slice::from_ref(prompt)).unwrap();
                    assert_eq!(alone[0].tokens, expected.tokens, "{name}");
                    assert_each_close(
                        &alone[0].log_probs.iter().map(|p| *p as f32).collect::<Vec<_>>(),
                        &expected.log_probs.iter().map(|p| *p as f32).collect::<Vec<_>>(),
                        1e-4,
                        name,
                    );
                }
            }
        }
    }
}

/// Texts that end early leave the batch, which changes none of the others; a tap that wants a hook sees all of them to the end.
#[test]
fn texts_that_end_leave_the_others_as_they_are() {
    for name in ["llama-gqa", "gemma3", "bloom"] {
        let model = load(name);
        let prompts = prompts(model.d_vocab());
        let edited: Intervention =
            LayerPlan::full(model.n_layers()).repeat(0..2).unwrap().edit(Edit::scale(Hook::MlpOut.at(1), 0.5));
        let generator = Generator::new(&model).with_intervention(edited).with_max_new_tokens(12);
        let free = generator.run(&prompts).unwrap();
        // The first two end at their second and fourth token, the third as soon as it can.
        let stops = [free[0].tokens[1], free[1].tokens[3], free[2].tokens[0]];
        let generator = generator.with_stop_tokens(stops);
        let expected: Vec<_> =
            prompts.iter().map(|it| generator.run(std::slice::from_ref(it)).unwrap().remove(0)).collect();
        let lengths = expected.iter().map(|generation| generation.tokens.len());
        assert!(lengths.clone().min() < lengths.max(), "{name}: some end early");
        for generator in [generator.clone(), generator.clone().recomputing()] {
            let found = generator.run(&prompts).unwrap();
            assert_eq!(tokens(&found), tokens(&expected), "{name}");
            let mut cache = ActivationCache::at([Hook::MlpOut.at(1)]);
            let watched = generator.run_with(&prompts, &mut cache, |_| true).unwrap();
            assert_eq!(tokens(&watched), tokens(&expected), "{name}");
            assert_eq!(cache.tensor(Hook::MlpOut.at(1)).unwrap().dims()[0], prompts.len());
        }
    }
}

/// Greedy text is what the logits of the whole text say at each of its positions.
#[test]
fn greedy_tokens_are_the_most_likely_ones() {
    let (model, tokenizer) = tiny();
    let prompt = tokenizer.encode("The king said").unwrap();
    let generation =
        Generator::new(&model).with_max_new_tokens(20).run(std::slice::from_ref(&prompt)).unwrap().remove(0);
    let all: Vec<i32> = prompt.iter().chain(&generation.tokens).map(|id| *id as i32).collect();
    let ids = burn::tensor::Tensor::from_data(burn::tensor::TensorData::new(all.clone(), [1, all.len()]), &device());
    let logits = model.logits(model.forward(ids, &mut NoTap).unwrap()).unwrap();
    let logits: Vec<f32> = logits.try_into_vec_as().unwrap();
    let rows = logits.chunks(model.d_vocab()).skip(prompt.len() - 1);
    for ((row, token), log_prob) in rows.zip(&generation.tokens).zip(&generation.log_probs) {
        let max = row.iter().copied().fold(f32::MIN, f32::max);
        assert!(max - row[*token as usize] < 1e-4, "token {token}");
        let sum: f64 = row.iter().map(|x| f64::from(x - max).exp()).sum();
        assert!((log_prob + sum.ln()).abs() < 1e-4);
    }
    assert_eq!(generation.tokens.len(), 20);
}

#[test]
fn a_tap_sees_what_is_generated() {
    let model = load("llama-gqa");
    let prompts = prompts(model.d_vocab());
    let generator = Generator::new(&model).with_max_new_tokens(5);
    let mut cache = ActivationCache::at([Hook::ResidPost.at(2)]);
    let generations = generator.run_with(&prompts[..1], &mut cache, |_| true).unwrap();
    // The last token does not run.
    let ids: Vec<u32> = [&prompts[0][..], &generations[0].tokens[..4]].concat();
    let found = cache.tensor(Hook::ResidPost.at(2)).unwrap();
    assert_eq!(found.dims(), [1, 7, model.d_model()]);
    let all: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let ids = burn::tensor::Tensor::from_data(burn::tensor::TensorData::new(all, [1, 7]), &device());
    let expected: Vec<f32> = model.forward(ids, &mut NoTap).unwrap().try_into_vec_as().unwrap();
    assert_each_close(&found.try_into_vec_as::<f32>().unwrap(), &expected, 1e-4, "the last residual stream");
}

/// Notes how many positions run at once.
struct Lengths(Vec<usize>);

impl Tap for Lengths {
    fn hooks(&self) -> HookSet {
        [Hook::Embed].into()
    }

    fn visit(&mut self, _: Site, _: Hook, activation: Activation) -> Result<Activation> {
        self.0.push(activation.dims()[1]);
        Ok(activation)
    }

    fn takes_parts(&self) -> bool {
        true
    }
}

#[test]
fn a_long_rest_of_a_prompt_runs_in_parts() {
    let model = load("bloom");
    let prompts = [vec![5, 9], (0..1300).map(|i| i * i % 48).collect()];
    let generator = Generator::new(&model).with_max_new_tokens(1);
    let mut lengths = Lengths(Vec::new());
    let watched = generator.run_with(&prompts, &mut lengths, |_| true).unwrap();
    assert_eq!(lengths.0, [2, 512, 512, 274]);
    let alone = [0, 1].map(|index| generator.run(&prompts[index..=index]).unwrap().remove(0));
    for found in [watched, generator.run(&prompts).unwrap()] {
        assert_eq!(tokens(&found), tokens(&alone));
    }
}

//! Greedy texts, with and without a repetition penalty, are those of Hugging Face transformers.

use std::fs;

use serde_json::Value;
use stratigraph_core::ResidualModel;
use stratigraph_generate::{Generator, Sampling};
use stratigraph_models::{Checkpoint, Tokenizer};
use stratigraph_testing::{device, fixture, skipped};

use crate::tiny;

/// Margins of logits below which either token may be the most likely one: rounding of another order of sums.
const ROUNDING: f64 = 2e-3;

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// Compares the texts of a file with those of a model; returns how many of them are equal to the last token.
fn compare(file: &str, model: &dyn ResidualModel, tokenizer: &Tokenizer) -> usize {
    let fixture: Value = serde_json::from_slice(&fs::read(fixture(file)).unwrap()).unwrap();
    let penalty = fixture["repetition_penalty"].as_f64().unwrap();
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 20);
    let prompts: Vec<Vec<u32>> = cases.iter().map(|case| ids(&case["ids"])).collect();
    for (case, prompt) in cases.iter().zip(&prompts) {
        assert_eq!(tokenizer.encode(case["prompt"].as_str().unwrap()).unwrap(), *prompt);
    }
    let mut n_equal = 0;
    for (name, penalty) in [("greedy", 1.0), ("penalized", penalty)] {
        let sampling = Sampling::greedy().with_repetition_penalty(penalty);
        let n_new = cases[0][name]["tokens"].as_array().unwrap().len();
        let generator = Generator::new(model).with_sampling(sampling).with_max_new_tokens(n_new);
        for (case, found) in cases.iter().zip(generator.run(&prompts).unwrap()) {
            let expected = ids(&case[name]["tokens"]);
            match found.tokens.iter().zip(&expected).position(|(found, expected)| found != expected) {
                None => n_equal += 1,
                Some(at) => {
                    let margin = case[name]["margins"][at].as_f64().unwrap();
                    let prompt = &case["prompt"];
                    assert!(margin < ROUNDING, "{name} {prompt}: token {at} differs by a margin of {margin}");
                }
            }
        }
    }
    n_equal
}

#[test]
fn tiny_writes_what_it_writes_in_transformers() {
    let file = "generations/tiny.json";
    if !fixture(file).exists() {
        return skipped("tiny's texts by transformers: run scripts/make_generations.py");
    }
    let (model, tokenizer) = tiny();
    let n_equal = compare(file, &model, &tokenizer);
    assert!(n_equal >= 38, "{n_equal} of 40 texts are equal");
}

/// `STRATIGRAPH_SMOLLM2` names a GGUF or directory of SmolLM2-135M-Instruct with the weights of the Q4_1.
#[test]
fn smollm2_writes_what_it_writes_in_transformers() {
    let Some(path) = std::env::var_os("STRATIGRAPH_SMOLLM2") else {
        return skipped("SmolLM2's texts: set STRATIGRAPH_SMOLLM2 to its GGUF Q4_1");
    };
    let checkpoint = Checkpoint::open(path).unwrap();
    let (model, tokenizer) = (checkpoint.load(&device()).unwrap(), checkpoint.tokenizer().unwrap());
    let n_equal = compare("generations/smollm2.json", &model, &tokenizer);
    assert!(n_equal >= 38, "{n_equal} of 40 texts are equal");
}

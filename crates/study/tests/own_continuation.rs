//! The loss of the model's own text, against texts and losses that are made step by step.

use burn::tensor::{Tensor, TensorData};
use stratigraph_core::{NoTap, ResidualModel, RunModel, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_study::measurements::{self, OwnContinuation};
use stratigraph_study::{Measurement, Study, StudyContext, StudyError};
use stratigraph_surgery::LayerPlan;
use stratigraph_testing::{device, fixture};

const SEQ_LEN: usize = 9;
const N_PROMPT: usize = 4;

fn model() -> Decoder {
    Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device()).unwrap()
}

fn windows() -> TokenWindows {
    TokenWindows::new(&(0..3 * SEQ_LEN as u32).map(|i| i * i * 11 % 290).collect::<Vec<_>>(), SEQ_LEN).unwrap()
}

/// The logits at every position of a text under a plan, `pos * d_vocab` numbers.
fn logits(model: &Decoder, plan: &LayerPlan, ids: &[u32]) -> Vec<f32> {
    let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let tokens = Tensor::from_data(TensorData::new(ids.clone(), [1, ids.len()]), &device());
    let resid = plan.run(model, tokens, &mut NoTap).unwrap();
    model.logits(resid).unwrap().try_into_vec_as().unwrap()
}

/// The greedy text behind the first tokens of a window, one whole run for each token.
fn continued(model: &Decoder, window: &[u32]) -> Vec<u32> {
    let mut ids = window[..N_PROMPT].to_vec();
    while ids.len() < SEQ_LEN {
        let all = logits(model, &LayerPlan::full(model.n_layers()), &ids);
        let last = &all[all.len() - model.d_vocab()..];
        ids.push((0..last.len()).fold(0, |best, id| if last[id] > last[best] { id } else { best }) as u32);
    }
    ids
}

/// The mean loss of the continuations under a plan.
fn loss(model: &Decoder, plan: &LayerPlan, texts: &[Vec<u32>]) -> f64 {
    let of_text = |ids: &Vec<u32>| -> f64 {
        let all = logits(model, plan, ids);
        let row = |position: usize| &all[position * model.d_vocab()..(position + 1) * model.d_vocab()];
        let nll = |position: usize| {
            let logits = row(position).iter().map(|x| f64::from(*x));
            let sum: f64 = logits.map(f64::exp).sum();
            sum.ln() - f64::from(row(position)[ids[position + 1] as usize])
        };
        (N_PROMPT - 1..SEQ_LEN - 1).map(nll).sum::<f64>() / (SEQ_LEN - N_PROMPT) as f64
    };
    texts.iter().map(of_text).sum::<f64>() / texts.len() as f64
}

#[test]
fn losses_are_those_of_the_text_that_the_model_writes() {
    let (model, windows) = (model(), windows());
    let findings = Study::new(&model).add(OwnContinuation::default()).run(&windows).unwrap();
    let texts: Vec<_> = (0..3).map(|window| continued(&model, windows.sequence(window))).collect();
    let full = LayerPlan::full(model.n_layers());
    let clean = loss(&model, &full, &texts);
    assert!((findings.value("own_continuation_clean_nll").unwrap().mean - clean).abs() < 1e-5);
    let curve = findings.curve("own_continuation_nll").unwrap();
    assert_eq!((curve.len(), curve.n_windows()), (3, Some(3)));
    for (layer, found) in curve.mean.iter().enumerate() {
        let expected = loss(&model, &full.delete(layer).unwrap(), &texts);
        assert!((found - expected).abs() < 1e-5, "layer {layer}: {found} and {expected}");
        assert!((found - clean).abs() > 1e-3, "layer {layer} does something");
    }
    assert!(curve.sem.iter().all(Option::is_some));
    // The study's own sweep on the corpus is not changed by it.
    assert!(findings.value("clean_nll").unwrap().mean > 0.0);
}

#[test]
fn the_length_of_prompts_can_be_chosen_and_is_checked() {
    let (model, windows) = (model(), windows());
    let longer = Study::new(&model).add(OwnContinuation::new(7)).run(&windows).unwrap();
    let usual = Study::new(&model).add(OwnContinuation::new(4)).run(&windows).unwrap();
    let curve = |findings: &stratigraph_study::Findings| findings.curve("own_continuation_nll").unwrap().mean.clone();
    assert_ne!(curve(&longer), curve(&usual));
    let by_name = measurements::by_name(OwnContinuation::NAME).unwrap();
    assert_eq!(by_name.name(), OwnContinuation::NAME);
    for (n_prompt, reason) in [(0, "at least one token"), (9, "it takes windows of 10 tokens, and they have 9")] {
        let context = StudyContext::new(&model, &windows, 0);
        let Err(StudyError::CannotMeasure { reason: found, .. }) = OwnContinuation::new(n_prompt).check(&context)
        else {
            panic!("{n_prompt}")
        };
        assert!(found.contains(reason), "{found}");
    }
}

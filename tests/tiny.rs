//! The model in the box: transformers gives the same ids and logits, and its loss is what its card says.

mod common;

use common::{Expected, assert_close, devices, host};
use stratigraph::core::{forward, logits};
use stratigraph::prelude::*;

fn checkpoint() -> Checkpoint {
    Checkpoint::open(concat!(env!("CARGO_MANIFEST_DIR"), "/models/tiny")).unwrap()
}

fn sample() -> Vec<u32> {
    let text = include_str!("../examples/data/sample.txt");
    checkpoint().tokenizer().unwrap().encode(text).unwrap()
}

#[test]
fn ids_and_logits_are_those_of_transformers() {
    let expected = Expected::open("tiny.safetensors");
    let ids = &sample()[..128];
    let found: Vec<f32> = ids.iter().map(|id| *id as f32).collect();
    assert_eq!(found, expected.values("ids").1);
    let (shape, values) = expected.values("logits");
    for (backend, device) in devices() {
        let model = checkpoint().load(&device).unwrap();
        let windows = TokenWindows::new(ids, ids.len()).unwrap();
        let resid = forward(&model, windows.batch(0..1, &device), &mut NoTap).unwrap();
        let last = logits(&model, resid).slice([0..1, ids.len() - shape[0]..ids.len(), 0..shape[1]]);
        let worst = assert_close(&host(last), &values, 1e-4, &format!("{backend}"));
        println!("{backend}: logits within {worst:.1e} of their scale");
    }
}

/// On a text it has never seen, written after it was trained.
#[test]
fn it_has_learnt_english() {
    let model = checkpoint().load(&common::device()).unwrap();
    let windows = TokenWindows::new(&sample(), 128).unwrap();
    let findings = Study::new(&model).experiments([]).run(&windows).unwrap();
    let loss = findings.interventions[0].metrics["nll"].mean;
    let uniform = (model.d_vocab() as f64).ln();
    assert!(loss < 0.65 * uniform, "{loss} nats a token, of {uniform} by chance");
}

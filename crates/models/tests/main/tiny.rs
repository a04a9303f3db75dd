//! The model in the box: transformers gives the same ids and logits.

use stratigraph_core::{NoTap, RunModel, TokenWindows};
use stratigraph_models::Checkpoint;
use stratigraph_testing::{Expected, ExpectedTensor, TestDevice, assert_close, devices, host, repository};

fn checkpoint() -> Checkpoint {
    Checkpoint::open(repository().join("models/tiny")).unwrap()
}

fn sample() -> Vec<u32> {
    let text = std::fs::read_to_string(repository().join("examples/data/sample.txt")).unwrap();
    checkpoint().tokenizer().unwrap().encode(&text).unwrap()
}

#[test]
fn ids_and_logits_are_those_of_transformers() {
    let expected = Expected::open("tiny.safetensors");
    let ids = &sample()[..128];
    let found: Vec<f32> = ids.iter().map(|id| *id as f32).collect();
    assert_eq!(found, expected.tensor("ids").values);
    let ExpectedTensor { shape, values } = expected.tensor("logits");
    for TestDevice { backend, device } in devices() {
        let model = checkpoint().load(&device).unwrap();
        let windows = TokenWindows::new(ids, ids.len()).unwrap();
        let resid = model.forward(windows.batch(0..1, &device), &mut NoTap).unwrap();
        let last = model.logits(resid).unwrap().slice([0..1, ids.len() - shape[0]..ids.len(), 0..shape[1]]);
        let worst = assert_close(&host(last), &values, 1e-4, &format!("{backend}"));
        println!("{backend}: logits within {worst:.1e} of their scale");
    }
}

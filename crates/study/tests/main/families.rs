//! Studies of every family: the lens at the end is the model; and the loss of the model in the box.

use approx::abs_diff_eq;
use stratigraph_core::{NoTap, RunModel, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_study::Study;
use stratigraph_study::measurements::LogitLens;
use stratigraph_testing::{Expected, FAMILIES, device, fixture, losses, repository};

#[test]
fn the_lens_at_the_end_is_the_model() {
    for name in FAMILIES {
        let model = Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap();
        let windows = Expected::of_family(name).windows();
        let findings = Study::new(&model).add(LogitLens).run(&windows).unwrap();
        let last = |curve: &str| *findings.curve(curve).unwrap().mean.last().unwrap();
        assert_eq!(findings.curve("lens_kl").unwrap().mean.len(), model.config().n_layers + 1);
        assert_eq!((last("lens_kl"), last("lens_top1_agreement")), (0.0, 1.0), "{name}");
        assert!(abs_diff_eq!(last("lens_nll"), loss(&model, &windows), epsilon = 1e-5), "{name}");
    }
}

/// The mean loss in nats of the model's logits, by its definition.
fn loss(model: &Decoder, windows: &TokenWindows) -> f64 {
    let resid = model.forward(windows.batch(0..windows.n_sequences(), &device()), &mut NoTap).unwrap();
    losses(model, windows, resid).iter().sum::<f64>() / windows.n_sequences() as f64
}

/// On a text it has never seen, written after it was trained.
#[test]
fn the_model_in_the_box_has_learnt_english() {
    let checkpoint = Checkpoint::open(repository().join("models/tiny")).unwrap();
    let text = std::fs::read_to_string(repository().join("examples/data/sample.txt")).unwrap();
    let ids = checkpoint.tokenizer().unwrap().encode(&text).unwrap();
    let model = checkpoint.load(&device()).unwrap();
    let findings = Study::new(&model).run(&TokenWindows::new(&ids, 128).unwrap()).unwrap();
    let loss = findings.interventions()[0].metrics["nll"].mean;
    let uniform = (model.config().d_vocab as f64).ln();
    assert!(loss < 0.65 * uniform, "{loss} nats a token, of {uniform} by chance");
}

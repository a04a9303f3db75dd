//! Lenses: what they read, the affine fit, and files.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use stratigraph_core::{ActivationCache, Hook, NoTap, ResidualModel, RunModel, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_probes::lens::{
    AffineConfig, FittedLens, FixedScaleLens, Lens, LensKind, LensReading, LensRecord, LensRows, LinearMap, LogitLens,
    ReadStream, fit_affine,
};
use stratigraph_probes::readout::Readout;
use stratigraph_probes::scores::Scores;
use stratigraph_testing::{Expected, assert_close, assert_each_close, device, fixture, host};

const N_LAYERS: usize = 3;
const D_MODEL: usize = 24;

fn model(name: &str) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap()
}

fn expected() -> Expected {
    Expected::open("lenses/expected.safetensors")
}

/// Residual streams of the first window, `[pos, d_model]`.
fn streams(model: &Decoder, windows: &TokenWindows) -> Vec<Tensor<2>> {
    let mut cache = ActivationCache::at([Hook::ResidPre]);
    let last = model.forward(windows.batch(0..1, &model.device()), &mut cache).unwrap();
    let before = (0..model.n_layers()).map(|layer| cache.tensor(Hook::ResidPre.at(layer)).unwrap());
    before.chain([last]).map(|resid| resid.squeeze_dim(0)).collect()
}

/// A lens of maps without any meaning.
fn waves() -> FittedLens {
    let numbers = |n: usize, seed: usize| (0..n).map(|i| ((i + seed) as f32 * 0.7).sin() * 0.2).collect::<Vec<_>>();
    let tensor = |n: usize, seed| Tensor::<1>::from_data(TensorData::new(numbers(n, seed), [n]), &device());
    let map = |position: usize| {
        let weight = tensor(D_MODEL * D_MODEL, position).reshape([D_MODEL, D_MODEL]);
        LinearMap::new(weight).with_bias(tensor(D_MODEL, 50 + position))
    };
    FittedLens::new(LensKind::Affine, (0..N_LAYERS).map(|position| Some(map(position))))
}

#[test]
fn at_the_last_position_every_lens_is_the_model_and_the_logit_lens_reads_as_no_lens() {
    for name in ["llama-gqa", "gpt2"] {
        let (model, expected) = (model(name), Expected::of_family(name));
        let windows = expected.windows();
        let tokens = || windows.batch(0..2, &device());
        let last = model.forward(tokens(), &mut NoTap).unwrap();
        let early = model.embed(tokens()).unwrap();
        let n_layers = model.n_layers();
        let width = model.d_model();
        let doubled = |_| Some(LinearMap::new(Tensor::eye(width, &device()) * 2.0));
        let fitted = FittedLens::new(LensKind::Tuned, (0..n_layers).map(doubled));
        let lenses: [Arc<dyn Lens>; 3] = [Arc::new(LogitLens), Arc::new(FixedScaleLens), Arc::new(fitted)];
        let at_end =
            |lens: &Arc<dyn Lens>| ReadStream::new(last.clone(), Some(LensReading::new(lens.clone(), n_layers)));
        let plain = [ReadStream::from(early.clone()), last.clone().into()];
        let logit = ReadStream::new(early, Some(LensReading::new(lenses[0].clone(), 0)));
        let streams: Vec<_> = plain.into_iter().chain([logit]).chain(lenses.iter().map(at_end)).collect();
        let mut scores = vec![Scores::default(); streams.len()];
        Readout::new(&model).compare(&windows, 0..2, streams, 1, &mut scores).unwrap();
        assert_eq!(scores[0], scores[2], "{name}: the logit lens");
        assert!(scores[0].summary("kl").unwrap().mean > 0.01);
        for (lens, found) in lenses.iter().zip(&scores[3..]) {
            // A bias that is taken away and added again may leave a last bit.
            let is_exact = lens.name() != "fixed_scale_lens";
            assert!(!is_exact || *found == scores[1], "{name}: {}", lens.name());
            assert!(found.summary("kl").unwrap().mean < 1e-6, "{name}: {}", lens.name());
        }
    }
}

#[test]
fn one_scale_divides_every_stream() {
    for name in ["llama-gqa", "gpt2"] {
        let model = model(name);
        let windows = Expected::of_family(name).windows();
        let streams = streams(&model, &windows);
        let (early, last) = (streams[1].clone(), streams[model.n_layers()].clone());
        let rows = LensRows::new(1, early.clone()).with_last(last.clone());
        let normed = host(FixedScaleLens.normed(&model, rows).unwrap());
        // With the scale of the last stream the norm is a linear map: a sum of two streams is normed as their sum.
        let bias = model.final_norm(Tensor::zeros([1, model.d_model()], &device())).unwrap();
        let linear = |stream: Tensor<2>| {
            let rows = LensRows::new(1, stream).with_last(last.clone());
            FixedScaleLens.normed(&model, rows).unwrap() - bias.clone()
        };
        let sum = host(linear(early.clone() * 0.25 + last.clone()));
        assert_close(&sum, &host(linear(early) * 0.25 + linear(last.clone())), 1e-5, name);
        assert_close(
            &host(linear(last.clone()) + bias.clone()),
            &host(model.final_norm(last.clone()).unwrap()),
            1e-6,
            name,
        );
        assert!(normed.iter().all(|x| x.is_finite()));
        let error = FixedScaleLens.normed(&model, LensRows::new(1, last)).unwrap_err().to_string();
        assert!(error.contains("needs the unchanged model"), "{error}");
    }
}

#[test]
fn least_squares_are_numpy_s() {
    let (model, expected) = (model("llama-gqa"), expected());
    let config = AffineConfig::default().with_ridges([0.0]);
    let mut done = Vec::new();
    let lens = fit_affine(&model, &expected.windows(), &config, |part| done.push(part)).unwrap();
    // The embedding of 480 tokens and the last stream: their regression is as well determined as any.
    for position in 0..N_LAYERS {
        let map = lens.map(position).unwrap();
        let (weight, bias) = (host(map.weight()), host(map.bias().unwrap()));
        let of = |what: &str| expected.tensor(&format!("affine.{what}.{position}")).values;
        assert_each_close(&weight, &of("weight"), 1e-4, &format!("weight {position}"));
        assert_each_close(&bias, &of("bias"), 1e-4, &format!("bias {position}"));
    }
    assert!(done.is_sorted() && done.last() == Some(&1.0), "{done:?}");
    assert_eq!(lens.record().fit["ridge"], [0.0; 3]);
    // A pass for each residual position gives the same.
    let in_parts = fit_affine(&model, &expected.windows(), &config.with_bytes(1), |_| {}).unwrap();
    let [in_parts, at_once] = [&in_parts, &lens].map(|lens| host(lens.map(2).unwrap().weight()));
    assert_close(&in_parts, &at_once, 1e-5, "in parts");
}

#[test]
fn the_ridge_is_chosen_by_held_out_windows() {
    let (model, expected) = (model("llama-gqa"), expected());
    let windows = expected.windows();
    let lens = fit_affine(&model, &windows, &AffineConfig::default(), |_| {}).unwrap();
    let record = lens.record();
    assert_eq!((record.n_sequences, record.seq_len), (40, 12));
    let errors = &record.fit["held_out_error"];
    for ridge in [1e-6, 10.0] {
        // Other ridges are no better on the held-out windows, which are the eighth, the sixteenth and so on.
        let fixed =
            fit_affine(&model, &fitted(&windows), &AffineConfig::default().with_ridges([ridge]), |_| {}).unwrap();
        for (position, error) in errors.iter().enumerate() {
            let of_fixed = held_out_error(&model, &windows, &fixed, position);
            assert!(*error <= of_fixed * (1.0 + 1e-5), "{position}: {error} and {of_fixed} with {ridge}");
        }
    }
    let refused = |config: AffineConfig, n: usize| {
        fit_affine(&model, &windows.clone().take(n), &config, |_| {}).unwrap_err().to_string()
    };
    assert!(refused(AffineConfig::default(), 3).contains("one window in 8 is held out, and there are 3"));
    assert!(refused(AffineConfig::default().with_ridges([0.0]), 1).contains("do not determine the weights"));
    assert!(refused(AffineConfig::default().with_ridges([-1.0]), 9).contains("the ridge -1 is not a number from 0 on"));
}

/// The windows that are not held out.
fn fitted(windows: &TokenWindows) -> TokenWindows {
    let ids: Vec<u32> =
        (0..windows.n_sequences()).filter(|n| n % 8 != 7).flat_map(|n| windows.sequence(n).to_vec()).collect();
    TokenWindows::new(&ids, windows.seq_len()).unwrap()
}

/// The mean of `|h_L - h_l W - b|^2` over the held-out windows.
fn held_out_error(model: &Decoder, windows: &TokenWindows, lens: &FittedLens, position: usize) -> f64 {
    let of_window = |n: usize| {
        let window = TokenWindows::new(windows.sequence(n), windows.seq_len()).unwrap();
        let streams = streams(model, &window);
        let off = streams[N_LAYERS].clone() - lens.stream(position, streams[position].clone()).unwrap();
        host(off.square()).iter().map(|x| f64::from(*x)).sum::<f64>() / windows.seq_len() as f64
    };
    let held_out: Vec<f64> = (0..windows.n_sequences()).filter(|n| n % 8 == 7).map(of_window).collect();
    held_out.iter().sum::<f64>() / held_out.len() as f64
}

#[test]
fn a_saved_lens_is_opened_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lens.safetensors");
    let shape = model("llama-gqa").shape();
    let record =
        LensRecord::of_windows(3, 12).with_model("llama", "ab").with_corpus("text", "cd").with_fit("ridge", [0.1]);
    let maps = (0..N_LAYERS).map(|position| (position != 1).then(|| waves().map(position).unwrap().clone()));
    let lens = FittedLens::new(LensKind::Jacobian, maps).with_record(record.clone());
    lens.save(&path).unwrap();
    let opened = FittedLens::open(&path, &shape, &device()).unwrap();
    assert_eq!((opened.kind(), opened.record(), opened.n_layers()), (LensKind::Jacobian, &record, N_LAYERS));
    assert!(opened.map(1).is_none() && !opened.reads(1) && opened.reads(0) && opened.reads(N_LAYERS));
    for position in [0, 2] {
        let [saved, opened] = [&lens, &opened].map(|lens| lens.map(position).unwrap());
        assert_eq!(host(saved.weight()), host(opened.weight()));
        assert_eq!(host(saved.bias().unwrap()), host(opened.bias().unwrap()));
    }
    let other = FittedLens::open(&path, &model("gpt2").shape(), &device()).unwrap_err().to_string();
    let part = "the jacobian lens is for a model of 3 layers and d_model 24, and this one has 3 layers and d_model 18";
    assert!(other.starts_with(part), "{other}");
}

#[test]
fn what_is_no_lens_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let shape = model("llama-gqa").shape();
    let refused = |path: &std::path::Path, part: &str| {
        let error = FittedLens::open(path, &shape, &device()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    refused(&dir.path().join("absent"), "cannot read");
    refused(dir.path(), "a directory without the config.json");
    refused(&file("text", b"not a lens, but a text"), "is not a lens that can be read");
    refused(&file("zip.pt", b"PK\x03\x04 and nothing"), "is not a lens that can be read");
    refused(&fixture("llama-gqa/model.safetensors"), "its header has no `stratigraph_lens`");
    refused(&fixture("llama-gqa"), "is not a lens that can be read");
    refused(&fixture("lenses/tuned/params.pt"), "it has no `J`");
    std::fs::write(dir.path().join("config.json"), std::fs::read(fixture("lenses/tuned/config.json")).unwrap())
        .unwrap();
    std::fs::copy(fixture("lenses/jacobian.pt"), dir.path().join("params.pt")).unwrap();
    refused(dir.path(), "it has no tensor `0.weight`");
}

#[test]
fn checkpoints_of_tuned_lens_are_read_and_written() {
    let (model, expected) = (model("llama-gqa"), expected());
    let lens = FittedLens::open(fixture("lenses/tuned"), &model.shape(), &device()).unwrap();
    assert_eq!((lens.kind(), &lens.record().model[..]), (LensKind::Tuned, "llama-gqa"));
    let dir = tempfile::tempdir().unwrap();
    lens.save_tuned_lens(dir.path().join("copy")).unwrap();
    let copy = FittedLens::open(dir.path().join("copy"), &model.shape(), &device()).unwrap();
    let streams = streams(&model, &expected.windows());
    for (position, rows) in streams.iter().enumerate().take(N_LAYERS) {
        let logits = |lens: &FittedLens| {
            let stream = lens.stream(position, rows.clone()).unwrap();
            host(model.logits(stream.unsqueeze_dim(0)).unwrap())
        };
        let torch = expected.tensor(&format!("tuned.logits.{position}")).values;
        assert_close(&logits(&lens), &torch, 1e-5, &format!("position {position}"));
        assert_close(&logits(&copy), &torch, 1e-5, &format!("copy, position {position}"));
    }
    let incomplete = FittedLens::new(LensKind::Tuned, [None, None, None]).save_tuned_lens(dir.path());
    assert!(incomplete.unwrap_err().to_string().contains("the lens has no map before layer 0"));
    // Where its numbers cannot be written, no half of a checkpoint is left.
    let half = dir.path().join("half");
    std::fs::create_dir_all(half.join("params.pt")).unwrap();
    assert!(lens.save_tuned_lens(&half).is_err());
    assert_eq!(std::fs::read_dir(&half).unwrap().count(), 1);
}

#[test]
fn published_jacobian_lenses_are_read() {
    let (model, expected) = (model("llama-gqa"), expected());
    let lens = FittedLens::open(fixture("lenses/jacobian.pt"), &model.shape(), &device()).unwrap();
    assert_eq!((lens.kind(), lens.record().n_sequences, lens.n_layers()), (LensKind::Jacobian, 3, N_LAYERS));
    assert!(lens.map(0).is_none(), "published lenses have no matrix before the first layer");
    for position in [1, 2] {
        // `J h` of a column is the row `h J^T`.
        let weight = host(lens.map(position).unwrap().weight().transpose());
        let jacobian = expected.tensor(&format!("jacobian.{position}")).values;
        assert_close(&weight, &jacobian, 1e-3, &format!("position {position}")); // f16
    }
    let short = model.shape().with_n_layers(2);
    let error = FittedLens::open(fixture("lenses/jacobian.pt"), &short, &Device::flex()).unwrap_err().to_string();
    assert!(error.ends_with("it has a matrix after layer 1, and the model has 2 layers"), "{error}");
}

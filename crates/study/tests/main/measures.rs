//! Measures inside the model against their definitions, written out over the activations and weights that transformers
//! gives, on every backend.

use approx::abs_diff_eq;
use burn::tensor::Device;
use safetensors::SafeTensors;
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_probes::neurons::{NeuronProfile, vocabulary_profiles};
use stratigraph_study::measurements::{AttentionByDistance, ResidualGeometry, VocabularyNeurons};
use stratigraph_study::{Findings, Study};
use stratigraph_testing::{Backend, Expected, TestDevice, device, devices, fixture};

/// All, or on wgpu, which may run in software, the first.
fn some<T>(backend: Backend, all: &[T]) -> &[T] {
    if backend == Backend::Wgpu { &all[..1] } else { all }
}

/// A model and what is found inside it.
struct Inside {
    model: Decoder,
    findings: Findings,
}

impl Inside {
    fn of(name: &str, device: &Device, skip_first: usize) -> Self {
        let model = Checkpoint::open(fixture(name)).unwrap().load(device).unwrap();
        let study = Study::new(&model)
            .add(AttentionByDistance::default())
            .add(ResidualGeometry::skipping_first(skip_first))
            .add(VocabularyNeurons);
        let findings = study.run(&Expected::of_family(name).windows()).unwrap();
        Self { model, findings }
    }

    #[track_caller]
    fn assert_curve(&self, name: &str, expected: &[f64], tolerance: f64) {
        let found = &self.findings.curve(name).unwrap().mean;
        assert_eq!(found.len(), expected.len(), "{name}");
        for (layer, (found, expected)) in found.iter().zip(expected).enumerate() {
            let apart = (found - expected).abs() / expected.abs().max(1e-3);
            assert!(apart < tolerance, "{name} at {layer}: {found}, expected {expected}");
        }
    }
}

/// Activations of one layer as `[batch * pos][width]`, without the first positions of each window.
fn rows(expected: &Expected, tensor: &str, layer: usize, skip_first: usize) -> Vec<Vec<f64>> {
    let tensor = expected.tensor(tensor);
    let (pos, width) = (tensor.shape[2], tensor.shape[3]);
    let rows = tensor.part(layer).chunks(width).map(|row| row.iter().map(|x| f64::from(*x)).collect());
    rows.enumerate().filter(|(row, _)| row % pos >= skip_first).map(|(_, row)| row).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn attention_is_what_the_definitions_say() {
    for TestDevice { backend, device } in devices() {
        for &name in some(backend, &["llama-gqa", "gpt2"]) {
            let inside = Inside::of(name, &device, 0);
            let expected = Expected::of_family(name);
            let t = expected.tensor("pattern").shape[3];
            let of_layers = |entries: &dyn Fn(&[f32]) -> f64| -> Vec<f64> {
                let layer = |layer| mean(expected.tensor("pattern").part(layer).chunks(t * t).map(entries));
                (0..inside.model.n_layers()).map(layer).collect()
            };
            for k in [1, 2, 4, 8] {
                let expected = of_layers(&|p| mean((k..t).map(|q| f64::from(p[q * t + q - k]))));
                inside.assert_curve(&format!("attention_at_distance_{k}"), &expected, 1e-4);
            }
            assert!(inside.findings.curve("attention_at_distance_16").is_err(), "the windows are too short");
            let recent = |p: &[f32]| -> Vec<f64> {
                (1..=5).flat_map(|k| (k..t).map(move |q| q * t + q - k)).map(|at| f64::from(p[at])).collect()
            };
            inside.assert_curve("prev5_attention", &of_layers(&|p| mean(recent(p))), 1e-4);
            let mass = of_layers(&|p| recent(p).iter().sum::<f64>() / t as f64);
            inside.assert_curve("prev5_attention_mass", &mass, 1e-4);
            let near = |p: &[f32], q: usize| (1..=5).filter(|k| *k < q).map(|k| f64::from(p[q * t + q - k])).sum();
            let mass = of_layers(&|p| mean((1..t).map(|q| near(p, q))));
            inside.assert_curve("prev5_attention_mass_after_first", &mass, 1e-4);
            let first = of_layers(&|p| mean((1..t).map(|q| f64::from(p[q * t]))));
            inside.assert_curve("first_token_attention", &first, 1e-4);
        }
    }
}

#[test]
fn geometry_is_what_the_definitions_say() {
    for TestDevice { backend, device } in devices() {
        for &(name, skip_first) in some(backend, &[("llama-gqa", 3), ("gpt2", 0)]) {
            let inside = Inside::of(name, &device, skip_first);
            let expected = Expected::of_family(name);
            let n = inside.model.n_layers();
            let norms = |tensor: &str, n: usize| -> Vec<f64> {
                (0..n).map(|l| mean(rows(&expected, tensor, l, skip_first).iter().map(|row| norm(row)))).collect()
            };
            inside.assert_curve("resid_norm", &norms("resid", n + 1), 1e-4);
            inside.assert_curve("attn_out_norm", &norms("attn_out", n), 1e-4);
            inside.assert_curve("mlp_out_norm", &norms("mlp_out", n), 1e-4);
            let streams: Vec<_> = (0..=n).map(|l| rows(&expected, "resid", l, skip_first)).collect();
            let writes = |tensor: &str| (0..n).map(|l| rows(&expected, tensor, l, skip_first)).collect::<Vec<_>>();
            let (attn, mlp) = (writes("attn_out"), writes("mlp_out"));
            let cosine = |a: &[f64], b: &[f64]| dot(a, b) / norm(a) / norm(b);
            let of_attn = |l: usize| mean(attn[l].iter().zip(&streams[l]).map(|(write, stream)| cosine(write, stream)));
            inside.assert_curve("attn_write_cosine", &(0..n).map(of_attn).collect::<Vec<_>>(), 1e-3);
            // What the MLP is added to is what is left when it is taken away.
            let before = |after: &[f64], write: &[f64]| after.iter().zip(write).map(|(a, b)| a - b).collect::<Vec<_>>();
            let of_mlp = |l: usize| {
                mean(mlp[l].iter().zip(&streams[l + 1]).map(|(write, after)| cosine(write, &before(after, write))))
            };
            inside.assert_curve("mlp_write_cosine", &(0..n).map(of_mlp).collect::<Vec<_>>(), 1e-3);
            let pos = expected.tensor("resid").shape[2];
            let first = |l| mean(rows(&expected, "resid", l, 0).iter().step_by(pos).map(|row| norm(row)));
            inside.assert_curve("first_position_norm", &(0..=n).map(first).collect::<Vec<_>>(), 1e-4);
            let cosines = |l: usize| -> Vec<f64> {
                let pairs = streams[l].iter().zip(&streams[l + 1]);
                pairs.map(|(a, b)| dot(a, b) / norm(a) / norm(b)).collect()
            };
            let adjacent: Vec<f64> = (0..n).map(|l| mean(cosines(l))).collect();
            inside.assert_curve("cosine_in_out", &adjacent, 1e-4);
            let influence: Vec<f64> = adjacent.iter().map(|cosine| 1.0 - cosine).collect();
            inside.assert_curve("block_influence", &influence, 1e-3);
            let angles = |l| mean(cosines(l).into_iter().map(|cosine| cosine.acos() / std::f64::consts::PI));
            inside.assert_curve("angular_distance_1", &(0..n).map(angles).collect::<Vec<_>>(), 1e-3);
            let similar: Vec<f64> = (0..n).map(|l| cka(&streams[l], &streams[l + 1])).collect();
            inside.assert_curve("cka_adjacent", &similar, 1e-4);
            let is_layer_norm = name == "gpt2";
            let read = |row: &Vec<f64>| if is_layer_norm { without_mean(row) } else { row.clone() };
            let of_window = |l: usize| streams[l].chunks(pos - skip_first).map(|rows| rows.iter().map(read).collect());
            let by_window: Vec<Vec<Vec<Vec<f64>>>> = (0..=n).map(|l| of_window(l).collect()).collect();
            let similar = |l: usize| mean(by_window[l].iter().zip(&by_window[l + 1]).map(|(a, b)| cka(a, b)));
            inside.assert_curve("cka_adjacent_by_window", &(0..n).map(similar).collect::<Vec<_>>(), 1e-4);
            assert_eq!(inside.findings.curve("centred_resid_norm").is_ok(), is_layer_norm);
            if is_layer_norm {
                let of = |tensor: &str, n: usize| -> Vec<f64> {
                    let rows = |l| rows(&expected, tensor, l, skip_first);
                    (0..n).map(|l| mean(rows(l).iter().map(|row| norm(&without_mean(row))))).collect()
                };
                inside.assert_curve("centred_resid_norm", &of("resid", n + 1), 1e-4);
                inside.assert_curve("centred_attn_out_norm", &of("attn_out", n), 1e-4);
                inside.assert_curve("centred_mlp_out_norm", &of("mlp_out", n), 1e-4);
            }
        }
    }
}

/// Linear CKA in feature space: `|X' Y|^2 / (|X' X| |Y' Y|)` of centred columns.
fn cka(x: &[Vec<f64>], y: &[Vec<f64>]) -> f64 {
    let columns = |rows: &[Vec<f64>]| -> Vec<Vec<f64>> {
        let column = |i: usize| {
            let mean = mean(rows.iter().map(|row| row[i]));
            rows.iter().map(|row| row[i] - mean).collect()
        };
        (0..rows[0].len()).map(column).collect()
    };
    let (x, y) = (columns(x), columns(y));
    let product = |a: &[Vec<f64>], b: &[Vec<f64>]| -> f64 {
        a.iter().map(|a| b.iter().map(|b| dot(a, b).powi(2)).sum::<f64>()).sum()
    };
    product(&x, &y) / (product(&x, &x) * product(&y, &y)).sqrt()
}

/// A matrix of the checkpoint, by rows.
fn matrix(bytes: &[u8], name: &str) -> Vec<Vec<f64>> {
    let tensors = SafeTensors::deserialize(bytes).unwrap();
    let view = tensors.tensor(name).unwrap();
    let values: Vec<f64> =
        view.data().as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect();
    values.chunks(*view.shape().last().unwrap()).map(<[f64]>::to_vec).collect()
}

fn transposed(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    (0..rows[0].len()).map(|i| rows.iter().map(|row| row[i]).collect()).collect()
}

fn without_mean(values: &[f64]) -> Vec<f64> {
    let mean = mean(values.iter().copied());
    values.iter().map(|x| x - mean).collect()
}

/// Central moments of a neuron's cosines, by their definitions.
struct Moments {
    variance: f64,
    skew: f64,
    kurtosis: f64,
}

impl Moments {
    fn of(cosines: &[f64]) -> Self {
        let centred = without_mean(cosines);
        let moment = |power| mean(centred.iter().map(|x| x.powi(power)));
        let variance = moment(2);
        Self { variance, skew: moment(3) / variance.powf(1.5), kurtosis: moment(4) / variance.powi(2) }
    }

    #[track_caller]
    fn assert_close(&self, profile: &NeuronProfile, what: &str) {
        let pairs = [(profile.variance, self.variance), (profile.skew, self.skew), (profile.kurtosis, self.kurtosis)];
        for (a, b) in pairs {
            assert!(abs_diff_eq!(a, b, epsilon = 1e-3 * b.abs().max(0.1)), "{what}: {profile:?}");
        }
    }
}

/// The names of unembedding, final norm and a layer's second MLP matrix.
struct Names {
    unembed: &'static str,
    norm: &'static str,
    out: fn(usize) -> String,
}

#[test]
fn neuron_profiles_are_what_the_definitions_say() {
    let gpt2 = Names { unembed: "wte.weight", norm: "ln_f.weight", out: |l| format!("h.{l}.mlp.c_proj.weight") };
    let llama = Names {
        unembed: "lm_head.weight",
        norm: "model.norm.weight",
        out: |l| format!("model.layers.{l}.mlp.down_proj.weight"),
    };
    for TestDevice { backend, device } in devices() {
        for &(name, names, layer_norm) in some(backend, &[("gpt2", &gpt2, true), ("llama-untied", &llama, false)]) {
            let inside = Inside::of(name, &device, 0);
            let bytes = std::fs::read(fixture(name).join("model.safetensors")).unwrap();
            let gain = matrix(&bytes, names.norm)[0].clone();
            let folded = |row: &Vec<f64>| -> Vec<f64> {
                let row: Vec<f64> = row.iter().zip(&gain).map(|(w, g)| w * g).collect();
                if layer_norm { without_mean(&row) } else { row }
            };
            let tokens: Vec<Vec<f64>> = matrix(&bytes, names.unembed).iter().map(folded).collect();
            let tokens = transposed(&transposed(&tokens).iter().map(|column| without_mean(column)).collect::<Vec<_>>());
            let profiles = vocabulary_profiles(&inside.model, |_| {}).unwrap();
            let mut counts = [Vec::new(), Vec::new()];
            for (layer, profiles) in profiles.iter().enumerate() {
                let out = matrix(&bytes, &(names.out)(layer));
                let neurons = if layer_norm { out } else { transposed(&out) };
                assert_eq!(neurons.len(), profiles.len());
                let mut found = [0.0, 0.0];
                for (neuron, profile) in neurons.iter().zip(profiles) {
                    let neuron = if layer_norm { without_mean(neuron) } else { neuron.clone() };
                    let cosines: Vec<f64> =
                        tokens.iter().map(|token| dot(token, &neuron) / norm(token) / norm(&neuron)).collect();
                    let moments = Moments::of(&cosines);
                    moments.assert_close(profile, &format!("{name} {layer}"));
                    found[usize::from(moments.skew < 0.0)] += f64::from(u8::from(moments.kurtosis > 10.0));
                }
                counts.iter_mut().zip(found).for_each(|(counts, found)| counts.push(found));
            }
            assert_eq!(inside.findings.curve("prediction_neurons").unwrap().mean, counts[0]);
            assert_eq!(inside.findings.curve("suppression_neurons").unwrap().mean, counts[1]);
        }
    }
}

#[test]
fn windows_that_are_too_short_for_a_measure_leave_it_out() {
    let phi = Checkpoint::open(fixture("phi")).unwrap().load(&device()).unwrap();
    let windows = TokenWindows::new(&[1, 2, 3, 4, 5, 6], 3).unwrap();
    let findings = Study::paper(&phi).run(&windows).unwrap();
    let curves = findings.curves();
    assert!(curves.contains_key("attention_at_distance_2") && !curves.contains_key("attention_at_distance_4"));
    assert!(curves["prediction_neurons"].mean.len() == phi.n_layers());
}

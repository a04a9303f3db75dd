//! Profiles with everything that there can be: [`profile`], [`with_stages`], [`interventions`].

use stratigraph_profile::{
    Axis, Boundary, BoundaryInterval, BoundaryTest, BoundaryVerdict, CorpusRecord, Curve, EdgeEffect, Estimate,
    Evidence, InterventionRecord, Matrix, ModelRecord, OutlierLayer, Profile, RejectedBoundary, RuleBand, Segmentation,
    Shape, Stage, StageSpan, Support, Transition, Unit, Verdict, catalogue,
};

/// The names of all curves.
const CURVES: [&str; 51] = [
    "delete_kl",
    "delete_top1_agreement",
    "delete_entropy_bits",
    "delete_nll",
    "swap_kl",
    "swap_top1_agreement",
    "swap_nll",
    "lens_kl",
    "lens_top1_agreement",
    "lens_entropy_bits",
    "lens_nll",
    "prev5_attention",
    "prev5_attention_mass",
    "first_token_attention",
    "attention_at_distance_1",
    "attention_at_distance_2",
    "attention_at_distance_4",
    "attention_at_distance_8",
    "attention_at_distance_16",
    "resid_norm",
    "attn_out_norm",
    "mlp_out_norm",
    "cosine_in_out",
    "block_influence",
    "angular_distance_1",
    "cka_adjacent",
    "prediction_neurons",
    "suppression_neurons",
    "mean_kurtosis",
    "mean_skew",
    "wic_accuracy",
    "cosine_to_final",
    "delete_attention_kl",
    "delete_mlp_kl",
    "mean_attention_kl",
    "mean_mlp_kl",
    "resample_attention_kl",
    "resample_mlp_kl",
    "repeat_3_entropy_bits",
    "repeat_3_nll",
    "repeat_3_kl",
    "repeat_5_entropy_bits",
    "repeat_5_nll",
    "repeat_5_kl",
    "patch_resid_pre_last_denoise",
    "patch_resid_pre_last_denoise_ci_low",
    "patch_resid_pre_last_denoise_ci_high",
    "patch_resid_pre_last_noise",
    "patch_resid_pre_last_noise_ci_low",
    "patch_resid_pre_last_noise_ci_high",
    "a curve <of> \"my\" own & more",
];

/// The labels of groups of positions.
const CLASSES: [&str; 6] = ["word start", "word continuation", "digit", "punctuation", "white space", "other <&>"];

/// Curves over things with a label.
fn labelled_curves() -> Vec<(&'static str, Curve)> {
    let classes = Curve::new(Axis::labelled("class", CLASSES), Unit::Nats, vec![5.0, 1.5, 3.0, 2.0, f64::NAN, 4.0]);
    let over_strengths = |unit: Unit, mean: [f64; 4]| {
        let sem = mean.map(|mean| Some(mean.abs() / 8.0));
        Curve::new(Axis::labelled("strength", ["-1", "0", "0.5", "1"]), unit, mean.into()).with_sem(sem.into())
    };
    vec![
        ("clean_nll_by_class", classes),
        ("steer_target", over_strengths(Unit::Logits, [-6.0, -4.0, -2.5, 1.0])),
        ("steer_nll", over_strengths(Unit::Nats, [3.6, 3.5, 3.55, 4.0])),
        ("steer_kl", over_strengths(Unit::Nats, [0.1, 0.0, 0.02, 0.5])),
        ("steer_accuracy", over_strengths(Unit::Fraction, [0.3, 0.35, 0.34, 0.25])),
    ]
}

/// Curves over four decades that differ from each other.
fn curve(index: usize, name: &str, n_layers: usize) -> Curve {
    let entry = catalogue::find(name);
    let axis = entry.as_ref().map_or(Axis::layers(n_layers), |entry| entry.axis.of(n_layers));
    let value = |point: usize| ((point * (index + 3) + index) as f64 * 0.7).sin() * 2.0;
    let mean: Vec<f64> = (0..axis.len()).map(|point| 10f64.powf(value(point))).collect();
    let sem = mean.iter().map(|mean| Some(mean * 0.1)).collect();
    Curve::new(axis, entry.map_or(Unit::Dimensionless, |entry| entry.unit), mean).with_sem(sem)
}

fn matrix(rows: Axis, columns: Axis, unit: &str) -> Matrix {
    let value = |row: usize, column: usize| ((row * 7 + column * 3) as f64).sin();
    let row = |row| (0..columns.len()).map(|column| value(row, column)).collect();
    let values = (0..rows.len()).map(row).collect();
    Matrix::new(rows, columns, unit.into(), values)
}

fn matrices(n_layers: usize) -> Vec<(&'static str, Matrix)> {
    let positions = || Axis::residual_positions(n_layers);
    let names = |name: &str, labels: &[&str]| Axis::labelled(name, labels.iter().copied());
    let from_the_end = |n: usize| Axis::labelled("position from the end", (1..=n).rev().map(|back| format!("-{back}")));
    let ensemble = || matrix(names("of", &["probe", "model"]), Axis::counting("neurons", 33), "fraction");
    vec![
        ("cka", matrix(positions(), positions(), "CKA")),
        ("cka_last_unbiased", matrix(positions(), positions(), "CKA")),
        ("cosine", matrix(positions(), positions(), "cosine")),
        (
            "merging_heads",
            matrix(Axis::layers(n_layers), Axis::heads(12), "attention within a word, minus that elsewhere"),
        ),
        ("delete_kl_by_class", matrix(Axis::layers(n_layers), names("class", &CLASSES), "nats")),
        ("lens_nll_by_my <own> grouping", matrix(positions(), names("my <own> grouping", &CLASSES[..2]), "nats")),
        ("patch_resid_pre_denoise", matrix(Axis::layers(n_layers), from_the_end(11), "fraction")),
        ("patch_z_heads_noise", matrix(Axis::layers(n_layers), Axis::heads(12), "fraction")),
        ("zero_heads_kl", matrix(Axis::layers(n_layers), Axis::heads(12), "nats")),
        ("ensemble_ing_balanced", ensemble()),
        ("ensemble_ing_as_it_comes", ensemble()),
        (
            "another matrix with a name that is longer than a heading can be, by far",
            matrix(
                names("row <1>", &["a & b", "<c>", "a row with a long name"]),
                names("column", &["first", "second \"x\" of a long name"]),
                "a unit that is much longer than any unit should be, & odd",
            ),
        ),
    ]
}

/// Curves over other axes than depth, all with errors: of a suffix, of all heads, and of classes of neurons.
fn not_over_depth(n_layers: usize) -> Vec<(&'static str, Curve)> {
    let filled = |index: usize, axis: Axis, unit: Unit| {
        let value = |point: usize| 10f64.powf(((point * (index + 3) + index) as f64 * 0.7).sin() * 2.0);
        let mean: Vec<f64> = (0..axis.len()).map(value).collect();
        let sem = mean.iter().map(|mean| Some(mean * 0.2)).collect();
        Curve::new(axis, unit, mean).with_sem(sem)
    };
    let suffixes = Axis::labelled("suffix of a long name", ["<ing>", "ed", "s"]);
    let classes =
        || Axis::labelled("class", ["prediction", "entropy", "token frequency", "a <class> of my own & more"]);
    let all = Axis::labelled("class", ["prediction", "suppression", "entropy", "token frequency"]);
    let heads = Axis::all_heads(n_layers, 12);
    vec![
        ("by_suffix", filled(0, suffixes, Unit::from("volts & more")).with_title("Over <suffixes>")),
        ("zero_heads_kl", filled(1, heads.clone(), Unit::Nats)),
        ("zero_heads_top1_agreement", filled(2, heads, Unit::Fraction)),
        ("neuron_sets_kl", filled(3, classes(), Unit::Nats)),
        ("neuron_sets_random_kl", filled(4, classes(), Unit::Nats)),
        ("neuron_sets_random_sd_kl", filled(5, classes(), Unit::Nats)),
        ("neuron_sets_difference_kl", filled(6, classes(), Unit::Nats)),
        ("neuron_sets_size", filled(7, all, Unit::Count)),
    ]
}

/// The same, with stages.
pub fn with_stages(name: &str, n_layers: usize) -> Profile {
    let mut profile = profile(name, n_layers);
    profile.stages = Some(segmentation(n_layers));
    profile
}

/// Four stages, two of them a single layer, with everything that can be said of them.
fn segmentation(n_layers: usize) -> Segmentation {
    let starts = [0, 1, n_layers / 2, n_layers - 1, n_layers];
    let evidence = |support| Evidence {
        signal: "suppression_neurons".into(),
        kind: "suppression".into(),
        characteristic: true,
        support,
        strength: -0.25,
        text: "deleting these layers costs more than the median layer does, in all <8> windows & \"more\"".into(),
    };
    let all = [Support::For, Support::Against, Support::Unclear, Support::Absent].map(evidence);
    let span = |(stage, ends): (Stage, &[usize])| {
        let headline = "Removing one of these <layers> costs 2.1 to 8.0 nats (KL); the median layer costs 0.2.";
        StageSpan::new(stage, ends[0], ends[1]).with_evidence(all.to_vec()).with_headline(headline)
    };
    let mut found = Segmentation::new(n_layers, Verdict::Stages, "a <reason> & \"more\"");
    (found.p_value, found.p_value_alone, found.gain) = (0.001, 0.002, 3.0);
    found.stages = Stage::ALL.into_iter().zip(starts.windows(2)).map(span).collect();
    found.boundaries = (0..3).map(|index| boundary(index, starts[index + 1], n_layers)).collect();
    let (before, after, reason) = (Stage::ALL[0], Stage::ALL[2], "it <wavers>".into());
    found.rejected = vec![RejectedBoundary { before, after, at: 1, reason }];
    found.outliers = vec![OutlierLayer::new(1, "delete_kl", 12.5, "its <norm> & all")];
    found.edges = vec![EdgeEffect { layer: 0, stage: before, reason: "one <layer> & no more".into() }];
    found.change_points = vec![1, n_layers / 2];
    found.missing = vec!["wic_accuracy".into()];
    found.readings = vec!["removals at all positions".into()];
    found
}

/// A boundary of which everything is known, gradual and weak in the middle.
fn boundary(index: usize, at: usize, n_layers: usize) -> Boundary {
    let high = (at + index).min(n_layers);
    let mut boundary = Boundary::new(Stage::ALL[index], Stage::ALL[index + 1], at)
        .with_interval(Some(BoundaryInterval { low: at, high, frequency: 0.97, within_one: 0.5 }))
        .with_rules(Some(RuleBand { low: at.saturating_sub(index), high: at, frequency: 0.8, n_rules: 243 }))
        .with_transition(Some(Transition {
            shape: [Shape::Sharp, Shape::Gradual, Shape::Unresolved][index],
            centre: at as f64,
            width: [0.0, n_layers as f64 / 6.0, 1.0][index],
            width_low: 0.0,
            width_high: n_layers as f64 / 3.0,
            step_loss: 1.0,
            jump_p_value: 0.2,
        }));
    boundary.test = Some(BoundaryTest { p_value: 0.001, adjusted: 0.003 });
    boundary.verdict = Some(if index == 1 { BoundaryVerdict::Weak } else { BoundaryVerdict::Supported });
    boundary.groups = ["removal", "geometry"].map(String::from).into();
    boundary.telling =
        ["Deleting a <layer>: 4 nats on average in layer 0, 0.2 nats elsewhere"; 3].map(String::from).into();
    boundary
}

/// A profile with everything that there can be but stages, and with names that need escaping.
pub fn profile(name: &str, n_layers: usize) -> Profile {
    let corpus = CorpusRecord::new("a <text> & \"more\".txt", 8, 128);
    let mut profile = Profile::new(ModelRecord::new(name, n_layers, 576, 49_152), corpus)
        .with_device("flex")
        .with_versions([("burn", "0.22.1"), ("stratigraph", "0.1.0")].map(|(a, b)| (a.into(), b.into())).into())
        .with_command(["stages_of_inference", "--text", "it's <here> & \"there\"", ""].map(String::from).into())
        .with_seed(7);
    for (name, mean) in [("clean_nll", 3.5), ("clean_entropy_bits", 4.5), ("wic_majority", 0.5), ("wic_static", 0.55)] {
        profile = profile.with_value(name, Estimate::new(mean, Some(0.01)));
    }
    for (index, name) in CURVES.iter().enumerate() {
        profile = profile.with_curve(*name, curve(index, name, n_layers)).unwrap();
    }
    for (name, curve) in labelled_curves().into_iter().chain(not_over_depth(n_layers)) {
        profile = profile.with_curve(name, curve).unwrap();
    }
    for (name, matrix) in matrices(n_layers) {
        profile = profile.with_matrix(name, matrix).unwrap();
    }
    (0..n_layers).fold(profile, |profile, layer| {
        let left = (0..n_layers).filter(|l| *l != layer).map(|l| l.to_string()).collect::<Vec<_>>().join("-");
        let deleted = InterventionRecord::in_sweep("delete", layer, left);
        profile.with_intervention(deleted.with_metric("kl", Estimate::exact(f64::NAN)))
    })
}

//! Profiles with everything that there can be: [`profile`], [`with_stages`], [`interventions`].

use stratigraph_stages::{
    Axis, Boundary, CorpusRecord, Curve, Doubt, Estimate, Evidence, Intervention, InterventionKind, Matrix,
    Measurement, ModelRecord, Outlier, Profile, Rejected, Segmentation, Stage, StageSpan, Stand, Verdict,
};

/// The names of all curves, and how many numbers each has more than there are layers.
const CURVES: [(&str, isize); 45] = [
    ("delete_kl", 0),
    ("delete_top1_agreement", 0),
    ("delete_entropy_bits", 0),
    ("delete_nll", 0),
    ("swap_kl", -1),
    ("swap_top1_agreement", -1),
    ("swap_nll", -1),
    ("lens_kl", 1),
    ("lens_top1_agreement", 1),
    ("lens_entropy_bits", 1),
    ("lens_nll", 1),
    ("prev5_attention", 0),
    ("prev5_attention_mass", 0),
    ("first_token_attention", 0),
    ("attention_at_distance_1", 0),
    ("attention_at_distance_2", 0),
    ("attention_at_distance_4", 0),
    ("attention_at_distance_8", 0),
    ("attention_at_distance_16", 0),
    ("resid_norm", 1),
    ("attn_out_norm", 0),
    ("mlp_out_norm", 0),
    ("cosine_in_out", 0),
    ("block_influence", 0),
    ("angular_distance_1", 0),
    ("cka_adjacent", 0),
    ("prediction_neurons", 0),
    ("suppression_neurons", 0),
    ("mean_kurtosis", 0),
    ("mean_skew", 0),
    ("wic_accuracy", 1),
    ("cosine_to_final", 1),
    ("delete_attention_kl", 0),
    ("delete_mlp_kl", 0),
    ("mean_attention_kl", 0),
    ("mean_mlp_kl", 0),
    ("resample_attention_kl", 0),
    ("resample_mlp_kl", 0),
    ("repeat_3_entropy_bits", -2),
    ("repeat_3_nll", -2),
    ("repeat_3_kl", -2),
    ("repeat_5_entropy_bits", -4),
    ("repeat_5_nll", -4),
    ("repeat_5_kl", -4),
    ("a curve <of> \"my\" own & more", 0),
];

/// Curves over four decades, unalike.
fn curve(index: usize, len: usize) -> Curve {
    let value = |place: usize| ((place * (index + 3) + index) as f64 * 0.7).sin() * 2.0;
    let mean: Vec<f64> = (0..len).map(|place| 10f64.powf(value(place))).collect();
    Curve { sem: mean.iter().map(|mean| Some(mean * 0.1)).collect(), mean, ..Curve::default() }
}

fn matrix(rows: Axis, columns: Axis, unit: &str) -> Matrix {
    let value = |row: usize, column: usize| ((row * 7 + column * 3) as f64).sin();
    let row = |row| (0..columns.labels.len()).map(|column| value(row, column)).collect();
    let values = (0..rows.labels.len()).map(row).collect();
    Matrix { rows, columns, unit: unit.into(), values }
}

fn matrices(n_layers: usize) -> Vec<(&'static str, Matrix)> {
    let places = || Axis::counting("place", n_layers + 1);
    let names = |name: &str, labels: &[&str]| Axis {
        name: name.into(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    };
    let ensemble = || matrix(names("of", &["probe", "model"]), Axis::counting("neurons", 33), "accuracy");
    vec![
        ("cka", matrix(places(), places(), "CKA")),
        ("cka_last_unbiased", matrix(places(), places(), "CKA")),
        ("cosine", matrix(places(), places(), "cosine")),
        (
            "merging_heads",
            matrix(
                Axis::counting("layer", n_layers),
                Axis::counting("head", 12),
                "attention within a word, less that elsewhere",
            ),
        ),
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

/// The same, with stages.
pub fn with_stages(name: &str, n_layers: usize) -> Profile {
    let mut profile = profile(name, n_layers);
    profile.stages = Some(segmentation(n_layers));
    profile
}

/// Four stages, two of them a single layer, with everything that can be said of them.
fn segmentation(n_layers: usize) -> Segmentation {
    let rule = Segmentation::of(&profile("", 1)).rule;
    let starts = [0, 1, n_layers / 2, n_layers - 1, n_layers];
    let evidence = |stand| Evidence {
        signal: "suppression_neurons".into(),
        measurement: Measurement::Suppression,
        stand,
        strength: -0.25,
        text: "deleting these layers costs more than the median layer does, in all <8> windows & \"more\"".into(),
    };
    let span = |(stage, ends): (Stage, &[usize])| StageSpan {
        stage,
        first: ends[0],
        end: ends[1],
        evidence: [Stand::For, Stand::Against, Stand::Unclear, Stand::Absent].map(evidence).to_vec(),
    };
    let boundary = |index: usize| Boundary {
        before: Stage::ALL[index],
        after: Stage::ALL[index + 1],
        at: starts[index + 1],
        doubt: Some(Doubt { low: starts[index + 1], high: starts[index + 1] + index, support: 0.97, within_one: 0.5 }),
    };
    Segmentation {
        n_layers,
        verdict: Verdict::Stages,
        reason: "a <reason> & \"more\"".into(),
        p_value: 0.001,
        p_value_alone: 0.002,
        gain: 3.0,
        stages: Stage::ALL.into_iter().zip(starts.windows(2)).map(span).collect(),
        boundaries: (0..3).map(boundary).collect(),
        rejected: vec![Rejected { before: Stage::ALL[0], after: Stage::ALL[2], at: 1, reason: "it <wavers>".into() }],
        outliers: vec![Outlier { layer: 1, signal: "delete_kl".into(), z: 12.5, reason: "its <norm> & all".into() }],
        change_points: vec![1, n_layers / 2],
        missing: vec!["wic_accuracy".into()],
        unreadable: Vec::new(),
        rule,
    }
}

/// A profile with everything that there can be but stages, and with names that need escaping.
pub fn profile(name: &str, n_layers: usize) -> Profile {
    let estimate = |mean| Estimate { mean, sem: Some(0.01) };
    let length = |more: isize| n_layers.saturating_add_signed(more);
    let curves = CURVES.iter().enumerate().map(|(i, (name, more))| ((*name).to_owned(), curve(i, length(*more))));
    let values = ["clean_nll", "clean_entropy_bits", "wic_majority", "wic_static"];
    Profile {
        model: ModelRecord { name: name.into(), n_layers, d_model: 576, d_vocab: 49_152 },
        corpus: CorpusRecord {
            name: "a <text> & \"more\".txt".into(),
            n_sequences: 8,
            seq_len: 128,
            special_tokens: false,
        },
        device: "flex".into(),
        versions: [("burn", "0.22.1"), ("stratigraph", "0.1.0")].map(|(a, b)| (a.into(), b.into())).into(),
        command: ["stages_of_inference", "--text", "it's <here> & \"there\"", ""].map(String::from).into(),
        seed: 7,
        values: values
            .into_iter()
            .zip([3.5, 4.5, 0.5, 0.55])
            .map(|(name, mean)| (name.into(), estimate(mean)))
            .collect(),
        matrices: matrices(n_layers).into_iter().map(|(name, matrix)| (name.to_owned(), matrix)).collect(),
        curves: curves.collect(),
        stages: None,
    }
}

pub fn interventions(n_layers: usize) -> Vec<Intervention> {
    let one = |layer: usize| Intervention {
        kind: InterventionKind::Delete,
        layer: Some(layer),
        plan: (0..n_layers).filter(|l| *l != layer).map(|l| l.to_string()).collect::<Vec<_>>().join("-"),
        metrics: [("kl".to_owned(), Estimate { mean: f64::NAN, sem: None })].into(),
    };
    (0..n_layers).map(one).collect()
}

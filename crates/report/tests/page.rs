//! Opens the pages in a headless Chromium, on a wide screen and on a telephone, and looks for what a reader would mind:
//! labels that are cut or lie on each other, a page wider than its screen, a console error, a request to the outside.

mod browser;

use browser::{Browser, Verdict};
use stratigraph_report::{Comparison, OutDir, Page};
use stratigraph_stages::{
    Axis, CorpusRecord, Curve, Estimate, Intervention, InterventionKind, Matrix, ModelRecord, Profile,
};

/// The names of all curves, and how many numbers each has more than there are layers.
const CURVES: [(&str, isize); 44] = [
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
    Curve { sem: mean.iter().map(|mean| Some(mean * 0.1)).collect(), mean, replicates: Vec::new() }
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
            matrix(Axis::counting("layer", n_layers), Axis::counting("head", 12), "difference in attention"),
        ),
        ("ensemble_ing_balanced", ensemble()),
        ("ensemble_ing_as_it_comes", ensemble()),
        ("other", matrix(names("row", &["a & b", "<c>"]), names("column", &["first", "second \"x\""]), "unit")),
    ]
}

/// A profile with everything that there can be, and with names that need escaping.
fn profile(name: &str, n_layers: usize) -> Profile {
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
    }
}

fn interventions(n_layers: usize) -> Vec<Intervention> {
    let one = |layer: usize| Intervention {
        kind: InterventionKind::Delete,
        layer: Some(layer),
        plan: (0..n_layers).filter(|l| *l != layer).map(|l| l.to_string()).collect::<Vec<_>>().join("-"),
        metrics: [("kl".to_owned(), Estimate { mean: f64::NAN, sem: None })].into(),
    };
    (0..n_layers).map(one).collect()
}

fn nothing_is_wrong(verdicts: &[Verdict]) {
    assert_eq!(verdicts.iter().map(|verdict| verdict.width).collect::<Vec<_>>(), [1280, 420]);
    for verdict in verdicts {
        assert!(verdict.problems.is_empty(), "{} wide: {:#?}", verdict.width, verdict.problems);
    }
}

#[test]
fn a_page_with_everything_is_readable_at_both_widths() {
    let Some(browser) = Browser::find() else { return };
    for (name, n_layers) in [("a model <of> \"30\" & more", 30), ("96 layers.gguf", 96)] {
        let profile = profile(name, n_layers);
        let figures = stratigraph_report::figures(&profile);
        let verdicts = browser.look_at(&Page::new(&profile, &interventions(n_layers)).to_string());
        nothing_is_wrong(&verdicts);
        for verdict in verdicts {
            let names: Vec<_> = figures.iter().map(|figure| figure.name.clone()).collect();
            assert_eq!(verdict.figures, names);
            assert_eq!(verdict.n_pictures, figures.iter().map(|figure| figure.panels.len()).sum::<usize>());
        }
    }
}

#[test]
fn odd_profiles_have_readable_pages_too() {
    let Some(browser) = Browser::find() else { return };
    let mut no_numbers = profile("no numbers", 12);
    no_numbers.curves.values_mut().for_each(|curve| curve.mean.fill(f64::NAN));
    let mut empty = profile("", 12);
    empty.curves.values_mut().for_each(|curve| *curve = Curve::default());
    empty.matrices.clear();
    for odd in [profile("one layer", 1), profile("none", 0), no_numbers, empty] {
        let page = Page::new(&odd, &interventions(odd.model.n_layers)).to_string();
        assert!(!page.contains("NaN") && !page.contains(">inf"), "{}", odd.model.name);
        nothing_is_wrong(&browser.look_at(&page));
    }
}

#[test]
fn a_comparison_is_readable_at_both_widths() {
    let Some(browser) = Browser::find() else { return };
    let long = "an-organisation/a-model-with-a-long-name-and-a-longer-one-after-it-Instruct.Q4_K_M.gguf";
    let profiles = [profile("small <1>", 6), profile(long, 30), profile(long, 96), profile("one", 1)];
    let comparison = Comparison::new(profiles).expect("there are four");
    nothing_is_wrong(&browser.look_at(&comparison.to_string()));
}

#[test]
fn figures_that_stand_alone_are_readable() {
    let Some(browser) = Browser::find() else { return };
    let dir = tempfile::tempdir().expect("a place for files");
    let out = OutDir::create(dir.path().join("out")).expect("an empty place");
    let written = out.write(&profile("m", 30), &[]).expect("a place to write");
    let drawings = written.iter().filter(|path| path.extension().is_some_and(|end| end == "svg"));
    let inline: String = drawings.map(|path| std::fs::read_to_string(path).expect("it was written")).collect();
    let verdicts = browser.look_at(&format!("<!doctype html><style>svg{{max-width:100%}}</style>{inline}"));
    let overlaps = |problem: &&String| problem.contains("overlap") || problem.contains("cut");
    assert_eq!(verdicts[0].problems.iter().filter(overlaps).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The checks themselves find what they are for.
#[test]
fn a_bad_page_is_found_out() {
    let Some(browser) = Browser::find() else { return };
    let text = |x, y, text| format!(r#"<text x="{x}" y="{y}">{text}</text>"#);
    let texts = [text(10, 20, "one"), text(15, 22, "two"), text(90, 60, "three")].concat();
    let bad = format!(
        r#"<!doctype html><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <style>svg{{width:100px}}</style><svg viewBox="0 0 100 100">{texts}</svg>
        <div style="width:2000px">wide</div><img alt="" src="https://example.invalid/picture.png">"#
    );
    for verdict in browser.look_at(&bad) {
        let found = |what: &str| verdict.problems.iter().any(|problem| problem.contains(what));
        let all = ["one and two overlap", "three is cut", "wider than the screen", "console"];
        assert!(all.into_iter().all(found), "{:#?}", verdict.problems);
    }
}

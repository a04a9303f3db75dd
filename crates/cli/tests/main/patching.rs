//! `study --experiments patching` as its users run it, on the model in the box.

use std::fs;

use crate::common::{fails, fixture, path, run, succeeds, text};

/// The arguments of a study that patches and does little else.
fn patching(more: &[&str]) -> Vec<String> {
    let base = ["study", "--sequences", "1", "--seq-len", "16", "--metrics", "nll", "--experiments", "patching"];
    base.iter().chain(more).map(|argument| (*argument).to_owned()).collect()
}

#[test]
fn patching_writes_maps_curves_and_figures() {
    let dir = tempfile::tempdir().unwrap();
    let (out, csv) = (dir.path().join("out"), dir.path().join("all.csv"));
    let pairs = fixture("pairs.jsonl");
    let told = succeeds(patching(&["--pairs", path(&pairs), "--out", path(&out), "--csv", path(&csv)]));
    assert!(told.contains("patch_pairs 4.000") && told.contains("patch_pairs_left_out 0.000"), "{told}");
    assert!(told.contains("patch_z_heads_denoise, fraction, the largest of 48 heads:"), "{told}");
    assert!(told.contains("patch_z_heads_noise, fraction, the smallest of 48 heads:"), "{told}");
    let rows = fs::read_to_string(csv).unwrap();
    let count = |begin: &str| rows.lines().filter(|row| row.starts_with(begin)).count();
    for direction in ["denoise", "noise"] {
        for hook in ["resid_pre", "attn_out", "mlp_out"] {
            assert_eq!(count(&format!("patch_{hook}_{direction},")), 12 * 6, "{hook} {direction}");
        }
        assert_eq!(count(&format!("patch_z_heads_{direction},")), 12 * 4);
        assert_eq!(count(&format!("patch_resid_pre_last_{direction},")), 12);
        assert_eq!(count(&format!("patch_resid_pre_last_{direction}_ci_low,")), 12);
    }
    assert!(rows.contains("\npatch_resid_pre_denoise,3,-1,"), "positions are counted from the end: {rows}");
    for figure in ["patching.svg", "patching_maps.svg"] {
        assert!(out.join("figures").join(figure).is_file(), "{figure}");
    }
}

#[test]
fn the_pairs_of_the_repository_are_the_default() {
    let told = succeeds(patching(&[]));
    let values = told.lines().find(|line| line.contains("patch_pairs")).unwrap();
    let number = |name: &str| -> f64 {
        let (_, rest) = values.split_once(&format!("{name} ")).unwrap();
        rest.split([',', ' ']).next().unwrap().parse().unwrap()
    };
    assert_eq!(number("patch_pairs") + number("patch_pairs_left_out"), 28.0, "{values}");
}

#[test]
fn pairs_that_do_not_fit_are_errors_or_left_out_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mixed.jsonl");
    let capitals =
        r#"{"clean": "In Japan it is", "corrupted": "In Cuba it is", "answer": " Tokyo", "other": " Havana"}"#;
    fs::write(&file, format!("{}\n{capitals}\n", fs::read_to_string(fixture("pairs.jsonl")).unwrap())).unwrap();
    let with = |more: &[&str]| patching(&[&["--pairs", path(&file)], more].concat());
    fails(with(&[]), "mixed.jsonl, line 6: the pair `In Japan it is` cannot be used: ");
    fails(with(&[]), "; --skip-unfit-pairs leaves such pairs out");
    let output = run(with(&["--skip-unfit-pairs"]));
    let (told, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && told.contains("patch_pairs 4.000"), "{told}{notes}");
    assert!(notes.starts_with("skipped: patching: ") && notes.contains("mixed.jsonl, line 6: "), "{notes}");
    assert_eq!(notes.lines().count(), 1, "{notes}");
}

#[test]
fn what_is_wrong_with_pairs_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.jsonl");
    fs::write(&file, "{\"clean\": 1}\n").unwrap();
    fails(patching(&["--pairs", path(&file)]), "bad.jsonl, line 1: its field `clean` is not a string");
    fails(patching(&["--pairs", "absent.jsonl"]), "cannot read absent.jsonl");
    let pairs = ["study", "--experiments", "lens", "--pairs", "examples/data/pairs/agreement.jsonl"];
    fails(pairs, "--pairs and --skip-unfit-pairs are for patching: add patching to --experiments");
    fails(patching(&["--pairs", "/dev/zero"]), "cannot read /dev/zero: it has more than 67108864 bytes");
}

//! A report shows the metric, the sweep, the measurement, the signal and the figure of a crate outside the workspace.

use std::fs::{self, File};
use std::path::Path;

use outside::{study, write_figure};
use stratigraph::prelude::*;

/// The model in the box and eight windows of the sample text.
fn tiny() -> (Decoder, TokenWindows) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let checkpoint = Checkpoint::open(root.join("models/tiny")).unwrap();
    let text = File::open(root.join("examples/data/sample.txt")).unwrap();
    let windows = checkpoint.tokenizer().unwrap().windows(text, 64, 8).unwrap();
    (checkpoint.load(&Backend::Flex.device().unwrap()).unwrap(), windows)
}

#[test]
fn extensions_of_another_crate_are_in_the_report() {
    let (model, windows) = tiny();
    let profile = study(&model, &windows).unwrap();

    let doubt = profile.curve("delete_doubt").unwrap();
    assert_eq!((&doubt.axis, &doubt.unit), (&Axis::layers(12), &Unit::Fraction));
    assert!(doubt.mean.iter().all(|doubt| (0.0..1.0).contains(doubt)));
    let skips = profile.matrix("skip_kl").unwrap();
    assert_eq!((skips.values.len(), skips.values[0].len()), (2, 10));
    assert_eq!(skips.rows.label(1), "layers left out 3");
    let writes = profile.curve("write_norm").unwrap();
    assert!(writes.mean.iter().all(|norm| *norm > 0.0) && writes.sem.iter().all(Option::is_some));

    let stages = profile.stages.as_ref().expect("the study looks for stages");
    let mut evidence = stages.stages.iter().flat_map(|stage| &stage.evidence);
    assert!(evidence.any(|it| it.signal == "write_norm" && it.kind == "size of writes"));

    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("report");
    Report::new(&profile).with_figure(write_figure(&profile).unwrap()).write(&out).unwrap();
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    for shown in ["doubt", "skip 2 0", "What layers write", "Writes and damage", "size of writes"] {
        assert!(page.contains(shown), "the page does not show `{shown}`");
    }
    assert!(fs::read_to_string(out.join("figures/writes.svg")).unwrap().contains("layer 11, write_norm: "));
    let interventions = fs::read_to_string(out.join("interventions.csv")).unwrap();
    assert!(interventions.contains("skip 3 9") && interventions.contains("doubt"), "{interventions}");

    let read = Profile::read(out.join("profile.json")).unwrap();
    assert_eq!(read.curve("write_norm").unwrap().title.as_deref(), Some("What layers write"));
    assert_eq!(read.stages, profile.stages);
}

#[test]
fn what_does_not_fit_the_model_is_refused_before_anything_runs() {
    let (model, windows) = tiny();
    let twice = Study::new(&model).add(outside::WriteNorm).add(outside::WriteNorm).run(&windows);
    assert!(twice.unwrap_err().to_string().contains("write_norm"));
    let long = TokenWindows::new(&[0; 129], 129).unwrap();
    assert!(study(&model, &long).unwrap_err().to_string().contains("128"));
}

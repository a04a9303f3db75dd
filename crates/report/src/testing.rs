//! Profiles for tests.

use stratigraph_profile::{
    Axis, Boundary, BoundaryInterval, BoundaryVerdict, CorpusRecord, Curve, EdgeEffect, Evidence, ModelRecord,
    OutlierLayer, Profile, RejectedBoundary, RuleBand, Segmentation, Stage, StageSpan, Support, Unit, Verdict,
    catalogue,
};

/// A profile of these curves, with standard errors of an eighth. A curve that the catalogue does not have is over layers.
pub(crate) fn profile(n_layers: usize, curves: &[(&str, &[f64])]) -> Profile {
    let curve = |name: &str, mean: &[f64]| {
        let (axis, unit) = match catalogue::find(name) {
            Some(entry) => (entry.axis.of(n_layers), entry.unit),
            None => (Axis::layers(n_layers), Unit::Dimensionless),
        };
        Curve::new(axis, unit, mean.to_vec()).with_sem(vec![Some(0.125); mean.len()])
    };
    let mut profile = Profile::new(ModelRecord::new("m", n_layers, 4, 8), CorpusRecord::new("c", 3, 5));
    profile.curves = curves.iter().map(|(name, mean)| ((*name).to_owned(), curve(name, mean))).collect();
    profile
}

/// Two stages of a model, the first of them its first layer, with everything that can be said of them.
pub(crate) fn segmentation(n_layers: usize) -> Segmentation {
    let (before, after) = (Stage::Detokenization, Stage::ResidualSharpening);
    let evidence = |support| Evidence {
        signal: "delete_kl".into(),
        kind: "deletion".into(),
        characteristic: true,
        support,
        strength: 0.5,
        text: "deleting these layers costs more than the median layer does, many times over, in all <8> & \"more\""
            .into(),
    };
    let span = |stage, first, end| {
        let all = [Support::For, Support::Against, Support::Unclear, Support::Absent].map(evidence);
        StageSpan::new(stage, first, end).with_evidence(all.to_vec()).with_headline("Removing <them> costs 2 nats.")
    };
    let interval = BoundaryInterval { low: 1, high: 2, frequency: 0.9, within_one: 0.9 };
    let mut boundary = Boundary::new(before, after, 1).with_interval(Some(interval)).with_rules(Some(RuleBand {
        low: 1,
        high: 1,
        frequency: 0.75,
        n_rules: 81,
    }));
    boundary.verdict = Some(BoundaryVerdict::Weak);
    boundary.telling = vec!["a <number> & another".into()];
    let mut found = Segmentation::new(n_layers, Verdict::Stages, "a <reason> & more");
    (found.p_value, found.p_value_alone, found.gain) = (0.001, 0.02, 3.0);
    found.stages = vec![span(before, 0, 1), span(after, 1, n_layers.max(2))];
    found.boundaries = vec![boundary];
    found.rejected = vec![RejectedBoundary { before, after, at: 1, reason: "it <wavers>".into() }];
    found.outliers = vec![OutlierLayer::new(1, "delete_kl", 12.5, "its <norm> & all")];
    found.edges = vec![EdgeEffect { layer: 0, stage: after, reason: "one <layer>".into() }];
    found.change_points = vec![1];
    found.missing = vec!["wic_accuracy".into()];
    found
}

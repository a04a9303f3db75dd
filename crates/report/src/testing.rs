//! Profiles for tests.

use stratigraph_profile::{
    Axis, Boundary, BoundaryInterval, CorpusRecord, Curve, Evidence, ModelRecord, OutlierLayer, Profile,
    RejectedBoundary, Segmentation, Stage, StageSpan, Support, Unit, Verdict, catalogue,
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
    let span = |stage, first, end| StageSpan {
        stage,
        first,
        end,
        evidence: [Support::For, Support::Against, Support::Unclear, Support::Absent].map(evidence).to_vec(),
    };
    let interval = Some(BoundaryInterval { low: 1, high: 2, frequency: 0.9, within_one: 0.9 });
    Segmentation {
        n_layers,
        verdict: Verdict::Stages,
        reason: "a <reason> & more".into(),
        p_value: 0.001,
        p_value_alone: 0.02,
        gain: 3.0,
        stages: vec![span(before, 0, 1), span(after, 1, n_layers.max(2))],
        boundaries: vec![Boundary { before, after, at: 1, interval }],
        rejected: vec![RejectedBoundary { before, after, at: 1, reason: "it <wavers>".into() }],
        outliers: vec![OutlierLayer {
            layer: 1,
            signal: "delete_kl".into(),
            z: 12.5,
            reason: "its <norm> & all".into(),
        }],
        change_points: vec![1],
        missing: vec!["wic_accuracy".into()],
        unreadable: Vec::new(),
        rule: serde_json::Value::Null,
    }
}

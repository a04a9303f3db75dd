//! Whether the parts of a profile fit each other: [`profile`], [`curve`], [`matrix`].

use crate::{Axis, Curve, Matrix, Profile, ProfileError, Result, Segmentation};

/// No model has more layers; a file with a larger number would lead to enormous figures.
const MOST_LAYERS: usize = 10_000;

/// Checks every part of a profile against its model.
pub(crate) fn profile(profile: &Profile) -> Result<()> {
    let n_layers = profile.model.n_layers;
    if n_layers > MOST_LAYERS {
        return Err(ProfileError::TooManyLayers { n_layers, most: MOST_LAYERS });
    }
    let (n_sequences, found) = (profile.corpus.n_sequences, profile.corpus.documents.len());
    if found != 0 && found != n_sequences {
        return Err(ProfileError::OtherDocuments { found, n_sequences });
    }
    profile.curves.iter().try_for_each(|(name, it)| curve(name, it, n_layers))?;
    profile.matrices.iter().try_for_each(|(name, it)| matrix(name, it, n_layers))?;
    let stages = profile.stages.as_ref().map_or(Ok(()), |found| stages(found, n_layers));
    stages.map_err(ProfileError::Stages)
}

/// Checks that a curve has a value and a standard error for each point of its axis.
pub(crate) fn curve(name: &str, curve: &Curve, n_layers: usize) -> Result<()> {
    depth(name, &curve.axis, n_layers)?;
    let expected = curve.axis.len();
    match [curve.mean.len(), curve.sem.len()].into_iter().find(|&found| found != expected) {
        None => Ok(()),
        Some(found) => {
            let (name, axis) = (name.to_owned(), described(&curve.axis));
            Err(ProfileError::CurveLength { name, found, axis, expected })
        }
    }
}

/// Checks that a matrix has a value for each pair of points of its axes, and standard errors for all of them or none.
pub(crate) fn matrix(name: &str, matrix: &Matrix, n_layers: usize) -> Result<()> {
    [&matrix.rows, &matrix.columns].into_iter().try_for_each(|axis| depth(name, axis, n_layers))?;
    let (rows, columns) = (matrix.rows.len(), matrix.columns.len());
    let fits = |values: &[Vec<f64>]| values.len() == rows && values.iter().all(|row| row.len() == columns);
    if fits(&matrix.values) && (matrix.sem.is_empty() || fits(&matrix.sem)) {
        Ok(())
    } else {
        Err(ProfileError::MatrixShape { name: name.to_owned(), rows, columns })
    }
}

/// An axis in words: what it runs over, and in what model.
fn described(axis: &Axis) -> String {
    match axis.n_layers() {
        Some(n_layers) => format!("{} of {n_layers} layers", axis.name()),
        None => axis.name(),
    }
}

fn depth(name: &str, axis: &Axis, n_layers: usize) -> Result<()> {
    match axis.n_layers().filter(|&found| found != n_layers) {
        Some(found) => Err(ProfileError::AxisDepth { name: name.to_owned(), found, n_layers }),
        None => Ok(()),
    }
}

fn stages(found: &Segmentation, n_layers: usize) -> std::result::Result<(), String> {
    if found.n_layers != n_layers {
        return Err(format!("they are for a model of {} layers, and the model has {n_layers}", found.n_layers));
    }
    let mut from = 0;
    for span in &found.stages {
        if span.first != from || span.end <= from || span.end > n_layers {
            let (stage, first, end) = (span.stage, span.first, span.end);
            return Err(format!("{stage} has layers {first}..{end}, and should begin at layer {from}"));
        }
        from = span.end;
    }
    if !found.stages.is_empty() && from != n_layers {
        return Err(format!("the last one ends before layer {from} of {n_layers}"));
    }
    let intervals = found.boundaries.iter().filter_map(|boundary| boundary.interval);
    // An interval may reach past the last layer: the earlier stage does not end in some resamples.
    if let Some(it) = intervals.into_iter().find(|it| it.low > it.high || it.high > n_layers) {
        return Err(format!("the interval from {} to {} does not fit {n_layers} layers", it.low, it.high));
    }
    let bands = found.boundaries.iter().filter_map(|boundary| boundary.rules);
    if let Some(it) = bands.into_iter().find(|it| it.low > it.high || it.high > n_layers) {
        return Err(format!("the band of rules from {} to {} does not fit {n_layers} layers", it.low, it.high));
    }
    let boundaries = found.boundaries.iter().map(|boundary| ("a boundary", boundary.at));
    let edges = found.edges.iter().map(|edge| ("a special first or last layer", edge.layer));
    let rejected = found.rejected.iter().map(|rejected| ("a rejected boundary", rejected.at));
    let outliers = found.outliers.iter().map(|outlier| ("an outlier", outlier.layer));
    let changes = found.change_points.iter().map(|&layer| ("a change point", layer));
    let mut all = boundaries.chain(edges).chain(rejected).chain(outliers).chain(changes);
    match all.find(|&(_, layer)| layer >= n_layers) {
        Some((what, layer)) => Err(format!("{what} is at layer {layer} of {n_layers}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Boundary, BoundaryInterval, CorpusRecord, EdgeEffect, ModelRecord, OutlierLayer, RejectedBoundary, Stage,
        StageSpan, Unit, Verdict,
    };

    fn segmentation() -> Segmentation {
        let (before, after) = (Stage::Detokenization, Stage::ResidualSharpening);
        let interval = Some(BoundaryInterval { low: 1, high: 4, frequency: 0.9, within_one: 0.9 });
        Segmentation {
            stages: vec![StageSpan::new(before, 0, 1), StageSpan::new(after, 1, 4)],
            boundaries: vec![Boundary::new(before, after, 1).with_interval(interval)],
            rejected: vec![RejectedBoundary { before, after, at: 1, reason: String::new() }],
            outliers: vec![OutlierLayer::new(1, "", 12.5, "")],
            edges: vec![EdgeEffect { layer: 0, stage: before, reason: String::new() }],
            change_points: vec![1],
            ..Segmentation::new(4, Verdict::Stages, "")
        }
    }

    /// The error of a sound profile after a change.
    fn error(change: impl Fn(&mut Profile, &mut Segmentation)) -> String {
        let mut profile = Profile::new(ModelRecord::new("m", 4, 8, 16), CorpusRecord::new("c", 3, 5));
        let mut stages = segmentation();
        let lens = Curve::new(Axis::residual_positions(4), Unit::Nats, vec![3.0, 2.0, 1.0, 1.0, 0.0]);
        profile.curves.insert("lens_kl".into(), lens);
        change(&mut profile, &mut stages);
        profile.stages = Some(stages);
        profile.check().map_or_else(|error| error.to_string(), |()| "none".to_owned())
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(error(|_, _| ()), "none");
        assert!(error(|profile, _| profile.model.n_layers = usize::MAX).contains("more than the 10000"));
        assert!(error(|profile, _| profile.model.n_layers = 3).contains("\"lens_kl\" is for a model of 4 layers"));
        let short = |profile: &mut Profile, _: &mut _| profile.curves.get_mut("lens_kl").unwrap().mean.truncate(4);
        assert_eq!(
            error(short),
            "the curve \"lens_kl\" has 4 values, and its axis (residual position of 4 layers) has 5"
        );
        let flat = Matrix::new(Axis::heads(2), Axis::heads(2), Unit::Count, vec![vec![1.0; 2]; 3]);
        let wrong = |profile: &mut Profile, _: &mut _| drop(profile.matrices.insert("mine".into(), flat.clone()));
        assert!(error(wrong).contains("\"mine\" is not of the shape of its axes, 2 rows and 2 columns"));
        let mut ragged = Matrix::new(Axis::heads(1), Axis::heads(2), Unit::Count, vec![vec![1.0; 2]]);
        ragged.sem = vec![vec![0.1]];
        let wrong = |profile: &mut Profile, _: &mut _| drop(profile.matrices.insert("mine".into(), ragged.clone()));
        assert!(error(wrong).contains("\"mine\" is not of the shape of its axes, 1 rows and 2 columns"));
    }

    #[test]
    fn stages_that_no_model_has_are_refused() {
        assert!(error(|_, found| found.n_layers = 5).contains("model of 5 layers"));
        assert!(error(|_, found| found.stages[1].first = 2).contains("should begin at layer 1"));
        assert!(error(|_, found| found.stages[0].end = 0).contains("layers 0..0"));
        assert!(error(|_, found| found.stages[1].end = usize::MAX).contains("should begin"));
        assert!(error(|_, found| found.stages.truncate(1)).contains("ends before layer 1 of 4"));
        assert!(error(|_, found| found.boundaries[0].at = 4).contains("a boundary is at layer 4"));
        assert!(error(|_, found| found.boundaries[0].interval.as_mut().unwrap().high = 5).contains("interval"));
        assert!(error(|_, found| found.boundaries[0].interval.as_mut().unwrap().low = 5).contains("interval"));
        assert!(error(|_, found| found.rejected[0].at = 9).contains("a rejected boundary"));
        assert!(error(|_, found| found.outliers[0].layer = 9).contains("an outlier"));
        assert!(error(|_, found| found.change_points[0] = 9).contains("a change point"));
    }
}

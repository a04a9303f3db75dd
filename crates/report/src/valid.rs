//! Whether a profile from a file makes sense: [`checked`].

use stratigraph_stages::{Profile, Segmentation};

/// No model has more layers; a file that says so would have pictures without end.
const MOST_LAYERS: usize = 10_000;

/// The profile, or what is wrong with it: all that is drawn by layers must be of layers that the model has.
pub(crate) fn checked(profile: Profile) -> Result<Profile, String> {
    let n_layers = profile.model.n_layers;
    if n_layers > MOST_LAYERS {
        return Err(format!("{n_layers} layers are more than {MOST_LAYERS}"));
    }
    let long = profile.curves.iter().find(|(_, curve)| curve.len() > n_layers + 1);
    if let Some((name, curve)) = long {
        return Err(format!("the curve {name:?} has {} numbers for {n_layers} layers", curve.len()));
    }
    if let Some(stages) = &profile.stages {
        check_stages(stages, n_layers)?;
    }
    Ok(profile)
}

fn check_stages(found: &Segmentation, n_layers: usize) -> Result<(), String> {
    if found.n_layers != n_layers {
        return Err(format!("its stages are of {} layers, its model has {n_layers}", found.n_layers));
    }
    let mut from = 0;
    for span in &found.stages {
        if span.first != from || span.end <= from || span.end > n_layers {
            let (stage, first, end) = (span.stage, span.first, span.end);
            return Err(format!("{stage} from layer {first} to before {end} does not go on from layer {from}"));
        }
        from = span.end;
    }
    if !found.stages.is_empty() && from != n_layers {
        return Err(format!("its stages end before layer {from} of {n_layers}"));
    }
    let doubts = found.boundaries.iter().filter_map(|boundary| boundary.doubt);
    // An interval may reach behind the last layer: in some draws the earlier stage does not end.
    if let Some(doubt) = doubts.into_iter().find(|doubt| doubt.low > doubt.high || doubt.high > n_layers) {
        return Err(format!("an interval from {} to {} is none of {n_layers} layers", doubt.low, doubt.high));
    }
    let boundaries = found.boundaries.iter().map(|boundary| ("a boundary", boundary.at));
    let rejected = found.rejected.iter().map(|rejected| ("a rejected boundary", rejected.at));
    let outliers = found.outliers.iter().map(|outlier| ("an outlier", outlier.layer));
    let changes = found.change_points.iter().map(|&layer| ("a change point", layer));
    let mut all = boundaries.chain(rejected).chain(outliers).chain(changes);
    match all.find(|&(_, layer)| layer >= n_layers) {
        Some((what, layer)) => Err(format!("{what} is at layer {layer} of {n_layers}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{profile, segmentation};

    /// What is said of a sound profile after a change.
    fn said(change: impl Fn(&mut Profile, &mut Segmentation)) -> Result<(), String> {
        let (mut profile, mut stages) = (profile(4, &[("lens_kl", &[3.0, 2.0, 1.0, 1.0, 0.0])]), segmentation(4));
        change(&mut profile, &mut stages);
        profile.stages = Some(stages);
        checked(profile).map(|_| ())
    }

    #[test]
    fn what_no_model_has_is_refused() {
        assert_eq!(said(|_, _| ()), Ok(()));
        assert!(said(|profile, _| profile.model.n_layers = usize::MAX).unwrap_err().contains("more than 10000"));
        assert!(said(|profile, _| profile.model.n_layers = 3).unwrap_err().contains("\"lens_kl\" has 5 numbers"));
        assert!(said(|_, found| found.n_layers = 5).unwrap_err().contains("of 5 layers"));
        assert!(said(|_, found| found.stages[1].first = 2).unwrap_err().contains("does not go on from layer 1"));
        assert!(said(|_, found| found.stages[0].end = 0).is_err());
        assert!(said(|_, found| found.stages[1].end = usize::MAX).is_err());
        assert!(said(|_, found| found.stages.truncate(1)).unwrap_err().contains("end before layer 1 of 4"));
        assert!(said(|_, found| found.boundaries[0].at = 4).unwrap_err().contains("a boundary is at layer 4"));
        assert!(
            said(|_, found| found.boundaries[0].doubt.as_mut().unwrap().high = 5).unwrap_err().contains("interval")
        );
        assert!(said(|_, found| found.boundaries[0].doubt.as_mut().unwrap().low = 3).is_err());
        assert!(said(|_, found| found.rejected[0].at = 9).unwrap_err().contains("rejected"));
        assert!(said(|_, found| found.outliers[0].layer = 9).unwrap_err().contains("outlier"));
        assert!(said(|_, found| found.change_points[0] = 9).unwrap_err().contains("change point"));
    }
}

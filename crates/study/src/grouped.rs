//! Matrices, curves and records of scores by groups of positions: [`add_sweep`], [`add_clean`], [`records`].

use std::collections::BTreeMap;

use stratigraph_probes::scores::{GroupScores, Scores, TokenGroups};
use stratigraph_profile::{Axis, Curve, Estimate, GroupRecord, Matrix, Unit};

use crate::run_scores::RunScores;
use crate::{Findings, Result};

/// Adds matrices `SWEEP_METRIC_by_GROUPING` of the points of a sweep over one axis and the groups.
pub(crate) fn add_sweep(
    sweep: &str,
    axis: &Axis,
    (points, units): (&[&RunScores], &BTreeMap<String, Unit>),
    findings: &mut Findings,
) -> Result<()> {
    let groupings = points.first().map_or(&[][..], |scores| &scores.groups);
    for (index, grouping) in groupings.iter().map(GroupScores::groups).enumerate() {
        for (metric, unit) in units {
            let cells = points.iter().flat_map(|scores| estimates(&scores.groups[index], metric, findings));
            let matrix = Matrix::from_estimates(axis.clone(), axis_of(grouping), unit.clone(), cells);
            findings.add_matrix(&format!("{sweep}_{metric}_by_{}", grouping.name()), matrix)?;
        }
    }
    Ok(())
}

/// Adds curves `clean_METRIC_by_GROUPING` over the groups, of the metrics that are values of the unchanged model.
pub(crate) fn add_clean(
    clean: &RunScores,
    units: &BTreeMap<String, Unit>,
    is_clean: impl Fn(&str) -> bool,
    findings: &mut Findings,
) -> Result<()> {
    for groups in &clean.groups {
        for (metric, unit) in units.iter().filter(|(metric, _)| is_clean(metric)) {
            let mut curve = Curve::empty(axis_of(groups.groups()), unit.clone());
            estimates(groups, metric, findings).for_each(|estimate| curve.push(estimate, Vec::new()));
            findings.add_curve(&format!("clean_{metric}_by_{}", groups.groups().name()), curve)?;
        }
    }
    Ok(())
}

/// The records of an intervention by grouping.
pub(crate) fn records(scores: &RunScores, findings: &Findings) -> BTreeMap<String, Vec<GroupRecord>> {
    let record = |(label, positions, scores): (&String, usize, &Scores)| {
        let measured = scores.iter().filter(|(_, measured)| measured.counts().next().is_some());
        measured.fold(GroupRecord::new(label, positions), |record, (metric, measured)| {
            record.with_metric(metric, findings.estimate(measured))
        })
    };
    let of_grouping = |groups: &GroupScores| {
        let grouping = groups.groups();
        let each = grouping.labels().iter().zip(grouping.sizes()).zip(groups.scores());
        let records = each.map(|((label, positions), scores)| record((label, positions, scores))).collect();
        (grouping.name().to_owned(), records)
    };
    scores.groups.iter().map(of_grouping).collect()
}

fn axis_of(grouping: &TokenGroups) -> Axis {
    Axis::labelled(grouping.name(), grouping.labels())
}

/// A metric at each group; NaN where it has no value.
fn estimates<'a>(
    groups: &'a GroupScores,
    metric: &'a str,
    findings: &'a Findings,
) -> impl Iterator<Item = Estimate> + 'a {
    let nothing = Estimate::exact(f64::NAN);
    groups.scores().iter().map(move |scores| scores.get(metric).map_or(nothing, |it| findings.estimate(it)))
}

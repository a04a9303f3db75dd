//! Differences of curves, window by window, with standard errors of their own: [`add`].

use stratigraph_core::PerSequence;
use stratigraph_profile::Curve;

use crate::findings::{measured_curve, paired_difference};
use crate::{Findings, Result};

/// Metrics by which deletions are compared with the unchanged model: those that have a value there.
const LESS_CLEAN: [&str; 1] = ["nll"];
/// Metrics by which deletions are compared with swaps.
const LESS_SWAP: [&str; 2] = ["kl", "nll"];

/// Adds `delete_less_clean_*` over layers and `delete_less_swap_*` over pairs of adjacent layers, where the curves that they are
/// differences of are there. `clean` gives what a metric is in the unchanged model.
pub(crate) fn add<'s>(clean: impl Fn(&str) -> Option<&'s PerSequence>, findings: &mut Findings) -> Result<()> {
    for metric in LESS_CLEAN {
        let (Some(deleted), Some(clean)) = (findings.curves().get(&format!("delete_{metric}")), clean(metric)) else {
            continue;
        };
        let unchanged = std::iter::repeat_n(clean, deleted.len());
        let unchanged = measured_curve(deleted.axis.clone(), deleted.unit.clone(), unchanged);
        let difference = paired_difference(deleted, &unchanged)?;
        findings.add_curve(&format!("delete_less_clean_{metric}"), difference)?;
    }
    for metric in LESS_SWAP {
        let of = |sweep: &str| findings.curves().get(&format!("{sweep}_{metric}"));
        let (Some(deleted), Some(swapped)) = (of("delete"), of("swap")) else { continue };
        let difference = paired_difference(&of_first_layers(deleted, swapped), swapped)?;
        findings.add_curve(&format!("delete_less_swap_{metric}"), difference)?;
    }
    Ok(())
}

/// The deletion of the first layer of each pair, over the axis of swaps.
fn of_first_layers(deleted: &Curve, swapped: &Curve) -> Curve {
    let mut curve = Curve::empty(swapped.axis.clone(), deleted.unit.clone());
    curve.replicate_unit = deleted.replicate_unit;
    let points = deleted.estimates().zip(&deleted.replicates).take(swapped.len());
    points.for_each(|(estimate, replicates)| curve.push(estimate, replicates.clone()));
    curve
}

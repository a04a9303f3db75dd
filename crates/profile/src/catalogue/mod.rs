//! The names of all curves, values and matrices that Stratigraph computes, with title, unit, scale, axis and definition.
//!
//! A curve of a sweep is named after the [sweep](sweeps) and the [metric](metrics): `delete_kl`, `lens_entropy_bits`. Their
//! products are not listed but derived. All other curves are rows of [`curves`]. A name with a number in it, such as
//! `attention_at_distance_2`, is found by its pattern. Names of sweeps over [blocks](BlockSweep) are read.
//!
//! ```
//! use stratigraph_profile::{Axis, Unit, catalogue};
//!
//! let entry = catalogue::find("repeat_5_kl").unwrap();
//! assert_eq!(entry.title, "Repeating each of 5 layers: KL");
//! assert_eq!((entry.unit, entry.axis.of(12)), (Unit::Nats, Axis::block_starts(12, 5)));
//! assert!(catalogue::find("repeat_5_speed").is_none());
//! ```

mod block_words;
mod blocks;
mod curves;
mod derived;
mod differences;
mod effects;
mod entry;
mod geometry_curves;
mod groupings;
mod lenses;
mod limit;
mod limited_name;
mod markdown;
mod matrices;
mod matrix_rows;
mod metrics;
mod neuron_curves;
mod neuron_sets;
mod patching;
mod pattern;
mod removals;
mod single;
mod sweep_rows;
mod sweeps;
mod task_scores;
mod values;

pub use block_words::BLOCKS;
pub use blocks::{BlockChange, BlockLengths, BlockSweep};
pub use curves::SingleCurve;
pub use entry::{AxisKind, CurveEntry, describe};
pub use groupings::{GroupingEntry, find_grouping, groupings, split_grouping};
pub use limited_name::{LimitedName, LimitedTo};
pub use markdown::{
    curves_table, groupings_table, matrices_table, matrix_sweeps_table, metrics_table, sweeps_table, task_scores_table,
    values_table,
};
pub use matrices::{MatrixEntry, find_matrix, matrices, matrix_sweeps};
pub use metrics::{MetricEntry, find_metric, metrics};
pub use single::curves;
pub use sweeps::{SweepEntry, find_sweep, sweeps};
pub use task_scores::task_scores;
pub use values::{ValueEntry, find_value, values};

use crate::{Curve, ProfileError, Result};

/// What the catalogue says about a curve; none for a name that it does not have.
pub fn find(name: &str) -> Option<CurveEntry> {
    let of_sweep = || {
        let (sweep, metric) = split(name)?;
        Some(CurveEntry::of_sweep(name, &find_sweep(sweep)?, &metric))
    };
    single::find(name).or_else(of_sweep).or_else(|| groupings::find_clean(name))
}

/// The current name of a sweep, or of a curve or an intervention of it, that had another name in older versions:
/// `delete_after_first` was `delete_from_1`.
///
/// ```
/// use stratigraph_profile::catalogue::current_name;
/// assert_eq!(current_name("delete_from_1_kl"), "delete_after_first_kl");
/// assert_eq!(current_name("delete_from_12_kl"), "delete_from_12_kl");
/// ```
pub fn current_name(name: &str) -> String {
    match name.strip_prefix("delete_from_1") {
        Some(rest) if rest.is_empty() || rest.starts_with(['_', ' ']) => format!("delete_after_first{rest}"),
        _ => name.to_owned(),
    }
}

/// A curve of the catalogue without points, to which they are [pushed](Curve::push).
///
/// # Errors
/// When the catalogue does not have the name.
pub fn empty_curve(name: &str, n_layers: usize) -> Result<Curve> {
    let entry = find(name).ok_or_else(|| ProfileError::NotInCatalogue { name: name.to_owned() })?;
    Ok(Curve::empty(entry.axis.of(n_layers), entry.unit))
}

/// The name of a sweep and its metric; of several metrics with which the name ends, the longest.
pub(crate) fn split(name: &str) -> Option<(&str, MetricEntry)> {
    let ends = name.match_indices('_').map(|(at, _)| (&name[..at], &name[at + 1..]));
    ends.into_iter().find_map(|(sweep, metric)| Some((sweep, find_metric(metric)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Axis, Unit};

    #[test]
    fn a_curve_of_a_sweep_is_derived() {
        let entry = find("swap_top1_agreement").unwrap();
        assert_eq!((entry.unit, entry.axis.of(12)), (Unit::Fraction, Axis::adjacent_pairs(12)));
        // `reverse_kl` ends with the name of another metric.
        assert_eq!(find("delete_reverse_kl").unwrap().label, "delete: reverse KL");
        assert_eq!(find("mean_mlp_kl").unwrap().axis.of(12), Axis::layers(12));
        assert_eq!(find("delete_after_first_top5_overlap").unwrap().unit, Unit::Fraction);
        assert_eq!(find("knock_back_5_in_3_layers_kl").unwrap().axis.of(12), Axis::block_starts(12, 3));
        let difference = find("knock_out_words_kl").unwrap();
        assert_eq!((difference.scale, difference.unit), (crate::Scale::Fitted, Unit::Nats));
        assert_eq!(find("patch_attn_out_layers_kl").unwrap().axis.of(12), Axis::layers(12));
        assert_eq!(find("lens_rank").unwrap().axis.of(12), Axis::residual_positions(12));
        for unknown in ["", "kl", "_kl", "delete_", "delete", "skip_kl", "repeat_kl", "repeat_x_kl", "repeat_05_kl"] {
            assert!(find(unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn no_name_stands_for_two_curves() {
        for single in curves() {
            let name = single.name.replace("{n}", "2");
            assert!(split(&name).and_then(|(sweep, _)| find_sweep(sweep)).is_none(), "{name}");
            assert_eq!(find(&name).unwrap().name, name);
        }
        let sweeps = sweeps().into_iter().map(|it| it.name);
        let names: Vec<_> = curves().iter().map(|it| it.name.to_owned()).chain(sweeps).collect();
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn an_empty_curve_has_the_axis_of_the_catalogue() {
        let curve = empty_curve("resid_norm", 4).unwrap();
        assert_eq!((&curve.axis, curve.len()), (&Axis::residual_positions(4), 0));
        assert!(empty_curve("resid_nrom", 4).unwrap_err().to_string().contains("resid_nrom"));
    }
}

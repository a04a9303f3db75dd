//! Adds maps and curves over pairs to the findings: [`add`].

use stratigraph_core::{Hook, ModelShape, Moments};
use stratigraph_profile::{Axis, Curve, Estimate, Matrix, ReplicateUnit, Unit};

use super::bootstrap::bootstrap_intervals;
use super::run::PairOutcome;
use super::{ActivationPatching, PatchDirection, map_name, n_columns};
use crate::{Findings, Result, StudyError};

/// Adds the maps of each hook and direction, the curves of the last position, and the metric of both prompts without a
/// patch.
pub(super) fn add(
    patching: &ActivationPatching,
    shape: &ModelShape,
    (outcomes, seed): (&[PairOutcome], u64),
    findings: &mut Findings,
) -> Result<()> {
    let is_kept = |pair: &&PairOutcome| (pair.clean - pair.corrupted).abs() >= patching.least_difference;
    let kept: Vec<_> = outcomes.iter().filter(is_kept).collect();
    if kept.is_empty() {
        return Err(nothing_to_restore(patching, outcomes));
    }
    let (metric, suffix) = (patching.metric.name(), patching.suffix());
    findings.add_value(&format!("patch_pairs{suffix}"), Estimate::exact(kept.len() as f64))?;
    let left_out = Estimate::exact((outcomes.len() - kept.len()) as f64);
    findings.add_value(&format!("patch_pairs_left_out{suffix}"), left_out)?;
    findings.add_value(&format!("patch_clean_{metric}"), estimate(kept.iter().map(|pair| pair.clean)))?;
    findings.add_value(&format!("patch_corrupted_{metric}"), estimate(kept.iter().map(|pair| pair.corrupted)))?;
    for (nth, &direction) in patching.directions.iter().enumerate() {
        let mut first = vec![0; kept.len()]; // the index of the hook's first patch, for each pair
        for &hook in &patching.hooks {
            let map = PatchMap::new(hook, shape, &kept, (nth, &mut first[..]));
            let name = format!("{}_{direction}{suffix}", map_name(hook));
            findings.add_matrix(&name, map.matrix(patching.title(hook, direction)))?;
            if hook == Hook::ResidPre {
                map.add_last(patching, (direction, seed), findings)?;
            }
        }
    }
    Ok(())
}

fn nothing_to_restore(patching: &ActivationPatching, outcomes: &[PairOutcome]) -> StudyError {
    let largest = outcomes.iter().map(|pair| (pair.clean - pair.corrupted).abs()).fold(0.0, f64::max);
    let (metric, unit, least) = (patching.metric.name(), patching.metric.unit(), patching.least_difference);
    let reason = format!(
        "the {metric} differs between the clean and the corrupted prompt by at most {largest:.3} {unit} in all {} pairs, \
         and a pair counts from {least} on: use pairs that the model answers differently, or a smaller least difference",
        outcomes.len()
    );
    StudyError::CannotMeasure { name: patching.full_name(), reason }
}

fn estimate(values: impl IntoIterator<Item = f64>) -> Estimate {
    let moments: Moments = values.into_iter().collect();
    if moments.count == 0 { Estimate::exact(f64::NAN) } else { Estimate::new(moments.mean, moments.sem()) }
}

/// The effect of patching a hook, by layer and by position or head.
struct PatchMap {
    columns: Axis,
    /// The normalised metric of each pair that has the position, `[layer][column][pair]`.
    cells: Vec<Vec<Vec<f64>>>,
}

impl PatchMap {
    /// The map of a hook in the `nth` direction. `first` has the index of the hook's first patch for each pair, and is advanced
    /// to the next hook. Positions are counted from the end: a shorter pair has no values in the first columns.
    fn new(hook: Hook, shape: &ModelShape, pairs: &[&PairOutcome], (nth, first): (usize, &mut [usize])) -> Self {
        let longest = pairs.iter().map(|pair| pair.seq_len).max().unwrap_or(0);
        let n_wide = n_columns(hook, shape, longest);
        let mut cells = vec![vec![Vec::new(); n_wide]; shape.n_layers];
        for (pair, first) in pairs.iter().zip(first) {
            let n = n_columns(hook, shape, pair.seq_len);
            for (layer, row) in cells.iter_mut().enumerate() {
                let patched = &pair.patched[nth][*first + layer * n..][..n];
                let values = patched.iter().map(|&value| pair.normalised(value));
                row[n_wide - n..].iter_mut().zip(values).for_each(|(cell, value)| cell.push(value));
            }
            *first += n * shape.n_layers;
        }
        let columns = if hook.has_heads() { Axis::heads(n_wide) } else { from_the_end(n_wide) };
        Self { columns, cells }
    }

    fn matrix(&self, title: Option<String>) -> Matrix {
        let cells = self.cells.iter().flatten().map(|cell| estimate(cell.iter().copied()));
        let rows = Axis::layers(self.cells.len());
        let matrix = Matrix::from_estimates(rows, self.columns.clone(), Unit::Fraction, cells);
        match title {
            Some(title) => matrix.with_title(title),
            None => matrix,
        }
    }

    /// Adds the curve of the last position over layers, and its bootstrap interval where there are several pairs.
    fn add_last(
        &self,
        patching: &ActivationPatching,
        (direction, seed): (PatchDirection, u64),
        findings: &mut Findings,
    ) -> Result<()> {
        let points: Vec<_> = self.cells.iter().filter_map(|row| row.last().cloned()).collect();
        let (axis, suffix) = (Axis::layers(points.len()), patching.suffix());
        let name = format!("patch_resid_pre_last_{direction}");
        let titled = |curve: Curve, what: &str| match patching.title(Hook::ResidPre, direction) {
            Some(title) => curve.with_title(format!("{title}, last position{what}")),
            None => curve,
        };
        let mut curve = Curve::empty(axis.clone(), Unit::Fraction).with_replicates(ReplicateUnit::Pairs, Vec::new());
        points.iter().for_each(|pairs| curve.push(estimate(pairs.iter().copied()), pairs.clone()));
        findings.add_curve(&format!("{name}{suffix}"), titled(curve, ""))?;
        if points.iter().any(|pairs| pairs.len() < 2) {
            return Ok(());
        }
        let intervals = bootstrap_intervals(&points, seed);
        let bound = |values: Vec<f64>| Curve::new(axis.clone(), Unit::Fraction, values);
        let low = bound(intervals.iter().map(|interval| interval.low).collect());
        let high = bound(intervals.iter().map(|interval| interval.high).collect());
        findings.add_curve(&format!("{name}_ci_low{suffix}"), titled(low, ", lower 95 % bound"))?;
        findings.add_curve(&format!("{name}_ci_high{suffix}"), titled(high, ", upper 95 % bound"))
    }
}

/// `length` positions, the last of which is -1.
fn from_the_end(length: usize) -> Axis {
    Axis::labelled("position from the end", (1..=length).rev().map(|back| format!("-{back}")))
}

//! Numbers of each window of a corpus, whose parts merge: [`WindowMeasures`].

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use stratigraph_core::{PerSequence, SequenceCount};
use stratigraph_profile::{Axis, Matrix, Unit};

use crate::findings::measured_curve;
use crate::{Findings, Result, StudyError};

/// What is measured window by window for the points of curves, the cells of matrices and single values, each by its name. Parts
/// of a corpus merge into exactly what the whole gives.
///
/// ```
/// use stratigraph_core::PerSequence;
/// use stratigraph_profile::{Axis, CorpusRecord, ModelRecord, Unit};
/// use stratigraph_study::{Findings, WindowMeasures};
///
/// let of_window = |window: usize, norms: [f64; 2]| {
///     let mut layers = [PerSequence::default(), PerSequence::default()];
///     layers.iter_mut().zip(norms).for_each(|(layer, norm)| layer.push(window, norm));
///     WindowMeasures::default().with_curve("norm", Axis::layers(2), Unit::Norm, layers)
/// };
/// let mut all = of_window(0, [1.0, 2.0]);
/// all.merge(&of_window(1, [3.0, 2.0]))?;
/// let mut findings = Findings::new(ModelRecord::new("mine", 2, 64, 100), CorpusRecord::new("text", 2, 16));
/// all.add_to(&mut findings)?;
/// assert_eq!(findings.curve("norm")?.mean, [2.0, 2.0]);
/// assert_eq!(findings.curve("norm")?.replicates, [[1.0, 3.0], [2.0, 2.0]]);
/// # Ok::<(), stratigraph_study::StudyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowMeasures {
    curves: BTreeMap<String, WindowCurve>,
    matrices: BTreeMap<String, WindowMatrix>,
    values: BTreeMap<String, PerSequence>,
    kept: BTreeMap<String, PerSequence>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowCurve {
    axis: Axis,
    unit: Unit,
    points: Vec<PerSequence>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowMatrix {
    rows: Axis,
    columns: Axis,
    unit: Unit,
    /// Row by row.
    cells: Vec<PerSequence>,
}

impl WindowMeasures {
    /// With a curve, of what was measured at each point of its axis.
    pub fn with_curve(
        mut self,
        name: &str,
        axis: Axis,
        unit: Unit,
        points: impl IntoIterator<Item = PerSequence>,
    ) -> Self {
        self.curves.insert(name.to_owned(), WindowCurve { axis, unit, points: points.into_iter().collect() });
        self
    }

    /// With a matrix, of what was measured for each cell, row by row.
    pub fn with_matrix(
        mut self,
        name: &str,
        [rows, columns]: [Axis; 2],
        unit: Unit,
        cells: impl IntoIterator<Item = PerSequence>,
    ) -> Self {
        self.matrices.insert(name.to_owned(), WindowMatrix { rows, columns, unit, cells: cells.into_iter().collect() });
        self
    }

    /// With a single value.
    pub fn with_value(mut self, name: &str, measured: PerSequence) -> Self {
        self.values.insert(name.to_owned(), measured);
        self
    }

    /// With something from which [other numbers](crate::Derived) are derived, and which is not in the findings itself.
    pub(crate) fn with_kept(mut self, name: &str, measured: PerSequence) -> Self {
        self.kept.insert(name.to_owned(), measured);
        self
    }

    /// What was kept under a name.
    pub(crate) fn kept(&self, name: &str) -> Option<&PerSequence> {
        self.kept.get(name)
    }

    /// Adds what was measured on other windows; measures that hold nothing yet take it on.
    ///
    /// # Errors
    /// [`StudyError::OtherMeasures`] when it has other names or axes.
    pub fn merge(&mut self, other: &WindowMeasures) -> Result<()> {
        if *self == Self::default() {
            *self = other.clone();
            return Ok(());
        }
        if let Some(name) = self.difference(other) {
            return Err(StudyError::OtherMeasures { name });
        }
        self.all_mut().zip(other.all()).for_each(|(mine, theirs)| mine.merge(theirs));
        Ok(())
    }

    /// The name of something that only one of two has, or that they have over other axes.
    fn difference(&self, other: &Self) -> Option<String> {
        fn only_one<T, K: PartialEq>(
            one: &BTreeMap<String, T>,
            other: &BTreeMap<String, T>,
            kind: impl Fn(&T) -> K,
        ) -> Option<String> {
            let differs = |name: &&String| one.get(*name).map(&kind) != other.get(*name).map(&kind);
            one.keys().chain(other.keys()).find(differs).cloned()
        }
        let curve = |it: &WindowCurve| (it.axis.clone(), it.unit.clone(), it.points.len());
        let matrix = |it: &WindowMatrix| (it.rows.clone(), it.columns.clone(), it.unit.clone(), it.cells.len());
        only_one(&self.curves, &other.curves, curve)
            .or_else(|| only_one(&self.matrices, &other.matrices, matrix))
            .or_else(|| only_one(&self.values, &other.values, |_| ()))
            .or_else(|| only_one(&self.kept, &other.kept, |_| ()))
    }

    fn all(&self) -> impl Iterator<Item = &PerSequence> {
        let points = self.curves.values().flat_map(|curve| &curve.points);
        let cells = self.matrices.values().flat_map(|matrix| &matrix.cells);
        points.chain(cells).chain(self.values.values()).chain(self.kept.values())
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut PerSequence> {
        let points = self.curves.values_mut().flat_map(|curve| &mut curve.points);
        let cells = self.matrices.values_mut().flat_map(|matrix| &mut matrix.cells);
        points.chain(cells).chain(self.values.values_mut()).chain(self.kept.values_mut())
    }

    /// Whether everything was measured in each of these windows and in no other, is finite, and fills its axes.
    pub(crate) fn are_of(&self, windows: &Range<usize>) -> bool {
        let is_whole = |measured: &PerSequence| {
            let sequences = measured.counts().filter(|of| of.count > 0).map(|SequenceCount { sequence, .. }| sequence);
            sequences.eq(windows.clone()) && measured.means().iter().all(|mean| mean.is_finite())
        };
        let n_cells = |it: &WindowMatrix| it.rows.len().checked_mul(it.columns.len());
        self.all().next().is_some()
            && self.all().all(is_whole)
            && self.curves.values().all(|it| it.axis.len() == it.points.len())
            && self.matrices.values().all(|it| n_cells(it) == Some(it.cells.len()))
    }

    /// Adds curves, matrices and values to the findings, with standard errors over windows.
    ///
    /// # Errors
    /// When a name is taken, or there are not as many points as an axis has.
    pub fn add_to(&self, findings: &mut Findings) -> Result<()> {
        for (name, WindowCurve { axis, unit, points }) in &self.curves {
            findings.add_curve(name, measured_curve(axis.clone(), unit.clone(), points))?;
        }
        for (name, WindowMatrix { rows, columns, unit, cells }) in &self.matrices {
            let cells = cells.iter().map(|measured| findings.estimate(measured));
            let matrix = Matrix::from_estimates(rows.clone(), columns.clone(), unit.clone(), cells);
            findings.add_matrix(name, matrix)?;
        }
        self.values.iter().try_for_each(|(name, measured)| findings.add_value(name, findings.estimate(measured)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(windows: Range<usize>) -> WindowMeasures {
        let of = |factor: f64| {
            let mut measured = PerSequence::default();
            windows
                .clone()
                .for_each(|window| (0..3).for_each(|at| measured.push(window, factor * (window + at) as f64)));
            measured
        };
        WindowMeasures::default()
            .with_curve("curve", Axis::layers(2), Unit::Nats, [of(1.0), of(0.3)])
            .with_matrix("matrix", [Axis::layers(1), Axis::heads(2)], Unit::Logits, [of(0.7), of(-1.0)])
            .with_value("value", of(2.0))
            .with_kept("kept", of(0.1))
    }

    #[test]
    fn parts_merge_into_the_whole_in_any_order() {
        for order in [[0..2, 2..3, 3..5], [3..5, 0..2, 2..3]] {
            let mut merged = WindowMeasures::default();
            order.iter().for_each(|part| merged.merge(&measured(part.clone())).unwrap());
            assert_eq!(merged, measured(0..5));
            assert!(merged.are_of(&(0..5)) && !merged.are_of(&(0..4)) && !merged.are_of(&(1..5)));
        }
        assert!(!WindowMeasures::default().are_of(&(0..0)));
    }

    #[test]
    fn parts_of_something_else_are_refused_by_name() {
        let other =
            |name: &str, axis| measured(2..3).with_curve(name, axis, Unit::Nats, measured(2..3).all().take(2).cloned());
        let refused = |other: WindowMeasures| measured(0..2).merge(&other).unwrap_err().to_string();
        assert!(refused(other("more", Axis::layers(2))).contains("`more`"));
        assert!(refused(other("curve", Axis::heads(2))).contains("`curve`"));
        let json = serde_json::to_string(&measured(0..2)).unwrap();
        assert_eq!(serde_json::from_str::<WindowMeasures>(&json).unwrap(), measured(0..2));
        assert!(serde_json::from_str::<WindowMeasures>(&json.replace("\"values\"", "\"more\"")).is_err());
        let mut short = measured(0..2);
        short.curves.get_mut("curve").unwrap().points.pop();
        assert!(!short.are_of(&(0..2)));
    }
}

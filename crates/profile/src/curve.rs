//! Numbers over one axis: [`Curve`], made of [`Estimate`]s.

use serde::{Deserialize, Serialize};

use crate::statistics::{ErrorBasis, Resampling, WindowErrors};
use crate::{Axis, Unit, nullable};

/// A mean and its standard error, which a single replicate does not have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean; NaN, written as `null`, where there is none.
    #[serde(deserialize_with = "nullable::number")]
    pub mean: f64,
    /// Its standard error.
    pub sem: Option<f64>,
}

impl Estimate {
    /// A mean with its standard error.
    pub fn new(mean: f64, sem: Option<f64>) -> Self {
        Self { mean, sem }
    }

    /// A number that has no standard error, such as one of weights.
    pub fn exact(mean: f64) -> Self {
        Self { mean, sem: None }
    }
}

/// What the replicates of a [`Curve`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplicateUnit {
    /// The windows of the corpus, the same ones in the same order for every curve.
    #[default]
    Windows,
    /// Pairs: of a Word-in-Context test, which come in [clusters](Curve::clusters), or of prompts.
    Pairs,
    /// Prompts that are not from the corpus.
    Prompts,
}

/// A mean for each point of an axis, with its standard error and the replicates it is the mean of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Curve {
    /// What it runs over.
    pub axis: Axis,
    /// What its numbers are measured in.
    pub unit: Unit,
    /// Its title, where it is not in the [catalogue](crate::catalogue).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How it is computed, where it is not in the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// The means, one for each point of the axis; NaN, written as `null`, where there is none.
    #[serde(deserialize_with = "nullable::numbers")]
    pub mean: Vec<f64>,
    /// Their standard errors.
    pub sem: Vec<Option<f64>>,
    /// What the standard errors are over, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorBasis>,
    /// `[point][replicate]`: the mean of each window, or of each of another [`ReplicateUnit`]. The bootstrap draws from these.
    /// They are not written to the file.
    #[serde(skip)]
    pub replicates: Vec<Vec<f64>>,
    /// What the replicates are. It is not written either.
    #[serde(skip)]
    pub replicate_unit: ReplicateUnit,
    /// The cluster of each replicate, such as the word of each pair; empty where they are independent. The clusters of windows
    /// are the documents of the [`CorpusRecord`](crate::CorpusRecord). They are not written either.
    #[serde(skip)]
    pub clusters: Vec<usize>,
}

impl Curve {
    /// A curve of these means, without standard errors. Its length is checked when it is added to a profile.
    pub fn new(axis: Axis, unit: Unit, mean: Vec<f64>) -> Self {
        let (sem, replicates) = (vec![None; mean.len()], Vec::new());
        let (title, definition, errors, clusters) = (None, None, None, Vec::new());
        let replicate_unit = ReplicateUnit::default();
        Self { axis, unit, title, definition, mean, sem, errors, replicates, replicate_unit, clusters }
    }

    /// A curve to which points are [pushed](Curve::push) one after the other.
    pub fn empty(axis: Axis, unit: Unit) -> Self {
        Self::new(axis, unit, Vec::new())
    }

    /// Sets the standard errors, one for each mean.
    pub fn with_sem(mut self, sem: Vec<Option<f64>>) -> Self {
        self.sem = sem;
        self
    }

    /// Sets the replicates, `[point][replicate]`, and what they are.
    pub fn with_replicates(mut self, unit: ReplicateUnit, replicates: Vec<Vec<f64>>) -> Self {
        (self.replicate_unit, self.replicates) = (unit, replicates);
        self
    }

    /// Sets what the standard errors are over.
    pub fn with_errors(mut self, errors: ErrorBasis) -> Self {
        self.errors = Some(errors);
        self
    }

    /// Sets the cluster of each replicate.
    pub fn with_clusters(mut self, clusters: Vec<usize>) -> Self {
        self.clusters = clusters;
        self
    }

    /// Sets the title that reports show for it.
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets the sentence that says how it is computed.
    pub fn with_definition(mut self, definition: impl Into<String>) -> Self {
        self.definition = Some(definition.into());
        self
    }

    /// Adds the next point of the axis.
    pub fn push(&mut self, estimate: Estimate, replicates: Vec<f64>) {
        self.mean.push(estimate.mean);
        self.sem.push(estimate.sem);
        self.replicates.push(replicates);
    }

    /// How many points it has.
    pub fn len(&self) -> usize {
        self.mean.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.mean.is_empty()
    }

    /// The points with their standard errors.
    pub fn estimates(&self) -> impl Iterator<Item = Estimate> + '_ {
        let sem = self.sem.iter().copied().chain(std::iter::repeat(None));
        self.mean.iter().zip(sem).map(|(&mean, sem)| Estimate { mean, sem })
    }

    /// Half the width of the 95 % confidence interval of a point, by quantiles of Student's t; none where the point has no
    /// standard error, or it is not known what that is over.
    pub fn half_width(&self, point: usize) -> Option<f64> {
        let (basis, sem) = (self.errors?, (*self.sem.get(point)?)?);
        Some(basis.half_width(sem, 0.95)).filter(|half| half.is_finite())
    }

    /// How a bootstrap draws replicates that are not windows of the corpus: by cluster, or independently. Windows are drawn as
    /// the [record of the corpus](crate::CorpusRecord::window_errors) says, the same ones for all curves.
    pub fn resampling(&self) -> Resampling {
        match self.clusters.is_empty() {
            true => Resampling::independent(self.replicates.iter().map(Vec::len).max().unwrap_or(0)),
            false => Resampling::of_clusters(&self.clusters),
        }
    }

    /// Whether any of its means is a number.
    pub fn has_numbers(&self) -> bool {
        self.mean.iter().any(|mean| mean.is_finite())
    }

    /// How many windows it has the means of: at least two, and the same number at every point that has any.
    pub fn n_windows(&self) -> Option<usize> {
        self.n_replicates().filter(|_| self.replicate_unit == ReplicateUnit::Windows)
    }

    /// How many replicates of any unit it has: at least two, and the same number at every point that has any. A point without
    /// a value has none, such as the residual position before layer 0 of a lens that has no map there.
    pub fn n_replicates(&self) -> Option<usize> {
        let mut lengths = self.replicates.iter().map(Vec::len).filter(|n| *n > 0);
        let n = lengths.next()?;
        (n >= 2 && self.replicates.len() == self.len() && lengths.all(|other| other == n)).then_some(n)
    }

    /// With standard errors of the means of windows, as a corpus has them, at the points that have the mean of each window.
    pub fn with_window_errors(mut self, errors: &WindowErrors) -> Self {
        for (sem, windows) in self.sem.iter_mut().zip(&self.replicates).filter(|(_, windows)| !windows.is_empty()) {
            *sem = errors.sem(windows);
        }
        self.errors = errors.basis();
        self
    }

    /// The curve of the chosen windows, with errors computed as given; a window that is named twice counts twice. Points without
    /// replicates stay as they are. None where there is no such window.
    pub(crate) fn select(&self, chosen: &[usize], errors: &WindowErrors) -> Option<Self> {
        let mut curve = Self { mean: Vec::new(), sem: Vec::new(), replicates: Vec::new(), ..self.clone() };
        for (estimate, replicates) in self.estimates().zip(&self.replicates) {
            if replicates.is_empty() {
                curve.push(estimate, Vec::new());
                continue;
            }
            let kept = chosen.iter().map(|&index| replicates.get(index).copied()).collect::<Option<Vec<f64>>>()?;
            let mean = kept.iter().sum::<f64>() / kept.len() as f64;
            curve.push(Estimate { mean, sem: None }, kept);
        }
        Some(curve.with_window_errors(errors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_replicates_have_their_own_mean_and_error() {
        let replicates = vec![vec![1.0, 3.0, 8.0]];
        let curve =
            Curve::new(Axis::layers(1), Unit::Nats, vec![4.0]).with_replicates(ReplicateUnit::Windows, replicates);
        assert_eq!(curve.n_windows(), Some(3));
        let half = curve.select(&[0, 1], &WindowErrors::new(2, &[])).unwrap();
        // The standard deviation of 1 and 3 is the square root of 2; their standard error is 1.
        assert_eq!((half.mean[0], half.n_windows()), (2.0, Some(2)));
        assert!((half.sem[0].unwrap() - 1.0).abs() < 1e-12);
        assert!((half.half_width(0).unwrap() - 12.706).abs() < 1e-3); // the quantile of one degree of freedom
        let one = WindowErrors::new(1, &[]);
        assert_eq!(curve.select(&[3], &one), None);
        let single = curve.select(&[2], &one).unwrap();
        assert_eq!((single.sem[0], single.half_width(0)), (None, None));
    }

    #[test]
    fn a_point_without_a_value_leaves_the_others_their_errors() {
        let windows = vec![vec![], vec![1.0, 1.0, 3.0, 3.0]];
        let curve = Curve::new(Axis::layers(2), Unit::Nats, vec![f64::NAN, 2.0]);
        let curve = curve.with_replicates(ReplicateUnit::Windows, windows);
        assert_eq!((curve.n_windows(), curve.resampling()), (Some(4), Resampling::independent(4)));
        let two_documents = WindowErrors::new(4, &[0, 0, 1, 1]);
        let curve = curve.with_window_errors(&two_documents);
        assert_eq!(curve.sem, [None, two_documents.sem(&[1.0, 1.0, 3.0, 3.0])]);
        let half = curve.select(&[2, 3], &WindowErrors::new(2, &[1, 1])).unwrap();
        assert!(half.mean[0].is_nan() && half.mean[1] == 3.0, "{:?}", half.mean);
    }
}

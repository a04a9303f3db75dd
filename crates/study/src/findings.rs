//! What a study found: [`Findings`], which become a [`Profile`].

use std::collections::BTreeMap;

use stratigraph_core::{Moments, PerSequence};
use stratigraph_profile::statistics::{ErrorBasis, ErrorUnit, WindowErrors, WindowMean};
use stratigraph_profile::{
    Axis, CorpusRecord, Curve, Estimate, InterventionRecord, Matrix, ModelRecord, Profile, ReplicateUnit, Unit,
    catalogue,
};
use stratigraph_stages::segment;

use crate::measurements::{TaskAnswers, WrittenAnswers};
use crate::{Result, StudyError, finite, versions};

/// What a study found: curves, matrices, single values and interventions, each by name.
///
/// ```
/// use stratigraph_profile::{CorpusRecord, Curve, ModelRecord, Axis, Unit};
/// use stratigraph_study::Findings;
///
/// let mut findings = Findings::new(ModelRecord::new("mine", 2, 64, 100), CorpusRecord::new("text", 4, 16));
/// findings.add_curve("delete_kl", Curve::new(Axis::layers(2), Unit::Nats, vec![3.0, 0.5]))?;
/// assert_eq!(findings.curve("delete_kl")?.mean, [3.0, 0.5]);
/// assert!(findings.add_curve("delete_kl", Curve::new(Axis::layers(2), Unit::Nats, vec![0.0, 0.0])).is_err());
/// # Ok::<(), stratigraph_study::StudyError>(())
/// ```
///
/// Standard errors of curves of windows, and of [estimates](Findings::estimate), are over the documents of the corpus or over
/// its windows, as its record says ([`WindowErrors`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    profile: Profile,
    errors: WindowErrors,
    /// How items of benchmarks were answered, until curves are made from it.
    pub(crate) answers: Vec<TaskAnswers>,
    /// What was written for items of benchmarks, of which curves are made.
    pub(crate) written: Vec<WrittenAnswers>,
}

impl Findings {
    /// Empty findings of a model on a corpus.
    pub fn new(model: ModelRecord, corpus: CorpusRecord) -> Self {
        let errors = corpus.window_errors();
        let profile = Profile::new(model, corpus).with_versions(versions());
        Self { profile, errors, answers: Vec::new(), written: Vec::new() }
    }

    /// Adds a curve. Where it has the mean of each window of the corpus, its standard errors are computed from them. NaN stands for
    /// a point without a value, which has no replicates either.
    ///
    /// # Errors
    /// When there is one of that name, its length is not that of its axis, or a number is infinite, or NaN where there are
    /// replicates.
    pub fn add_curve(&mut self, name: &str, curve: Curve) -> Result<()> {
        if self.profile.curves.contains_key(name) {
            return Err(StudyError::NameTaken { what: "curve", name: name.to_owned() });
        }
        finite::curve(name, &curve)?;
        let curve = self.with_errors(curve);
        Ok(self.profile.add_curve(name, curve)?)
    }

    /// With standard errors of the corpus, and with what errors are over.
    fn with_errors(&self, curve: Curve) -> Curve {
        if curve.n_windows() == Some(self.profile.corpus.n_sequences) {
            return curve.with_window_errors(&self.errors);
        }
        let unit = match curve.replicate_unit {
            ReplicateUnit::Pairs => ErrorUnit::Pairs,
            ReplicateUnit::Prompts => ErrorUnit::Prompts,
            _ => return curve,
        };
        match curve.n_replicates() {
            Some(n) if curve.errors.is_none() => curve.with_errors(ErrorBasis::new(unit, n)),
            _ => curve,
        }
    }

    /// The mean of what was measured over positions and windows of the corpus, with its standard error. Windows may have
    /// different numbers of positions, or none; the mean is NaN where nothing was measured.
    ///
    /// # Panics
    /// When it is of a window that the corpus does not have.
    pub fn estimate(&self, measured: &PerSequence) -> Estimate {
        let windows = measured.counts().zip(measured.means());
        let windows = windows.map(|(it, mean)| WindowMean::new(it.sequence, it.count as f64, mean));
        Estimate::new(measured.summary().mean, self.errors.sem_of_ratio(&windows.collect::<Vec<_>>()))
    }

    /// Adds a curve of what was measured over positions and windows at each point. Where all windows were measured, it has their
    /// means; a window may also have been measured at some points only, or a point in no window, which then has no value.
    pub(crate) fn add_measured(&mut self, name: &str, curve: Curve, points: &[PerSequence]) -> Result<()> {
        let mut curve = curve.with_replicates(ReplicateUnit::Windows, Vec::new());
        points.iter().for_each(|point| curve.push(self.estimate(point), point.means()));
        curve.errors = self.errors.basis();
        self.add_curve(name, curve)
    }

    /// Adds a matrix. NaN stands for a cell without a value.
    ///
    /// # Errors
    /// When there is one of that name, its shape is not that of its axes, or a number is infinite.
    pub fn add_matrix(&mut self, name: &str, matrix: Matrix) -> Result<()> {
        if self.profile.matrices.contains_key(name) {
            return Err(StudyError::NameTaken { what: "matrix", name: name.to_owned() });
        }
        finite::matrix(name, &matrix)?;
        Ok(self.profile.add_matrix(name, matrix)?)
    }

    /// Adds a single value. NaN stands for no value.
    ///
    /// # Errors
    /// When there is one of that name, or a number is infinite.
    pub fn add_value(&mut self, name: &str, value: Estimate) -> Result<()> {
        if self.profile.values.contains_key(name) {
            return Err(StudyError::NameTaken { what: "value", name: name.to_owned() });
        }
        finite::value(name, value)?;
        self.profile.values.insert(name.to_owned(), value);
        Ok(())
    }

    /// Adds an intervention with what was measured under it.
    pub fn add_intervention(&mut self, intervention: InterventionRecord) {
        self.profile.interventions.push(intervention);
    }

    /// The curve of a name.
    ///
    /// # Errors
    /// When there is none; the error suggests close names.
    pub fn curve(&self, name: &str) -> Result<&Curve> {
        Ok(self.profile.curve(name)?)
    }

    /// The matrix of a name.
    ///
    /// # Errors
    /// When there is none; the error suggests close names.
    pub fn matrix(&self, name: &str) -> Result<&Matrix> {
        Ok(self.profile.matrix(name)?)
    }

    /// The single value of a name.
    ///
    /// # Errors
    /// When there is none; the error suggests close names.
    pub fn value(&self, name: &str) -> Result<Estimate> {
        Ok(self.profile.value(name)?)
    }

    /// All curves, by name.
    pub fn curves(&self) -> &BTreeMap<String, Curve> {
        &self.profile.curves
    }

    /// All matrices, by name.
    pub fn matrices(&self) -> &BTreeMap<String, Matrix> {
        &self.profile.matrices
    }

    /// All single values, by name.
    pub fn values(&self) -> &BTreeMap<String, Estimate> {
        &self.profile.values
    }

    /// The unchanged model, every point of every sweep, and single interventions, with what was measured under each.
    pub fn interventions(&self) -> &[InterventionRecord] {
        &self.profile.interventions
    }

    /// With the command and the device that the record names.
    pub fn with_record(mut self, device: impl Into<String>, command: Vec<String>) -> Self {
        self.profile = self.profile.with_device(device).with_command(command);
        self
    }

    /// Adds a remark to the definitions of the curves of a sweep.
    pub(crate) fn remark(&mut self, sweep: &str, remark: &str) {
        let Some(record) = self.profile.interventions.iter().find(|it| it.sweep.as_deref() == Some(sweep)) else {
            return;
        };
        for metric in record.metrics.keys() {
            let name = format!("{sweep}_{metric}");
            let Some(curve) = self.profile.curves.get_mut(&name) else { continue };
            let definition = catalogue::find(&name).map(|entry| format!("{}. ", entry.definition)).unwrap_or_default();
            curve.definition = Some(format!("{definition}The lens was {remark}"));
        }
    }

    /// Takes the numbers of a point of a sweep out: of its curves, of the rows of its matrices by groups, and of its record.
    pub(crate) fn blank(&mut self, sweep: &str, point: usize) {
        let Some(record) = self
            .profile
            .interventions
            .iter_mut()
            .find(|it| it.sweep.as_deref() == Some(sweep) && it.index == Some(point))
        else {
            return;
        };
        let metrics = std::mem::take(&mut record.metrics);
        let groupings = std::mem::take(&mut record.groups);
        for metric in metrics.keys() {
            let name = format!("{sweep}_{metric}");
            if let Some(curve) = self.profile.curves.get_mut(&name) {
                (curve.mean[point], curve.sem[point]) = (f64::NAN, None);
                curve.replicates.get_mut(point).into_iter().for_each(Vec::clear);
            }
            for grouping in groupings.keys() {
                if let Some(matrix) = self.profile.matrices.get_mut(&format!("{name}_by_{grouping}")) {
                    let rows = matrix.values.get_mut(point).into_iter().chain(matrix.sem.get_mut(point));
                    rows.for_each(|row| row.fill(f64::NAN));
                }
            }
        }
    }

    pub(crate) fn with_seed(mut self, seed: u64) -> Self {
        self.profile = self.profile.with_seed(seed);
        self
    }

    /// The profile, with the stages of inference that its curves show.
    pub fn into_profile(self) -> Profile {
        let stages = segment(&self.profile);
        self.profile.with_stages(stages)
    }

    /// The profile without stages, for callers that find them by a rule of their own.
    pub fn into_profile_without_stages(self) -> Profile {
        self.profile
    }
}

/// The mean over independent replicates and its standard error.
pub(crate) fn estimate(measured: &PerSequence) -> Estimate {
    let summary = measured.summary();
    Estimate::new(summary.mean, summary.sem)
}

/// The difference of two curves over one axis, replicate by replicate, with the standard errors of the paired differences.
/// Windows are treated as independent here; [`Findings::add_curve`] computes standard errors as the corpus requires.
///
/// ```
/// use stratigraph_profile::{Axis, Curve, ReplicateUnit, Unit};
/// use stratigraph_study::paired_difference;
///
/// let curve = |windows: [f64; 3]| {
///     let mean = windows.iter().sum::<f64>() / 3.0;
///     let curve = Curve::new(Axis::layers(1), Unit::Nats, vec![mean]);
///     curve.with_replicates(ReplicateUnit::Windows, vec![windows.to_vec()])
/// };
/// let difference = paired_difference(&curve([1.0, 5.0, 9.0]), &curve([0.0, 5.0, 7.0]))?;
/// assert_eq!((difference.mean[0], &difference.replicates[0]), (1.0, &vec![1.0, 0.0, 2.0]));
/// assert!((difference.sem[0].unwrap() - 1.0 / 3f64.sqrt()).abs() < 1e-12); // the standard deviation is 1
/// # Ok::<(), stratigraph_study::StudyError>(())
/// ```
///
/// # Errors
/// When they are not over the same axis, or not of the same replicates.
pub fn paired_difference(minuend: &Curve, subtrahend: &Curve) -> Result<Curve> {
    let n = |curve: &Curve| curve.replicates.iter().map(Vec::len).collect::<Vec<_>>();
    let is_paired = minuend.axis == subtrahend.axis
        && minuend.replicate_unit == subtrahend.replicate_unit
        && n(minuend) == n(subtrahend)
        && minuend.replicates.len() == minuend.len();
    if !is_paired {
        return Err(StudyError::NotPaired);
    }
    let mut difference = Curve::empty(minuend.axis.clone(), minuend.unit.clone());
    difference.replicate_unit = minuend.replicate_unit;
    for (point, (a, b)) in minuend.mean.iter().zip(&subtrahend.mean).enumerate() {
        let pairs = minuend.replicates[point].iter().zip(&subtrahend.replicates[point]);
        let differences: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
        let sem = differences.iter().copied().collect::<Moments>().sem();
        difference.push(Estimate::new(a - b, sem), differences);
    }
    Ok(difference)
}

/// A curve of what was measured at each point of an axis, with the mean of each window.
pub fn measured_curve<'a>(axis: Axis, unit: Unit, points: impl IntoIterator<Item = &'a PerSequence>) -> Curve {
    let mut curve = Curve::empty(axis, unit).with_replicates(ReplicateUnit::Windows, Vec::new());
    points.into_iter().for_each(|measured| curve.push(estimate(measured), measured.means()));
    curve
}

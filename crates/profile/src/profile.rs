//! Everything a study found: [`Profile`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::file::Format;
use crate::statistics::ErrorBasis;
use crate::{
    CorpusRecord, Curve, Estimate, InterventionRecord, Matrix, ModelRecord, ProfileError, Result, Segmentation,
    catalogue, check, names,
};

/// Everything a study found; the content of `profile.json`.
///
/// Curves, matrices and single values have names. The [catalogue](crate::catalogue) says what each name means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Profile {
    /// The version of the file's form, which is always the newest in memory.
    format: Format,
    /// The model.
    pub model: ModelRecord,
    /// The text.
    pub corpus: CorpusRecord,
    /// The device that computed it.
    pub device: String,
    /// Versions of the programs that computed it, by name.
    pub versions: BTreeMap<String, String>,
    /// The command that computed it, argument by argument.
    pub command: Vec<String>,
    /// The seed of everything that is drawn at random.
    pub seed: u64,
    /// Single numbers, by name: `clean_nll` is the loss of the unchanged model.
    pub values: BTreeMap<String, Estimate>,
    /// The curves, by name: `delete_kl` at layer 3 is the KL divergence after deleting layer 3.
    pub curves: BTreeMap<String, Curve>,
    /// Matrices, by name: `cka` compares every residual position with every other.
    pub matrices: BTreeMap<String, Matrix>,
    /// The interventions that were run, with everything measured under each.
    pub interventions: Vec<InterventionRecord>,
    /// The stages of inference that were found in the curves, where they were looked for.
    pub stages: Option<Segmentation>,
}

impl Profile {
    /// A profile of a model on a text that holds no findings yet.
    pub fn new(model: ModelRecord, corpus: CorpusRecord) -> Self {
        Self {
            format: Format,
            model,
            corpus,
            device: String::new(),
            versions: BTreeMap::new(),
            command: Vec::new(),
            seed: 0,
            values: BTreeMap::new(),
            curves: BTreeMap::new(),
            matrices: BTreeMap::new(),
            interventions: Vec::new(),
            stages: None,
        }
    }

    /// Sets the device that computed it.
    pub fn with_device(mut self, device: impl Into<String>) -> Self {
        self.device = device.into();
        self
    }

    /// Sets the versions of the programs that computed it, by name.
    pub fn with_versions(mut self, versions: BTreeMap<String, String>) -> Self {
        self.versions = versions;
        self
    }

    /// Sets the command that computed it, argument by argument.
    pub fn with_command(mut self, command: Vec<String>) -> Self {
        self.command = command;
        self
    }

    /// Sets the seed of everything that is drawn at random.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Adds a single number.
    pub fn with_value(mut self, name: impl Into<String>, value: Estimate) -> Self {
        self.values.insert(name.into(), value);
        self
    }

    /// Adds a curve; one of that name is replaced.
    ///
    /// # Errors
    /// When its length is not that of its axis, or its axis is for a model of another depth.
    pub fn add_curve(&mut self, name: impl Into<String>, curve: Curve) -> Result<()> {
        let name = name.into();
        check::curve(&name, &curve, self.model.n_layers)?;
        self.curves.insert(name, curve);
        Ok(())
    }

    /// Adds a matrix; one of that name is replaced.
    ///
    /// # Errors
    /// When its shape is not that of its axes, or an axis is for a model of another depth.
    pub fn add_matrix(&mut self, name: impl Into<String>, matrix: Matrix) -> Result<()> {
        let name = name.into();
        check::matrix(&name, &matrix, self.model.n_layers)?;
        self.matrices.insert(name, matrix);
        Ok(())
    }

    /// With another curve.
    ///
    /// # Errors
    /// As [`add_curve`](Profile::add_curve).
    pub fn with_curve(mut self, name: impl Into<String>, curve: Curve) -> Result<Self> {
        self.add_curve(name, curve)?;
        Ok(self)
    }

    /// With another matrix.
    ///
    /// # Errors
    /// As [`add_matrix`](Profile::add_matrix).
    pub fn with_matrix(mut self, name: impl Into<String>, matrix: Matrix) -> Result<Self> {
        self.add_matrix(name, matrix)?;
        Ok(self)
    }

    /// Adds an intervention that was run.
    pub fn with_intervention(mut self, intervention: InterventionRecord) -> Self {
        self.interventions.push(intervention);
        self
    }

    /// Sets the stages that were found in the curves.
    pub fn with_stages(mut self, stages: Segmentation) -> Self {
        self.stages = Some(stages);
        self
    }

    /// The curve of a name; a name of an older version finds the curve under its [current
    /// name](crate::catalogue::current_name).
    ///
    /// # Errors
    /// When there is none; the error suggests close names.
    pub fn curve(&self, name: &str) -> Result<&Curve> {
        let found = self.curves.get(name).or_else(|| self.curves.get(&catalogue::current_name(name)));
        found.ok_or_else(|| not_found("curve", name, self.curves.keys()))
    }

    /// The matrix of a name.
    ///
    /// # Errors
    /// When there is none; the error suggests close names.
    pub fn matrix(&self, name: &str) -> Result<&Matrix> {
        self.matrices.get(name).ok_or_else(|| not_found("matrix", name, self.matrices.keys()))
    }

    /// The single number of a name.
    ///
    /// # Errors
    /// When there is none; the error suggests close names.
    pub fn value(&self, name: &str) -> Result<Estimate> {
        self.values.get(name).copied().ok_or_else(|| not_found("value", name, self.values.keys()))
    }

    /// Checks that curves, matrices and stages fit their axes and the model. Reading, writing and reporting check it too.
    ///
    /// # Errors
    /// When something does not fit; the error names it.
    pub fn check(&self) -> Result<()> {
        check::profile(self)
    }

    /// What the standard errors over its corpus are over; none for a single window, or if no curve says what its errors are over, as
    /// in files of earlier versions, whose errors were others.
    pub fn error_basis(&self) -> Option<ErrorBasis> {
        let basis = self.corpus.window_errors().basis()?;
        self.curves.values().any(|curve| curve.errors == Some(basis)).then_some(basis)
    }

    /// The profile of some of the windows, to see whether its findings depend on them. Curves without the means of the
    /// corpus's windows (of weights, CKA, Word-in-Context) and single numbers stay as they are; stages are left out.
    ///
    /// # Errors
    /// When there is no such window.
    pub fn select_windows(&self, chosen: &[usize]) -> Result<Self> {
        let n_windows = self.corpus.n_sequences;
        if let Some(&window) = chosen.iter().find(|&&window| window >= n_windows) {
            return Err(ProfileError::NoSuchWindow { window, n_windows });
        }
        let mut profile = self.clone();
        profile.corpus.n_sequences = chosen.len();
        if !self.corpus.documents.is_empty() {
            profile.corpus.documents = chosen.iter().map(|&window| self.corpus.documents[window]).collect();
        }
        profile.stages = None;
        let errors = profile.corpus.window_errors();
        for curve in profile.curves.values_mut().filter(|curve| curve.n_windows() == Some(n_windows)) {
            *curve = curve.select(chosen, &errors).expect("the windows were checked");
        }
        Ok(profile)
    }
}

fn not_found<'a>(what: &'static str, name: &str, names: impl Iterator<Item = &'a String>) -> ProfileError {
    ProfileError::NotFound { what, name: name.to_owned(), hint: names::hint(name, names) }
}

//! What a step finds: [`StepResult`], with [`OnceFindings`] for a part that does not depend on the corpus.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stratigraph_profile::{Curve, Estimate, Matrix, ReplicateUnit};

use crate::measurements::{TaskAnswers, WrittenAnswers};
use crate::run_scores::RunScores;
use crate::{Findings, Result, WindowMeasures};

/// What a step finds.
pub(super) enum StepResult {
    /// The scores of each intervention of a group.
    Scores(Vec<RunScores>),
    /// What a part of a measurement finds on some windows.
    Windows(WindowMeasures),
    /// What a part of a measurement finds that does not depend on the corpus.
    Once(OnceFindings),
}

/// Curves, matrices and values of a part of a measurement, with the replicates of its curves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OnceFindings {
    curves: BTreeMap<String, OnceCurve>,
    matrices: BTreeMap<String, Matrix>,
    values: BTreeMap<String, Estimate>,
    /// How items of benchmarks were answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    answers: Vec<TaskAnswers>,
    /// What was written for items of benchmarks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    written: Vec<WrittenAnswers>,
}

/// A curve with its replicates, which a curve alone does not write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnceCurve {
    curve: Curve,
    replicate_unit: ReplicateUnit,
    replicates: Vec<Vec<f64>>,
}

impl OnceFindings {
    pub(super) fn of(findings: &Findings) -> Self {
        let curve = |curve: &Curve| OnceCurve {
            curve: curve.clone(),
            replicate_unit: curve.replicate_unit,
            replicates: curve.replicates.clone(),
        };
        Self {
            curves: findings.curves().iter().map(|(name, it)| (name.clone(), curve(it))).collect(),
            matrices: findings.matrices().clone(),
            values: findings.values().clone(),
            answers: findings.answers.clone(),
            written: findings.written.clone(),
        }
    }

    /// Adds them to the findings of a job.
    pub(super) fn add_to(&self, findings: &mut Findings) -> Result<()> {
        for (name, OnceCurve { curve, replicate_unit, replicates }) in &self.curves {
            findings.add_curve(name, curve.clone().with_replicates(*replicate_unit, replicates.clone()))?;
        }
        findings.answers.extend(self.answers.iter().cloned());
        findings.written.extend(self.written.iter().cloned());
        self.matrices.iter().try_for_each(|(name, matrix)| findings.add_matrix(name, matrix.clone()))?;
        self.values.iter().try_for_each(|(name, value)| findings.add_value(name, *value))
    }

    /// Whether they fit their axes and hold anything.
    pub(super) fn are_whole(&self, mut nothing: Findings) -> bool {
        let no_answers = self.answers.is_empty() && self.written.is_empty();
        let any = !(self.curves.is_empty() && self.matrices.is_empty() && self.values.is_empty() && no_answers);
        any && self.add_to(&mut nothing).is_ok()
    }
}

//! Total effects of sublayers on the loss, and self-repair: [`EffectTotals`].

use serde::{Deserialize, Serialize};
use stratigraph_core::{PerSequence, Sublayer};
use stratigraph_probes::metrics::Metrics;
use stratigraph_profile::Curve;
use stratigraph_surgery::Sweep;

use super::pass::CLEAN_LOSS;
use super::{Ablation, LOSS, SUBLAYERS, SublayerEffects};
use crate::derived::Measured;
use crate::findings::{measured_curve, paired_difference};
use crate::runs::Runs;
use crate::{Findings, Result, StudyError};

/// The total effects on the loss of some ablations of sublayers, from sweeps and the loss of the unchanged model, and what zero
/// ablation leaves of direct effects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EffectTotals {
    ablations: Vec<Ablation>,
}

impl EffectTotals {
    /// The measurement that it is of.
    pub(crate) const NAME: &str = SublayerEffects::NAME;

    pub(super) fn new(ablations: impl IntoIterator<Item = Ablation>) -> Self {
        Self { ablations: ablations.into_iter().collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ablations.is_empty()
    }

    /// Each ablation with each sublayer.
    fn ablated(&self) -> impl Iterator<Item = (Ablation, Sublayer)> {
        self.ablations.iter().flat_map(|&it| SUBLAYERS.map(|sublayer| (it, sublayer)))
    }

    /// The sweeps whose loss it needs.
    pub(super) fn sweeps(&self) -> impl Iterator<Item = Sweep> {
        self.ablated().map(|(ablation, sublayer)| ablation.sweep(sublayer))
    }

    /// What it needs and these do not have.
    pub(crate) fn missing(&self, metrics: &Metrics, runs: &Runs) -> Option<String> {
        if metrics.get(LOSS).is_none() {
            return Some(format!("the metric {LOSS}"));
        }
        let missing = self.sweeps().find(|sweep| runs.n_points(sweep.name()).is_none());
        missing.map(|sweep| format!("the sweep {}", sweep.name()))
    }

    pub(crate) fn add(&self, measured: &Measured, findings: &mut Findings) -> Result<()> {
        let missing = || StudyError::CannotMeasure {
            name: Self::NAME.to_owned(),
            reason: "the loss of the unchanged model was not measured with the direct effects".to_owned(),
        };
        let clean = measured.kept(CLEAN_LOSS).ok_or_else(missing)?;
        for (ablation, sublayer) in self.ablated() {
            let loss = findings.curve(&format!("{}_{LOSS}", ablation.sweep(sublayer).name()))?;
            let total = paired_difference(loss, &at_each_point(clean, loss))?;
            if ablation == Ablation::Zero {
                let repair = paired_difference(findings.curve(&format!("direct_{sublayer}"))?, &total)?;
                findings.add_curve(&format!("self_repair_{sublayer}"), repair)?;
            }
            findings.add_curve(&ablation.curve(sublayer), total)?;
        }
        Ok(())
    }
}

/// The loss of the unchanged model at each point of the axis of a curve.
fn at_each_point(clean: &PerSequence, curve: &Curve) -> Curve {
    measured_curve(curve.axis.clone(), curve.unit.clone(), std::iter::repeat_n(clean, curve.len()))
}

//! What sublayers and heads do for the next token, directly and in total: [`SublayerEffects`].

mod pass;
mod totals;

use serde::{Deserialize, Serialize};
use stratigraph_core::{EditKind, Hook, MeanOver, Sublayer};
use stratigraph_probes::attribution::LogitAttribution;
use stratigraph_surgery::Sweep;

pub(crate) use pass::EffectsPass;
pub use totals::EffectTotals;

use crate::job::JobPart;
use crate::measurement::sweep_work;
use crate::{Derived, Measurement, Needs, Result, StudyContext, StudyError, WindowWork, Work};

/// What replaces the output of a sublayer in its total effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ablation {
    /// Zero: `total_attention`, `total_mlp`, from the sweeps `delete_attention` and `delete_mlp`.
    Zero,
    /// Its mean over the corpus: `total_mean_attention`, `total_mean_mlp`.
    Mean,
    /// What it is in the next window: `total_resample_attention`, `total_resample_mlp`. It takes two windows.
    Resample,
}

impl Ablation {
    /// All of them.
    pub const ALL: [Ablation; 3] = [Ablation::Zero, Ablation::Mean, Ablation::Resample];

    fn sweep(self, sublayer: Sublayer) -> Sweep {
        let kind = match self {
            Ablation::Zero => EditKind::Zero,
            Ablation::Mean => EditKind::Mean(MeanOver::All),
            Ablation::Resample => EditKind::Resample,
        };
        Sweep::sublayers(sublayer, kind)
    }

    /// The name of the curve.
    fn curve(self, sublayer: Sublayer) -> String {
        match self {
            Ablation::Zero => format!("total_{sublayer}"),
            Ablation::Mean => format!("total_mean_{sublayer}"),
            Ablation::Resample => format!("total_resample_{sublayer}"),
        }
    }
}

const SUBLAYERS: [Sublayer; 2] = [Sublayer::Attention, Sublayer::Mlp];
/// The metric of total effects.
const LOSS: &str = "nll";

/// What each sublayer and head does for the next token, in the unchanged model and by ablation.
///
/// - Direct logit attribution ([`LogitAttribution`]): curves `dla_attention`, `dla_mlp` and, in models with such a bias,
///   `dla_attention_bias`; matrix `dla_heads`; values `dla_embed`, `dla_final_bias` and `centred_logit`, which is their sum.
/// - Direct effect on the loss ([`DirectEffects`](stratigraph_probes::attribution::DirectEffects)): curves `direct_attention`, `direct_mlp`.
/// - Total effect on the loss, for each [`Ablation`]: curves `total_attention`, `total_mlp`, `total_mean_attention` and so
///   on, from sweeps of ablated sublayers, whose own curves are among the findings too. With a single window there is
///   nothing to resample from, and no `total_resample_*`.
/// - Self-repair, the direct minus the total effect of zero ablation: curves `self_repair_attention`, `self_repair_mlp`.
///
/// Differences are taken window by window, and so are their standard errors.
///
/// ```no_run
/// use stratigraph_core::{ResidualModel, TokenWindows};
/// use stratigraph_study::{Study, measurements::{Ablation, SublayerEffects}};
///
/// fn repaired(model: &dyn ResidualModel, windows: &TokenWindows) -> stratigraph_study::Result<Vec<f64>> {
///     let effects = SublayerEffects::new([Ablation::Zero]);
///     let findings = Study::new(model).add(effects).run(windows)?;
///     Ok(findings.curve("self_repair_attention")?.mean.clone())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct SublayerEffects {
    ablations: Vec<Ablation>,
}

impl Default for SublayerEffects {
    /// With all ablations.
    fn default() -> Self {
        Self::new(Ablation::ALL)
    }
}

impl SublayerEffects {
    pub(super) const NAME: &str = "effects";

    /// With total effects of these ablations; without any, only attribution and direct effects, which take one pass over
    /// the corpus and its readouts.
    pub fn new(ablations: impl IntoIterator<Item = Ablation>) -> Self {
        Self { ablations: ablations.into_iter().collect() }
    }

    /// The total effects that the corpus has the windows for.
    fn totals(&self, n_sequences: usize) -> EffectTotals {
        let possible = |it: &&Ablation| **it != Ablation::Resample || n_sequences > 1;
        EffectTotals::new(self.ablations.iter().filter(possible).copied())
    }
}

impl Measurement for SublayerEffects {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        let needs = Needs::hooks([Hook::Z, Hook::AttnOut, Hook::MlpOut]).with_weights().with_n_layers(1);
        if self.ablations.is_empty() { needs } else { needs.with_metrics(&[LOSS]) }
    }

    fn check(&self, context: &StudyContext) -> Result<()> {
        let weights = || LogitAttribution::check_model(context.model).err().map(|error| error.to_string());
        match self.needs(context).missing(context).or_else(weights) {
            Some(reason) => Err(StudyError::CannotMeasure { name: self.name(), reason }),
            None => Ok(()),
        }
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let (totals, pass) = (self.totals(context.windows.n_sequences()), EffectsPass::new(context)?);
        let mut work = Vec::new();
        for sweep in totals.sweeps() {
            work.extend(sweep_work(&sweep, context)?);
        }
        work.push(Work::Windows(WindowWork {
            work: pass.window_units(),
            run: Box::new(move |windows, progress| pass.measure(windows, progress)),
            part: Some(JobPart::Effects),
        }));
        work.extend((!totals.is_empty()).then_some(Work::Derived(Derived::EffectTotals(totals))));
        Ok(work)
    }
}

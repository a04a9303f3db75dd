//! What sublayers and heads do for the next token, directly and in all: [`SublayerEffects`].

use stratigraph_core::{EditKind, Hook, MeanOver, Observer, PerSequence, RunModel, Sublayer, Taps};
use stratigraph_probes::attribution::{DirectEffects, LogitAttribution};
use stratigraph_probes::readout::Readout;
use stratigraph_profile::{Axis, Curve, Matrix, Unit};
use stratigraph_surgery::{Budget, SurgeryError, Sweep};

use super::curve_of_windows;
use crate::findings::{measured_curve, paired_difference};
use crate::measurement::sweep_work;
use crate::progress::{pass_work, readout_work};
use crate::{Findings, Measurement, Needs, Result, StudyContext, StudyError, Work};

/// What stands in for the output of a sublayer in its total effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
/// - Direct effect on the loss ([`DirectEffects`]): curves `direct_attention`, `direct_mlp`.
/// - Total effect on the loss, for each [`Ablation`]: curves `total_attention`, `total_mlp`, `total_mean_attention` and so
///   on, from sweeps of ablated sublayers, whose own curves are among the findings too. With a single window there is
///   nothing to resample from, and no `total_resample_*`.
/// - Self-repair, the direct less the total effect of zero ablation: curves `self_repair_attention`, `self_repair_mlp`.
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

    /// With total effects of these ablations; without any, attribution and direct effects alone, which take one pass over
    /// the corpus and its readouts.
    pub fn new(ablations: impl IntoIterator<Item = Ablation>) -> Self {
        Self { ablations: ablations.into_iter().collect() }
    }

    /// The ablations that the corpus has the windows for, each with a sublayer.
    fn ablated(&self, n_sequences: usize) -> impl Iterator<Item = (Ablation, Sublayer)> {
        let possible = move |it: &&Ablation| **it != Ablation::Resample || n_sequences > 1;
        self.ablations.iter().filter(possible).flat_map(|&it| SUBLAYERS.map(|sublayer| (it, sublayer)))
    }

    /// Adds total effects, and what they leave of direct ones.
    fn add_totals(&self, context: &StudyContext, clean: &PerSequence, findings: &mut Findings) -> Result<()> {
        for (ablation, sublayer) in self.ablated(context.windows.n_sequences()) {
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
        let mut work = Vec::new();
        for (ablation, sublayer) in self.ablated(context.windows.n_sequences()) {
            work.extend(sweep_work(&ablation.sweep(sublayer), context)?);
        }
        let (context, pass) = (*context, Pass::new(context)?);
        work.push(Work::own(pass.units(), move |findings, progress| {
            let clean = pass.run(findings, progress)?;
            self.add_totals(&context, &clean, findings)
        }));
        Ok(work)
    }
}

/// The loss of the unchanged model at each point of the axis of a curve.
fn at_each_point(clean: &PerSequence, curve: &Curve) -> Curve {
    measured_curve(curve.axis.clone(), curve.unit.clone(), std::iter::repeat_n(clean, curve.len()))
}

/// A pass over the corpus that attributes logits and reads direct effects out.
struct Pass<'a> {
    context: StudyContext<'a>,
    /// Windows that run at once.
    batch: usize,
    /// Bytes of the budget for readouts.
    readout_bytes: usize,
}

impl<'a> Pass<'a> {
    /// Fits it into the budget.
    fn new(context: &StudyContext<'a>) -> Result<Self> {
        /// Tokens beyond which a batch runs no faster.
        const BATCH_TOKENS: usize = 2048;
        let Budget { bytes, .. } = context.budget;
        let readout_bytes = bytes / 4;
        let (window, left) = (window_bytes(context), bytes - readout_bytes);
        if window > left {
            return Err(SurgeryError::BudgetTooSmall { budget: bytes, needed: window / 3 * 4 + 4 }.into());
        }
        let batch = (left / window).min(BATCH_TOKENS.div_ceil(context.windows.seq_len()));
        Ok(Self { context: *context, batch, readout_bytes })
    }

    /// About how many multiplications it takes.
    fn units(&self) -> u64 {
        let StudyContext { model, windows, .. } = self.context;
        let readouts = DirectEffects::n_readouts(model.n_layers()) as u64;
        pass_work(&model.shape(), windows.ids().len()) + readouts * self.readout_units(windows.n_sequences())
    }

    /// Of a readout of some windows.
    fn readout_units(&self, n_sequences: usize) -> u64 {
        let StudyContext { model, windows, .. } = self.context;
        readout_work(&model.shape(), n_sequences * windows.seq_len())
    }

    /// Gives the loss of the unchanged model.
    fn run(&self, findings: &mut Findings, progress: &mut dyn FnMut(u64)) -> Result<PerSequence> {
        let StudyContext { model, windows, .. } = self.context;
        let readout = Readout::new(model).with_bytes(self.readout_bytes);
        let mut attribution = LogitAttribution::new(model, windows)?;
        let mut direct = DirectEffects::new(&readout, windows);
        for start in (0..windows.n_sequences()).step_by(self.batch) {
            let range = start..(start + self.batch).min(windows.n_sequences());
            let (tokens, mut cache) = (windows.batch(range.clone(), &model.device()), DirectEffects::cache());
            attribution.begin(range.clone());
            let resid = model.forward(tokens, &mut Taps::new([&mut cache as _, &mut attribution as _]))?;
            attribution.end(&resid)?;
            progress(pass_work(&model.shape(), range.len() * windows.seq_len()));
            let readout_units = self.readout_units(range.len());
            direct.add(range, &resid, &cache, || progress(readout_units))?;
        }
        attribution.check()?;
        self.add_attribution(&attribution, findings)?;
        self.add_layers("direct_attention", direct.attention(), findings)?;
        self.add_layers("direct_mlp", direct.mlp(), findings)?;
        Ok(direct.clean_loss().clone())
    }

    fn add_attribution(&self, attribution: &LogitAttribution, findings: &mut Findings) -> Result<()> {
        self.add_layers("dla_attention", attribution.attention(), findings)?;
        self.add_layers("dla_mlp", attribution.mlp(), findings)?;
        if let Some(bias) = attribution.attention_bias() {
            self.add_layers("dla_attention_bias", bias, findings)?;
        }
        findings.add_matrix("dla_heads", head_map(attribution, findings))?;
        findings.add_value("dla_embed", findings.estimate(&attribution.embed()))?;
        findings.add_value("dla_final_bias", findings.estimate(&attribution.final_bias()))?;
        findings.add_value("centred_logit", findings.estimate(&attribution.centred_logit()))
    }

    fn add_layers<'p>(
        &self,
        name: &str,
        layers: impl IntoIterator<Item = &'p PerSequence>,
        findings: &mut Findings,
    ) -> Result<()> {
        findings.add_curve(name, curve_of_windows(name, self.context.model.n_layers(), layers))
    }
}

/// Bytes that a window takes in the pass: what every sublayer writes, the numbers of every head, and one block at work.
fn window_bytes(context: &StudyContext) -> usize {
    /// Activations of the widest kind, and residual streams, that are alive at once.
    const WIDE: usize = 8;
    const STREAMS: usize = 8;
    let (shape, seq_len) = (context.model.shape(), context.windows.seq_len());
    let n_heads = shape.heads.map_or(0, |heads| heads.n_heads);
    let kept = shape.d_model * (2 * shape.n_layers + STREAMS) + shape.n_layers * (n_heads + 5);
    (kept + WIDE * shape.widest_activation(seq_len)) * seq_len * size_of::<f32>()
}

fn head_map(attribution: &LogitAttribution, findings: &Findings) -> Matrix {
    let n_heads = attribution.heads().next().map_or(0, <[PerSequence]>::len);
    let (rows, columns) = (Axis::layers(attribution.heads().count()), Axis::heads(n_heads));
    let cells = attribution.heads().flatten().map(|head| findings.estimate(head));
    Matrix::from_estimates(rows, columns, Unit::Logits, cells)
}

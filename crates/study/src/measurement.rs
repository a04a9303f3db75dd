//! What a study can do: [`Measurement`], which returns its [`Work`] and states what it needs of the model ([`Needs`]).

use stratigraph_core::{HookSet, Observer, ResidualModel, TokenWindows};
use stratigraph_corpus::TextDecoder;
use stratigraph_probes::metrics::Metrics;
use stratigraph_surgery::{Budget, Sweep, SweepContext};

use crate::measurements::CriterionPasses;
use crate::{Findings, Result, StudyError, Work};

/// The model and the corpus of a measurement.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct StudyContext<'a> {
    /// The model.
    pub model: &'a dyn ResidualModel,
    /// The corpus.
    pub windows: &'a TokenWindows,
    /// Decides what is drawn at random.
    pub seed: u64,
    /// How much memory a measurement may take, the weights not counted.
    pub budget: Budget,
    /// The metrics by which sweeps are scored, where they are known.
    pub metrics: Option<&'a Metrics>,
    /// What turns tokens into text, where a job was given it.
    pub(crate) text: Option<&'a (dyn TextDecoder + Sync)>,
    /// What criteria of removal have computed for other measurements of the study.
    pub(crate) criteria: Option<&'a CriterionPasses>,
}

impl<'a> StudyContext<'a> {
    /// For a model and a corpus, with the default budget.
    pub fn new(model: &'a dyn ResidualModel, windows: &'a TokenWindows, seed: u64) -> Self {
        Self { model, windows, seed, budget: Budget::default(), metrics: None, text: None, criteria: None }
    }

    /// With another memory budget.
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// With what turns tokens into text, if there is any.
    pub(crate) fn with_text(self, text: Option<&'a (dyn TextDecoder + Sync)>) -> Self {
        Self { text, ..self }
    }

    /// With what criteria of removal compute, kept for the other measurements of the study.
    pub(crate) fn with_criteria(self, criteria: &'a CriterionPasses) -> Self {
        Self { criteria: Some(criteria), ..self }
    }

    /// With the metrics by which sweeps are scored.
    pub fn with_metrics(self, metrics: &'a Metrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }
}

/// What a measurement needs of a model and a corpus; a study refuses it before the run if something is missing.
///
/// ```
/// use {stratigraph_core::Hook, stratigraph_study::Needs};
/// let needs = Needs::hooks([Hook::Pattern]).with_n_layers(3);
/// assert!(needs.hooks.contains(Hook::Pattern));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Needs {
    /// Hooks that the model has to offer.
    pub hooks: HookSet,
    /// Whether it has to give access to its weights.
    pub weights: bool,
    /// How many layers it has to have.
    pub n_layers: usize,
    /// How many tokens a window has to have.
    pub seq_len: usize,
    /// Metrics by which the study has to score sweeps.
    pub metrics: &'static [&'static str],
}

impl Needs {
    /// Nothing beyond what every model has.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// These hooks.
    pub fn hooks(hooks: impl Into<HookSet>) -> Self {
        Self { hooks: hooks.into(), ..Self::default() }
    }

    /// And access to the weights.
    pub fn with_weights(self) -> Self {
        Self { weights: true, ..self }
    }

    /// And at least `n_layers` layers.
    pub fn with_n_layers(self, n_layers: usize) -> Self {
        Self { n_layers, ..self }
    }

    /// And windows of at least `seq_len` tokens.
    pub fn with_seq_len(self, seq_len: usize) -> Self {
        Self { seq_len, ..self }
    }

    /// And sweeps scored by these metrics.
    pub fn with_metrics(self, metrics: &'static [&'static str]) -> Self {
        Self { metrics, ..self }
    }

    /// What is missing, in words; none where everything is there.
    pub fn missing(&self, context: &StudyContext) -> Option<String> {
        let shape = context.model.shape();
        let offered = context.model.hooks();
        if let Some(hook) = self.hooks.iter().find(|hook| !offered.contains(*hook)) {
            return Some(format!("the model does not offer the hook `{hook}`"));
        }
        if self.weights && context.model.weights().is_none() {
            return Some("the model does not give access to its weights".to_owned());
        }
        if shape.n_layers < self.n_layers {
            return Some(format!("it takes {} layers, and the model has {}", self.n_layers, shape.n_layers));
        }
        let seq_len = context.windows.seq_len();
        if seq_len < self.seq_len {
            return Some(format!("it takes windows of {} tokens, and they have {seq_len}", self.seq_len));
        }
        let metrics = context.metrics?;
        let metric = self.metrics.iter().find(|name| metrics.get(name).is_none())?;
        let names: Vec<_> = metrics.names().collect();
        Some(format!("it takes the metric {metric}, and the study has {}; add {metric} to them", names.join(", ")))
    }
}

/// Reads activations of the unchanged model in a pass over the corpus that all such measurements share.
pub trait Observation: Observer {
    /// Adds what was found, after the last window.
    ///
    /// # Errors
    /// When a number is not finite or a name is taken.
    fn finish(self: Box<Self>, findings: &mut Findings) -> Result<()>;
}

/// Something that a study measures, and adds to its findings.
///
/// ```
/// use stratigraph_core::{Hook, RunModel};
/// use stratigraph_profile::{Axis, Curve, Unit};
/// use stratigraph_study::{Measurement, Needs, Result, StudyContext, Work};
///
/// /// How many weights of each layer's MLP output are exactly zero.
/// struct ZeroWeights;
///
/// impl Measurement for ZeroWeights {
///     fn name(&self) -> String {
///         "zero_weights".to_owned()
///     }
///
///     fn needs(&self, _: &StudyContext) -> Needs {
///         Needs::nothing().with_weights()
///     }
///
///     fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
///         let model = context.model;
///         Ok(vec![Work::own(0, move |findings, _| {
///             let Some(weights) = model.weights() else { return Ok(()) };
///             let count = |layer: usize| Ok(weights.w_out(layer)?.equal_elem(0.0).int().sum().into_scalar::<i32>() as f64);
///             let counts = (0..model.n_layers()).map(count).collect::<Result<_>>()?;
///             findings.add_curve("zero_weights", Curve::new(Axis::layers(model.n_layers()), Unit::Count, counts))
///         })])
///     }
/// }
/// ```
pub trait Measurement {
    /// Its name, by which errors and the command line know it.
    fn name(&self) -> String;

    /// What it needs. By default nothing.
    fn needs(&self, _context: &StudyContext) -> Needs {
        Needs::nothing()
    }

    /// The work to do.
    ///
    /// # Errors
    /// When it cannot be done with this model and corpus.
    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>>;

    /// Refuses what cannot be done, in one sentence.
    ///
    /// # Errors
    /// [`StudyError::CannotMeasure`].
    fn check(&self, context: &StudyContext) -> Result<()> {
        match self.needs(context).missing(context) {
            Some(reason) => Err(StudyError::CannotMeasure { name: self.name(), reason }),
            None => Ok(()),
        }
    }
}

impl Measurement for Sweep {
    fn name(&self) -> String {
        Sweep::name(self).to_owned()
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        sweep_work(self, context)
    }
}

/// The work of a sweep; its interventions fit the model.
pub(crate) fn sweep_work<'a>(sweep: &Sweep, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
    let (shape, seq_len) = (context.model.shape(), context.windows.seq_len());
    let points = sweep.points(&SweepContext::new(shape, seq_len))?;
    points.interventions.iter().try_for_each(|intervention| intervention.check(&shape, seq_len))?;
    Ok(vec![Work::Sweep { name: sweep.name().to_owned(), points }])
}

/// Several observations as one observer's taps.
pub(crate) fn as_observers<'o, 'a>(
    observations: &'o mut [Box<dyn Observation + 'a>],
) -> Vec<&'o mut (dyn Observer + 'o)> {
    observations.iter_mut().map(|observation| &mut **observation as &mut dyn Observer).collect()
}

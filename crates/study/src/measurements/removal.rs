//! Layers removed by criteria that need no search: [`CumulativeRemoval`], by a [`Criterion`].

use std::sync::OnceLock;

use stratigraph_core::{Hook, observe};
use stratigraph_probes::geometry::Geometry;
use stratigraph_probes::metrics::Metrics;
use stratigraph_surgery::Sweep;

use crate::measurement::sweep_work;
use crate::planned_work::batch_of_pass;
use crate::{Measurement, Needs, Result, Study, StudyContext, Work};

/// The criterion by which layers are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Criterion {
    /// The least [`block_influence`](super::ResidualGeometry): 1 minus the cosine of a layer's input and output.
    BlockInfluence,
    /// The block of least angular distance between its input and its output.
    AngularDistance,
    /// The least loss without the layer.
    Loss,
}

/// Layers left out by a criterion, none to all of them: curves `remove_by_CRITERION_METRIC` against the number of layers removed. The
/// criterion is computed on the same windows, before the study.
///
/// ```no_run
/// # use {stratigraph_core::{ResidualModel, TokenWindows}, stratigraph_study::Study};
/// use stratigraph_study::measurements::{Criterion, CumulativeRemoval};
///
/// # fn remove(model: &dyn ResidualModel, windows: &TokenWindows) -> stratigraph_study::Result<()> {
/// let removal = CumulativeRemoval::new(Criterion::BlockInfluence);
/// let findings = Study::new(model).add(removal).run(windows)?;
/// println!("{:?} nats", findings.curve("remove_by_block_influence_nll")?.mean);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CumulativeRemoval {
    criterion: Criterion,
}

impl Criterion {
    /// All of them.
    pub const ALL: [Criterion; 3] = [Criterion::BlockInfluence, Criterion::AngularDistance, Criterion::Loss];

    /// The layers that the criterion removes when it is to remove none, one, two and so on to all, in the order of the model.
    ///
    /// # Errors
    /// When the model cannot run the windows, or an activation or a loss is not finite.
    pub fn removals(self, context: &StudyContext) -> Result<Vec<Vec<usize>>> {
        let (n_layers, own) = (context.model.n_layers(), CriterionPasses::default());
        let passes = context.criteria.unwrap_or(&own);
        Ok(match self {
            Criterion::BlockInfluence => {
                let geometry = passes.geometry(context)?;
                let influence = |layer: usize| 1.0 - geometry.cosine()[layer][layer + 1].summary().mean;
                prefixes((0..n_layers).map(influence).collect())
            }
            Criterion::AngularDistance => {
                let geometry = passes.geometry(context)?;
                let block = |n: usize| {
                    let distances = geometry.angular_distance(n).into_iter().enumerate();
                    let nearest = distances.min_by(|(_, a), (_, b)| a.total_cmp(b));
                    nearest.map_or_else(Vec::new, |(start, _)| (start..start + n).collect())
                };
                (0..=n_layers).map(block).collect()
            }
            Criterion::Loss => {
                let study = Study::new(context.model).with_budget(context.budget).add(Sweep::delete());
                let findings = study.with_metrics(Metrics::from_names(["nll"])?).run(context.windows)?;
                prefixes(findings.curve("delete_nll")?.mean.clone())
            }
        })
    }
}

impl CumulativeRemoval {
    /// By a criterion.
    pub fn new(criterion: Criterion) -> Self {
        Self { criterion }
    }

    pub(super) const fn name_of(criterion: Criterion) -> &'static str {
        match criterion {
            Criterion::BlockInfluence => "remove_by_block_influence",
            Criterion::AngularDistance => "remove_by_angular_distance",
            Criterion::Loss => "remove_by_loss",
        }
    }

    /// The measurement of a name.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Criterion::ALL.into_iter().find(|criterion| Self::name_of(*criterion) == name).map(Self::new)
    }
}

impl Measurement for CumulativeRemoval {
    fn name(&self) -> String {
        Self::name_of(self.criterion).to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        match self.criterion {
            Criterion::Loss => Needs::nothing().with_n_layers(1),
            _ => Needs::hooks([Hook::ResidPre, Hook::AttnOut, Hook::MlpOut]).with_n_layers(1),
        }
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let removals = self.criterion.removals(context)?;
        sweep_work(&Sweep::removals(self.name(), removals), context)
    }
}

/// Passes over the corpus that several criteria take, each made once for a study.
#[derive(Default)]
pub(crate) struct CriterionPasses {
    geometry: OnceLock<Geometry>,
}

impl CriterionPasses {
    /// The directions of the residual stream in the unchanged model.
    fn geometry(&self, context: &StudyContext) -> Result<&Geometry> {
        if let Some(geometry) = self.geometry.get() {
            return Ok(geometry);
        }
        let mut geometry = Geometry::new(context.windows.measured_from());
        let batch = batch_of_pass(context.model, context.windows);
        observe(context.model, context.windows, batch, &mut [&mut geometry], |_| ())?;
        geometry.check()?;
        Ok(self.geometry.get_or_init(|| geometry))
    }
}

/// None, the least important, the two least important layers and so on; of equally important ones the earlier is removed first.
fn prefixes(importance: Vec<f64>) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..importance.len()).collect();
    order.sort_by(|a, b| importance[*a].total_cmp(&importance[*b]));
    (0..=order.len()).map(|n| order[..n].to_vec()).collect()
}

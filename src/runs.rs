//! What experiments run, and how their scores become curves: [`Runs`], [`Findings`].

use std::collections::{BTreeMap, BTreeSet};

use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::scores::Scores;
use stratigraph_probes::statistics::PerSequence;
use stratigraph_stages::{Curve, Estimate, Intervention, InterventionKind, Matrix};
use stratigraph_surgery::LayerPlan;

use crate::Experiment;

/// What a study found.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// A curve for each metric of each experiment, by name, such as `delete_kl`.
    pub curves: BTreeMap<String, Curve>,
    /// Single numbers, by name; the scores of the unchanged model are `clean_*`.
    pub values: BTreeMap<String, Estimate>,
    /// Matrices, by name, such as `cka`.
    pub matrices: BTreeMap<String, Matrix>,
    /// The unchanged model, every deletion and swap, and the plans that were asked for.
    pub interventions: Vec<Intervention>,
}

/// What a plan is run for.
#[derive(Debug, Clone, Copy)]
enum Role {
    Clean,
    /// A point of an experiment's curves: at this layer, or after this many for a lens.
    Curve(Experiment, usize),
    Plan,
}

impl Role {
    /// Under which kind and layer it is listed among interventions.
    fn intervention(self) -> Option<(InterventionKind, Option<usize>)> {
        match self {
            Role::Clean => Some((InterventionKind::None, None)),
            Role::Curve(experiment, layer) => Some((experiment.intervention()?, Some(layer))),
            Role::Plan => Some((InterventionKind::Plan, None)),
        }
    }
}

struct Run {
    role: Role,
    plan: LayerPlan,
}

/// Every plan of some experiments, and of a user's own, with what it is run for; the first is the unchanged model.
pub(crate) struct Runs(Vec<Run>);

impl Runs {
    pub(crate) fn new(n_layers: usize, experiments: &[Experiment], plans: &[LayerPlan]) -> Self {
        let mut runs = vec![Run { role: Role::Clean, plan: LayerPlan::full(n_layers) }];
        for &experiment in experiments {
            let plans = experiment.plans(n_layers).into_iter().enumerate();
            runs.extend(plans.map(|(layer, plan)| Run { role: Role::Curve(experiment, layer), plan }));
        }
        runs.extend(plans.iter().map(|plan| Run { role: Role::Plan, plan: plan.clone() }));
        Self(runs)
    }

    /// The unchanged model's.
    pub(crate) fn clean(&self) -> &LayerPlan {
        &self.0[0].plan
    }

    /// Each distinct plan once.
    pub(crate) fn distinct(&self) -> BTreeSet<LayerPlan> {
        self.0.iter().map(|run| run.plan.clone()).collect()
    }

    /// Each with what it is called: `none`, the name of its experiment with a layer, or `plan`.
    #[cfg(feature = "parquet")]
    pub(crate) fn named(&self) -> impl Iterator<Item = (String, Option<usize>, &LayerPlan)> {
        self.0.iter().map(|run| match run.role {
            Role::Clean => (InterventionKind::None.to_string(), None, &run.plan),
            Role::Curve(experiment, layer) => (experiment.to_string(), Some(layer), &run.plan),
            Role::Plan => (InterventionKind::Plan.to_string(), None, &run.plan),
        })
    }

    /// What is listed among the interventions: kind, layer and plan.
    pub(crate) fn interventions(&self) -> impl Iterator<Item = (InterventionKind, Option<usize>, &LayerPlan)> {
        self.0.iter().filter_map(|run| run.role.intervention().map(|(kind, layer)| (kind, layer, &run.plan)))
    }

    /// Sorts scores into curves and interventions. Metrics that compare have no value for the unchanged model.
    pub(crate) fn collect(&self, metrics: &Metrics, scores: &BTreeMap<LayerPlan, Scores>) -> Findings {
        let (curves, values, matrices) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut findings = Findings { curves, values, matrices, interventions: Vec::new() };
        for Run { role, plan } in &self.0 {
            let scores = &scores[plan];
            match *role {
                Role::Clean => {
                    let own = metrics.iter().zip(scores.iter()).filter(|(metric, _)| !metric.is_comparison());
                    let value = |(_, (name, measured))| (format!("clean_{name}"), estimate(measured));
                    findings.values.extend(own.map(value));
                }
                Role::Curve(experiment, _) => push_curves(&mut findings.curves, experiment, scores),
                Role::Plan => {}
            }
        }
        let intervention = |(kind, layer, plan): (_, _, &LayerPlan)| {
            let metric = |(name, measured): (&str, &PerSequence)| (name.to_owned(), estimate(measured));
            Intervention { kind, layer, plan: plan.to_string(), metrics: scores[plan].iter().map(metric).collect() }
        };
        findings.interventions = self.interventions().map(intervention).collect();
        findings
    }
}

fn push_curves(curves: &mut BTreeMap<String, Curve>, experiment: Experiment, scores: &Scores) {
    for (metric, measured) in scores.iter() {
        let curve = curves.entry(format!("{experiment}_{metric}")).or_default();
        curve.push(estimate(measured), measured.means());
    }
}

pub(crate) fn estimate(measured: &PerSequence) -> Estimate {
    let summary = measured.summary();
    Estimate { mean: summary.mean, sem: summary.sem }
}

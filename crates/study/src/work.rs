//! The parts of a measurement: [`Work`]; a job does those that are plain data or have a [`JobPart`].

use std::collections::BTreeMap;
use std::ops::Range;

use stratigraph_core::PerSequence;
use stratigraph_probes::lens::LensReading;
use stratigraph_probes::scores::Scores;
use stratigraph_profile::Unit;
use stratigraph_surgery::{Intervention, SweepPoints};

use crate::job::JobPart;
use crate::{Derived, Findings, Observation, Result, WindowMeasures};

/// A part of a measurement.
///
/// A job of many processes does what can be sharded: sweeps and interventions without a function, what is measured window by
/// window, what does not depend on the corpus, and what is derived from all of these.
#[non_exhaustive]
pub enum Work<'a> {
    /// Interventions that run together with those of all other sweeps, and are scored by the study's metrics: a curve or a
    /// matrix for each, named after the sweep and the metric.
    Sweep {
        /// The name.
        name: String,
        /// Axes and interventions.
        points: SweepPoints,
    },
    /// As [`Sweep`](Work::Sweep), with how each last residual stream is read; none for as the model reads it.
    Lens {
        /// The name.
        name: String,
        /// Axes and interventions.
        points: SweepPoints,
        /// A reading for each intervention.
        readings: Vec<Option<LensReading>>,
    },
    /// Interventions that run together with those of all sweeps and are scored by the study's metrics, from whose scores curves
    /// are made, such as differences between interventions.
    Interventions {
        /// What the records of the interventions have as the name of their sweep.
        name: String,
        /// The interventions, each with its name.
        interventions: Vec<Intervention>,
        /// Is given the scores of the interventions, in their order; none where a [`Work::Derived`] makes the curves.
        collect: Option<Box<CollectScores<'a>>>,
    },
    /// A share of the pass over the corpus.
    Observe(Box<dyn Observation + 'a>),
    /// Numbers of each window alone.
    Windows(WindowWork<'a>),
    /// Numbers that are derived from the others when all of those are measured.
    Derived(Derived),
    /// Anything else.
    Own(OwnWork<'a>),
}

impl<'a> Work<'a> {
    /// Work that a measurement does by itself, about `work` multiplications. A job does not do it.
    pub fn own(work: u64, run: impl FnOnce(&mut Findings, &mut dyn FnMut(u64)) -> Result<()> + 'a) -> Self {
        Work::Own(OwnWork { work, run: Box::new(run), part: None })
    }
}

/// Work that a measurement does by itself.
pub struct OwnWork<'a> {
    /// About how many multiplications it takes; [`pass_work`](crate::pass_work) and
    /// [`readout_work`](crate::readout_work) estimate them.
    pub work: u64,
    /// Does it: is given the findings to add to, and a function to call with the multiplications done since the last call.
    pub run: Box<OwnRun<'a>>,
    /// The same as plain data, where it does not depend on the corpus: a job does it once.
    pub part: Option<JobPart>,
}

/// The function of [`OwnWork`].
pub type OwnRun<'a> = dyn FnOnce(&mut Findings, &mut dyn FnMut(u64)) -> Result<()> + 'a;

/// Work that measures each window of the corpus by itself, so that parts of the corpus can be measured apart.
pub struct WindowWork<'a> {
    /// About how many multiplications a window takes.
    pub work: u64,
    /// Measures some windows; calls the function with the multiplications done since the last call.
    pub run: Box<WindowRun<'a>>,
    /// The same as plain data: a job does it step by step.
    pub part: Option<JobPart>,
}

/// The function of [`WindowWork`].
pub type WindowRun<'a> = dyn Fn(Range<usize>, &mut dyn FnMut(u64)) -> Result<WindowMeasures> + 'a;

/// What the study's metrics measured under the interventions of a measurement: what [`Work::Interventions`] collects.
pub struct InterventionScores<'s> {
    pub(crate) scores: Vec<&'s Scores>,
    pub(crate) units: &'s BTreeMap<String, Unit>,
}

/// A metric of a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricUnit<'s> {
    /// Its name.
    pub metric: &'s str,
    /// What it is measured in.
    pub unit: &'s Unit,
}

impl<'s> InterventionScores<'s> {
    /// The metrics by name, with their units.
    pub fn metrics(&self) -> impl Iterator<Item = MetricUnit<'s>> + use<'s> {
        self.units.iter().map(|(metric, unit)| MetricUnit { metric, unit })
    }

    /// What a metric measured under the intervention with this index, window by window; none where there is no such metric
    /// or intervention.
    pub fn get(&self, index: usize, metric: &str) -> Option<&'s PerSequence> {
        self.scores.get(index)?.get(metric)
    }
}

/// The function that adds what was measured under some interventions to the findings.
pub type CollectScores<'a> = dyn FnOnce(&InterventionScores, &mut Findings) -> Result<()> + 'a;

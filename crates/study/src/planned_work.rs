//! The work of all measurements of a study, by kind: [`PlannedWork`].

use stratigraph_core::{ResidualModel, TokenWindows, observe};

use crate::measurement::{CollectScores, OwnWork, as_observers};
use crate::progress::pass_work;
use crate::runs::NamedSweep;
use crate::{Findings, Measurement, Observation, Result, StudyContext, StudyError, Work};

/// The work of all measurements, by kind.
pub(crate) struct PlannedWork<'m> {
    pub(crate) sweeps: Vec<NamedSweep>,
    /// The index of a sweep whose scores a measurement collects itself, and how.
    pub(crate) collectors: Vec<(usize, Box<CollectScores<'m>>)>,
    observations: Vec<Box<dyn Observation + 'm>>,
    own: Vec<OwnWork<'m>>,
}

impl<'m> PlannedWork<'m> {
    pub(crate) fn new<'a: 'm>(
        measurements: &'m [Box<dyn Measurement + 'a>],
        context: &StudyContext<'m>,
    ) -> Result<Self> {
        let mut sorted = Self { sweeps: Vec::new(), collectors: Vec::new(), observations: Vec::new(), own: Vec::new() };
        let mut names = Vec::new();
        for measurement in measurements {
            let name = measurement.name();
            if names.contains(&name) {
                return Err(StudyError::NameTaken { what: "measurement", name });
            }
            measurement.check(context)?;
            for work in measurement.work(context)? {
                match work {
                    Work::Sweep { name, points } => sorted.add_sweep(NamedSweep::new(name, points))?,
                    Work::Lens { name, points, readings } => {
                        sorted.add_sweep(NamedSweep::new(name, points).with_readings(readings))?;
                    }
                    Work::Interventions { name, interventions, collect } => {
                        sorted.collectors.push((sorted.sweeps.len(), collect));
                        let (axes, readings) = (Vec::new(), Vec::new());
                        sorted.sweeps.push(NamedSweep { name, axes, interventions, readings });
                    }
                    Work::Observe(observation) => sorted.observations.push(observation),
                    Work::Own(own) => sorted.own.push(own),
                }
            }
            names.push(name);
        }
        Ok(sorted)
    }

    /// Adds a sweep; one that another measurement takes too runs once.
    fn add_sweep(&mut self, sweep: NamedSweep) -> Result<()> {
        match self.sweeps.iter().find(|other| other.name == sweep.name) {
            None => self.sweeps.push(sweep),
            Some(other) if *other == sweep => {}
            Some(_) => return Err(StudyError::NameTaken { what: "sweep", name: sweep.name }),
        }
        Ok(())
    }

    /// Units of work of the shared pass.
    fn pass(&self, context: &StudyContext) -> u64 {
        let tokens = context.windows.ids().len();
        if self.observations.is_empty() { 0 } else { pass_work(&context.model.shape(), tokens) }
    }

    /// Units of work beside the sweeps.
    pub(crate) fn units(&self, context: &StudyContext) -> u64 {
        self.pass(context) + self.own.iter().map(|own| own.work).sum::<u64>()
    }

    pub(crate) fn run(
        mut self,
        context: &StudyContext,
        findings: &mut Findings,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        if !self.observations.is_empty() {
            let StudyContext { model, windows, .. } = *context;
            let each = self.pass(context) / windows.n_sequences().max(1) as u64;
            let batch = batch_of_pass(model, windows);
            let mut before = 0;
            let windows_done = |n: usize| {
                progress(each * (n - before) as u64);
                before = n;
            };
            observe(model, windows, batch, &mut as_observers(&mut self.observations), windows_done)?;
            self.observations.into_iter().try_for_each(|observation| observation.finish(findings))?;
        }
        self.own.into_iter().try_for_each(|own| (own.run)(findings, progress))
    }
}

/// Windows of a batch of the shared pass: residual streams of every layer may be held, and their directions.
fn batch_of_pass(model: &dyn ResidualModel, windows: &TokenWindows) -> usize {
    /// Bytes of residual streams that one batch of the pass may keep.
    const STREAM_BYTES: usize = 256 << 20;
    /// Tokens beyond which a batch runs no faster.
    const BATCH_TOKENS: usize = 2048;
    let shape = model.shape();
    let streams = 2 * (shape.n_layers + 1) * shape.d_model * size_of::<f32>(); // of a token
    let tokens = (STREAM_BYTES / streams.max(1)).min(BATCH_TOKENS);
    (tokens / windows.seq_len()).max(1)
}

//! The work of all measurements of a study, by kind: [`PlannedWork`].

use stratigraph_core::{ResidualModel, TokenWindows, observe};

use crate::derived::Measured;
use crate::measurement::as_observers;
use crate::progress::pass_work;
use crate::runs::NamedSweep;
use crate::{
    CollectScores, Derived, Findings, Measurement, Observation, OwnWork, Result, StudyContext, StudyError,
    WindowMeasures, WindowWork, Work,
};

/// The work of all measurements, by kind.
#[derive(Default)]
pub(crate) struct PlannedWork<'m> {
    pub(crate) sweeps: Vec<NamedSweep>,
    /// The name of a sweep whose scores a measurement collects itself, and how.
    collectors: Vec<(String, Box<CollectScores<'m>>)>,
    observations: Vec<Box<dyn Observation + 'm>>,
    windows: Vec<WindowWork<'m>>,
    own: Vec<OwnWork<'m>>,
    pub(crate) derived: Vec<Derived>,
}

impl<'m> PlannedWork<'m> {
    pub(crate) fn new<'a: 'm>(
        measurements: &'m [Box<dyn Measurement + 'a>],
        context: &StudyContext<'m>,
    ) -> Result<Self> {
        let (mut sorted, mut names) = (Self::default(), Vec::new());
        for measurement in measurements {
            let name = measurement.name();
            if names.contains(&name) {
                return Err(StudyError::NameTaken { what: "measurement", name });
            }
            measurement.check(context)?;
            measurement.work(context)?.into_iter().try_for_each(|work| sorted.add(work))?;
            names.push(name);
        }
        Ok(sorted)
    }

    fn add(&mut self, work: Work<'m>) -> Result<()> {
        match work {
            Work::Sweep { name, points } => self.add_sweep(NamedSweep::new(name, points))?,
            Work::Lens { name, points, readings } => {
                self.add_sweep(NamedSweep::new(name, points).with_readings(readings))?;
            }
            Work::Interventions { name, interventions, collect } => {
                self.collectors.extend(collect.map(|collect| (name.clone(), collect)));
                let (axes, readings) = (Vec::new(), Vec::new());
                self.add_sweep(NamedSweep { name, axes, interventions, readings })?;
            }
            Work::Observe(observation) => self.observations.push(observation),
            Work::Windows(windows) => self.windows.push(windows),
            Work::Own(own) => self.own.push(own),
            Work::Derived(derived) => self.derived.push(derived),
        }
        Ok(())
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

    /// Units of work apart from the sweeps.
    pub(crate) fn units(&self, context: &StudyContext) -> u64 {
        let of_window = self.windows.iter().map(|work| work.work).sum::<u64>();
        let own = self.own.iter().map(|own| own.work).sum::<u64>();
        self.pass(context) + of_window * context.windows.n_sequences() as u64 + own
    }

    /// Makes curves of the scores of sweeps that measurements collect themselves.
    pub(crate) fn collect(&mut self, measured: &Measured, findings: &mut Findings) -> Result<()> {
        let mut collectors = std::mem::take(&mut self.collectors).into_iter();
        collectors.try_for_each(|(sweep, collect)| match measured.scores_of(&sweep) {
            Some(scores) => collect(&scores, findings),
            None => Ok(()),
        })
    }

    /// Does all work but that of sweeps and what is derived; gives what was measured window by window.
    pub(crate) fn run(
        mut self,
        context: &StudyContext,
        findings: &mut Findings,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<WindowMeasures>> {
        let StudyContext { model, windows, .. } = *context;
        let n_windows = windows.n_sequences();
        if !self.observations.is_empty() {
            let each = self.pass(context) / n_windows.max(1) as u64;
            let batch = batch_of_pass(model, windows);
            let mut before = 0;
            let windows_done = |n: usize| {
                progress(each * (n - before) as u64);
                before = n;
            };
            observe(model, windows, batch, &mut as_observers(&mut self.observations), windows_done)?;
            self.observations.into_iter().try_for_each(|observation| observation.finish(findings))?;
        }
        let measured =
            self.windows.iter().map(|work| (work.run)(0..n_windows, progress)).collect::<Result<Vec<_>>>()?;
        measured.iter().try_for_each(|measures| measures.add_to(findings))?;
        self.own.into_iter().try_for_each(|own| (own.run)(findings, progress))?;
        Ok(measured)
    }
}

/// Windows of a batch of the shared pass: residual streams of every layer may be held, and their directions.
pub(crate) fn batch_of_pass(model: &dyn ResidualModel, windows: &TokenWindows) -> usize {
    /// Bytes of residual streams that one batch of the pass may keep.
    const STREAM_BYTES: usize = 256 << 20;
    /// Tokens beyond which a batch runs no faster.
    const BATCH_TOKENS: usize = 2048;
    let shape = model.shape();
    let streams = 2 * (shape.n_layers + 1) * shape.d_model * size_of::<f32>(); // of a token
    let tokens = (STREAM_BYTES / streams.max(1)).min(BATCH_TOKENS);
    (tokens / windows.seq_len()).max(1)
}

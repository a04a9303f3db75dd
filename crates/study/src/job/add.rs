//! What a job does, added to its plan: sweeps, interventions and measurements, methods of [`JobPlan`].

use stratigraph_core::{EditData, ResidualModel, TokenWindows};
use stratigraph_surgery::{Budget, Intervention, SurgeryError, Sweep, SweepContext};

use super::{JobIntervention, JobLens, JobPairs, JobPlan, JobSweep};
use crate::names::check_intervention_name;
use crate::{Measurement, OwnWork, Result, StudyContext, StudyError, WindowWork, Work};

impl JobPlan {
    /// With a sweep, of this crate or of the user's own.
    ///
    /// # Errors
    /// When it does not fit the model or the windows, has more than two axes, there is a sweep of its name, or one of
    /// its interventions [cannot be sharded](StudyError::CannotShard).
    pub fn with_sweep(mut self, sweep: &Sweep) -> Result<Self> {
        let name = sweep.name();
        let points = sweep.points(&SweepContext::new(self.shape()?, self.corpus.seq_len))?;
        self.ask_for("sweep", name)?;
        if points.axes.len() > 2 {
            return Err(StudyError::TooManyAxes { sweep: name.to_owned(), n_axes: points.axes.len() });
        }
        self.add_sweep(JobSweep::new(name, &points), &points.interventions)?;
        Ok(self)
    }

    /// With a measurement on the windows of the corpus: a sweep, or one whose parts can all be done in shards, such as
    /// [`SublayerEffects`](crate::measurements::SublayerEffects), [`NeuronSets`](crate::measurements::NeuronSets),
    /// [`KnockOutWords`](crate::measurements::KnockOutWords), [`ActivationPatching`](crate::measurements::ActivationPatching),
    /// [`Steering`](crate::measurements::Steering) or the curves of a lens ([`LensCurves`](crate::measurements::LensCurves)). The
    /// plan's metrics and its seed are those that the measurement takes, so set them before.
    ///
    /// # Errors
    /// When the windows are not those of the plan, the measurement does not fit the model or the windows, there is one of its
    /// name, or it [cannot be sharded](StudyError::CannotShard): it needs the whole corpus in one process.
    pub fn with_measurement(
        mut self,
        measurement: &dyn Measurement,
        model: &dyn ResidualModel,
        windows: &TokenWindows,
    ) -> Result<Self> {
        self.shape()?;
        self.check_windows(windows)?;
        let (name, metrics) = (measurement.name(), self.metrics()?);
        self.ask_for("measurement", &name)?;
        let context = StudyContext::new(model, windows, self.seed).with_metrics(&metrics);
        measurement.check(&context)?;
        let work = match measurement.work(&context) {
            // A shard has a budget of its own.
            Err(StudyError::Surgery(SurgeryError::BudgetTooSmall { needed: bytes, .. })) => {
                measurement.work(&context.with_budget(Budget { bytes, ..context.budget }))
            }
            work => work,
        };
        for work in work? {
            match work {
                Work::Sweep { name, points } => self.add_sweep(JobSweep::new(&name, &points), &points.interventions)?,
                Work::Lens { name, points, readings } => {
                    let lens =
                        JobLens::of(&name, &readings)?.map(|(lens, file)| self.with_lens(lens, file)).transpose()?;
                    let sweep = JobSweep { lens, ..JobSweep::new(&name, &points) };
                    self.add_sweep(sweep, &points.interventions)?;
                }
                Work::Interventions { name, interventions, collect: None } => {
                    self.add_sweep(JobSweep::without_axes(&name, &interventions), &interventions)?;
                }
                Work::Windows(WindowWork { part: Some(part), .. }) | Work::Own(OwnWork { part: Some(part), .. }) => {
                    self.parts.push(part);
                }
                Work::Derived(derived) => self.derived.push(derived),
                _ => {
                    let reason = "it needs the whole corpus in one process; run it in a study".to_owned();
                    return Err(StudyError::CannotShard { name, reason });
                }
            }
        }
        Ok(self)
    }

    /// Keeps the numbers of a lens; gives it back.
    fn with_lens(&mut self, lens: JobLens, file: Option<Vec<u8>>) -> Result<JobLens> {
        let is_other = |sweep: &JobSweep| {
            sweep.lens.as_ref().is_some_and(|other| other.name == lens.name && other.sha256 != lens.sha256)
        };
        if self.sweeps.iter().any(is_other) {
            return Err(StudyError::NameTaken { what: "lens", name: lens.name });
        }
        self.lens_files.extend(file.map(|content| (lens.name.clone(), content)));
        Ok(lens)
    }

    /// Remembers that a sweep or a measurement was asked for, once.
    fn ask_for(&mut self, what: &'static str, name: &str) -> Result<()> {
        if self.asked_for.iter().any(|other| other == name) {
            return Err(StudyError::NameTaken { what, name: name.to_owned() });
        }
        self.asked_for.push(name.to_owned());
        Ok(())
    }

    /// Adds a sweep with its interventions; one that was added before is not added again.
    fn add_sweep(&mut self, sweep: JobSweep, interventions: &[Intervention]) -> Result<()> {
        interventions.iter().try_for_each(|intervention| self.add_data(&sweep.name, intervention))?;
        match self.sweeps.iter().find(|other| other.name == sweep.name) {
            None => self.sweeps.push(sweep),
            Some(other) if *other == sweep => {}
            Some(_) => return Err(StudyError::NameTaken { what: "sweep", name: sweep.name }),
        }
        Ok(())
    }

    /// Checks an intervention, and keeps the tensors and pairs that its text names.
    fn add_data(&mut self, name: &str, intervention: &Intervention) -> Result<()> {
        intervention.check(&self.shape()?, self.corpus.seq_len)?;
        check_shardable(name, intervention)?;
        let data = EditData::of(intervention.edits());
        let reread = Intervention::parse_with(&intervention.to_string(), &data).ok();
        if reread.as_ref() != Some(intervention) {
            let reason = format!("its text `{intervention}` does not say what it is; give its pairs a plainer id");
            return Err(StudyError::CannotShard { name: name.to_owned(), reason });
        }
        let has_new_pairs = data.pairs().keys().any(|id| !self.data.pairs().contains_key(id));
        self.data = std::mem::take(&mut self.data).and(data);
        if has_new_pairs {
            let n_windows = self.corpus.n_sequences;
            self.pairs = self.data.pairs().values().map(|pairs| JobPairs::new(pairs, n_windows)).collect();
        }
        Ok(())
    }

    /// With a single intervention; one that the plan has under the same name is not added again.
    ///
    /// # Errors
    /// When it does not fit the model or the windows, or [cannot be sharded](StudyError::CannotShard).
    pub fn with_intervention(mut self, intervention: impl Into<Intervention>) -> Result<Self> {
        let intervention = intervention.into();
        self.add_data(&intervention.name(), &intervention)?;
        let record = JobIntervention::new(&intervention);
        let taken = self.interventions.iter().map(|it| (it.name.as_str(), it.text.as_str()));
        check_intervention_name((&record.name, &record.text), taken, self.shape()?.n_layers)?;
        if !self.interventions.contains(&record) {
            self.interventions.push(record);
        }
        Ok(self)
    }
}

/// Refuses an intervention that another process cannot read. `name` is that of its sweep, or its own.
pub(crate) fn check_shardable(name: &str, intervention: &Intervention) -> Result<()> {
    let Some(edit) = intervention.edits().iter().find(|edit| !edit.is_text_with_data()) else { return Ok(()) };
    let reason = format!("the edit `{edit}` holds a mask or a function, which a job cannot; run it in a study");
    Err(StudyError::CannotShard { name: name.to_owned(), reason })
}

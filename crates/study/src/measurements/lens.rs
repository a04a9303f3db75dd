//! What lenses read at each residual position: [`LensCurves`], and the [`LogitLens`] as a measurement.

use std::sync::Arc;

use stratigraph_core::Hook;
use stratigraph_probes::lens::{Lens, LensReading, LogitLens};
use stratigraph_profile::Axis;
use stratigraph_surgery::{Intervention, Step, Sweep, SweepContext, SweepPoints};

use crate::measurement::sweep_work;
use crate::{Measurement, Result, StudyContext, StudyError, Work};

/// As [`Sweep::lens`]: curves `lens_*` over residual positions.
impl Measurement for LogitLens {
    fn name(&self) -> String {
        Lens::name(self).to_owned()
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        sweep_work(&Sweep::lens(), context)
    }
}

/// A lens at each residual position: curves such as `affine_lens_kl`, named after the lens and the study's metrics. They
/// compare with the unchanged model.
///
/// ```no_run
/// use stratigraph_core::{ResidualModel, TokenWindows};
/// use stratigraph_probes::lens::{AffineConfig, fit_affine};
/// use stratigraph_study::{Study, measurements::{LensCurves, LogitLens}};
///
/// fn kl(model: &dyn ResidualModel, to_fit: &TokenWindows, windows: &TokenWindows) -> stratigraph_study::Result<Vec<f64>> {
///     let lens = fit_affine(model, to_fit, &AffineConfig::default(), |_| {})?;
///     let findings = Study::new(model).add(LogitLens).add(LensCurves::new(lens)).run(windows)?;
///     Ok(findings.curve("affine_lens_kl")?.mean.clone())
/// }
/// ```
///
/// A lens without a map for a residual position ([`Lens::reads`]) has NaN there.
#[derive(Clone)]
pub struct LensCurves {
    lens: Arc<dyn Lens>,
    under: Option<Intervention>,
}

impl LensCurves {
    /// A lens in the unchanged model.
    pub fn new(lens: impl Lens + 'static) -> Self {
        Self::shared(Arc::new(lens))
    }

    /// A lens that others share.
    pub fn shared(lens: Arc<dyn Lens>) -> Self {
        Self { lens, under: None }
    }

    /// Inside a run under an intervention, by whose name the curves are called: `affine_lens_under_no-11_kl`.
    ///
    /// A point is the stream before a slot of the plan, or after the last one. The lens reads it as the residual position
    /// after the layer that ran last (of layers that share a slot, after the highest one). The end of the run is read as the
    /// model reads it. The axis is that of residual positions where the plan has as many slots as the model has layers.
    pub fn under(self, intervention: impl Into<Intervention>) -> Self {
        Self { under: Some(intervention.into()), ..self }
    }

    fn points(&self, context: &StudyContext) -> Result<SweepPoints> {
        let shape = context.model.shape();
        let whole = self.under.clone().unwrap_or_else(|| Intervention::none(shape.n_layers));
        whole.check(&shape, context.windows.seq_len())?;
        let n_slots = whole.plan().steps().len();
        let axis = match n_slots == shape.n_layers {
            true => Axis::residual_positions(shape.n_layers),
            false => Axis::counting("slot", n_slots + 1),
        };
        let sweep = Sweep::new(self.name(), move |context| {
            let prefixes = (0..=n_slots).map(|n| prefix(&whole, n));
            SweepPoints::new(context, [axis.clone()], prefixes)
        });
        Ok(sweep.points(&SweepContext::new(shape, context.windows.seq_len()))?)
    }

    /// How the stream of each point is read.
    fn readings(&self, points: &SweepPoints, n_layers: usize) -> Vec<Option<LensReading>> {
        let last = points.interventions.len() - 1;
        let reading = |(point, intervention): (usize, &Intervention)| {
            let position = position_after(intervention.plan().steps().last());
            (point < last && position < n_layers).then(|| LensReading::new(self.lens.clone(), position))
        };
        points.interventions.iter().enumerate().map(reading).collect()
    }
}

/// The first `n_slots` slots of an intervention, with their edits.
fn prefix(whole: &Intervention, n_slots: usize) -> stratigraph_surgery::Result<Intervention> {
    let plan = whole.plan().truncate(n_slots)?;
    let edits = whole.edits().iter().filter(|edit| edit.point().hook == Hook::Embed || edit.point().slot < n_slots);
    Ok(edits.cloned().fold(Intervention::from(plan), Intervention::edit))
}

/// The residual position after a step.
fn position_after(step: Option<&Step>) -> usize {
    step.and_then(|step| step.layers().iter().max()).map_or(0, |layer| layer + 1)
}

impl Measurement for LensCurves {
    fn name(&self) -> String {
        match &self.under {
            None => self.lens.name().to_owned(),
            Some(intervention) => format!("{}_under_{}", self.lens.name(), intervention.name().replace(' ', "_")),
        }
    }

    fn check(&self, context: &StudyContext) -> Result<()> {
        let shape = context.model.shape();
        self.lens.check(&shape).map_err(|reason| {
            let (name, reason) = (Measurement::name(self), reason.to_string());
            StudyError::CannotMeasure { name, reason }
        })
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let (name, points) = (Measurement::name(self), self.points(context)?);
        let readings = self.readings(&points, context.model.n_layers());
        Ok(vec![Work::Lens { name, points, readings }])
    }
}

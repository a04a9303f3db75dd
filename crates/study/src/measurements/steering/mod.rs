//! Steering with a range of strengths: [`Steering`] along a [`SteeringVector`], with a [`SteeringTarget`].

mod target;
mod vector;

use std::ops::Range;

use stratigraph_core::{Edit, Positions, ResidualModel, TokenWindows};
use stratigraph_profile::Axis;
use stratigraph_surgery::{Budget, Intervention, Sweep};

pub use target::SteeringTarget;
pub(crate) use target::TargetRuns;
pub use vector::SteeringVector;

use crate::job::JobPart;
use crate::measurement::sweep_work;
use crate::{Measurement, OwnWork, Result, StudyContext, StudyError, Work};

/// The curve of the target.
const TARGET: &str = "steer_target";

/// A vector added with a range of strengths: curves `steer_*` over the strengths, for each metric of the study on the corpus,
/// and `steer_target`, the target on prompts.
///
/// ```no_run
/// use stratigraph_core::{Hook, ResidualModel, TokenWindows};
/// use stratigraph_study::measurements::{Steering, SteeringTarget, SteeringVector};
/// use stratigraph_study::Study;
///
/// /// The loss on a text and the log-probability of a token after a prompt, for four strengths.
/// fn steer(
///     model: &dyn ResidualModel,
///     text: &TokenWindows,
///     [toward, away, prompt]: [TokenWindows; 3],
///     token: u32,
/// ) -> stratigraph_study::Result<()> {
///     let vector = SteeringVector::between(model, Hook::ResidPre.at(6), &[toward], &[away])?;
///     let target = SteeringTarget::new([prompt], [token]);
///     let steering = Steering::new(vector).with_strengths([0.0, 0.5, 1.0, 2.0]).with_target(target);
///     let findings = Study::new(model).add(steering).run(text)?;
///     println!("{:?} {:?}", findings.curve("steer_target")?.mean, findings.curve("steer_nll")?.mean);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Steering {
    vector: SteeringVector,
    strengths: Vec<f64>,
    positions: Positions,
    target: Option<SteeringTarget>,
}

impl Steering {
    /// Its name.
    pub const NAME: &str = "steering";

    /// The name of its sweep.
    pub(crate) const SWEEP: &str = "steer";

    /// The strengths by default. At 0 the unchanged model runs.
    pub const STRENGTHS: [f64; 6] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0];

    /// Steers along a vector, with the [default strengths](Steering::STRENGTHS), from position 1 on: the first position is the
    /// attention sink of most models.
    pub fn new(vector: SteeringVector) -> Self {
        let (strengths, positions) = (Self::STRENGTHS.to_vec(), Positions::from(1));
        Self { vector, strengths, positions, target: None }
    }

    /// With other strengths: the vector is multiplied by each.
    pub fn with_strengths(self, strengths: impl IntoIterator<Item = f64>) -> Self {
        Self { strengths: strengths.into_iter().collect(), ..self }
    }

    /// At other positions, of the corpus and of the target's prompts.
    pub fn with_positions(self, positions: impl Into<Positions>) -> Self {
        Self { positions: positions.into(), ..self }
    }

    /// With a target.
    pub fn with_target(self, target: SteeringTarget) -> Self {
        Self { target: Some(target), ..self }
    }

    /// The edits of a strength; none at 0.
    fn edits(&self, strength: f64) -> Vec<Edit> {
        if strength == 0.0 {
            return Vec::new();
        }
        vec![Edit::add(self.vector.point(), self.vector.scaled(strength)).with_positions(self.positions.clone())]
    }

    fn labels(&self) -> Vec<String> {
        self.strengths.iter().map(f64::to_string).collect()
    }

    fn check_strengths(&self) -> Result<()> {
        let strengths = &self.strengths;
        if strengths.is_empty() {
            return Err(cannot("there are no strengths".to_owned()));
        }
        if let Some(strength) = strengths.iter().find(|strength| !strength.is_finite()) {
            return Err(cannot(format!("a strength is {strength}")));
        }
        let is_too_far = |strength: &&f64| self.vector.values().iter().any(|x| !(x * **strength as f32).is_finite());
        if let Some(strength) = strengths.iter().find(is_too_far) {
            return Err(cannot(format!("the vector times the strength {strength:e} is beyond what f32 can hold")));
        }
        let is_twice = |(index, strength): (usize, &f64)| strengths[..index].contains(strength);
        match strengths.iter().enumerate().find(|&it| is_twice(it)) {
            Some((_, strength)) => Err(cannot(format!("the strength {strength} is given twice"))),
            None => Ok(()),
        }
    }

    /// The strengths as a sweep.
    fn sweep(&self) -> Sweep {
        let points: Vec<_> = self.labels().into_iter().zip(self.strengths.iter().map(|&it| self.edits(it))).collect();
        Sweep::over(Self::SWEEP, "strength", points, |context, edits| {
            Ok(edits.iter().cloned().fold(Intervention::from(context.full()), Intervention::edit))
        })
    }

    /// Measures the target at each strength.
    fn target_work<'a>(&'a self, target: &'a SteeringTarget, context: &StudyContext<'a>) -> Result<Work<'a>> {
        let (context, axis) = (*context, Axis::labelled("strength", self.labels()));
        let edits = self.strengths.iter().map(|&strength| self.edits(strength)).collect();
        let runs = TargetRuns { target, axis, edits };
        runs.check(context.model)?;
        Ok(Work::Own(OwnWork {
            work: runs.units(&context.model.shape()),
            run: Box::new(move |findings, progress| runs.add(&context, findings, progress)),
            part: Some(JobPart::SteeringTarget(target.clone())),
        }))
    }
}

impl Measurement for Steering {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        self.vector.check(&context.model.shape())?;
        self.check_strengths()?;
        let mut work = sweep_work(&self.sweep(), context)?;
        if let Some(target) = &self.target {
            work.push(self.target_work(target, context)?);
        }
        Ok(work)
    }
}

/// The prompts of some windows in batches whose plain run fits a budget.
fn batches(model: &dyn ResidualModel, prompts: &TokenWindows, budget: Budget) -> Result<Vec<Range<usize>>> {
    /// Residual streams that are alive at once.
    const STREAMS: usize = 4;
    let (seq_len, n) = (prompts.seq_len(), prompts.n_sequences());
    let kept = STREAMS * seq_len * model.d_model() * size_of::<f32>();
    let most = budget.windows_at_once(&model.shape(), seq_len, kept)?;
    Ok((0..n).step_by(most).map(|start| start..(start + most).min(n)).collect())
}

fn cannot(reason: String) -> StudyError {
    StudyError::CannotMeasure { name: Steering::NAME.to_owned(), reason }
}

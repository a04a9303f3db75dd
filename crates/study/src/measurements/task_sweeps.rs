//! The sweeps under which a benchmark is answered, by name in a job and as interventions.

use stratigraph_surgery::{Intervention, Sweep, SweepContext, SweepPoints};

use crate::{Result, StudyContext, StudyError};

/// The names of sweeps, where a process that has these alone makes the same points.
pub(super) fn names(
    sweeps: &[Sweep],
    given: &[SweepPoints],
    context: &StudyContext,
    longest: usize,
) -> Option<Vec<String>> {
    let names: Vec<_> = sweeps.iter().map(|sweep| sweep.name().to_owned()).collect();
    let (known, _) = points(&by_names(&names).ok()?, context, longest).ok()?;
    (known == given).then_some(names)
}

/// The sweeps of names.
///
/// # Errors
/// When a name is not known.
pub(super) fn by_names(names: &[String]) -> Result<Vec<Sweep>> {
    let unknown = |name: &String| StudyError::UnknownMeasurement { name: name.clone(), known: Sweep::KNOWN.join(", ") };
    names.iter().map(|name| Sweep::by_name(name).ok_or_else(|| unknown(name))).collect()
}

/// The points of each sweep, and the interventions of all, one after the other. The texts of a benchmark have many lengths; the
/// sweeps are made for the longest, and positions that a shorter text does not have are not changed there.
///
/// # Errors
/// When a sweep does not fit the model.
pub(super) fn points(
    sweeps: &[Sweep],
    context: &StudyContext,
    longest: usize,
) -> Result<(Vec<SweepPoints>, Vec<Intervention>)> {
    let context = SweepContext::new(context.model.shape(), longest);
    let points = sweeps.iter().map(|sweep| sweep.points(&context)).collect::<Result<Vec<_>, _>>()?;
    let interventions = points.iter().flat_map(|points| points.interventions.iter().cloned()).collect();
    Ok((points, interventions))
}

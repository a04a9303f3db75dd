//! Names that may be taken: each is of one intervention.

use stratigraph_profile::InterventionRecord;
use stratigraph_surgery::Intervention;

use crate::{Result, StudyError};

/// Refuses a name that two different interventions have, and that of the unchanged model for another one.
pub(crate) fn check_intervention_names(interventions: &[Intervention], n_layers: usize) -> Result<()> {
    let named: Vec<_> = interventions.iter().map(|it| (it.name(), it.to_string())).collect();
    named.iter().enumerate().try_for_each(|(index, (name, text))| {
        let taken = named[..index].iter().map(|(name, text)| (name.as_str(), text.as_str()));
        check_intervention_name((name, text), taken, n_layers)
    })
}

/// Refuses the name of an intervention if another intervention has it, among those `taken` (their names and texts) and the
/// unchanged model.
pub(crate) fn check_intervention_name<'a>(
    (name, text): (&str, &str),
    mut taken: impl Iterator<Item = (&'a str, &'a str)>,
    n_layers: usize,
) -> Result<()> {
    let is_other_clean = name == InterventionRecord::CLEAN && text != Intervention::none(n_layers).to_string();
    if is_other_clean || taken.any(|(other, of)| other == name && of != text) {
        return Err(StudyError::NameTaken { what: "intervention", name: name.to_owned() });
    }
    Ok(())
}

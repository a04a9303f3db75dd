//! The interventions of a plan file from their texts: every size is checked before anything of that size is made.

use std::collections::BTreeSet;

use stratigraph_profile::catalogue;
use stratigraph_surgery::Intervention;

use super::add::check_shardable;
use super::plan::{FORMAT, bad, named_points};
use super::{JobIntervention, JobPlan, JobSweep};
use crate::runs::{NamedSweep, Runs};
use crate::{Result, StudyError};

/// The most layers of a model that a plan file may name.
const MOST_LAYERS: usize = 1 << 14;

/// The most layers, heads and positions that the ranges of a plan file may name, in all of its interventions together.
const MOST_NAMED: usize = 1 << 24;

impl JobPlan {
    /// The interventions to run. The plan may come from any file, so everything in it is checked.
    ///
    /// # Errors
    /// When the plan is not valid.
    pub(crate) fn runs(&self) -> Result<Runs> {
        self.check()?;
        let current = |sweep: &JobSweep| JobSweep { name: catalogue::current_name(&sweep.name), ..sweep.clone() };
        let sweeps = self.sweeps.iter().map(|sweep| self.named_sweep(&current(sweep))).collect::<Result<_>>()?;
        let singles = self.interventions.iter().map(|single| self.single(single)).collect::<Result<_>>()?;
        let runs = Runs::new(self.model.n_layers, sweeps, singles);
        let metrics = self.metrics()?;
        self.derived.iter().try_for_each(|derived| derived.check(&metrics, &runs))?;
        self.parts.iter().try_for_each(|part| part.check(&runs))?;
        Ok(runs)
    }

    fn check(&self) -> Result<()> {
        let Self { format, model, sweeps, interventions, .. } = self;
        if *format != FORMAT {
            return Err(bad(format!("its format is {format}, and this version reads {FORMAT}")));
        }
        if model.n_layers > MOST_LAYERS {
            return Err(bad(format!(
                "its model has {} layers, more than the {MOST_LAYERS} there can be",
                model.n_layers
            )));
        }
        let texts = sweeps.iter().flat_map(|sweep| &sweep.interventions);
        let texts = texts.chain(interventions.iter().map(|single| &single.text));
        if texts.map(|text| n_in_ranges(text)).fold(0, usize::saturating_add) > MOST_NAMED {
            return Err(bad(format!("its interventions name more than {MOST_NAMED} layers, heads and positions")));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = sweeps.iter().find(|sweep| !names.insert(&sweep.name)) {
            return Err(StudyError::NameTaken { what: "sweep", name: twice.name.clone() });
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = self.groupings.iter().find(|grouping| !names.insert(&grouping.name)) {
            return Err(StudyError::NameTaken { what: "grouping", name: twice.name.clone() });
        }
        self.check_metrics()?;
        self.check_step()
    }

    fn named_sweep(&self, sweep: &JobSweep) -> Result<NamedSweep> {
        let JobSweep { name, axes, interventions, names, lens } = sweep;
        if !names.is_empty() && (!axes.is_empty() || names.len() != interventions.len()) {
            return Err(bad(format!("the names of the sweep {name} are not those of its interventions")));
        }
        if !names.is_empty() && lens.is_some() {
            return Err(bad(format!("the sweep {name} has no axes, and a lens reads the points of an axis")));
        }
        if !names.is_empty() {
            let texts = interventions.iter().zip(names);
            let named = texts.map(|(text, own)| Ok(self.intervention(name, text)?.with_name(own)));
            let interventions = named.collect::<Result<_>>()?;
            let (axes, readings) = (Vec::new(), Vec::new());
            return Ok(NamedSweep { name: name.clone(), axes, interventions, readings });
        }
        if axes.len() > 2 {
            return Err(StudyError::TooManyAxes { sweep: name.clone(), n_axes: axes.len() });
        }
        if axes.iter().try_fold(1, |n: usize, axis| n.checked_mul(axis.len())) != Some(interventions.len()) {
            return Err(bad(format!("the axes of the sweep {name} do not have its {} points", interventions.len())));
        }
        let n_layers = self.model.n_layers;
        if axes.iter().any(|axis| axis.n_layers().is_some_and(|found| found != n_layers)) {
            return Err(bad(format!("an axis of the sweep {name} is not for a model of {n_layers} layers")));
        }
        let interventions = interventions.iter().map(|text| self.intervention(name, text)).collect::<Result<_>>()?;
        let named = NamedSweep::new(name.clone(), named_points(sweep, interventions, &self.model)?);
        match lens {
            Some(lens) => {
                let readings = lens.readings(sweep, n_layers)?;
                let unchanged = Intervention::none(n_layers);
                if named.interventions.iter().zip(&readings).any(|(it, reading)| reading.is_some() && *it == unchanged)
                {
                    return Err(bad(format!(
                        "the sweep {name} reads the last stream of the unchanged model by a lens"
                    )));
                }
                Ok(named.with_readings(readings))
            }
            None => Ok(named),
        }
    }

    fn single(&self, JobIntervention { name, text }: &JobIntervention) -> Result<Intervention> {
        Ok(self.intervention(name, text)?.with_name(name))
    }

    fn intervention(&self, name: &str, text: &str) -> Result<Intervention> {
        let intervention = Intervention::parse_with(text, &self.data)?;
        intervention.plan().validate(self.model.n_layers)?;
        check_shardable(name, &intervention)?;
        Ok(intervention)
    }
}

/// How many numbers the ranges of a text hold, such as 4 and 8 in `0..4-9..17`: the memory that it takes beyond its
/// length.
fn n_in_ranges(text: &str) -> usize {
    let sizes = text.match_indices("..").map(|(at, dots)| {
        let (before, after) = (&text[..at], &text[at + dots.len()..]);
        let first = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let end = after.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        let number = |digits: &str| digits.parse().unwrap_or(if digits.is_empty() { 0 } else { usize::MAX });
        number(end).saturating_sub(number(first))
    });
    sizes.fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_counted_wherever_they_stand() {
        let cases = [
            ("0-1-2", 0),
            ("0..4-9..17", 12),
            ("none | blocks.3.attn.hook_z heads=0..5,7 pos=1.. zero", 5),
            ("0..99999999999999999999999", usize::MAX),
            ("..", 0),
            ("7..3 | é..é", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(n_in_ranges(text), expected, "{text}");
        }
    }
}

//! The scores of one intervention, over all positions and by groups of positions: [`RunScores`].

use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::scores::{GroupScores, Row, ScoreSink, Scores, TokenGroups};

use crate::{Result, StudyError};

/// The scores of an intervention.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunScores {
    /// Over all positions.
    pub(crate) all: Scores,
    /// By each grouping.
    pub(crate) groups: Vec<GroupScores>,
}

impl RunScores {
    /// Nothing measured yet, by these groupings.
    pub(crate) fn new(groupings: &[TokenGroups]) -> Self {
        Self { all: Scores::default(), groups: groupings.iter().cloned().map(GroupScores::new).collect() }
    }

    /// Adds what was measured on other windows by the same groupings.
    pub(crate) fn merge(&mut self, other: &RunScores) -> Result<()> {
        self.all.merge(&other.all)?;
        let mut pairs = self.groups.iter_mut().zip(&other.groups);
        Ok(pairs.try_for_each(|(mine, theirs)| mine.merge(theirs))?)
    }
}

impl ScoreSink for RunScores {
    fn begin(&mut self, metrics: &Metrics) -> stratigraph_probes::Result<()> {
        self.all.begin(metrics)?;
        self.groups.iter_mut().try_for_each(|groups| groups.begin(metrics))
    }

    fn row(&mut self, sequence: usize, position: usize, row: &Row) {
        self.all.row(sequence, position, row);
        self.groups.iter_mut().for_each(|groups| groups.row(sequence, position, row));
    }
}

/// Refuses two groupings with the same name.
pub(crate) fn check_names(groupings: &[TokenGroups]) -> Result<()> {
    let taken = |(index, grouping): (usize, &TokenGroups)| {
        groupings[..index].iter().any(|other| other.name() == grouping.name()).then(|| grouping.name().to_owned())
    };
    match groupings.iter().enumerate().find_map(taken) {
        Some(name) => Err(StudyError::NameTaken { what: "grouping", name }),
        None => Ok(()),
    }
}

//! Terminal tables of sweeps by groups of positions: [`GroupTables`].

use std::fmt;

use stratigraph_profile::{Axis, Matrix, Profile, catalogue};

use crate::results::GROUPED;

/// The narrowest column.
const WIDTH: usize = 8;

/// A table for each sweep and grouping, with a row for each point and a column for each group: of the KL divergence, or of
/// every metric where that is not measured.
pub struct GroupTables<'a>(pub &'a Profile);

impl fmt::Display for GroupTables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(profile) = self;
        let has_kl = profile.interventions.iter().any(|run| run.metrics.contains_key(GROUPED));
        let mut before = "";
        for (name, matrix) in &profile.matrices {
            let Some((curve, grouping)) = catalogue::split_grouping(name) else { continue };
            let of_kl =
                curve.strip_suffix(GROUPED).is_some_and(|sweep| sweep.ends_with('_') && !sweep.ends_with("reverse_"));
            if matches!(matrix.columns, Axis::Labelled { .. }) && (of_kl || !has_kl) {
                write!(f, "{before}{name}, {}:\n{}", matrix.unit, Table { profile, grouping, matrix })?;
                before = "\n\n";
            }
        }
        Ok(())
    }
}

/// The table of one matrix.
struct Table<'a> {
    profile: &'a Profile,
    grouping: &'a str,
    matrix: &'a Matrix,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Matrix { rows, columns, values, .. } = self.matrix;
        let groups: Vec<_> = (0..columns.len()).map(|group| columns.tick(group)).collect();
        let first = rows.name().len().max("positions".len());
        let line = |f: &mut fmt::Formatter<'_>, head: &str, cells: &mut dyn Iterator<Item = String>| {
            write!(f, "{head:first$}")?;
            groups.iter().zip(cells).try_for_each(|(group, cell)| write!(f, "  {cell:>0$}", group.len().max(WIDTH)))
        };
        line(f, &rows.name(), &mut groups.iter().cloned())?;
        let records = self.profile.interventions.first().and_then(|run| run.groups.get(self.grouping));
        if let Some(records) = records {
            writeln!(f)?;
            line(f, "positions", &mut records.iter().map(|record| record.positions.to_string()))?;
        }
        for (row, values) in values.iter().enumerate() {
            writeln!(f)?;
            let cell = |value: &f64| if value.is_finite() { format!("{value:.3}") } else { String::new() };
            line(f, &rows.tick(row), &mut values.iter().map(cell))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{CorpusRecord, Estimate, GroupRecord, InterventionRecord, ModelRecord, Unit};

    use super::*;

    #[test]
    fn a_group_is_a_column() {
        let groups = Axis::labelled("class", ["digit", "word continuation"]);
        let matrix = Matrix::new(Axis::layers(2), groups, Unit::Nats, vec![vec![0.5, 1.0], vec![f64::NAN, 2.0]]);
        let records = vec![GroupRecord::new("digit", 7), GroupRecord::new("word continuation", 12)];
        let clean = InterventionRecord::clean("0-1").with_metric("kl", Estimate::exact(0.0));
        let profile = Profile::new(ModelRecord::new("m", 2, 4, 8), CorpusRecord::new("c", 1, 4))
            .with_intervention(clean.with_groups("class", records));
        let names = ["delete_kl_by_class", "delete_nll_by_class", "delete_reverse_kl_by_class", "cka"];
        let add = |profile: Profile, name: &str| profile.with_matrix(name, matrix.clone());
        let profile = names.into_iter().try_fold(profile, add).unwrap();
        let expected = "delete_kl_by_class, nats:\n\
                        layer         digit  word continuation\n\
                        positions         7                 12\n\
                        0             0.500              1.000\n\
                        1                                2.000";
        assert_eq!(GroupTables(&profile).to_string(), expected);
    }
}

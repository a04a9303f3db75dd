//! A profile in words and rows: [`Summary`] for the terminal, [`rows`] for one CSV file of everything.

use std::collections::BTreeMap;
use std::fmt;

use stratigraph_profile::{Axis, Estimate, InterventionRecord, Matrix, Profile};

use crate::output::cell;

/// Rows of a matrix that is printed whole.
const FEW_ROWS: usize = 4;
/// Values of a larger matrix that are printed.
const TOP: usize = 8;

/// The parts of a profile that the table of layers does not show: headlines, single values, the user's own interventions, and
/// matrices over heads.
pub struct Summary<'a>(pub &'a Profile);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(profile) = self;
        let estimates = |values: &mut dyn Iterator<Item = (&String, &Estimate)>| {
            values.map(|(name, value)| format!("{name} {}", shown(value))).collect::<Vec<_>>().join(", ")
        };
        profile.headlines().iter().try_for_each(|headline| writeln!(f, "{headline}"))?;
        if !profile.values.is_empty() {
            writeln!(f, "{}", estimates(&mut profile.values.iter()))?;
        }
        for run in profile.interventions.iter().filter(|run| run.sweep.is_none() && run.name != "clean") {
            writeln!(f, "{}: {}", run.name, estimates(&mut run.metrics.iter()))?;
            write_groups(f, run)?;
        }
        write_blocks(f, profile)?;
        profile.matrices.iter().try_for_each(|(name, matrix)| write_matrix(f, name, matrix))
    }
}

/// The metric of which groups are printed where it is measured; otherwise all are.
pub const GROUPED: &str = "kl";

/// What was measured by groups of positions, a line for each grouping and metric.
fn write_groups(f: &mut fmt::Formatter<'_>, run: &InterventionRecord) -> fmt::Result {
    let has_kl = run.metrics.contains_key(GROUPED);
    for metric in run.metrics.keys().filter(|metric| !has_kl || *metric == GROUPED) {
        for (grouping, groups) in &run.groups {
            let measured =
                groups.iter().filter_map(|it| Some(format!("{} {}", it.group, shown(it.metrics.get(metric)?))));
            writeln!(f, "  {metric} by {grouping}: {}", measured.collect::<Vec<_>>().join(", "))?;
        }
    }
    Ok(())
}

/// A mean with its standard error.
fn shown(Estimate { mean, sem }: &Estimate) -> String {
    let sem = sem.map(|sem| format!(" ± {sem:.3}")).unwrap_or_default();
    format!("{mean:.3}{sem}")
}

/// Metrics of which the blocks with the smallest number are printed.
const DAMAGE: [&str; 2] = ["_kl", "_nll"];

/// The block of each length that does the least damage.
fn write_blocks(f: &mut fmt::Formatter<'_>, profile: &Profile) -> fmt::Result {
    let is_damage = |name: &str| DAMAGE.iter().any(|metric| name.ends_with(metric));
    let curves = profile.curves.iter().filter(|(name, curve)| curve.axis.is_of_all_blocks() && is_damage(name));
    for (name, curve) in curves {
        let mut best = BTreeMap::new();
        for (index, estimate) in curve.estimates().enumerate().filter(|(_, it)| it.mean.is_finite()) {
            let length = curve.axis.block(index).map_or(0, |block| block.len());
            let kept = best.entry(length).or_insert((index, estimate));
            if estimate.mean < kept.1.mean {
                *kept = (index, estimate);
            }
        }
        writeln!(f, "{name}, {}, the smallest of each length:", curve.unit)?;
        for (index, estimate) in best.into_values() {
            writeln!(f, "  {}: {}", curve.axis.label(index), shown(&estimate))?;
        }
    }
    Ok(())
}

/// Shows a small matrix whole, and the largest values of a matrix over heads. Other matrices are left to figures.
fn write_matrix(f: &mut fmt::Formatter<'_>, name: &str, matrix: &Matrix) -> fmt::Result {
    let is_small = matrix.rows.len() <= FEW_ROWS && matches!(matrix.columns, Axis::Labelled { .. });
    let is_of_heads = matches!(matrix.columns, Axis::Heads { .. });
    if is_small {
        writeln!(f, "{name}, {}, by {}:", matrix.unit, matrix.columns.name())?;
        for (row, values) in matrix.values.iter().enumerate() {
            let values = values.iter().enumerate().map(|(i, value)| format!("{} {value:.3}", matrix.columns.tick(i)));
            writeln!(f, "  {}: {}", matrix.rows.tick(row), values.collect::<Vec<_>>().join(", "))?;
        }
    } else if is_of_heads {
        let places = (0..matrix.rows.len()).flat_map(|layer| (0..matrix.columns.len()).map(move |head| (layer, head)));
        let cells = places.filter_map(|(layer, head)| Some((layer, head, matrix.estimate(layer, head)?)));
        let mut cells: Vec<_> = cells.filter(|(.., value)| value.mean.is_finite()).collect();
        // A corrupted activation in the clean run lowers what the answer needs.
        let first = if name.ends_with("_noise") { "smallest" } else { "largest" };
        cells.sort_by(|a, b| b.2.mean.total_cmp(&a.2.mean));
        if first == "smallest" {
            cells.reverse();
        }
        writeln!(f, "{name}, {}, the {first} of {} heads:", matrix.unit, cells.len())?;
        for (layer, head, value) in cells.into_iter().take(TOP) {
            writeln!(f, "  {}, {}: {}", matrix.rows.label(layer), matrix.columns.label(head), shown(&value))?;
        }
    }
    Ok(())
}

/// The columns of [`rows`].
pub const HEADER: [&str; 6] = ["name", "row", "column", "mean", "sem", "unit"];

/// Every number of a profile as a row: values, points of curves, cells of matrices, metrics of the user's interventions.
pub fn rows(profile: &Profile) -> impl Iterator<Item = Vec<String>> + '_ {
    let values = profile.values.iter().map(|(name, value)| row(name, ["", ""], *value, ""));
    // What each head does is a curve and a matrix of one name; the matrix has its numbers.
    let curves = profile.curves.iter().filter(|(name, _)| !profile.matrices.contains_key(*name));
    let curves = curves.flat_map(|(name, curve)| {
        let unit = curve.unit.to_string();
        curve.estimates().enumerate().map(move |(i, value)| row(name, [&curve.axis.tick(i), ""], value, &unit))
    });
    let matrices = profile.matrices.iter().flat_map(|(name, matrix)| {
        let cells = matrix.values.iter().enumerate().flat_map(|(i, values)| (0..values.len()).map(move |j| (i, j)));
        let estimates = cells.filter_map(|(i, j)| Some((i, j, matrix.estimate(i, j)?)));
        estimates.map(move |(i, j, value)| {
            let ticks = [&*matrix.rows.tick(i), &*matrix.columns.tick(j)];
            row(name, ticks, value, &matrix.unit.to_string())
        })
    });
    let own = profile.interventions.iter().filter(|run| run.sweep.is_none());
    let own = own.flat_map(|run| run.metrics.iter().map(|(metric, value)| row(metric, [&run.name, ""], *value, "")));
    values.chain(curves).chain(matrices).chain(own).chain(own_groups(profile))
}

/// The metrics of the user's interventions at groups of positions.
fn own_groups(profile: &Profile) -> impl Iterator<Item = Vec<String>> + '_ {
    let own = profile.interventions.iter().filter(|run| run.sweep.is_none());
    let groups = own.flat_map(|run| run.groups.iter().map(move |(grouping, groups)| (run, grouping, groups)));
    groups.flat_map(|(run, grouping, groups)| {
        groups.iter().flat_map(move |group| {
            let name = move |metric: &str| format!("{metric}_by_{grouping}");
            group.metrics.iter().map(move |(metric, value)| row(&name(metric), [&run.name, &group.group], *value, ""))
        })
    })
}

fn row(name: &str, [row, column]: [&str; 2], value: Estimate, unit: &str) -> Vec<String> {
    let cells = [row.to_owned(), column.to_owned(), cell(Some(value.mean)), cell(value.sem), unit.to_owned()];
    std::iter::once(name.to_owned()).chain(cells).collect()
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{CorpusRecord, Curve, GroupRecord, ModelRecord, Unit};

    use super::*;

    fn profile() -> Profile {
        let heads = Matrix::new(Axis::layers(1), Axis::heads(2), Unit::Fraction, vec![vec![0.25, 0.5]]);
        let mut profile = Profile::new(ModelRecord::new("m", 1, 4, 8), CorpusRecord::new("c", 1, 4))
            .with_curve("delete_kl", Curve::new(Axis::layers(1), Unit::Nats, vec![1.5]))
            .and_then(|profile| profile.with_matrix("merging_heads", heads))
            .unwrap();
        profile.values.insert("clean_nll".to_owned(), Estimate::new(2.0, Some(0.5)));
        let digits = GroupRecord::new("digit", 7).with_metric("kl", Estimate::new(2.0, Some(0.5)));
        let own = InterventionRecord::new("mine", "none").with_metric("kl", Estimate::exact(3.0));
        let own = own.with_groups("class", vec![digits, GroupRecord::new("other", 2)]);
        profile.interventions.push(own);
        profile
    }

    #[test]
    fn every_number_is_a_row() {
        let rows: Vec<_> = rows(&profile()).map(|row| row.join(",")).collect();
        let expected = [
            "clean_nll,,,2,0.5,",
            "delete_kl,0,,1.5,,nats",
            "merging_heads,0,0,0.25,,fraction",
            "merging_heads,0,1,0.5,,fraction",
            "kl,mine,,3,,",
            "kl_by_class,mine,digit,2,0.5,",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn heads_are_ranked() {
        let text = Summary(&profile()).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["clean_nll 2.000 ± 0.500", "mine: kl 3.000"]);
        assert_eq!(lines[2], "  kl by class: digit 2.000 ± 0.500");
        assert_eq!(lines[3], "merging_heads, fraction, the largest of 2 heads:");
        assert_eq!(lines[4], "  layer 0, head 1: 0.500");
    }
}

//! A terminal table of sweeps beyond the usual ones: [`SweepTable`].

use std::collections::BTreeSet;
use std::fmt;

use stratigraph_profile::{Axis, Curve, Estimate, Profile, catalogue};
use stratigraph_report::LayerTable;

use crate::steering::SteeringTable;
use crate::width;

/// The default metrics of a study.
const DEFAULT_METRICS: [&str; 5] = ["kl", "top1_agreement", "entropy_bits", "nll", "accuracy"];
/// The narrowest column.
const WIDTH: usize = 8;

/// A table for each axis, with a row for each of its points, and a column for each curve of a sweep that the table of layers
/// leaves out: the KL divergence of sweeps that are not in it (all of their metrics where it is not measured), and every metric
/// that is not a default one. Curves over all heads and all blocks of layers are left to the summary.
pub struct SweepTable<'a> {
    columns: Vec<(String, &'a Curve)>,
}

impl<'a> SweepTable<'a> {
    /// The table of a profile.
    pub fn new(profile: &'a Profile) -> Self {
        let metrics: BTreeSet<&str> =
            profile.interventions.iter().flat_map(|run| run.metrics.keys().map(String::as_str)).collect();
        let sweeps = sweeps(profile, &metrics);
        let has_kl = metrics.contains("kl");
        let is_in_another = |sweep: &str| {
            let mut names = metrics.iter().map(|metric| format!("{sweep}_{metric}"));
            names.any(|name| {
                profile.curves.contains_key(&name) && (LayerTable::shows(&name) || SteeringTable::shows(&name))
            })
        };
        let is_shown = |sweep: &str, metric: &str| {
            !DEFAULT_METRICS.contains(&metric) || !is_in_another(sweep) && (metric == "kl" || !has_kl)
        };
        let names = sweeps.iter().flat_map(|sweep| metrics.iter().map(move |metric| (*sweep, *metric)));
        let names = names.filter(|(sweep, metric)| is_shown(sweep, metric));
        let columns = names.filter_map(|(sweep, metric)| {
            let name = format!("{sweep}_{metric}");
            let curve = profile.curves.get(&name)?;
            let is_elsewhere = curve.axis.is_of_all_heads() || curve.axis.is_of_all_blocks();
            let curve = (!is_elsewhere).then_some(curve)?;
            Some((name, curve))
        });
        Self { columns: columns.collect() }
    }
}

/// The sweeps that were run, and differences that were made of them: `neuron_sets_difference` of `neuron_sets`, and those of the
/// catalogue, such as `knock_out_words`.
fn sweeps<'a>(profile: &'a Profile, metrics: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    let run: BTreeSet<&str> = profile.interventions.iter().filter_map(|run| run.sweep.as_deref()).collect();
    let made_of = |name: &'a String| {
        // Of several metrics that the name ends with, the longest is meant.
        let before = |metric: &&str| name.strip_suffix(*metric)?.strip_suffix('_');
        let sweep = metrics.iter().filter_map(before).min_by_key(|sweep| sweep.len())?;
        let is_of_a_sweep = || sweep.strip_suffix("_difference").is_some_and(|of| run.contains(of));
        let is_known = || catalogue::find_sweep(sweep).is_some_and(|entry| entry.is_difference);
        (is_of_a_sweep() || is_known()).then_some(sweep)
    };
    profile.curves.keys().filter_map(made_of).chain(run.iter().copied()).collect()
}

/// Whether two curves can share a table: over depth, or over points of one name as far as both go.
fn share_rows(a: &Axis, b: &Axis) -> bool {
    let same_points = || (0..a.len().min(b.len())).all(|point| a.tick(point) == b.tick(point));
    a.n_layers().is_some() && b.n_layers().is_some() || a.name() == b.name() && same_points()
}

impl fmt::Display for SweepTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tables: Vec<Vec<&(String, &Curve)>> = Vec::new();
        for column in &self.columns {
            match tables.iter_mut().find(|columns| share_rows(&columns[0].1.axis, &column.1.axis)) {
                Some(columns) => columns.push(column),
                None => tables.push(vec![column]),
            }
        }
        tables.iter().enumerate().try_for_each(|(nth, columns)| {
            f.write_str(if nth == 0 { "" } else { "\n\n" })?;
            write_table(f, columns)
        })
    }
}

fn write_table(f: &mut fmt::Formatter<'_>, columns: &[&(String, &Curve)]) -> fmt::Result {
    let Some((_, longest)) = columns.iter().max_by_key(|(_, curve)| curve.len()) else { return Ok(()) };
    let axis = longest.axis.name();
    let ticks: Vec<_> = (0..longest.len()).map(|row| longest.axis.tick(row)).collect();
    let first = ticks.iter().map(|tick| width::columns(tick)).fold(width::columns(&axis), usize::max).max(WIDTH);
    let cells: Vec<Vec<String>> = columns.iter().map(|(name, curve)| cells(name, curve)).collect();
    let widths = columns.iter().zip(&cells).map(|((name, _), cells)| {
        cells.iter().map(|cell| width::columns(cell)).fold(width::columns(name), usize::max).max(WIDTH)
    });
    let widths: Vec<usize> = widths.collect();
    f.write_str(&width::padded(&axis, first))?;
    columns.iter().zip(&widths).try_for_each(|((name, _), width)| write!(f, "  {}", width::right(name, *width)))?;
    for (row, tick) in ticks.iter().enumerate() {
        write!(f, "\n{}", width::padded(tick, first))?;
        for (cells, width) in cells.iter().zip(&widths) {
            let cell = cells.get(row).map_or("", String::as_str);
            write!(f, "  {}", width::right(cell, *width))?;
        }
    }
    Ok(())
}

/// The numbers of a column; those of a difference have their standard errors, which say whether it is one.
fn cells(name: &str, curve: &Curve) -> Vec<String> {
    let is_difference = catalogue::find(name).is_some_and(|entry| entry.is_difference);
    let cell = |Estimate { mean, sem }: Estimate| match sem.filter(|_| is_difference) {
        Some(sem) => format!("{mean:.3} ± {sem:.3}"),
        None => format!("{mean:.3}"),
    };
    curve.estimates().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{CorpusRecord, InterventionRecord, ModelRecord, Unit};

    use super::*;

    fn profile(curves: &[(&str, &str, Vec<f64>)]) -> Profile {
        let mut profile = Profile::new(ModelRecord::new("m", 2, 4, 8), CorpusRecord::new("c", 1, 4));
        for (sweep, metric, mean) in curves {
            let curve = Curve::new(Axis::counting("start", mean.len()), Unit::Nats, mean.clone());
            profile.curves.insert(format!("{sweep}_{metric}"), curve);
            let run = InterventionRecord::in_sweep(*sweep, 0, "0").with_metric(*metric, Estimate::exact(0.0));
            profile.interventions.push(run);
        }
        profile
    }

    #[test]
    fn other_sweeps_have_a_column_and_usual_ones_their_other_metrics() {
        let profile = profile(&[
            ("delete", "kl", vec![1.0, 2.0]),
            ("delete", "js", vec![0.25, 0.5]),
            ("repeat_2", "kl", vec![3.0]),
            ("repeat_2", "nll", vec![4.0]),
        ]);
        let expected = "start     delete_js  repeat_2_kl\n\
                        0             0.250        3.000\n\
                        1             0.500             ";
        assert_eq!(SweepTable::new(&profile).to_string(), expected);
    }

    #[test]
    fn without_kl_every_metric_is_shown() {
        let table = SweepTable::new(&profile(&[("repeat_2", "nll", vec![4.0])])).to_string();
        assert_eq!(table, "start     repeat_2_nll\n0                4.000");
        let usual = profile(&[("delete", "kl", vec![1.0, 2.0])]);
        assert_eq!(SweepTable::new(&usual).to_string(), "");
    }

    #[test]
    fn differences_have_their_errors() {
        let mut profile = profile(&[("knock_out_within_words", "kl", vec![1.0, 2.0])]);
        let difference = Curve::new(Axis::counting("start", 2), Unit::Nats, vec![0.5, -0.25]);
        profile.curves.insert("knock_out_words_kl".into(), difference.with_sem(vec![Some(0.125), None]));
        let expected = "start     knock_out_within_words_kl  knock_out_words_kl\n\
                        0                             1.000       0.500 ± 0.125\n\
                        1                             2.000              -0.250";
        assert_eq!(SweepTable::new(&profile).to_string(), expected);
    }

    #[test]
    fn every_axis_has_a_table_and_heads_have_none() {
        let mut profile =
            profile(&[("repeat_2", "kl", vec![3.0]), ("sets", "kl", vec![]), ("zero_heads", "kl", vec![])]);
        let classes = Axis::labelled("class", ["a long name", "b"]);
        let curve = |values: [f64; 2]| Curve::new(classes.clone(), Unit::Nats, values.to_vec());
        profile.curves.insert("sets_kl".into(), curve([1.0, 2.0]));
        profile.curves.insert("sets_difference_kl".into(), curve([0.5, -1.0]));
        let heads = Curve::new(Axis::all_heads(2, 2), Unit::Nats, vec![1.0; 4]);
        profile.curves.insert("zero_heads_kl".into(), heads);
        let expected = "start     repeat_2_kl\n\
                        0               3.000\n\n\
                        class         sets_kl  sets_difference_kl\n\
                        a long name     1.000               0.500\n\
                        b               2.000              -1.000";
        assert_eq!(SweepTable::new(&profile).to_string(), expected);
    }
}

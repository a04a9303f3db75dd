//! A terminal table of sweeps beyond the usual ones: [`SweepTable`].

use std::collections::BTreeSet;
use std::fmt;

use stratigraph_profile::{Curve, Profile};

/// Sweeps that the table of layers shows by the default metrics.
const USUAL_SWEEPS: [&str; 3] = ["delete", "swap", "lens"];
/// The default metrics of a study.
const DEFAULT_METRICS: [&str; 5] = ["kl", "top1_agreement", "entropy_bits", "nll", "accuracy"];
/// The narrowest column.
const WIDTH: usize = 8;

/// A row for each point of the axis, and a column for each curve of a sweep that the table of layers leaves out: the KL
/// divergence of other sweeps (all of their metrics where it is not measured), and every metric that is not a default
/// one.
pub struct SweepTable<'a> {
    columns: Vec<(String, &'a Curve)>,
}

impl<'a> SweepTable<'a> {
    /// The table of a profile.
    pub fn new(profile: &'a Profile) -> Self {
        let sweeps: BTreeSet<&str> = profile.interventions.iter().filter_map(|run| run.sweep.as_deref()).collect();
        let metrics: BTreeSet<&str> =
            profile.interventions.iter().flat_map(|run| run.metrics.keys().map(String::as_str)).collect();
        let has_kl = metrics.contains("kl");
        let is_shown = |sweep: &str, metric: &str| {
            let is_usual = USUAL_SWEEPS.contains(&sweep);
            !DEFAULT_METRICS.contains(&metric) || !is_usual && (metric == "kl" || !has_kl)
        };
        let names = sweeps.iter().flat_map(|sweep| metrics.iter().map(move |metric| (*sweep, *metric)));
        let names = names.filter(|(sweep, metric)| is_shown(sweep, metric));
        let columns = names.filter_map(|(sweep, metric)| {
            let name = format!("{sweep}_{metric}");
            let curve = profile.curves.get(&name)?;
            Some((name, curve))
        });
        Self { columns: columns.collect() }
    }
}

impl fmt::Display for SweepTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((_, longest)) = self.columns.iter().max_by_key(|(_, curve)| curve.len()) else { return Ok(()) };
        let axis = longest.axis.name();
        let first = axis.len().max(WIDTH);
        let width = |name: &str| name.len().max(WIDTH);
        write!(f, "{axis:first$}")?;
        self.columns.iter().try_for_each(|(name, _)| write!(f, "  {name:>0$}", width(name)))?;
        for row in 0..longest.len() {
            write!(f, "\n{:first$}", longest.axis.tick(row))?;
            for (name, curve) in &self.columns {
                let cell = curve.mean.get(row).map(|mean| format!("{mean:.3}")).unwrap_or_default();
                write!(f, "  {cell:>0$}", width(name))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Axis, CorpusRecord, Estimate, InterventionRecord, ModelRecord, Unit};

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
}

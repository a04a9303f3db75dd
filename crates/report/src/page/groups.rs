//! Interventions by groups of positions in tables, where no figure shows them: [`section`].

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use stratigraph_profile::{InterventionRecord, Profile, catalogue};

use super::tables::{cell, close_table, open_table};
use crate::groups::GroupMetrics;
use crate::text::Escaped;

/// What a table shows.
struct Shown<'a> {
    /// None for interventions that belong to no sweep.
    sweep: Option<&'a str>,
    grouping: &'a str,
    metric: &'a str,
}

/// A table for each sweep, grouping and metric that has no matrix: sweeps over two axes, sets of neurons and single
/// interventions, each with a row for an intervention and a column for a group.
pub(super) fn section(f: &mut impl Write, profile: &Profile) -> fmt::Result {
    let metrics = GroupMetrics::of(profile);
    let sweeps: BTreeSet<_> = profile.interventions.iter().map(|run| run.sweep.as_deref()).collect();
    for sweep in sweeps {
        let Some(first) = runs(profile, sweep).find(|run| sweep.is_some() || run.name != InterventionRecord::CLEAN)
        else {
            continue;
        };
        for grouping in first.groups.keys() {
            for metric in first.metrics.keys().filter(|metric| metrics.shows(metric)) {
                let shown = Shown { sweep, grouping, metric };
                if !shown.has_matrix(profile) {
                    shown.table(f, profile)?;
                }
            }
        }
    }
    Ok(())
}

/// The interventions of a sweep, or those of none.
fn runs<'a>(profile: &'a Profile, sweep: Option<&'a str>) -> impl Iterator<Item = &'a InterventionRecord> {
    profile.interventions.iter().filter(move |run| run.sweep.as_deref() == sweep)
}

impl Shown<'_> {
    fn has_matrix(&self, profile: &Profile) -> bool {
        let Self { sweep, grouping, metric } = self;
        sweep.is_some_and(|sweep| profile.matrices.contains_key(&format!("{sweep}_{metric}_by_{grouping}")))
    }

    fn title(&self) -> String {
        let known = |sweep: &str| catalogue::find_sweep(sweep).map_or(sweep.replace('_', " "), |entry| entry.title);
        let sweep = self.sweep.map_or("Single interventions".to_owned(), known);
        let metric = catalogue::find_metric(self.metric).map_or(self.metric.to_owned(), |entry| entry.label);
        let grouping = catalogue::find_grouping(self.grouping).map_or(self.grouping, |entry| entry.title);
        format!("{sweep}: {metric} by {grouping}")
    }

    fn table(&self, f: &mut impl Write, profile: &Profile) -> fmt::Result {
        let Self { sweep, grouping, metric } = *self;
        let Some(groups) = runs(profile, sweep).find_map(|run| run.groups.get(grouping)) else { return Ok(()) };
        let columns: Vec<_> = groups.iter().map(|it| format!("{} ({} positions)", it.group, it.positions)).collect();
        open_table(f, &self.title(), "intervention", columns.iter().map(String::as_str))?;
        for run in runs(profile, sweep) {
            write!(f, "<tr><th scope=\"row\" title=\"{}\">{}</th>", Escaped(&run.text), Escaped(&run.name))?;
            let groups = run.groups.get(grouping).into_iter().flatten();
            groups.into_iter().try_for_each(|group| cell(f, group.metrics.get(metric).copied()))?;
            f.write_str("</tr>\n")?;
        }
        close_table(f)
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Axis, Estimate, GroupRecord, Matrix, Unit};

    use super::*;
    use crate::testing::profile;

    fn run(sweep: Option<&str>, name: &str, kl: f64) -> InterventionRecord {
        let mut run = InterventionRecord::new(name, "0-1").with_metric("kl", Estimate::exact(kl));
        run.sweep = sweep.map(str::to_owned);
        let run = run.with_metric("entropy_bits", Estimate::exact(1.0));
        let digits = GroupRecord::new("digit", 7).with_metric("kl", Estimate::new(kl / 2.0, Some(0.125)));
        run.with_groups("class", vec![digits, GroupRecord::new("<other>", 2)])
    }

    #[test]
    fn what_has_no_matrix_has_a_table() {
        let runs = [
            run(None, "clean", 0.0),
            run(Some("delete"), "delete 0", 3.0),
            run(Some("zero_heads"), "zero_heads 0 1", 0.5),
            run(Some("neuron_sets"), "neuron_sets entropy", 0.25),
        ];
        let groups = Axis::labelled("class", ["digit", "<other>"]);
        let matrix = Matrix::new(Axis::layers(1), groups, Unit::Nats, vec![vec![1.5, f64::NAN]]);
        let profile = profile(1, &[]).with_matrix("delete_kl_by_class", matrix).unwrap();
        let profile = runs.into_iter().fold(profile, Profile::with_intervention);
        let html = |profile: &Profile| {
            let mut html = String::new();
            section(&mut html, profile).unwrap();
            html
        };
        let found = html(&profile);
        let titles: Vec<_> =
            found.split("<summary>").skip(1).map(|it| it.split("</summary>").next().unwrap()).collect();
        assert_eq!(titles, ["Zeroing a class of neurons: KL by token class", "Zeroing a head: KL by token class"]);
        assert!(found.contains("<th scope=\"col\">digit (7 positions)</th>"), "{found}");
        assert!(
            found.contains("zero_heads 0 1</th><td title=\"0.25\">0.25 <small>±0.12</small></td><td></td>"),
            "{found}"
        );
        assert!(!found.contains("<other>"), "{found}");
        let own = html(&profile.with_intervention(run(None, "mine", 1.0)));
        assert!(own.contains("Single interventions: KL by token class") && own.contains(">clean</th>"), "{own}");
    }
}

//! Every number of a profile in tables: curves over depth, other curves, matrices, interventions, and single numbers.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use stratigraph_profile::{Curve, Estimate, InterventionRecord, Matrix, Profile, catalogue};

use crate::csv::{metrics, not_over_depth, over_depth, row_names};
use crate::figure::Panel;
use crate::text::{Escaped, Number};

/// A matrix of more cells has no table.
const MOST_CELLS: usize = 20_000;

pub(super) fn section(f: &mut impl Write, profile: &Profile) -> fmt::Result {
    f.write_str("<section id=\"numbers\">\n<h2>All numbers</h2>\n<p>Means, with one standard error (±). ")?;
    f.write_str("A curve over residual positions has its value after the last layer in the row <i>end</i>.</p>\n")?;
    for (title, curves) in groups(profile) {
        open_table(f, &title, "layer", curves.iter().map(|(name, _)| *name))?;
        rows(f, &curves, &row_names(curves.iter().map(|(_, curve)| *curve), profile.model.n_layers))?;
        close_table(f)?;
    }
    for (name, curve) in not_over_depth(profile).filter(|(_, curve)| !curve.is_empty()) {
        let names: Vec<_> = (0..curve.len()).map(|index| curve.axis.tick(index)).collect();
        let title = catalogue::describe(name, curve).title;
        open_table(f, &title, &curve.axis.name(), [name.as_str()].into_iter())?;
        rows(f, &[(name.as_str(), curve)], &names)?;
        close_table(f)?;
    }
    for (name, it) in profile.matrices.iter().filter(|(_, it)| it.has_numbers()) {
        matrix(f, name, it)?;
    }
    if !profile.interventions.is_empty() {
        interventions(f, &profile.interventions)?;
        super::groups::section(f, profile)?;
    }
    if !profile.values.is_empty() {
        open_table(f, "Single numbers", "name", ["value"].into_iter())?;
        for (name, value) in &profile.values {
            write!(f, "<tr><th scope=\"row\">{}</th>", Escaped(name))?;
            cell(f, Some(*value))?;
            f.write_str("</tr>\n")?;
        }
        close_table(f)?;
    }
    f.write_str("</section>\n")
}

type Named<'a> = (&'a str, &'a Curve);

/// The curves over depth by the groups of the catalogue.
fn groups(profile: &Profile) -> BTreeMap<String, Vec<Named<'_>>> {
    let mut groups: BTreeMap<String, Vec<Named>> = BTreeMap::new();
    for (name, curve) in over_depth(profile).filter(|(_, curve)| !curve.is_empty()) {
        groups.entry(catalogue::describe(name, curve).group).or_default().push((name, curve));
    }
    groups.values_mut().for_each(|curves| curves.sort_by_key(|(name, _)| counted(name)));
    groups
}

/// A name split into parts, so that numbers in it are ordered as numbers.
fn counted(name: &str) -> Vec<(usize, &str)> {
    name.split('_').map(|part| (part.parse().unwrap_or_default(), part)).collect()
}

fn rows(f: &mut impl Write, curves: &[Named], names: &[String]) -> fmt::Result {
    for (row, name) in names.iter().enumerate() {
        write!(f, "<tr><th scope=\"row\">{}</th>", Escaped(name))?;
        curves.iter().try_for_each(|(_, curve)| cell(f, curve.estimates().nth(row)))?;
        f.write_str("</tr>\n")?;
    }
    Ok(())
}

/// A matrix, unless it is too large for a page.
fn matrix(f: &mut impl Write, name: &str, matrix: &Matrix) -> fmt::Result {
    let Matrix { rows, columns, .. } = matrix;
    let title = format!("{} ({name})", Panel::from_matrix(name, matrix).title());
    let n_cells = rows.len().saturating_mul(columns.len());
    if n_cells > MOST_CELLS {
        let title = Escaped(&title);
        return writeln!(f, "<p>{title}: {n_cells} numbers are too many for a table; profile.json has them.</p>");
    }
    let names: Vec<_> = (0..columns.len()).map(|column| columns.tick(column)).collect();
    let first = format!("{} by {}", rows.name(), columns.name());
    open_table(f, &title, &first, names.iter().map(String::as_str))?;
    for row in 0..rows.len() {
        write!(f, "<tr><th scope=\"row\">{}</th>", Escaped(&rows.tick(row)))?;
        (0..columns.len()).try_for_each(|column| cell(f, matrix.estimate(row, column)))?;
        f.write_str("</tr>\n")?;
    }
    close_table(f)
}

/// Interventions by their names; their text is shown under the mouse.
fn interventions(f: &mut impl Write, interventions: &[InterventionRecord]) -> fmt::Result {
    let metrics = metrics(interventions);
    open_table(f, "Interventions", "intervention", metrics.iter().map(|metric| metric.as_str()))?;
    for it in interventions {
        write!(f, "<tr><th scope=\"row\" title=\"{}\">{}</th>", Escaped(&it.text), Escaped(&it.name))?;
        metrics.iter().try_for_each(|metric| cell(f, it.metrics.get(*metric).copied()))?;
        f.write_str("</tr>\n")?;
    }
    close_table(f)
}

/// A number in its cell; all its digits are shown under the mouse.
pub(super) fn cell(f: &mut impl Write, estimate: Option<Estimate>) -> fmt::Result {
    let Some(estimate) = estimate.filter(|estimate| estimate.mean.is_finite()) else {
        return f.write_str("<td></td>");
    };
    write!(f, "<td title=\"{}\">{}", estimate.mean, Number(estimate.mean))?;
    if let Some(sem) = estimate.sem.filter(|sem| sem.is_finite()) {
        write!(f, " <small>±{}</small>", Number((format!("{sem:.1e}")).parse().unwrap_or(sem)))?;
    }
    f.write_str("</td>")
}

/// Opens a table that is folded at first.
pub(crate) fn open_table<'a>(
    f: &mut impl Write,
    title: &str,
    first: &str,
    columns: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    let (title, first) = (Escaped(title), Escaped(first));
    writeln!(f, "<details><summary>{title}</summary>")?;
    write!(f, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table>\n<thead><tr>")?;
    write!(f, "<th scope=\"col\">{first}</th>")?;
    for column in columns {
        write!(f, "<th scope=\"col\">{}</th>", Escaped(column))?;
    }
    f.write_str("</tr></thead>\n<tbody>\n")
}

/// Closes the table.
pub(crate) fn close_table(f: &mut impl Write) -> fmt::Result {
    f.write_str("</tbody></table></div></details>\n")
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Axis, Unit};

    use super::*;
    use crate::testing::profile;

    #[test]
    fn every_matrix_has_a_table_unless_it_is_too_large() {
        let cells = [0.5, 2.0].map(|mean| Estimate::new(mean, Some(0.125)));
        let small = Matrix::from_estimates(Axis::layers(1), Axis::labelled("class", ["<a>", "b"]), Unit::Nats, cells);
        let large = Matrix::new(Axis::layers(1), Axis::heads(20_001), Unit::Nats, vec![vec![0.25; 20_001]]);
        let profile = profile(1, &[]).with_matrix("mine", small.with_title("My <own>")).unwrap();
        let profile = profile.with_matrix("large", large).unwrap();
        let mut html = String::new();
        section(&mut html, &profile).unwrap();
        assert!(html.contains("<summary>My &lt;own&gt; (mine)</summary>"), "{html}");
        let row = "<th scope=\"col\">layer by class</th><th scope=\"col\">&lt;a&gt;</th><th scope=\"col\">b</th></tr></thead>\n\
                   <tbody>\n<tr><th scope=\"row\">0</th><td title=\"0.5\">0.5 <small>±0.12</small></td>";
        assert!(html.contains(row), "{html}");
        assert!(html.contains("<p>large (large): 20001 numbers are too many for a table; profile.json has them.</p>"));
        assert!(!html.contains("0.25"), "{html}");
    }
}

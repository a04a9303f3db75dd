//! Every number of a profile in tables: curves by layer, interventions, and single numbers.

use std::fmt::{self, Write};

use stratigraph_stages::{Curve, Estimate, Intervention, Profile};

use crate::text::{Escaped, Number};

/// What curves are about, by the beginnings of their names; the last that fits counts.
const FAMILIES: [(&str, &[&str]); 9] = [
    ("Deleting a layer", &["delete_"]),
    ("Swapping a layer with the next", &["swap_"]),
    ("Running blocks of layers twice", &["repeat_"]),
    ("The lens before a layer", &["lens_"]),
    ("Attention", &["prev5_", "first_token_", "attention_"]),
    ("Geometry", &["resid_", "attn_out_", "mlp_out_", "cosine_", "block_", "angular_", "cka"]),
    ("Neurons", &["prediction_", "suppression_", "mean_"]),
    ("Words in context", &["wic_"]),
    ("Attention and MLP apart", &["delete_attention_", "delete_mlp_", "mean_attention_", "mean_mlp_", "resample_"]),
];

pub(super) fn section(f: &mut impl Write, profile: &Profile, interventions: &[Intervention]) -> fmt::Result {
    f.write_str("<section id=\"numbers\">\n<h2>All numbers</h2>\n<p>Means, with one standard error over windows. ")?;
    f.write_str("What the lens and the residual stream have after the last layer stands in the row <i>end</i>. ")?;
    f.write_str("The numbers of heat maps are told by their cells.</p>\n")?;
    for (title, curves) in families(profile) {
        open_table(f, title, "layer", curves.iter().map(|(name, _)| *name))?;
        layers(f, &curves, profile.model.n_layers)?;
        close_table(f)?;
    }
    if !interventions.is_empty() {
        all_interventions(f, interventions)?;
    }
    if !profile.values.is_empty() {
        open_table(f, "Single numbers", "name", ["value"].into_iter())?;
        for (name, value) in &profile.values {
            write!(f, "<tr><th scope=\"row\">{}</th>", Escaped(name))?;
            cell(f, Some(value))?;
            f.write_str("</tr>\n")?;
        }
        close_table(f)?;
    }
    f.write_str("</section>\n")
}

type Named<'a> = (&'a str, &'a Curve);

/// The curves by what they are about, those of unknown names last.
fn families(profile: &Profile) -> Vec<(&'static str, Vec<Named<'_>>)> {
    let family = |name: &str| {
        let fits = |(_, starts): &(&str, &[&str])| starts.iter().any(|start| name.starts_with(start));
        FAMILIES.iter().rposition(fits).unwrap_or(FAMILIES.len())
    };
    let titles = FAMILIES.iter().map(|(title, _)| *title).chain(["Other curves"]);
    let mut all: Vec<_> = titles.map(|title| (title, Vec::new())).collect();
    let curves = profile.curves.iter().filter(|(_, curve)| !curve.is_empty());
    curves.for_each(|(name, curve)| all[family(name)].1.push((name.as_str(), curve)));
    all.retain(|(_, curves)| !curves.is_empty());
    all.iter_mut().for_each(|(_, curves)| curves.sort_by_key(|(name, _)| counted(name)));
    all
}

/// A name in parts of which those that are numbers are ordered as numbers.
fn counted(name: &str) -> Vec<(usize, &str)> {
    name.split('_').map(|part| (part.parse().unwrap_or_default(), part)).collect()
}

fn layers(f: &mut impl Write, curves: &[Named], n_layers: usize) -> fmt::Result {
    let n_rows = curves.iter().map(|(_, curve)| curve.len()).max().unwrap_or(0);
    for row in 0..n_rows {
        let layer = if row < n_layers { row.to_string() } else { "end".to_owned() };
        write!(f, "<tr><th scope=\"row\">{layer}</th>")?;
        for (_, curve) in curves {
            let sem = curve.sem.get(row).copied().flatten();
            let estimate = curve.mean.get(row).map(|&mean| Estimate { mean, sem });
            cell(f, estimate.as_ref())?;
        }
        f.write_str("</tr>\n")?;
    }
    Ok(())
}

fn all_interventions(f: &mut impl Write, interventions: &[Intervention]) -> fmt::Result {
    let metrics: std::collections::BTreeSet<_> = interventions.iter().flat_map(|done| done.metrics.keys()).collect();
    let columns = ["layer", "plan"].into_iter().chain(metrics.iter().map(|metric| metric.as_str()));
    open_table(f, "Interventions", "intervention", columns)?;
    for done in interventions {
        let layer = done.layer.map(|layer| layer.to_string()).unwrap_or_default();
        let (kind, plan) = (done.kind.to_string(), Escaped(&done.plan));
        write!(f, "<tr><th scope=\"row\">{kind}</th><td>{layer}</td><td class=\"plan\" title=\"{plan}\">{plan}</td>")?;
        metrics.iter().try_for_each(|metric| cell(f, done.metrics.get(*metric)))?;
        f.write_str("</tr>\n")?;
    }
    close_table(f)
}

/// A number in its cell; the mouse is told all its digits.
fn cell(f: &mut impl Write, estimate: Option<&Estimate>) -> fmt::Result {
    let Some(estimate) = estimate.filter(|estimate| estimate.mean.is_finite()) else {
        return f.write_str("<td></td>");
    };
    write!(f, "<td title=\"{}\">{}", estimate.mean, Number(estimate.mean))?;
    if let Some(sem) = estimate.sem.filter(|sem| sem.is_finite()) {
        write!(f, " <small>±{}</small>", Number((format!("{sem:.1e}")).parse().unwrap_or(sem)))?;
    }
    f.write_str("</td>")
}

/// Opens a table that is shown when it is asked for.
pub(crate) fn open_table<'a>(
    f: &mut impl Write,
    title: &str,
    first: &str,
    columns: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    writeln!(f, "<details><summary>{title}</summary>")?;
    write!(f, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table>\n<thead><tr>")?;
    write!(f, "<th scope=\"col\">{first}</th>")?;
    for column in columns {
        write!(f, "<th scope=\"col\">{}</th>", Escaped(column))?;
    }
    f.write_str("</tr></thead>\n<tbody>\n")
}

/// Closes it.
pub(crate) fn close_table(f: &mut impl Write) -> fmt::Result {
    f.write_str("</tbody></table></div></details>\n")
}

//! A profile in a terminal: [`LayerTable`].

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, Table};
use stratigraph_profile::catalogue::{self, CurveEntry};
use stratigraph_profile::{Curve, Profile, Unit};

use crate::csv::{over_depth, row_names};

/// Prints a profile as tables with a row for each layer: damage and lens, the inside of the unchanged model, and the curves that are
/// not in the catalogue. A residual position is in the row of the layer after it.
pub struct LayerTable<'a> {
    profile: &'a Profile,
}

/// A line above and below, and one under the heading, in the order in which comfy-table names the parts of a table.
const LINES: &str = "  ── ──      ──    ";

/// The effect of interventions, and the lens.
const DAMAGE: [&str; 11] = [
    "delete_kl",
    "delete_top1_agreement",
    "delete_entropy_bits",
    "delete_nll",
    "swap_kl",
    "swap_top1_agreement",
    "swap_nll",
    "lens_kl",
    "lens_top1_agreement",
    "lens_entropy_bits",
    "lens_nll",
];

/// Measures inside the unchanged model.
const INSIDE: [&str; 10] = [
    "prev5_attention_mass",
    "first_token_attention",
    "resid_norm",
    "attn_out_norm",
    "mlp_out_norm",
    "block_influence",
    "cka_adjacent",
    "prediction_neurons",
    "suppression_neurons",
    "mean_kurtosis",
];

impl<'a> LayerTable<'a> {
    /// The table of a profile.
    pub fn new(profile: &'a Profile) -> Self {
        Self { profile }
    }

    /// Whether it has a column for a curve of the catalogue, in profiles that have the curve.
    pub fn shows(curve: &str) -> bool {
        DAMAGE.contains(&curve) || INSIDE.contains(&curve)
    }
}

impl fmt::Display for LayerTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own =
            over_depth(self.profile).map(|(name, _)| name.as_str()).filter(|name| catalogue::find(name).is_none());
        let own: Vec<&str> = own.collect();
        let tables: Vec<_> =
            [&DAMAGE[..], &INSIDE[..], &own].into_iter().filter_map(|names| self.table(names)).collect();
        for (index, table) in tables.iter().enumerate() {
            write!(f, "{}{table}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl LayerTable<'_> {
    /// The table of those columns whose curves are there; `None` when there are none.
    fn table(&self, names: &[&str]) -> Option<Table> {
        let curve = |name: &str| {
            let curve = self.profile.curves.get(name).filter(|curve| !curve.is_empty())?;
            Some((catalogue::describe(name, curve), curve))
        };
        let columns: Vec<(CurveEntry, &Curve)> = names.iter().filter_map(|name| curve(name)).collect();
        columns.first()?;
        let mut table = Table::new();
        table.load_preset(LINES).set_content_arrangement(ContentArrangement::Disabled);
        let group = |index: usize| columns[index].0.sweep.clone().unwrap_or_default();
        // The name of a sweep is above its columns, once.
        let above = |index: usize| match index.checked_sub(1).map(group) {
            Some(before) if before == group(index) => "\n".to_owned(),
            _ => format!("{}\n", group(index)),
        };
        let has_sweeps = columns.iter().any(|(entry, _)| entry.sweep.is_some());
        let above = |index: usize| if has_sweeps { above(index) } else { String::new() };
        let layer = if has_sweeps { "\n\nlayer" } else { "\nlayer" }.to_owned();
        let headings = (0..columns.len()).map(|index| above(index) + &heading(&columns[index].0));
        table.set_header(std::iter::once(layer).chain(headings));
        let rows = row_names(columns.iter().map(|(_, curve)| *curve), self.profile.model.n_layers);
        for (row, name) in rows.into_iter().enumerate() {
            let cells = columns.iter().map(|(entry, curve)| match curve.mean.get(row) {
                Some(&mean) if mean.is_finite() => number(mean, &entry.unit),
                _ => String::new(),
            });
            table.add_row(std::iter::once(name).chain(cells));
        }
        table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        Some(table)
    }
}

/// The metric or curve with its unit, in two lines.
fn heading(entry: &CurveEntry) -> String {
    let label = entry.metric.as_ref().map_or(&entry.label, |metric| &metric.label);
    let from_middle = |at: &usize| (2 * at).abs_diff(label.len());
    match label.match_indices(' ').map(|(at, _)| at).min_by_key(from_middle) {
        Some(at) => format!("{}\n{}", &label[..at], &label[at + 1..]),
        None => format!("{label}\n{}", entry.unit),
    }
}

/// A number with the decimals of its unit; in exponent form where these would show 0 for a number that is not 0.
fn number(value: f64, unit: &Unit) -> String {
    let digits = format!("{value:.0$}", decimals(unit));
    let shows_nothing = digits.parse::<f64>() == Ok(0.0);
    if shows_nothing && value != 0.0 { format!("{value:.1e}") } else { digits }
}

/// How many decimals a number of a unit has.
fn decimals(unit: &Unit) -> usize {
    match unit {
        Unit::Count => 0,
        Unit::Norm => 1,
        Unit::Bits => 2,
        Unit::Cosine | Unit::Dimensionless => 4,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::profile;

    #[test]
    fn headings_come_from_the_catalogue() {
        let curves: [(&str, &[f64]); 4] = [
            ("delete_kl", &[0.5, 0.25]),
            ("delete_top1_agreement", &[0.5, f64::NAN]),
            ("lens_kl", &[3.0, 1.0, 0.0]),
            ("mine", &[1.0, 2.0]),
        ];
        let text = LayerTable::new(&profile(2, &curves)).to_string();
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lines: Vec<_> = text.lines().filter(|line| !line.contains('─')).map(words).collect();
        let expected = [
            &["delete", "lens"][..],
            &["KL", "top-1", "KL"],
            &["layer", "nats", "agreement", "nats"],
            &["0", "0.500", "0.500", "3.000"],
            &["1", "0.250", "1.000"],
            &["end", "0.000"],
        ];
        assert_eq!(lines[..6], expected, "{text}");
        assert!(text.contains("mine") && text.contains("2.0000"), "{text}");
    }

    #[test]
    fn only_zero_is_shown_as_zero() {
        let shown = [0.0, 0.0005, 0.0004, -1.234e-9, 0.5].map(|value| number(value, &Unit::Nats));
        assert_eq!(shown, ["0.000", "0.001", "4.0e-4", "-1.2e-9", "0.500"]);
        assert_eq!([0.3, 7.0].map(|value| number(value, &Unit::Count)), ["3.0e-1", "7"]);
    }
}

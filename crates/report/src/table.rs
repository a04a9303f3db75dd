//! A profile in a terminal: [`LayerTable`].

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, Table};
use stratigraph_stages::Profile;

/// Prints a profile as tables with a row a layer: what surgery and the lens measure, and what is measured inside.
pub struct LayerTable<'a> {
    profile: &'a Profile,
}

/// A line above and below, and one under the heading, in the order in which comfy-table names the parts of a table.
const LINES: &str = "  ── ──      ──    ";

/// A curve, the heading of its column, and how many decimals it has there.
type Column = (&'static str, &'static str, usize);

/// What surgery and the lens measure.
const DAMAGE: [Column; 11] = [
    ("delete_kl", "delete\nKL nats", 3),
    ("delete_top1_agreement", "\ntop-1", 3),
    ("delete_entropy_bits", "\nH bits", 2),
    ("delete_nll", "\nloss nats", 3),
    ("swap_kl", "swap\nKL nats", 3),
    ("swap_top1_agreement", "\ntop-1", 3),
    ("swap_nll", "\nloss nats", 3),
    ("lens_kl", "lens before\nKL nats", 3),
    ("lens_top1_agreement", "\ntop-1", 3),
    ("lens_entropy_bits", "\nH bits", 2),
    ("lens_nll", "\nloss nats", 3),
];

/// What is measured inside the unchanged model.
const INSIDE: [Column; 10] = [
    ("prev5_attention_mass", "attention\nto last 5", 3),
    ("first_token_attention", "\nto first", 3),
    ("resid_norm", "norm of\nresidual", 1),
    ("attn_out_norm", "\nattention", 1),
    ("mlp_out_norm", "\nMLP", 1),
    ("block_influence", "block\ninfluence", 4),
    ("cka_adjacent", "CKA with\nthe next", 4),
    ("prediction_neurons", "neurons\npredict", 0),
    ("suppression_neurons", "\nsuppress", 0),
    ("mean_kurtosis", "\nkurtosis", 2),
];

impl<'a> LayerTable<'a> {
    /// The table of a profile.
    pub fn new(profile: &'a Profile) -> Self {
        Self { profile }
    }
}

impl fmt::Display for LayerTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: Vec<_> = [&DAMAGE[..], &INSIDE[..]].into_iter().filter_map(|columns| self.table(columns)).collect();
        for (index, table) in tables.iter().enumerate() {
            write!(f, "{}{table}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl LayerTable<'_> {
    /// The table of those columns whose curves are there; `None` when there are none.
    fn table(&self, columns: &[Column]) -> Option<Table> {
        let columns =
            columns.iter().filter_map(|(name, heading, d)| Some((self.profile.curves.get(*name)?, heading, d)));
        let columns: Vec<_> = columns.collect();
        let n_rows = columns.iter().map(|(curve, ..)| curve.len()).max()?;
        let mut table = Table::new();
        table.load_preset(LINES).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(std::iter::once("\nlayer").chain(columns.iter().map(|(_, heading, _)| **heading)));
        for row in 0..n_rows {
            let cells = columns.iter().map(|&(curve, _, &decimals)| match curve.mean.get(row) {
                Some(mean) if mean.is_finite() => format!("{mean:.decimals$}"),
                _ => String::new(),
            });
            let layer = if row < self.profile.model.n_layers { row.to_string() } else { "end".to_owned() };
            table.add_row(std::iter::once(layer).chain(cells));
        }
        table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        Some(table)
    }
}

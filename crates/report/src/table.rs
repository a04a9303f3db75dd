//! A profile in a terminal: [`LayerTable`].

use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, Table};
use stratigraph_stages::Profile;

/// Prints a profile as a table with a row a layer.
pub struct LayerTable<'a> {
    profile: &'a Profile,
}

/// A line above and below, and one under the heading, in the order in which comfy-table names the parts of a table.
const LINES: &str = "  ── ──      ──    ";

/// Which curves have a column, under which heading, with how many decimals.
const COLUMNS: [(&str, &str, usize); 11] = [
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

impl<'a> LayerTable<'a> {
    /// The table of a profile.
    pub fn new(profile: &'a Profile) -> Self {
        Self { profile }
    }
}

impl fmt::Display for LayerTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = COLUMNS.map(|(name, heading, decimals)| (self.profile.curves.get(name), heading, decimals));
        let columns: Vec<_> = columns.into_iter().filter_map(|(c, h, d)| Some((c?, h, d))).collect();
        let mut table = Table::new();
        table.load_preset(LINES).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(std::iter::once("\nlayer").chain(columns.iter().map(|(_, heading, _)| *heading)));
        let n_rows = columns.iter().map(|(curve, ..)| curve.len()).max().unwrap_or(0);
        for row in 0..n_rows {
            let cells = columns.iter().map(|(curve, _, decimals)| match curve.mean.get(row) {
                Some(mean) => format!("{mean:.decimals$}"),
                None => String::new(),
            });
            let layer = if row < self.profile.model.n_layers { row.to_string() } else { "end".to_owned() };
            table.add_row(std::iter::once(layer).chain(cells));
        }
        table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        write!(f, "{table}")
    }
}

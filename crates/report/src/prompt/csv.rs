//! The grids of lenses as rows of a CSV file: [`LENS_COLUMNS`], [`lens_rows`].

use stratigraph_profile::prompt::{LensCell, LensGrid, PromptReading};

/// The columns of [`lens_rows`].
pub const LENS_COLUMNS: [&str; 13] = [
    "lens",
    "residual_position",
    "position",
    "token_id",
    "token",
    "top1_id",
    "top1",
    "probability",
    "entropy_bits",
    "kl",
    "nll",
    "output_rank",
    "output_probability",
];

/// A row for each cell of each grid, with all digits; a residual position without a map has no rows.
pub fn lens_rows(reading: &PromptReading) -> impl Iterator<Item = Vec<String>> + '_ {
    reading.lenses.iter().flat_map(move |grid| {
        grid.rows.iter().enumerate().flat_map(move |(row, cells)| {
            cells.iter().enumerate().map(move |(position, cell)| line(reading, grid, [row, position], cell))
        })
    })
}

fn line(reading: &PromptReading, grid: &LensGrid, [row, position]: [usize; 2], cell: &LensCell) -> Vec<String> {
    let (token, top) = (reading.tokens[position], cell.most_likely());
    vec![
        grid.name.clone(),
        row.to_string(),
        position.to_string(),
        token.to_string(),
        reading.texts.of(token),
        top.map(|top| top.id.to_string()).unwrap_or_default(),
        top.map(|top| reading.texts.of(top.id)).unwrap_or_default(),
        top.map(|top| top.probability.to_string()).unwrap_or_default(),
        cell.entropy_bits.to_string(),
        cell.kl.to_string(),
        cell.nll.map(|nll| nll.to_string()).unwrap_or_default(),
        cell.output_rank.to_string(),
        cell.output_probability.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::testing::reading;

    #[test]
    fn every_cell_is_a_row() {
        let mut reading = reading(3, 2, 1);
        reading.lenses[1].rows[0].clear();
        let rows: Vec<_> = lens_rows(&reading).collect();
        assert_eq!(rows.len(), 3 * 3 + 2 * 3);
        assert!(rows.iter().all(|row| row.len() == LENS_COLUMNS.len()));
        let cell = &reading.lenses[0].rows[1][2];
        let expected = [cell.kl.to_string(), String::new(), cell.output_rank.to_string()];
        assert_eq!(rows[5][9..12], expected, "the last position has no next token");
        assert_eq!(rows[9][..3], ["affine_lens", "1", "0"]);
    }
}

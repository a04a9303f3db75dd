//! Writes the catalogue's tables into `docs/definitions.md`, each between its two comments.
//!
//! `cargo run -p stratigraph-profile --example definitions`

use std::error::Error;

use stratigraph_profile::catalogue;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/definitions.md");

fn main() -> Result<(), Box<dyn Error>> {
    let mut docs = std::fs::read_to_string(DOCS)?;
    let tables = [
        ("metrics", catalogue::metrics_table()),
        ("scores of benchmarks", catalogue::task_scores_table()),
        ("sweeps", catalogue::sweeps_table()),
        ("sweeps over two axes", catalogue::matrix_sweeps_table()),
        ("curves", catalogue::curves_table()),
        ("values", catalogue::values_table()),
        ("matrices", catalogue::matrices_table()),
        ("groupings", catalogue::groupings_table()),
    ];
    for (name, table) in tables {
        let begin = format!("<!-- catalogue: {name} -->\n");
        let from = docs.find(&begin).ok_or(format!("docs/definitions.md lacks {begin}"))? + begin.len();
        let to = docs[from..].find("<!-- end -->").ok_or(format!("the table {name} has no end"))? + from;
        docs.replace_range(from..to, &table);
    }
    std::fs::write(DOCS, docs)?;
    Ok(())
}

//! The tables of `docs/definitions.md`: [`metrics_table`], [`task_scores_table`], [`sweeps_table`], [`matrix_sweeps_table`], [`curves_table`],
//! [`values_table`], [`matrices_table`], [`groupings_table`].

use super::{AxisKind, curves, groupings, matrices, matrix_sweeps, metrics, sweeps, task_scores, values};

/// The metrics as a Markdown table.
pub fn metrics_table() -> String {
    let row = |it: super::MetricEntry| {
        [code(&it.name), it.title, it.definition, it.unit.to_string(), it.positions.to_owned()]
    };
    table(["name", "title", "definition", "unit", "positions"], metrics().into_iter().map(row))
}

/// The scores of benchmarks as a Markdown table.
pub fn task_scores_table() -> String {
    let row = |it: super::MetricEntry| [code(&it.name), it.title, it.definition, it.unit.to_string()];
    table(["name", "title", "definition", "unit"], task_scores().into_iter().map(row))
}

/// The sweeps over one axis as a Markdown table.
pub fn sweeps_table() -> String {
    let row = |it: super::SweepEntry| [code(&it.name), values_of(it.axis), code(&it.text), it.definition];
    table(["name", "values", "at `l = 3` of 12 layers", "what runs"], sweeps().into_iter().map(row))
}

/// The sweeps over two axes as a Markdown table.
pub fn matrix_sweeps_table() -> String {
    let row = |it: super::MatrixEntry| [code(&it.name), it.axes.to_owned(), it.definition];
    table(["name", "rows, columns", "what runs"], matrix_sweeps().into_iter().map(row))
}

/// The curves of no sweep as a Markdown table; the number in a name such as `attention_at_distance_k` is left open.
pub fn curves_table() -> String {
    let open = |text: &str| text.replace("{n}", "k").replace("{hook}", "DIRECTION");
    let row = |it: &super::SingleCurve| {
        [code(&open(it.name)), open(it.title), open(it.definition), it.unit.to_string(), values_of(it.axis)]
    };
    table(["name", "title", "definition", "unit", "values"], curves().iter().map(row))
}

/// The single numbers as a Markdown table.
pub fn values_table() -> String {
    let row = |it: super::ValueEntry| [code(&it.name), it.title, it.definition, it.unit.to_string()];
    table(["name", "title", "definition", "unit"], values().into_iter().map(row))
}

/// The matrices that belong to no sweep as a Markdown table.
pub fn matrices_table() -> String {
    let row =
        |it: super::MatrixEntry| [code(&it.name), it.title, it.axes.to_owned(), it.definition, it.unit.to_string()];
    table(["name", "title", "rows, columns", "definition", "unit"], matrices().into_iter().map(row))
}

/// The groupings of positions as a Markdown table.
pub fn groupings_table() -> String {
    let row = |it: &super::GroupingEntry| [code(it.name), it.title.to_owned(), it.definition.to_owned()];
    table(["name", "by", "groups"], groupings().iter().map(row))
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// How many values a curve has in a model of `L` layers.
fn values_of(axis: AxisKind) -> String {
    match axis {
        AxisKind::Layers => "L",
        AxisKind::ResidualPositions | AxisKind::LayersRemoved => "L + 1",
        AxisKind::AdjacentPairs => "L - 1",
        AxisKind::BlockStarts(_) => "L - b + 1",
        AxisKind::Blocks(_) => "all blocks of at most b layers",
        AxisKind::Labelled(name) => return format!("a {name} each"),
        AxisKind::AllHeads => "all heads",
    }
    .to_owned()
}

fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let cells = |cells: [String; N]| cells.map(|cell| cell.replace('|', "\\|"));
    let body: String = rows.map(|row| line(&cells(row))).collect();
    format!("{}|{}\n{body}", line(&head.map(str::to_owned)), "---|".repeat(N))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/definitions.md");

    /// The text of the docs between the two comments of a name.
    fn between<'a>(docs: &'a str, name: &str) -> &'a str {
        let (_, rest) =
            docs.split_once(&format!("<!-- catalogue: {name} -->\n")).unwrap_or_else(|| panic!("no {name}"));
        rest.split_once("<!-- end -->").unwrap_or_else(|| panic!("{name} has no end")).0
    }

    #[test]
    fn the_docs_have_the_catalogue_s_tables() {
        let docs = std::fs::read_to_string(DOCS).unwrap();
        let tables = [
            ("metrics", metrics_table()),
            ("scores of benchmarks", task_scores_table()),
            ("sweeps", sweeps_table()),
            ("sweeps over two axes", matrix_sweeps_table()),
            ("curves", curves_table()),
            ("values", values_table()),
            ("matrices", matrices_table()),
            ("groupings", groupings_table()),
        ];
        for (name, expected) in tables {
            let found = between(&docs, name);
            assert_eq!(
                found, expected,
                "docs/definitions.md, {name}: `cargo run -p stratigraph-profile --example definitions`"
            );
        }
    }
}

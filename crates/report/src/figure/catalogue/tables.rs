//! Panels of matrices: ensembles as lines, all others as heat maps.

use stratigraph_stages::{Axis, Matrix, Profile};

use crate::figure::{Heat, Horizontal, Lines, Panel, Point, Scale, Series, Side};

/// A figure's name, heading and caption, and its panels.
type Found = (&'static str, &'static str, &'static str, Vec<Panel>);

const ENSEMBLE: &str = "ensemble_";
const SIMILARITY: [(&str, &str); 3] =
    [("cka", "CKA over all positions"), ("cka_last_unbiased", "Unbiased CKA, last position"), ("cosine", "Cosine")];
const HEADS: [(&str, &str); 1] = [("merging_heads", "Merging of sub-words")];

/// Every matrix of the profile.
pub(super) fn all(profile: &Profile) -> [Found; 4] {
    let matrices = profile.matrices.iter().filter(|(_, matrix)| has_numbers(matrix));
    let (ensembles, others): (Vec<_>, Vec<_>) = matrices.partition(|(name, _)| name.starts_with(ENSEMBLE));
    let ensembles = ensembles.into_iter().map(|(name, matrix)| ensemble(name, matrix)).collect();
    let named = |wanted: &[(&str, &str)]| -> Vec<Panel> {
        let of = |name: &str| others.iter().find(|(other, _)| *other == name).map(|(_, matrix)| *matrix);
        wanted.iter().filter_map(|(name, title)| Some(heat(title, of(name)?))).collect()
    };
    let known = |name: &str| SIMILARITY.iter().chain(&HEADS).any(|(known, _)| *known == name);
    let rest = others.iter().filter(|(name, _)| !known(name)).map(|(name, matrix)| heat(&spoken(name), matrix));
    [
        (
            "ensemble",
            "Ensembles of prediction neurons",
            "Whether the next word ends in a suffix, as logistic probes tell it that see only the k neurons that \
             tell it best; against the model's own first choice.",
            ensembles,
        ),
        (
            "similarity",
            "Places in the residual stream, each with each",
            "Blocks along the diagonal are stretches of depth whose states are alike.",
            named(&SIMILARITY),
        ),
        (
            "heads",
            "Which heads put words together",
            "Attention from the last token of a word of four tokens to its other three, less that between as many \
             tokens elsewhere: heads that merge sub-words stand out on the positive side.",
            named(&HEADS),
        ),
        ("matrices", "Other matrices", "Everything else that the study measured over two things.", rest.collect()),
    ]
}

fn has_numbers(matrix: &Matrix) -> bool {
    matrix.values.iter().flatten().any(|value| value.is_finite())
}

/// Signed where a tenth of the largest number lies below 0.
fn heat(title: &str, matrix: &Matrix) -> Panel {
    let (low, high) = crate::figure::range(matrix.values.iter().flatten().copied()).unwrap_or_default();
    let signed = low < -0.1 * high.abs();
    let is_depth = |axis: &Axis| ["layer", "place"].contains(&axis.name.as_str());
    let is_depth = (is_depth(&matrix.columns), is_depth(&matrix.rows));
    Panel::Heat(Heat { title: title.to_owned(), matrix: matrix.clone(), signed, is_depth })
}

/// A name as a heading.
fn spoken(name: &str) -> String {
    name.replace('_', " ")
}

/// A line for each row of the matrix.
fn ensemble(name: &str, matrix: &Matrix) -> Panel {
    let Matrix { rows, columns, unit, values } = matrix;
    let label = |labels: &[String], index: usize| labels.get(index).cloned().unwrap_or_else(|| index.to_string());
    let line = |(row, numbers): (usize, &Vec<f64>)| {
        let point = |(column, &y): (usize, &f64)| Point {
            x: column as f64,
            at: format!("{} {}", columns.name, label(&columns.labels, column)),
            y,
            sem: None,
        };
        Series { name: label(&rows.labels, row), points: numbers.iter().enumerate().map(point).collect() }
    };
    let series: Vec<_> = values.iter().enumerate().map(line).collect();
    let left = Side { label: unit.clone(), scale: Scale::Fitted, series, references: Vec::new() };
    let x = Horizontal::categories(&columns.name, &columns.labels);
    let title = format!("Ensemble: {}", spoken(name.trim_start_matches(ENSEMBLE)));
    Panel::Lines(Lines { title, x, left, right: None })
}

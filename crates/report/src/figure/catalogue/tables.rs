//! Figures of matrices: ensembles and histograms of tokens as lines, all others as heat maps.

use stratigraph_profile::{Matrix, Profile, Scale, catalogue};

use super::groups::is_by_group;
use super::rows::has_curve;
use crate::figure::{Dots, Figure, Horizontal, Lines, Panel, Point, Series, Side};

/// How many blocks have a row, where a curve over all of them has no map.
const MOST_BLOCKS: usize = 20;
const ENSEMBLE: &str = "ensemble_";
const TOKENS: &str = "_tokens";
const SKIPPED: [&str; 2] = ["skip_effect", "skip_effect_later_tokens"];
const SIMILARITY: [&str; 4] = ["cka", "cka_last_unbiased", "cosine", "angular_distance"];
const HEADS: [&str; 1] = ["merging_heads"];
const ATTRIBUTED: [&str; 1] = ["dla_heads"];

/// Whether a matrix is a map of patches over pairs of prompts.
fn is_patched(name: &str) -> bool {
    name.starts_with("patch_")
        && ["denoise", "noise"].iter().any(|direction| name.split('_').any(|it| it == *direction))
}

/// Every matrix of the profile.
pub(super) fn all(profile: &Profile) -> [Figure; 8] {
    let is_shown = |name: &str, matrix: &Matrix| matrix.has_numbers() && !is_by_group(name, matrix);
    let matrices = profile.matrices.iter().filter(|(name, matrix)| is_shown(name, matrix));
    let (ensembles, others): (Vec<_>, Vec<_>) = matrices.partition(|(name, _)| name.starts_with(ENSEMBLE));
    let (histograms, ensembles): (Vec<_>, Vec<_>) = ensembles.into_iter().partition(|(name, _)| name.ends_with(TOKENS));
    let named = |wanted: &[&str]| -> Vec<Panel> {
        let of = |name: &str| others.iter().find(|(other, _)| *other == name).map(|(_, matrix)| *matrix);
        wanted.iter().filter_map(|name| Some(Panel::from_matrix(name, of(name)?))).collect()
    };
    let patched = others.iter().filter(|(name, _)| is_patched(name));
    let patched = patched.map(|(name, matrix)| Panel::from_matrix(name, matrix)).collect();
    let listed =
        |name: &str| SIMILARITY.iter().chain(&HEADS).chain(&ATTRIBUTED).chain(&SKIPPED).any(|known| *known == name);
    let known = |name: &str| is_patched(name) || listed(name) || has_curve(profile, name);
    let rest = others.iter().filter(|(name, _)| !known(name)).map(|(name, matrix)| Panel::from_matrix(name, matrix));
    let figure = |name: &str, title: &str, caption: &str, panels: Vec<Panel>| Figure {
        panels,
        ..Figure::new(name, title).with_caption(caption)
    };
    [
        figure(
            "ensemble",
            "Ensembles of prediction neurons",
            "How well logistic probes tell whether the next word ends in a suffix when they see only the k most useful \
             neurons, compared with the model's own top-1 prediction.",
            ensembles.into_iter().map(|(name, matrix)| ensemble(name, matrix)).collect(),
        ),
        figure(
            "ensemble_tokens",
            "Tokens that neurons of ensembles promote and suppress",
            "How many tokens of the vocabulary have which cosine with the output weights of a neuron: those with the suffix, and \
             all others. A neuron that promotes the suffix has its tokens on the right, one that suppresses it on the left.",
            histograms.into_iter().flat_map(|(_, matrix)| histogram_panels(matrix)).collect(),
        ),
        figure(
            "skip_effects",
            "What later layers write when one is skipped",
            "How much the contribution of each later layer (to the right) changes when a layer (from above to below) is skipped, \
             relative to its length: 0 is not at all. Beside it, the layer is skipped at the first half of each window's positions, \
             and the change is that at the others.",
            named(&SKIPPED),
        ),
        figure(
            "similarity",
            "Residual positions compared with each other",
            "Blocks along the diagonal are stretches of depth with similar states.",
            named(&SIMILARITY),
        ),
        figure(
            "heads",
            "Heads that join the parts of a word",
            "Attention from the last token of a word of four tokens to its other three, minus the attention over the same \
             distances elsewhere: heads that join sub-words stand out on the positive side.",
            named(&HEADS),
        ),
        figure(
            "head_attribution",
            "Direct logit attribution of heads",
            "What each head adds to the logit of the next token, above the mean logit over the vocabulary, by the path from \
             its output to the unembedding alone.",
            named(&ATTRIBUTED),
        ),
        figure(
            "patching_maps",
            "Which activations carry the answer",
            "One activation of one prompt of a pair put into the run of the other: 1 is the answer as after the clean prompt, \
             0 as after the corrupted one. Clean into corrupted shows what suffices, corrupted into clean what is needed. \
             Positions are counted from the end of the prompts.",
            patched,
        ),
        figure("other_matrices", "Other matrices", "All matrices that no other figure shows.", rest.collect()),
    ]
}

/// Sweeps over all blocks of layers, by their lengths and first layers.
pub(super) fn blocks(profile: &Profile) -> Figure {
    let curves = profile.curves.iter().filter(|(_, curve)| curve.axis.is_of_all_blocks() && curve.has_numbers());
    let maps = curves.map(|(name, curve)| match profile.matrices.get(name) {
        Some(matrix) => Panel::from_matrix(name, matrix),
        None => Panel::Dots(Dots::from_curve(name, curve).largest(MOST_BLOCKS)),
    });
    let caption = "Every block of neighbouring layers, by its length from above to below and its first layer from left to right. \
                   Blocks that would end after the last layer have no number.";
    Figure { panels: maps.collect(), ..Figure::new("blocks", "Blocks of layers of all lengths").with_caption(caption) }
}

/// A line for each row of the matrix.
fn ensemble(name: &str, matrix: &Matrix) -> Panel {
    let (rows, columns) = (&matrix.rows, &matrix.columns);
    let point = |(column, &y): (usize, &f64)| Point::new(column as f64, columns.label(column), y);
    let line = |(row, numbers): (usize, &Vec<f64>)| {
        Series::new(rows.tick(row), numbers.iter().enumerate().map(point).collect())
    };
    let mut left = Side::new(format!("accuracy, {}", matrix.unit), Scale::Fitted);
    left.series = matrix.values.iter().enumerate().map(line).collect();
    let title = catalogue::find_matrix(name).map_or_else(String::new, |entry| entry.title.to_owned());
    let suffix = name.trim_start_matches(ENSEMBLE).replace('_', " ");
    Panel::Lines(Lines::new(format!("{title}: {suffix}"), Horizontal::from_axis(columns), left))
}

/// A panel for each neuron, from two rows: tokens with the suffix, and all others.
fn histogram_panels(matrix: &Matrix) -> Vec<Panel> {
    let (rows, columns) = (&matrix.rows, &matrix.columns);
    let line = |row: usize| {
        let counts = matrix.values[row].iter().enumerate();
        let points = counts.map(|(bin, &count)| Point::new(bin as f64, columns.label(bin), count)).collect();
        let name = rows.tick(row);
        Series::new(name.split_once(' ').map_or(name.as_str(), |(_, class)| class), points)
    };
    let panel = |first: usize| {
        let name = rows.tick(first);
        let neuron = name.split(' ').next().unwrap_or_default();
        let mut left = Side::new("tokens", Scale::Log);
        left.series = vec![line(first), line(first + 1)];
        Panel::Lines(Lines::new(format!("Neuron {neuron}"), Horizontal::from_axis(columns), left))
    };
    (0..rows.len() / 2).map(|neuron| panel(2 * neuron)).collect()
}

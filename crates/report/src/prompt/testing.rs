//! A reading of a prompt that tests share: [`reading`].

use stratigraph_profile::prompt::{
    AttentionPatterns, DeletionGrid, DifferenceAttribution, LayerAttribution, LensCell, LensGrid, LikelyToken,
    NeuronAttribution, PatchingMaps, PromptReading,
};
use stratigraph_profile::{Axis, Matrix, ModelRecord, Unit};

/// Words of several kinds: with a space, wide, long, with what HTML and a terminal take for their own.
const WORDS: [&str; 12] = [
    "The",
    " Eiffel",
    " Tower",
    " <b>",
    "\n",
    " 東京都",
    " incomprehensibilities",
    "&amp;",
    "\u{1b}[31m",
    " \"quoted\"",
    "",
    " of",
];

/// A number between 0 and 1 that depends on all of its places.
pub(crate) fn wave(places: [usize; 3]) -> f64 {
    let [a, b, c] = places.map(|place| place as f64);
    (((a + 1.0) * 12.9898 + (b + 1.0) * 78.233 + (c + 1.0) * 37.719).sin() * 43758.5453).rem_euclid(1.0)
}

fn grid(name: &str, title: &str, [n_tokens, n_layers]: [usize; 2]) -> LensGrid {
    let cell = |row: usize, column: usize| {
        let first = wave([row, column, 0]).max(0.01);
        let likely = |nth: usize| LikelyToken::new(((row + column + nth) % 97) as u32, first / (nth + 1) as f64);
        let kl = if row == n_layers { 0.0 } else { 12.0 * wave([row, column, 1]) };
        let rank = if row == n_layers { 1 } else { 1 + (20_000.0 * wave([row, column, 2]).powi(4)) as u64 };
        LensCell::new((0..5).map(likely).collect())
            .with_entropy_bits(14.0 * wave([row, column, 3]))
            .with_kl(kl)
            .with_nll((column + 1 < n_tokens).then_some(kl + 1.0))
            .with_output(rank, first / rank as f64)
    };
    let rows = (0..=n_layers).map(|row| (0..n_tokens).map(|column| cell(row, column)).collect());
    LensGrid::new(name, title, rows.collect())
}

fn attention([n_tokens, n_layers, n_heads]: [usize; 3]) -> AttentionPatterns {
    let mut patterns = AttentionPatterns::new(n_tokens, n_heads);
    for layer in 0..n_layers {
        let head = |head: usize| -> Vec<f32> {
            let row = |query: usize| {
                let raw: Vec<f64> = (0..=query).map(|key| wave([layer * n_heads + head, query, key]).powi(6)).collect();
                let sum: f64 = raw.iter().sum::<f64>().max(1e-9);
                let weights = raw.into_iter().map(move |weight| (weight / sum) as f32);
                weights.chain(std::iter::repeat_n(0.0, n_tokens - query - 1)).collect::<Vec<_>>()
            };
            (0..n_tokens).flat_map(row).collect()
        };
        let heads: Vec<_> = (0..n_heads).map(head).collect();
        patterns.push_layer(heads.iter().map(Vec::as_slice));
    }
    patterns
}

fn attribution([n_tokens, n_layers, n_heads]: [usize; 3]) -> DifferenceAttribution {
    let signed = |places| wave(places) - 0.5;
    let layer = |layer: usize| {
        let heads: Vec<f64> = (0..n_heads).map(|head| signed([layer, head, 9])).collect();
        LayerAttribution::new(heads.iter().sum::<f64>() + 0.125, signed([layer, 0, 8])).with_heads(heads, 0.125)
    };
    let found = DifferenceAttribution::new(n_tokens - 1, [1, 2], 0.0).with_embedding(0.25, -0.125);
    let mut found = (0..n_layers).map(layer).fold(found, DifferenceAttribution::with_layer);
    found.difference = found.sum();
    let neuron = |nth: usize| NeuronAttribution::new(nth % n_layers, 37 * nth, signed([nth, 1, 7]) / (nth + 1) as f64);
    found.with_neurons((0..24).map(neuron).collect())
}

/// A reading of a prompt of `n_tokens` with everything, in a model of `n_layers` layers of `n_heads` heads.
pub(crate) fn reading(n_tokens: usize, n_layers: usize, n_heads: usize) -> PromptReading {
    let shape = [n_tokens, n_layers, n_heads];
    let tokens: Vec<u32> = (0..n_tokens as u32).collect();
    let reading = PromptReading::new(ModelRecord::new("a <model> & more", n_layers, 64, 100), tokens.clone())
        .with_lens(grid("lens", "logit lens", [n_tokens, n_layers]))
        .with_lens(
            grid("affine_lens", "affine lens", [n_tokens, n_layers]).with_origin(Some("fitted on <text>".into())),
        );
    let mut reading = (0..100).fold(reading, |reading, id| reading.with_text(id, WORDS[id as usize % WORDS.len()]));
    let values = |kind: usize, n: usize| -> Vec<Vec<f64>> {
        (0..n_layers).map(|layer| (0..n).map(|at| 8.0 * wave([layer, at, kind]).powi(5) - 0.1).collect()).collect()
    };
    reading.deletion = Some(DeletionGrid::new(values(20, n_tokens), values(21, n_tokens - 1)));
    reading.attention = Some(attention(shape));
    reading.attribution = Some(attribution(shape));
    let map = |columns: Axis, kind| {
        Matrix::new(Axis::layers(n_layers), columns.clone(), Unit::Fraction, values(kind, columns.len()))
    };
    let positions = Axis::labelled("position from the end", (1..=n_tokens).rev().map(|back| format!("-{back}")));
    let corrupted: Vec<u32> = tokens.iter().map(|token| if *token == 1 { 50 } else { *token }).collect();
    let patching = PatchingMaps::new(corrupted, [1, 2], [3.5, -2.25])
        .with_map("patch_resid_pre_denoise", map(positions.clone(), 30))
        .with_map("patch_attn_out_denoise", map(positions.clone(), 31))
        .with_map("patch_mlp_out_denoise", map(positions, 32))
        .with_map("patch_z_heads_denoise", map(Axis::heads(n_heads), 33));
    reading.patching = Some(patching);
    reading.remarks.push("neurons of layers 3 are left out: <reason>".into());
    reading
}

//! What later layers write when one is skipped: by algebra, and by hand through hooks.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{
    Activation, Hook, HookSet, ModelShape, ResidualModel, Result, RunModel, Site, Tap, TokenWindows, visit,
};
use stratigraph_models::Checkpoint;
use stratigraph_study::Study;
use stratigraph_study::measurements::SkipEffects;
use stratigraph_testing::{device, fixture, host};

/// A model whose layers multiply the stream by a factor, or add one to it.
struct Simple {
    factor: f64,
    added: f64,
}

impl ResidualModel for Simple {
    fn shape(&self) -> ModelShape {
        ModelShape::new(4, 3, 5).with_hooks([Hook::ResidPre, Hook::ResidPost])
    }

    fn device(&self) -> Device {
        device()
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Result<Tensor<3>> {
        let [batch, pos] = tokens.dims();
        Ok(tokens.float().reshape([batch, pos, 1]).repeat_dim(2, 3) + 1.0)
    }

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>> {
        let resid = visit(tap, site, Hook::ResidPre, resid)?;
        visit(tap, site, Hook::ResidPost, resid * self.factor + self.added)
    }

    fn final_norm(&self, rows: Tensor<2>) -> Result<Tensor<2>> {
        Ok(rows)
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Result<Tensor<2>> {
        Ok(Tensor::cat(vec![normed.clone(), normed], 1).slice_dim(1, vocab))
    }
}

fn windows() -> TokenWindows {
    TokenWindows::new(&[1, 2, 3, 4, 3, 2, 1, 0, 4, 1, 0, 2], 6).unwrap()
}

/// Both matrices, in which every pair of a layer and an earlier one has none.
fn effects(model: &dyn ResidualModel, windows: &TokenWindows) -> [Vec<Vec<f64>>; 2] {
    let findings = Study::new(model).add(SkipEffects).run(windows).unwrap();
    ["skip_effect", "skip_effect_later_tokens"].map(|name| {
        let matrix = findings.matrix(name).unwrap();
        for (skipped, row) in matrix.values.iter().enumerate() {
            assert!(row.iter().enumerate().all(|(layer, cell)| cell.is_nan() == (layer <= skipped)), "{name}: {row:?}");
        }
        matrix.values.clone()
    })
}

fn later(values: &[Vec<f64>]) -> impl Iterator<Item = f64> + '_ {
    values.iter().flatten().copied().filter(|cell| !cell.is_nan())
}

#[test]
fn layers_that_double_the_stream_contribute_half_without_one_and_layers_that_add_the_same() {
    let [doubled, of_later_tokens] = effects(&Simple { factor: 2.0, added: 0.0 }, &windows());
    assert_eq!(later(&doubled).collect::<Vec<_>>(), [0.5; 6]);
    assert!(later(&of_later_tokens).all(|effect| effect == 0.0), "nothing goes from token to token");
    let [added, _] = effects(&Simple { factor: 1.0, added: 1.0 }, &windows());
    assert!(later(&added).all(|effect| effect == 0.0), "{added:?}");
    // Where layers write nothing there is nothing to compare.
    let findings = Study::new(&Simple { factor: 1.0, added: 0.0 }).add(SkipEffects).run(&windows()).unwrap();
    assert!(!findings.matrix("skip_effect").unwrap().has_numbers());
}

/// Skips a layer at the positions before `until` by hand, and keeps what enters and leaves each layer.
struct Skipping {
    layer: usize,
    until: usize,
    entered: Vec<Tensor<3>>,
    left: Vec<Tensor<3>>,
}

impl Tap for Skipping {
    fn hooks(&self) -> HookSet {
        [Hook::ResidPre, Hook::ResidPost].into()
    }

    fn visit(&mut self, site: Site, hook: Hook, activation: Activation) -> Result<Activation> {
        let x = activation.clone().wide(hook.at(site.slot))?;
        if hook == Hook::ResidPre {
            self.entered.push(x);
            return Ok(activation);
        }
        let [_, pos, _] = x.dims();
        let left = match site.layer == self.layer {
            true => {
                let before = self.entered[site.layer].clone().narrow(1, 0, self.until);
                if self.until == pos {
                    before
                } else {
                    Tensor::cat(vec![before, x.narrow(1, self.until, pos - self.until)], 1)
                }
            }
            false => x,
        };
        self.left.push(left.clone());
        Ok(left.into())
    }
}

#[test]
fn numbers_are_those_of_runs_that_are_edited_by_hand() {
    let model = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device()).unwrap();
    let ids: Vec<u32> = (0..30).map(|at| (at * 37 % 291) + 1).collect();
    let windows = TokenWindows::new(&ids, 10).unwrap().with_skip_first(2).unwrap();
    let found = effects(&model, &windows);
    let width = model.config().d_model;
    let contributions = |layer: usize, until: usize| -> Vec<Vec<f32>> {
        let mut tap = Skipping { layer, until, entered: Vec::new(), left: Vec::new() };
        model.forward(windows.batch(0..3, &device()), &mut tap).unwrap();
        tap.left.into_iter().zip(tap.entered).map(|(left, entered)| host(left - entered)).collect()
    };
    let clean = contributions(usize::MAX, 0);
    let length = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    for (matrix, until, from) in [(&found[0], 10, 2), (&found[1], 5, 5)] {
        for (skipped, row) in matrix.iter().enumerate() {
            let changed = contributions(skipped, until);
            for layer in skipped + 1..model.n_layers() {
                let rows = clean[layer].chunks(width).zip(changed[layer].chunks(width)).enumerate();
                let ratio = |(clean, changed): (&[f32], &[f32])| {
                    let change: Vec<f32> = changed.iter().zip(clean).map(|(a, b)| a - b).collect();
                    length(&change) / length(clean)
                };
                let ratios: Vec<f64> = rows.filter(|(row, _)| row % 10 >= from).map(|(_, pair)| ratio(pair)).collect();
                let expected = ratios.iter().sum::<f64>() / ratios.len() as f64;
                let cell = row[layer];
                assert!((cell - expected).abs() < 1e-4 * expected, "{skipped} and {layer}: {cell}, {expected}");
            }
        }
    }
}

//! The kernel against sums in f64, and against the host's.

use burn::tensor::{Device, Tensor, TensorData};
use stratigraph_testing::{Backend, device, devices, skipped};

use super::KernelRows;
use crate::readout::host_rows::HostRows;
use crate::readout::reduction::{CleanStatistics, Part, Reduce};

/// Logits `[n_rows, width]` of a clean and of a changed model, and a place in each row.
struct Rows {
    n_rows: usize,
    width: usize,
    clean: Vec<f32>,
    changed: Vec<f32>,
}

impl Rows {
    fn new(n_rows: usize, width: usize, scale: f32) -> Self {
        let logits = |seed: f32| {
            let wave = |i: usize| ((i * i % 65_521) as f32 * seed).sin() + 0.3 * (i as f32 * seed * 1.7).cos();
            (0..n_rows * width).map(|i| scale * wave(i)).collect()
        };
        Self { n_rows, width, clean: logits(0.37), changed: logits(0.11) }
    }

    fn places(&self) -> Vec<usize> {
        (0..self.n_rows).map(|row| row * 7919 % self.width).collect()
    }

    fn row(&self, row: usize) -> [&[f32]; 2] {
        [&self.clean, &self.changed].map(|logits| &logits[row * self.width..][..self.width])
    }

    /// The rows of the clean tile, of the changed one against it, and of the changed one alone.
    fn reduced<R: Reduce>(&self, device: &Device) -> [Vec<Part>; 3] {
        let tile = |logits: &Vec<f32>| {
            Tensor::<2>::from_data(TensorData::new(logits.clone(), [self.n_rows, self.width]), device)
        };
        let places = R::places(self.places(), device);
        let (clean, sums) = R::clean(tile(&self.clean), &places);
        let against = R::reduce(tile(&self.changed), Some(&clean), &places);
        let alone = R::reduce(tile(&self.changed), None, &places);
        R::read(vec![sums, against, alone]).try_into().expect("three tiles were reduced")
    }
}

/// The sums of a row in f64, as a part whose largest logits are known, and the sums of the sizes of their terms.
fn exact(logits: &[f32], clean: &[f32], place: usize) -> (Part, [f64; 4]) {
    let largest = |row: &[f32]| row.iter().copied().fold(f32::MIN, f32::max);
    let (max, clean_max) = (largest(logits), largest(clean));
    let mut sums = [0.0; 4];
    let mut sizes = [0.0; 4];
    for (&logit, &clean_logit) in logits.iter().zip(clean) {
        let (x, y) = (f64::from(logit) - f64::from(max), f64::from(clean_logit) - f64::from(clean_max));
        let weighted = |value: f64, log: f64| if log < -700.0 { 0.0 } else { value * log.exp() };
        let terms = [x.exp(), weighted(x, x), y.exp(), weighted(y - x, y)];
        sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        sizes.iter_mut().zip(terms).for_each(|(size, term)| *size += term.abs());
    }
    let top1 = logits.iter().position(|&logit| logit == max).unwrap_or(0);
    let [sum, weighted, clean_sum, cross] = sums;
    let clean = Some(CleanStatistics { max: clean_max, sum: clean_sum, cross });
    (Part { max, top1, sum, weighted, token: logits[place], clean }, sizes)
}

/// Whether sums agree within 1e-6 of their scale: of the sizes of the terms, and 1 at least, which the largest logit gives.
fn assert_close(found: &Part, expected: &Part, sizes: [f64; 4], what: &str) {
    assert_eq!((found.max, found.top1, found.token), (expected.max, expected.top1, expected.token), "{what}");
    let sums = |part: &Part| {
        let clean = part.clean.expect("both have clean sums");
        [part.sum, part.weighted, clean.sum, clean.cross]
    };
    for ((found, expected), size) in sums(found).into_iter().zip(sums(expected)).zip(sizes) {
        assert!((found - expected).abs() <= 1e-6 * size.max(1.0), "{what}: {found} instead of {expected} of {size}");
    }
}

/// An adapter, if there is one.
fn adapter() -> Option<Device> {
    let adapter = devices().into_iter().find(|on| on.backend == Backend::Wgpu);
    if adapter.is_none() {
        skipped("there is no graphics adapter");
    }
    adapter.map(|on| on.device)
}

#[test]
fn rows_of_every_width_reduce_as_in_f64_and_as_on_the_host() {
    let Some(adapter) = adapter() else { return };
    assert!(super::runs_on(&adapter) && !super::runs_on(&device()));
    // The widths lie about multiples of a cube's units and of its blocks.
    let shapes = [(1, 1), (3, 2), (4, 255), (2, 256), (5, 257), (3, 4096), (2, 4097), (2, 50_001)];
    // The last rows are more than there are cubes.
    let cases = shapes.into_iter().flat_map(|shape| [0.0, 1.0, 20.0, 1e4].map(|scale| (shape, scale)));
    for ((n_rows, width), scale) in cases.chain([((8200, 2), 20.0)]) {
        let rows = Rows::new(n_rows, width, scale);
        let found = rows.reduced::<KernelRows>(&adapter);
        let host = rows.reduced::<HostRows>(&device());
        for (row, place) in rows.places().into_iter().enumerate() {
            let what = format!("row {row} of {n_rows} x {width} at {scale}");
            let [clean, changed] = rows.row(row);
            let (expected, sizes) = exact(clean, clean, place);
            assert_close(&found[0][row], &expected, sizes, &what);
            assert_close(&found[0][row], &host[0][row], sizes, &what);
            let (expected, sizes) = exact(changed, clean, place);
            assert_close(&found[1][row], &expected, sizes, &what);
            assert_close(&found[1][row], &host[1][row], sizes, &what);
            assert_close(&Part { clean: expected.clean, ..found[2][row] }, &expected, sizes, &what);
        }
    }
}

#[test]
fn ties_go_to_the_first_place() {
    let Some(adapter) = adapter() else { return };
    for (width, places) in [(5, [1, 3]), (700, [256, 257]), (700, [300, 556]), (700, [511, 699]), (700, [0, 1])] {
        let mut rows = Rows::new(2, width, 1.0);
        for place in places {
            rows.changed[place] = 9.0;
        }
        let [_, changed, _] = rows.reduced::<KernelRows>(&adapter);
        assert_eq!((changed[0].top1, changed[0].max), (places[0], 9.0), "{width}: {places:?}");
    }
}

#[test]
fn impossible_tokens_count_as_nothing_and_a_nan_shows() {
    let Some(adapter) = adapter() else { return };
    let (never, width) = (f32::NEG_INFINITY, 300);
    let mut rows = Rows::new(4, width, 3.0);
    // Of the first row every other token, of the second all; the third has a token that is only impossible in the clean row.
    (0..width).step_by(2).for_each(|i| (rows.clean[i], rows.changed[i]) = (never, never));
    (width..2 * width).for_each(|i| (rows.clean[i], rows.changed[i]) = (never, never));
    rows.clean[2 * width + 7] = never;
    rows.changed[3 * width + 270] = f32::NAN;
    let [_, found, _] = rows.reduced::<KernelRows>(&adapter);
    let [_, host, _] = rows.reduced::<HostRows>(&device());
    for row in 0..3 {
        let [clean, changed] = rows.row(row);
        let (_, sizes) = exact(changed, clean, 0);
        assert_close(&found[row], &host[row], sizes, &format!("row {row}"));
    }
    let none = found[1].clean.unwrap();
    assert_eq!((found[1].max, found[1].sum, found[1].weighted, none.sum, none.cross), (f32::MIN, 0.0, 0.0, 0.0, 0.0));
    assert!(found[3].sum.is_nan() && found[3].weighted.is_nan());
}

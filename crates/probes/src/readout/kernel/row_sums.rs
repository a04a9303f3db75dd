//! The kernel: [`launch`] reduces each row of a tile by a group of threads, which CubeCL calls a cube of units.
//!
//! A first pass finds the largest logit, a second one sums exponentials. Units take the logits of a row in turn; their
//! results are put together in shared memory, half of the units with the other half at a time.

use burn::backend::{Shape, TensorMetadata};
use burn_cubecl::cubecl;
use burn_cubecl::kernel::into_contiguous_aligned;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Sums of a row: its largest logit, the first place of that, the logit at the given place, `sum(exp(x))` and `sum(x exp(x))`; of
/// the clean logits the largest one and `sum(exp(y))`; and `sum(exp(y) (y - x))`. `x` and `y` are relative to the largest one.
pub(super) const COLUMNS: usize = 8;

/// Units of a cube at most, a power of two; every graphics adapter grants as many.
const UNITS: usize = 256;

/// Cubes at most, each of which then takes several rows: more than run at once on any GPU.
const CUBES: usize = 8192;

/// Reduces logits `[rows, tokens]` of f32, with places `[rows, 1]` of i32, against `clean` logits and their sums.
pub(super) fn launch(logits: CubeTensor, clean: Option<[CubeTensor; 2]>, places: CubeTensor) -> CubeTensor {
    let [logits, places] = [logits, places].map(into_contiguous_aligned);
    let n_rows = logits.shape()[0];
    let client = logits.client.clone();
    let sums = empty_device_dtype(client.clone(), logits.device.clone(), Shape::new([n_rows, COLUMNS]), logits.dtype);
    let most = client.properties().hardware.max_units_per_cube.clamp(1, UNITS as u32);
    let is_against = clean.is_some();
    // Alone, a row reads no clean logits, but the kernel has a place for them.
    let [clean, clean_sums] =
        clean.map_or_else(|| [logits.clone(), logits.clone()], |clean| clean.map(into_contiguous_aligned));
    row_sums_kernel::launch(
        &client,
        CubeCount::Static(n_rows.min(CUBES) as u32, 1, 1),
        CubeDim::new_1d(1 << most.ilog2()),
        logits.into_tensor_arg(),
        clean.into_tensor_arg(),
        clean_sums.into_tensor_arg(),
        places.into_tensor_arg(),
        sums.clone().into_tensor_arg(),
        f32::MIN,
        is_against,
    );
    sums
}

/// `least` is the least finite number, which stands for the largest logit where all are minus infinity. Unless a row `is_against` a
/// clean one, the clean logits and their sums are not read.
#[cube(launch)]
fn row_sums_kernel(
    logits: &Tensor<f32>,
    clean: &Tensor<f32>,
    clean_sums: &Tensor<f32>,
    places: &Tensor<i32>,
    sums: &mut Tensor<f32>,
    least: f32,
    #[comptime] is_against: bool,
) {
    let unit = UNIT_POS as usize;
    let units = CUBE_DIM as usize;
    let width = logits.shape(1);
    let step = logits.stride(1);
    let mut largest = Shared::<[f32]>::new_slice(UNITS);
    let mut top1 = Shared::<[u32]>::new_slice(UNITS);
    let mut parts = Shared::<[f32]>::new_slice(3 * UNITS);
    let mut row = CUBE_POS;
    while row < logits.shape(0) {
        let start = row * logits.stride(0);

        let mut max = least;
        let mut place = width as u32;
        let mut i = unit;
        while i < width {
            let logit = logits[start + i * step];
            if is_before(logit, i as u32, max, place) {
                max = logit;
                place = i as u32;
            }
            i += units;
        }
        largest[unit] = max;
        top1[unit] = place;
        sync_cube();
        let mut active = CUBE_DIM / 2;
        while active > 0 {
            if UNIT_POS < active {
                let other = unit + active as usize;
                if is_before(largest[other], top1[other], largest[unit], top1[unit]) {
                    largest[unit] = largest[other];
                    top1[unit] = top1[other];
                }
            }
            sync_cube();
            active /= 2;
        }

        let mut sum = f32::new(0.0);
        let mut weighted = f32::new(0.0);
        let mut cross = f32::new(0.0);
        let mut i = unit;
        while i < width {
            // A block of 16 is summed by itself, so that rounding does not grow with the row.
            let mut block = f32::new(0.0);
            let mut weighted_block = f32::new(0.0);
            let mut cross_block = f32::new(0.0);
            let end = select(i + 16 * units < width, i + 16 * units, width);
            while i < end {
                let x = logits[start + i * step] - largest[0];
                let e = exponential(x);
                block += e;
                weighted_block += term(e, x);
                if is_against {
                    let clean_max = clean_sums[row * clean_sums.stride(0)];
                    let y = clean[row * clean.stride(0) + i * clean.stride(1)] - clean_max;
                    cross_block += term(exponential(y), y - x);
                }
                i += units;
            }
            sum += block;
            weighted += weighted_block;
            cross += cross_block;
        }
        parts[unit] = sum;
        parts[UNITS + unit] = weighted;
        parts[2 * UNITS + unit] = cross;
        sync_cube();
        let mut active = CUBE_DIM / 2;
        while active > 0 {
            if UNIT_POS < active {
                let other = unit + active as usize;
                add_part(&mut parts, unit, other);
                add_part(&mut parts, UNITS + unit, UNITS + other);
                add_part(&mut parts, 2 * UNITS + unit, 2 * UNITS + other);
            }
            sync_cube();
            active /= 2;
        }

        if UNIT_POS == 0 {
            let out = row * sums.stride(0);
            let column = sums.stride(1);
            let at = places[row * places.stride(0)] as usize;
            // No logit is before the width where all are minus infinity.
            let first = select(top1[0] < width as u32, top1[0], 0u32);
            sums[out] = largest[0];
            sums[out + column] = f32::cast_from(first);
            sums[out + 2 * column] = logits[start + at * step];
            sums[out + 3 * column] = parts[0];
            sums[out + 4 * column] = parts[UNITS];
            sums[out + 7 * column] = parts[2 * UNITS];
            if is_against {
                let clean_row = row * clean_sums.stride(0);
                sums[out + 5 * column] = clean_sums[clean_row];
                sums[out + 6 * column] = clean_sums[clean_row + 3 * clean_sums.stride(1)];
            } else {
                sums[out + 5 * column] = largest[0];
                sums[out + 6 * column] = parts[0];
            }
        }
        // The next row uses the same shared memory.
        sync_cube();
        row += CUBE_COUNT;
    }
}

/// Whether a logit at a place is larger than another one, or as large and at an earlier place.
#[cube]
fn is_before(logit: f32, place: u32, other: f32, other_place: u32) -> bool {
    logit > other || (logit == other && place < other_place)
}

/// `exp(x)` of `x <= 0`, and 0 below -87 as on the host; NaN stays NaN.
#[cube]
fn exponential(x: f32) -> f32 {
    select(x < f32::new(-87.0), f32::new(0.0), x.exp())
}

/// `e value`; where `e` is 0 the term is 0, whatever the value.
#[cube]
fn term(e: f32, value: f32) -> f32 {
    select(e == f32::new(0.0), f32::new(0.0), e * value)
}

/// Adds one number in shared memory to another.
#[cube]
fn add_part(parts: &mut Shared<[f32]>, to: usize, from: usize) {
    let part = parts[from];
    parts[to] += part;
}

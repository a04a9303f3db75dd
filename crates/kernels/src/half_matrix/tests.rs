//! Products against those of f64, on every unit of this CPU.

use super::*;

fn numbers(n: usize, seed: f32) -> Vec<f32> {
    (0..n).map(|i| ((i % 9973) as f32 * seed).sin() * (1.0 + (i % 7) as f32)).collect()
}

fn units() -> impl Iterator<Item = Bfloat16Unit> {
    [Bfloat16Unit::Amx, Bfloat16Unit::Avx512].into_iter().filter(|unit| unit.is_available())
}

/// The product of a row and a column of the matrix, and the sum of the sizes of its terms.
fn exact(row: &[f32], column: &[f32]) -> [f64; 2] {
    let terms = || row.iter().zip(column).map(|(&a, &b)| f64::from(a) * f64::from(b));
    [terms().sum(), terms().map(f64::abs).sum()]
}

#[test]
fn products_of_rounded_rows_are_those_of_f64() {
    for (n_rows, d_in, d_out) in [(1, 1, 1), (3, 5, 7), (31, 33, 47), (32, 64, 64), (33, 96, 65), (70, 577, 130)] {
        let rows = numbers(n_rows * d_in, 0.37);
        let mut rounded = rows.clone();
        HalfFormat::Bf16.round(&mut rounded);
        let mut matrix = HalfMatrix::zeros([d_in, d_out], HalfFormat::Bf16);
        matrix.set_rows(0, &numbers(d_in * d_out, 0.11));
        for unit in units() {
            for columns in [0..d_out, d_out / 2..d_out, 0..d_out.div_ceil(2), d_out / 3..d_out / 3 + 1] {
                let mut out = vec![f32::NAN; n_rows * columns.len()];
                matrix.multiply(unit, &rows, columns.clone(), &mut out);
                let held = matrix.columns(columns.clone());
                for (row, out) in rounded.chunks(d_in).zip(out.chunks(columns.len())) {
                    for (column, &found) in held.chunks(d_in).zip(out) {
                        let [expected, size] = exact(row, column);
                        let error = (f64::from(found) - expected).abs();
                        assert!(error <= 4e-6 * size, "{unit:?} {n_rows} {d_in} {d_out}: {found} and {expected}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_kept_is_what_was_rounded_and_takes_two_bytes() {
    for format in [HalfFormat::Bf16, HalfFormat::F16] {
        let (shape, values) = ([64, 96], numbers(64 * 96, 0.7));
        let [mut by_rows, mut by_columns] = [(); 2].map(|()| HalfMatrix::zeros(shape, format));
        by_rows.set_rows(0, &values[..32 * 96]);
        by_rows.set_rows(32, &values[32 * 96..]);
        for (column, _) in values[..96].iter().enumerate() {
            let numbers: Vec<f32> = values.iter().skip(column).step_by(96).copied().collect();
            by_columns.set_columns(column, &numbers);
            assert_eq!(by_rows.columns([column]), by_columns.columns([column]));
        }
        assert!(by_rows == by_columns);
        assert_eq!(by_rows.n_bytes(), 2 * values.len());
        let mut kept = vec![0.0; values.len()];
        by_rows.unpack_rows(0, 0..96, &mut kept);
        let bound = if format == HalfFormat::Bf16 { 256.0 } else { 2048.0 };
        assert!(kept.iter().zip(&values).all(|(kept, x)| (kept - x).abs() <= x.abs() / bound));
        assert!(kept.iter().zip(&values).any(|(kept, x)| (kept - x).abs() > x.abs() / bound / 4.0));
        let mut part = [0.0; 2 * 37];
        by_rows.unpack_rows(7, 13..50, &mut part);
        assert_eq!(part[..37], kept[7 * 96 + 13..7 * 96 + 50]);
        assert_eq!(part[37..], kept[8 * 96 + 13..8 * 96 + 50]);
    }
}

#[test]
fn nan_and_infinity_show() {
    let mut matrix = HalfMatrix::zeros([40, 40], HalfFormat::Bf16);
    matrix.set_rows(0, &[1.0; 1600]);
    for unit in units() {
        for special in [f32::NAN, f32::INFINITY] {
            let mut rows = vec![1.0; 2 * 40];
            rows[45] = special;
            let mut out = vec![0.0; 2 * 40];
            matrix.multiply(unit, &rows, 0..40, &mut out);
            assert!(out[..40].iter().all(|&x| x == 40.0) && out[40..].iter().all(|x| !x.is_finite()));
        }
    }
}

//! Ridge regression of vectors on vectors, from sums over rows in f64: [`RidgeSums`], and its [`RidgeFit`].

use rayon::prelude::*;
use stratigraph_kernels::{add_products, dot};

use super::cholesky::Cholesky;

/// Rows that are added at once.
const CHUNK: usize = 256;
/// Rows of sums that a task adds to.
const TASK: usize = 16;

/// Sums over pairs of rows, inputs and outputs, of one width each.
#[derive(Debug, Clone)]
pub(crate) struct RidgeSums {
    width: usize,
    n: f64,
    /// `[width]` each.
    inputs: Vec<f64>,
    outputs: Vec<f64>,
    /// `sum x x^T`, `[width, width]`.
    squares: Vec<f64>,
    /// `sum y x^T`, `[width, width]`: the sums of an output with all inputs are a row.
    products: Vec<f64>,
    /// `sum |y|^2`.
    lengths: f64,
}

/// `x W + b`, that is least squares with a ridge.
pub(crate) struct RidgeFit {
    /// `W^T`, `[width, width]`: the weights of an output are a row.
    pub(crate) weights: Vec<f64>,
    /// `[width]`
    pub(crate) bias: Vec<f64>,
}

impl RidgeSums {
    /// Of no rows, of this width.
    pub(crate) fn new(width: usize) -> Self {
        let (vector, matrix) = (vec![0.0; width], vec![0.0; width * width]);
        let (inputs, squares) = (vector.clone(), matrix.clone());
        Self { width, n: 0.0, inputs, outputs: vector, squares, products: matrix, lengths: 0.0 }
    }

    /// Bytes that sums of this width take.
    pub(crate) fn bytes(width: usize) -> usize {
        2 * (width * width + width) * size_of::<f64>()
    }

    /// How many rows were added.
    pub(crate) fn n_rows(&self) -> f64 {
        self.n
    }

    /// Adds rows of inputs and of outputs, `[rows, width]` each.
    pub(crate) fn add(&mut self, inputs: &[f32], outputs: &[f32]) {
        let width = self.width;
        for (x, y) in inputs.chunks(CHUNK * width).zip(outputs.chunks(CHUNK * width)) {
            let n = x.len() / width;
            let x = columns(width, n, |row, unit| f64::from(x[row * width + unit]));
            let y = columns(width, n, |row, unit| f64::from(y[row * width + unit]));
            self.add_columns(&x, &y, n);
        }
    }

    /// Adds `n` rows, given unit by unit.
    fn add_columns(&mut self, x: &[f64], y: &[f64], n: usize) {
        let task = TASK * self.width;
        let squares = self.squares.par_chunks_mut(task).zip(x.par_chunks(TASK * n));
        squares.for_each(|(sums, units)| add_products(sums, units, x, n));
        let products = self.products.par_chunks_mut(task).zip(y.par_chunks(TASK * n));
        products.for_each(|(sums, units)| add_products(sums, units, x, n));
        let add = |sums: &mut [f64], units: &[f64]| {
            sums.iter_mut().zip(units.chunks(n)).for_each(|(sum, unit)| *sum += unit.iter().sum::<f64>());
        };
        add(&mut self.inputs, x);
        add(&mut self.outputs, y);
        self.lengths += dot(y, y);
        self.n += n as f64;
    }

    /// The sums of these rows and others.
    pub(crate) fn with(mut self, other: &RidgeSums) -> Self {
        let pairs = [
            (&mut self.inputs, &other.inputs),
            (&mut self.outputs, &other.outputs),
            (&mut self.squares, &other.squares),
            (&mut self.products, &other.products),
        ];
        for (mine, theirs) in pairs {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
        self.lengths += other.lengths;
        self.n += other.n;
        self
    }

    /// The regression of the outputs' distance from the inputs, `y - x`, on the inputs, with the ridge that keeps `W` near
    /// the identity: least `sum |y - x W - b|^2 + ridge * sum_i S_ii |W_i - I_i|^2`, where `S_ii` is the sum of squares of
    /// input `i` about its mean. None where the system has no single solution.
    pub(crate) fn fit(&self, ridge: f64) -> Option<RidgeFit> {
        let (width, n) = (self.width, self.n);
        let centred = |i: usize, j: usize| self.squares[i * width + j] - self.inputs[i] * self.inputs[j] / n;
        // In units of its standard deviation each input has the same ridge; one that never changes gets no weight.
        let scale = |i: usize| Some(centred(i, i)).filter(|square| *square > 0.0).map_or(0.0, |it| it.sqrt().recip());
        let scales: Vec<f64> = (0..width).map(scale).collect();
        let mut matrix = vec![0.0; width * width];
        matrix.par_chunks_mut(width).enumerate().for_each(|(i, row)| {
            (0..i).for_each(|j| row[j] = centred(i, j) * scales[i] * scales[j]);
            row[i] = 1.0 + ridge;
        });
        let mut weights = vec![0.0; width * width];
        weights.par_chunks_mut(width).enumerate().for_each(|(output, row)| {
            for (i, weight) in row.iter_mut().enumerate() {
                let product = self.products[output * width + i] - self.outputs[output] * self.inputs[i] / n;
                *weight = (product - centred(output, i)) * scales[i];
            }
        });
        Cholesky::new(matrix, width)?.solve(&mut weights);
        let mut bias = vec![0.0; width];
        weights.par_chunks_mut(width).zip(&mut bias).enumerate().for_each(|(output, (row, bias))| {
            row.iter_mut().zip(&scales).for_each(|(weight, scale)| *weight *= scale);
            row[output] += 1.0;
            *bias = (self.outputs[output] - dot(row, &self.inputs)) / n;
        });
        Some(RidgeFit { weights, bias })
    }

    /// The mean over these rows of `|y - x W - b|^2`.
    pub(crate) fn error(&self, fit: &RidgeFit) -> f64 {
        let width = self.width;
        let of_output = |(output, row): (usize, &[f64])| {
            let bias = fit.bias[output];
            let mut squares = vec![0.0; width];
            add_products(&mut squares, row, &self.squares, width);
            dot(&squares, row) - 2.0 * dot(row, &self.products[output * width..][..width])
                + 2.0 * bias * (dot(row, &self.inputs) - self.outputs[output])
                + self.n * bias * bias
        };
        let sum: f64 = fit.weights.par_chunks(width).enumerate().map(of_output).collect::<Vec<_>>().iter().sum();
        (self.lengths + sum) / self.n
    }
}

/// Rows as columns: the numbers of each unit one after the other.
fn columns(width: usize, n: usize, value: impl Fn(usize, usize) -> f64 + Sync) -> Vec<f64> {
    let mut columns = vec![0.0; width * n];
    columns.par_chunks_mut(n).enumerate().for_each(|(unit, column)| {
        column.iter_mut().enumerate().for_each(|(row, number)| *number = value(row, unit));
    });
    columns
}

#[cfg(test)]
mod tests {
    use stratigraph_core::SplitMix64;

    use super::*;

    const WIDTH: usize = 5;

    /// Rows of inputs whose units depend on each other, and of outputs that depend on them plus noise.
    fn rows(n: usize, noise: f64, seed: u64) -> (Vec<f32>, Vec<f32>) {
        let mut random = SplitMix64::new(seed);
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for _ in 0..n {
            let x: Vec<f64> = (0..WIDTH).map(|_| random.normal()).collect();
            let x: Vec<f32> = (0..WIDTH).map(|i| (x[i] * 10f64.powi(i as i32) + x[0] + 3.0) as f32).collect();
            let y = |out: usize| (0..WIDTH).map(|i| f64::from(x[i]) * ((i * out + out) as f64).sin()).sum::<f64>();
            let y: Vec<f32> = (0..WIDTH).map(|out| (y(out) + out as f64 + noise * random.normal()) as f32).collect();
            inputs.extend(x);
            outputs.extend(y);
        }
        (inputs, outputs)
    }

    fn sums(rows: &(Vec<f32>, Vec<f32>)) -> RidgeSums {
        let mut sums = RidgeSums::new(WIDTH);
        sums.add(&rows.0, &rows.1);
        sums
    }

    /// `y - x W - b` of each row.
    fn residuals(fit: &RidgeFit, (inputs, outputs): &(Vec<f32>, Vec<f32>)) -> Vec<Vec<f64>> {
        let residual = |(x, y): (&[f32], &[f32])| {
            let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
            let of_output =
                |out: usize| f64::from(y[out]) - dot(&x, &fit.weights[out * WIDTH..][..WIDTH]) - fit.bias[out];
            (0..WIDTH).map(of_output).collect()
        };
        inputs.chunks(WIDTH).zip(outputs.chunks(WIDTH)).map(residual).collect()
    }

    #[test]
    fn without_a_ridge_the_residual_is_orthogonal_to_the_inputs() {
        let rows = rows(700, 0.5, 1);
        let fit = sums(&rows).fit(0.0).unwrap();
        let residuals = residuals(&fit, &rows);
        let size: f64 = rows.0.iter().map(|x| f64::from(x.abs())).sum();
        for out in 0..WIDTH {
            assert!(residuals.iter().map(|it| it[out]).sum::<f64>().abs() < 1e-9 * size);
            for i in 0..WIDTH {
                let inputs = rows.0.chunks(WIDTH).map(|x| f64::from(x[i]));
                let product: f64 = inputs.zip(&residuals).map(|(x, it)| x * it[out]).sum();
                assert!(product.abs() < 1e-8 * size, "{product} of {size}");
            }
        }
        // The error from sums is a small difference of squares as large as those of the outputs.
        let square = rows.1.iter().map(|y| f64::from(*y).powi(2)).sum::<f64>() / 700.0;
        let mean = residuals.iter().flatten().map(|x| x * x).sum::<f64>() / 700.0;
        let error = sums(&rows).error(&fit);
        assert!((error - mean).abs() < 1e-13 * square, "{error} and {mean}");
        // Other rows have another error, computed from their sums.
        let others = super::tests::rows(300, 0.5, 2);
        let mean = super::tests::residuals(&fit, &others).iter().flatten().map(|x| x * x).sum::<f64>() / 300.0;
        let error = sums(&others).error(&fit);
        assert!((error - mean).abs() < 1e-13 * square && mean > 1e-9 * square, "{error} and {mean} of {square}");
    }

    #[test]
    fn a_large_ridge_leaves_the_identity_and_parts_add_up() {
        let rows = rows(600, 0.5, 3);
        let fit = sums(&rows).fit(1e12).unwrap();
        for (at, weight) in fit.weights.iter().enumerate() {
            let identity = f64::from(u8::from(at / WIDTH == at % WIDTH));
            assert!((weight - identity).abs() < 1e-6, "{at}: {weight}");
        }
        let cut = 250 * WIDTH;
        let part = |from: usize, to: usize| sums(&(rows.0[from..to].to_vec(), rows.1[from..to].to_vec()));
        let parts = part(0, cut).with(&part(cut, 600 * WIDTH));
        assert_eq!(parts.n_rows(), 600.0);
        let (a, b) = (parts.fit(0.01).unwrap(), sums(&rows).fit(0.01).unwrap());
        a.weights.iter().zip(&b.weights).for_each(|(a, b)| assert!((a - b).abs() < 1e-9 * b.abs().max(1.0)));
    }

    #[test]
    fn fewer_rows_than_units_have_no_fit_without_a_ridge() {
        let few = sums(&rows(3, 0.5, 4));
        assert!(few.fit(0.0).is_none() && few.fit(0.1).is_some());
    }
}

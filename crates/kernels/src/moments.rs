//! Sums of powers, from which moments are made: [`power_sums`].

use crate::for_best_cpu;
use crate::lanes::LANES;

for_best_cpu! {
    /// The sums of `x`, `x^2`, `x^3` and `x^4`, in f64.
    pub fn power_sums(numbers: &[f32]) -> [f64; 4] {
        let mut lanes = [[0.0f64; LANES]; 4];
        let (groups, rest) = numbers.as_chunks::<LANES>();
        for group in groups {
            for lane in 0..LANES {
                let x = f64::from(group[lane]);
                let square = x * x;
                lanes[0][lane] += x;
                lanes[1][lane] += square;
                lanes[2][lane] += square * x;
                lanes[3][lane] += square * square;
            }
        }
        let mut sums = lanes.map(|lanes| lanes.iter().sum::<f64>());
        for &x in rest {
            let x = f64::from(x);
            let square = x * x;
            for (sum, power) in sums.iter_mut().zip([x, square, square * x, square * square]) {
                *sum += power;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_powers() {
        for n in [0, 1, 15, 16, 17, 1000] {
            let numbers: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin() * 2.0 + 0.1).collect();
            let expected = [1, 2, 3, 4].map(|power| numbers.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>());
            for (found, expected) in power_sums(&numbers).into_iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-12 * (1.0 + expected.abs()), "{n}: {found} and {expected}");
            }
        }
    }
}

//! The gate of an MLP in one pass: [`gated_silu`].

use crate::exp::exp;
use crate::for_best_cpu;

for_best_cpu! {
    /// Replaces each `gate` by `gate * sigmoid(gate) * up`.
    ///
    /// # Panics
    /// When the two are not of one length.
    pub fn gated_silu(gate: &mut [f32], up: &[f32]) -> () {
        assert_eq!(gate.len(), up.len(), "a gate for each value");
        for (gate, &up) in gate.iter_mut().zip(up) {
            let x = *gate;
            let e = exp(-x.abs()); // sigmoid(x) is 1 / (1 + e) or e / (1 + e)
            let numerator = if x < 0.0 { x * e } else { x };
            *gate = numerator / (1.0 + e) * up;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_close_to_the_definition_everywhere() {
        let xs: Vec<f32> = (-3000..=3000).map(|i| i as f32 * 0.05).chain([-1e30, 1e30, -0.0]).collect();
        let mut found = xs.clone();
        gated_silu(&mut found, &vec![0.5; xs.len()]);
        for (x, found) in xs.into_iter().zip(found) {
            let x = f64::from(x);
            let exact = 0.5 * x / (1.0 + (-x).exp());
            assert!((f64::from(found) - exact).abs() <= 1e-6 * exact.abs().max(1e-6), "{x}: {found} and {exact}");
        }
        let mut nan = [f32::NAN];
        gated_silu(&mut nan, &[1.0]);
        assert!(nan[0].is_nan());
    }
}

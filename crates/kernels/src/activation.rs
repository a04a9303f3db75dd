//! The nonlinearity of an MLP in one pass, with or without a gate: [`gated_silu`], [`gelu`], [`gelu_tanh`], ...

use crate::exp::exp;
use crate::for_best_cpu;

/// `x * sigmoid(scale)`, where `x` and `scale` have one sign.
#[inline(always)]
fn times_sigmoid(x: f32, scale: f32) -> f32 {
    let e = exp(-scale.abs()); // sigmoid(s) is 1 / (1 + e) or e / (1 + e)
    let numerator = if scale < 0.0 { x * e } else { x };
    numerator / (1.0 + e)
}

#[inline(always)]
fn silu_of(x: f32) -> f32 {
    times_sigmoid(x, x)
}

/// `(1 + tanh(y)) / 2` is `sigmoid(2 y)`.
#[inline(always)]
fn gelu_tanh_of(x: f32) -> f32 {
    const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769_2;
    times_sigmoid(x, TWICE_SQRT_2_OVER_PI * (x + 0.044_715 * (x * x * x)))
}

/// `x * Phi(x)`, with `2 Phi(-|x|) = erfc(|x| / sqrt(2))` by the Chebyshev fit `erfcc` of Press et al., *Numerical
/// Recipes*, 2nd edition, section 6.2, whose relative error is below 1.2e-7.
#[inline(always)]
fn gelu_of(x: f32) -> f32 {
    const FIT: [f32; 10] = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_9,
        -1.135_204,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_7,
        -1.265_512_2,
    ];
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    let mut fit = FIT[0];
    let mut i = 1;
    while i < FIT.len() {
        fit = fit * t + FIT[i];
        i += 1;
    }
    let tail = 0.5 * t * exp((fit - z * z).min(0.0)); // Phi(-|x|)
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

macro_rules! activations {
    ($($(#[$doc:meta])* $plain:ident, $gated:ident = $of:ident;)*) => {$(
        for_best_cpu! {
            $(#[$doc])*
            pub fn $plain(xs: &mut [f32]) -> () {
                for x in xs.iter_mut() {
                    *x = $of(*x);
                }
            }
        }

        for_best_cpu! {
            $(#[$doc])*
            ///
            /// Each result is multiplied by its number of `up`.
            ///
            /// # Panics
            /// When the lengths differ.
            pub fn $gated(gate: &mut [f32], up: &[f32]) -> () {
                assert_eq!(gate.len(), up.len(), "a gate for each value");
                for (gate, &up) in gate.iter_mut().zip(up) {
                    *gate = $of(*gate) * up;
                }
            }
        }
    )*};
}

activations! {
    /// `x * sigmoid(x)`.
    silu, gated_silu = silu_of;
    /// `x * Phi(x)`, with the normal distribution function.
    gelu, gated_gelu = gelu_of;
    /// `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))`.
    gelu_tanh, gated_gelu_tanh = gelu_tanh_of;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(function: fn(&mut [f32]), gated: fn(&mut [f32], &[f32]), exact: impl Fn(f64) -> f64, tolerance: f64) {
        let xs: Vec<f32> = (-3000..=3000).map(|i| i as f32 * 0.005).chain([-1e10, -90.0, 90.0, 1e10, -0.0]).collect();
        let (mut found, mut halved) = (xs.clone(), xs.clone());
        function(&mut found);
        gated(&mut halved, &vec![0.5; xs.len()]);
        for ((x, found), halved) in xs.into_iter().zip(found).zip(halved) {
            let expected = exact(f64::from(x));
            let difference = (f64::from(found) - expected).abs();
            assert!(difference <= tolerance * f64::from(x).abs().max(1e-6), "{x}: {found} and {expected}");
            assert_eq!(halved, 0.5 * found);
        }
        let mut nan = [f32::NAN];
        function(&mut nan);
        assert!(nan[0].is_nan());
    }

    #[test]
    fn silu_is_its_definition() {
        check(silu, gated_silu, |x| x / (1.0 + (-x).exp()), 3e-7);
    }

    #[test]
    fn gelu_tanh_is_its_definition() {
        let inner = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
        check(gelu_tanh, gated_gelu_tanh, |x| 0.5 * x * (1.0 + inner(x).tanh()), 3e-7);
    }

    #[test]
    fn gelu_is_its_definition() {
        check(gelu, gated_gelu, |x| x * normal(x), 3e-7);
    }

    /// The normal distribution function by its power series, which is accurate up to 8.
    fn normal(x: f64) -> f64 {
        if x.abs() > 8.0 {
            return if x > 0.0 { 1.0 } else { 0.0 };
        }
        let (mut term, mut sum) = (x, x);
        for n in 1..400 {
            term *= x * x / (2.0 * f64::from(n) + 1.0);
            sum += term;
        }
        0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
    }
}

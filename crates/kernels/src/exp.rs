//! The exponential function in a form that vectorises.

/// `exp(x)` for `x <= 0`, within two units in the last place; exactly 0 below -87, where the result leaves the range
/// of normal numbers.
///
/// `x = n log 2 + r` with whole `n`; `exp(r)` is a polynomial and `2^n` goes into the exponent. `log 2` is split in two
/// so that `n log 2` loses no bits (Cody and Waite, *Software Manual for the Elementary Functions*, 1980).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LEAST: f32 = -87.0;
    /// Adding this rounds to a whole number, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = x.max(LEAST) * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x.max(LEAST) - n * LN2_HIGH) - n * LN2_LOW;
    // The Taylor series: its next term is below 2e-9 where |r| <= log(2) / 2.
    let series = 1.0 / 5040.0;
    let series = series * r + 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = series * (r * r) + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    let value = if x < LEAST { 0.0 } else { series * power };
    if x.is_nan() { x } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_over_its_whole_range() {
        let mut worst = 0.0f64;
        for i in 0..=870_000 {
            let x = -(i as f32) * 1e-4;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - exact).abs() / exact);
        }
        assert!(worst < 2.4e-7, "{worst:e}");
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-88.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }
}

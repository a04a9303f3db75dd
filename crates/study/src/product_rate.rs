//! The rate of a large matrix product on a device: [`product_rate`].

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};

use crate::{DeviceError, Result};

/// Operations per second of the product of two square matrices of f32, in units of 1e9; a multiplication and an addition are two. The
/// matrices are large enough that a product takes a twentieth of a second, but at most 4096 wide. The shortest of three times counts,
/// after a run that is not timed, in which kernels are compiled and chosen.
///
/// # Errors
/// When the device fails.
pub fn product_rate(device: &Device) -> Result<f64> {
    const LONG: f64 = 0.05;
    const WIDEST: usize = 4096;
    let mut width = 512;
    loop {
        let seconds = seconds(width, device)?;
        if seconds >= LONG || width == WIDEST {
            return Ok(2.0 * (width as f64).powi(3) / seconds / 1e9);
        }
        width *= 2;
    }
}

/// Seconds of a product of matrices of a width.
fn seconds(width: usize, device: &Device) -> Result<f64> {
    let matrix = || Tensor::<2>::random([width, width], Distribution::Normal(0.0, 1.0), device);
    let (a, b) = (matrix(), matrix());
    let failed = |error| DeviceError::Failed { reason: format!("a product of {width}x{width} matrices: {error}") };
    let wait = || device.sync().map_err(failed);
    let mut shortest = f64::INFINITY;
    for round in 0..4 {
        wait()?;
        let started = Instant::now();
        let product = std::hint::black_box(a.clone().matmul(b.clone()));
        wait()?;
        drop(product);
        if round > 0 {
            shortest = shortest.min(started.elapsed().as_secs_f64());
        }
    }
    Ok(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_has_a_rate() {
        let rate = product_rate(&Device::flex()).unwrap();
        assert!(rate > 1.0 && rate < 1e6, "{rate} GFLOP/s");
    }
}

//! How are activations of a corpus collected without keeping all of them? A sampler keeps the rows of chosen positions at
//! chosen hook points; here they give the covariance spectrum of what each layer's MLP writes.

use std::fs::File;

use anyhow::Result;
use stratigraph::prelude::*;

fn main() -> Result<()> {
    let checkpoint = Checkpoint::open("models/tiny")?;
    let (model, tokenizer) = (checkpoint.load(&Backend::Flex.device()?)?, checkpoint.tokenizer()?);
    let windows = tokenizer.windows(File::open("examples/data/sample.txt")?, 128, 16)?;

    // At most 500 positions, evenly spaced, without the first of each window.
    let positions = SamplePositions::spaced(&windows, 1, 500)?;
    let mut sampler = ActivationSampler::new(positions, [Hook::MlpOut]);
    observe(&model, &windows, 8, &mut [&mut sampler], |_| {})?;

    println!("{:<24}{:>14}{:>12}{:>22}", "hook point", "rows", "mean norm", "participation ratio");
    for point in sampler.points() {
        let rows = sampler.tensor(point, &model.device())?; // [row, d_model]
        let norm = rows.clone().square().sum_dim(1).sqrt().mean().into_scalar::<f32>();
        let centered = rows.clone() - rows.clone().mean_dim(0);
        let covariance = centered.clone().transpose().matmul(centered);
        // (sum of eigenvalues)^2 / sum of their squares: how many directions carry the variance.
        let trace = (covariance.clone() * Tensor::eye(model.d_model(), &model.device())).sum().into_scalar::<f32>();
        let ratio = trace.powi(2) / covariance.square().sum().into_scalar::<f32>();
        println!("{:<24}{:>14}{norm:>12.2}{ratio:>22.1}", point.to_string(), format!("{:?}", rows.dims()));
    }
    Ok(())
}

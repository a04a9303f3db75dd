//! Reduces logits in the host's memory: [`HostRows`].

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use stratigraph_kernels::softmax::{self, Clean, Sums, SumsAgainst};

use super::full_rows::floats;
use super::reduction::{CleanStatistics, Part, Reduce};

/// One vectorised pass over each row, in the memory that the tensor had.
pub(crate) struct HostRows;

/// Clean logits with their exponentials.
pub(crate) struct HostClean {
    logits: TensorData,
    exps: Vec<f32>,
    /// The largest logit of each row, and the sum of its exponentials.
    sums: Vec<(f32, f64)>,
}

impl HostClean {
    /// A row, with the sum of its exponentials.
    fn row(&self, row: usize) -> (Clean<'_>, f64) {
        let width = self.exps.len() / self.sums.len();
        let (range, (max, sum)) = (row * width..(row + 1) * width, self.sums[row]);
        (Clean { logits: &floats(&self.logits)[range.clone()], exps: &self.exps[range], max }, sum)
    }
}

impl Reduce for HostRows {
    type Clean = HostClean;
    type Sums = Vec<Part>;
    type Places = Vec<usize>;

    const READ_TOGETHER: bool = false;

    fn places(indices: Vec<usize>, _device: &Device) -> Vec<usize> {
        indices
    }

    fn clean(logits: Tensor<2>, places: &Vec<usize>) -> (HostClean, Vec<Part>) {
        let [_, width] = logits.dims();
        let logits = logits.into_data_as::<f32>();
        let mut exps = vec![0.0; floats(&logits).len()];
        let rows = floats(&logits).par_chunks(width).zip(exps.par_chunks_mut(width)).zip(places);
        let parts = rows.map(|((logits, exps), &token)| {
            let sums = softmax::sums(logits);
            softmax::exps(logits, sums.max, exps);
            let itself = CleanStatistics { max: sums.max, sum: sums.sum, cross: 0.0 };
            part(sums, logits[token], Some(itself))
        });
        let parts: Vec<_> = parts.collect();
        let sums = parts.iter().map(|part| (part.max, part.sum)).collect();
        (HostClean { logits, exps, sums }, parts)
    }

    fn reduce(logits: Tensor<2>, clean: Option<&HostClean>, places: &Vec<usize>) -> Vec<Part> {
        let [_, width] = logits.dims();
        let logits = logits.into_data_as::<f32>();
        let rows = floats(&logits).par_chunks(width).zip(places).enumerate();
        let reduce = |(row, (logits, &token)): (usize, (&[f32], &usize))| match clean.map(|clean| clean.row(row)) {
            Some((clean, sum)) => {
                let max = clean.max;
                let SumsAgainst { sums, cross } = softmax::sums_against(logits, clean);
                part(sums, logits[token], Some(CleanStatistics { max, sum, cross }))
            }
            None => part(softmax::sums(logits), logits[token], None),
        };
        rows.map(reduce).collect()
    }

    fn read(sums: Vec<Vec<Part>>) -> Vec<Vec<Part>> {
        sums
    }
}

fn part(Sums { max, top1, sum, weighted }: Sums, token: f32, clean: Option<CleanStatistics>) -> Part {
    Part { max, top1, sum, weighted, token, clean }
}

//! Reduces logits in the host's memory: [`HostRows`].

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use stratigraph_kernels::softmax::{self, Clean, Sums};

use crate::reduction::{Against, Part, Reduce};

/// One vectorised pass over each row, in the memory that the tensor had.
pub(crate) struct HostRows;

/// Clean logits with their exponentials and sums.
pub(crate) struct HostClean {
    logits: TensorData,
    exps: Vec<f32>,
    sums: Vec<Sums>,
}

impl HostClean {
    fn row(&self, row: usize) -> (Clean<'_>, &Sums) {
        let width = self.exps.len() / self.sums.len();
        let (range, sums) = (row * width..(row + 1) * width, &self.sums[row]);
        (Clean { logits: &floats(&self.logits)[range.clone()], exps: &self.exps[range], max: sums.max }, sums)
    }
}

impl Reduce for HostRows {
    type Clean = HostClean;
    type Sums = Vec<Part>;

    const READ_TOGETHER: bool = false;

    fn clean(logits: Tensor<2>) -> HostClean {
        let [_, width] = logits.dims();
        let logits = logits.into_data_as::<f32>();
        let mut exps = vec![0.0; floats(&logits).len()];
        let rows = floats(&logits).par_chunks(width).zip(exps.par_chunks_mut(width));
        let sums = rows.map(|(logits, exps)| {
            let sums = softmax::sums(logits);
            softmax::exps(logits, sums.max, exps);
            sums
        });
        let sums = sums.collect();
        HostClean { logits, exps, sums }
    }

    fn reduce(logits: Tensor<2>, clean: Option<&HostClean>, tokens: &[usize]) -> Vec<Part> {
        let [_, width] = logits.dims();
        let logits = logits.into_data_as::<f32>();
        let rows = floats(&logits).par_chunks(width).zip(tokens).enumerate();
        let part = |(row, (logits, &token)): (usize, (&[f32], &usize))| {
            let (sums, against) = match clean.map(|clean| clean.row(row)) {
                Some((clean, &Sums { max, sum, .. })) => {
                    let (sums, cross) = softmax::sums_against(logits, clean);
                    (sums, Some(Against { max, sum, cross }))
                }
                None => (softmax::sums(logits), None),
            };
            let Sums { max, top1, sum, weighted } = sums;
            Part { max, top1, sum, weighted, token: logits[token], against }
        };
        rows.map(part).collect()
    }

    fn read(sums: Vec<Vec<Part>>) -> Vec<Vec<Part>> {
        sums
    }
}

fn floats(data: &TensorData) -> &[f32] {
    data.as_slice().expect("logits are read as f32")
}

//! Reduces logits on their device: [`DeviceRows`].

use burn::tensor::{Device, Int, Tensor, TensorData};
use stratigraph_core::transfers;

use super::reduction::{CleanStatistics, Part, Reduce};

/// Tensor operations, whose sums stay on the device until a whole batch is read.
pub(crate) struct DeviceRows;

/// Clean logits relative to the largest of their row, and for each row that largest one and the sum of exponentials.
pub(crate) struct DeviceClean {
    relative: Tensor<2>,
    max: Tensor<2>,
    sum: Tensor<2>,
}

impl Reduce for DeviceRows {
    type Clean = DeviceClean;
    /// `[rows, 5]`: the largest logit, its place, the token's logit, and two sums; against clean logits `[rows, 8]`, with their
    /// largest one and two sums more.
    type Sums = Tensor<2>;
    /// `[rows, 1]`
    type Places = Tensor<2, Int>;

    const READ_TOGETHER: bool = true;

    fn places(indices: Vec<usize>, device: &Device) -> Tensor<2, Int> {
        let n_rows = indices.len();
        let places = indices.into_iter().map(|place| i32::try_from(place).expect("a token id fits 31 bits"));
        transfers::upload_ints(TensorData::new(places.collect(), [n_rows, 1]), device)
    }

    fn clean(logits: Tensor<2>, places: &Tensor<2, Int>) -> (DeviceClean, Tensor<2>) {
        let max = begun(logits.clone().max_dim(1)).clamp_min(f32::MIN);
        let relative = begun(logits.clone() - max.clone());
        let sum = begun(relative.clone().exp().sum_dim(1));
        let clean = DeviceClean { relative, max, sum };
        let sums = Self::reduce(logits, Some(&clean), places);
        (clean, sums)
    }

    fn reduce(logits: Tensor<2>, clean: Option<&DeviceClean>, places: &Tensor<2, Int>) -> Tensor<2> {
        let (max, top1) = logits.clone().max_dim_with_indices(1);
        let top1 = begun(top1.float()); // a place in a tile is exact in f32
        let max = begun(max.clamp_min(f32::MIN)); // logits may be minus infinity throughout
        let token = begun(logits.clone().gather(1, places.clone()));
        let relative = begun(logits - max.clone());
        let sum = begun(relative.clone().exp().sum_dim(1));
        let weighted = begun(expectation(relative.clone().exp(), relative.clone()));
        let mut columns = vec![max, top1, token, sum, weighted];
        if let Some(clean) = clean {
            let cross = begun(expectation(clean.relative.clone().exp(), clean.relative.clone() - relative));
            columns.extend([clean.max.clone(), clean.sum.clone(), cross]);
        }
        begun(Tensor::cat(columns, 1))
    }

    fn read(sums: Vec<Tensor<2>>) -> Vec<Vec<Part>> {
        let widths: Vec<_> = sums.iter().map(|sums| sums.dims()[1]).collect();
        let read = transfers::read_together(sums);
        let parts = |(sums, width): (TensorData, usize)| {
            let sums = sums.try_into_vec_as::<f32>().expect("a float tensor reads as f32");
            sums.chunks(width).map(part).collect()
        };
        read.into_iter().zip(widths).map(parts).collect()
    }
}

/// A row of sums.
fn part(row: &[f32]) -> Part {
    let clean = row.get(5..).and_then(|clean| match *clean {
        [max, sum, cross] => Some(CleanStatistics { max, sum: sum.into(), cross: cross.into() }),
        _ => None,
    });
    let &[max, top1, token, sum, weighted] = row.first_chunk().expect("a row has five sums");
    Part { max, top1: top1 as usize, sum: sum.into(), weighted: weighted.into(), token, clean }
}

/// Sends the queued operations to the device, without waiting for it: burn 0.22.1's fusion fails on several reductions
/// in one graph.
pub(crate) fn begun(tensor: Tensor<2>) -> Tensor<2> {
    transfers::flush(&tensor.device());
    tensor
}

/// `sum(exps * values)` of each row, `[rows, 1]`; where an exponential is 0 the term is 0.
fn expectation(exps: Tensor<2>, values: Tensor<2>) -> Tensor<2> {
    let impossible = exps.clone().equal_elem(0.0);
    (exps * values).mask_fill(impossible, 0.0).sum_dim(1)
}

//! Reduces logits on their device: [`DeviceRows`].
//!
//! Each sum is read before the next one is asked for: burn 0.22.1's fusion fails on several reductions in one graph.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::reduction::{Against, Part, Reduce};

/// Tensor operations, of which only sums are read.
pub(crate) struct DeviceRows;

/// Clean logits relative to the largest of their row, and for each row that largest one and the sum of exponentials.
pub(crate) struct DeviceClean {
    relative: Tensor<2>,
    max: Vec<f32>,
    sum: Vec<f32>,
}

impl Reduce for DeviceRows {
    type Clean = DeviceClean;

    fn clean(logits: Tensor<2>) -> DeviceClean {
        let device = logits.device();
        let max = host(logits.clone().max_dim(1).clamp_min(f32::MIN));
        let relative = logits - column(&max, &device);
        let sum = host(relative.clone().exp().sum_dim(1));
        DeviceClean { relative, max, sum }
    }

    fn reduce(logits: Tensor<2>, clean: Option<&DeviceClean>, tokens: &[usize]) -> Vec<Part> {
        let device = logits.device();
        let places: Vec<i32> =
            tokens.iter().map(|&token| i32::try_from(token).expect("a token id fits 31 bits")).collect();
        let places = Tensor::<2, Int>::from_data(TensorData::new(places, [tokens.len(), 1]), &device);
        let (max, top1) = logits.clone().max_dim_with_indices(1);
        let top1 = top1.try_into_vec_as::<i64>().expect("indices are integers");
        let max = host(max.clamp_min(f32::MIN)); // logits may be minus infinity throughout
        let token = host(logits.clone().gather(1, places));
        let relative = logits - column(&max, &device);
        let sum = host(relative.clone().exp().sum_dim(1));
        let weighted = host(expectation(relative.clone().exp(), relative.clone()));
        let cross =
            clean.map(|clean| host(expectation(clean.relative.clone().exp(), clean.relative.clone() - relative)));
        let against = |row: usize| {
            let (clean, cross) = (clean?, cross.as_ref()?);
            Some(Against { max: clean.max[row], sum: clean.sum[row].into(), cross: cross[row].into() })
        };
        let part = |row: usize| Part {
            max: max[row],
            top1: top1[row] as usize,
            sum: sum[row].into(),
            weighted: weighted[row].into(),
            token: token[row],
            against: against(row),
        };
        (0..tokens.len()).map(part).collect()
    }
}

/// A number for each row, `[rows, 1]`.
fn column(values: &[f32], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), device)
}

/// A float tensor as numbers in row-major order.
fn host(tensor: Tensor<2>) -> Vec<f32> {
    tensor.try_into_vec_as().expect("a float tensor reads as f32")
}

/// `sum(exps * values)` of each row, `[rows, 1]`; where an exponential is 0 the term is 0.
fn expectation(exps: Tensor<2>, values: Tensor<2>) -> Tensor<2> {
    let impossible = exps.clone().equal_elem(0.0);
    (exps * values).mask_fill(impossible, 0.0).sum_dim(1)
}

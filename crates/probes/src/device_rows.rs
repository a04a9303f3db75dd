//! Reduces logits on their device: [`DeviceRows`].

use burn::tensor::{Int, Tensor, TensorData, Transaction};

use crate::reduction::{Against, Part, Reduce};

/// Tensor operations whose results stay on the device until all of them are read.
pub(crate) struct DeviceRows;

/// Clean logits relative to the largest of their row, their exponentials, and for each row, `[rows, 1]`, that largest one and
/// the sum of exponentials.
pub(crate) struct DeviceClean {
    relative: Tensor<2>,
    exps: Tensor<2>,
    max: Tensor<2>,
    sum: Tensor<2>,
}

/// What stands in the columns of a tile's sums; the last three only against clean logits.
const COLUMNS: usize = 5;
const AGAINST: usize = 3;

impl Reduce for DeviceRows {
    type Clean = DeviceClean;
    /// `[rows, columns]`
    type Pending = Tensor<2>;

    const WAITS: bool = true;

    fn clean(logits: Tensor<2>) -> DeviceClean {
        let max = logits.clone().max_dim(1).clamp_min(f32::MIN); // logits may be minus infinity throughout
        let relative = logits - max.clone();
        let exps = relative.clone().exp();
        let sum = exps.clone().sum_dim(1);
        DeviceClean { relative, exps, max, sum }
    }

    fn reduce(logits: Tensor<2>, clean: Option<&DeviceClean>, tokens: &[usize]) -> Tensor<2> {
        let device = logits.device();
        let places: Vec<i32> =
            tokens.iter().map(|&token| i32::try_from(token).expect("a token id fits 31 bits")).collect();
        let places = Tensor::<2, Int>::from_data(TensorData::new(places, [tokens.len(), 1]), &device);
        let (max, top1) = logits.clone().max_dim_with_indices(1);
        let max = max.clamp_min(f32::MIN);
        let token = logits.clone().gather(1, places);
        let relative = logits - max.clone();
        let exps = relative.clone().exp();
        // A place in a tile is below 2^24, which f32 holds exactly.
        let mut columns = vec![max, top1.float(), exps.clone().sum_dim(1), expectation(&exps, relative.clone()), token];
        if let Some(clean) = clean {
            let cross = expectation(&clean.exps, clean.relative.clone() - relative);
            columns.extend([clean.max.clone(), clean.sum.clone(), cross]);
        }
        Tensor::cat(columns, 1)
    }

    fn read(pending: Vec<Tensor<2>>) -> Vec<Vec<Part>> {
        let transaction = pending.into_iter().fold(Transaction::default(), |all, sums| all.register(sums));
        transaction.execute().into_iter().map(parts).collect()
    }
}

/// `sum(exps * values)` of each row, `[rows, 1]`; where an exponential is 0 the term is 0.
fn expectation(exps: &Tensor<2>, values: Tensor<2>) -> Tensor<2> {
    let impossible = exps.clone().equal_elem(0.0);
    (exps.clone() * values).mask_fill(impossible, 0.0).sum_dim(1)
}

fn parts(sums: TensorData) -> Vec<Part> {
    let columns = sums.shape()[1];
    let values: Vec<f32> = sums.convert::<f32>().try_into_vec().expect("it was converted");
    let part = |row: &[f32]| Part {
        max: row[0],
        top1: row[1] as usize,
        sum: row[2].into(),
        weighted: row[3].into(),
        token: row[4],
        against: (columns == COLUMNS + AGAINST).then(|| Against {
            max: row[5],
            sum: row[6].into(),
            cross: row[7].into(),
        }),
    };
    values.chunks(columns).map(part).collect()
}

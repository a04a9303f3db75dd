//! Logits on the host: [`last_rows`], [`rows`], and what is read from them, [`log_prob`], [`kl`].

use burn::tensor::{Tensor, TensorData};
use stratigraph_core::ResidualModel;
use stratigraph_kernels::softmax::{Clean, SumsAgainst, exps, sums, sums_against};

use crate::Result;

/// Bytes of logits that are made at once.
const BYTES: usize = 16 << 20;

/// The logits of the last position of some windows, of residual streams `[batch, pos, d_model]`.
pub(crate) fn last_rows(model: &dyn ResidualModel, resid: Tensor<3>, windows: &[usize]) -> Result<Vec<Vec<f32>>> {
    let [batch, pos, d_model] = resid.dims();
    let last = resid.narrow(1, pos - 1, 1).reshape([batch, d_model]);
    if windows.len() == batch {
        return rows(model, last);
    }
    let indices: Vec<i32> = windows.iter().map(|&window| window as i32).collect();
    let indices = Tensor::from_data(TensorData::new(indices, [windows.len()]), &last.device());
    rows(model, last.select(0, indices))
}

/// The logits of residual streams `[rows, d_model]`.
pub(crate) fn rows(model: &dyn ResidualModel, resid: Tensor<2>) -> Result<Vec<Vec<f32>>> {
    let ([n_rows, _], d_vocab) = (resid.dims(), model.d_vocab());
    let at_once = rows_at_once(model);
    let mut all = Vec::with_capacity(n_rows);
    for start in (0..n_rows).step_by(at_once) {
        let part = resid.clone().narrow(0, start, at_once.min(n_rows - start));
        let logits = model.unembed(model.final_norm(part)?, 0..d_vocab)?;
        let logits: Vec<f32> = logits.try_into_vec_as().expect("logits are floats");
        all.extend(logits.chunks(d_vocab).map(<[f32]>::to_vec));
    }
    Ok(all)
}

/// How many rows of logits are made at once.
pub(crate) fn rows_at_once(model: &dyn ResidualModel) -> usize {
    (BYTES / (model.d_vocab() * size_of::<f32>()).max(1)).max(1)
}

/// The log-probability of a token, in nats.
pub(crate) fn log_prob(logits: &[f32], token: u32) -> f64 {
    let sums = sums(logits);
    f64::from(logits[token as usize]) - f64::from(sums.max) - sums.sum.ln()
}

/// The most likely token.
pub(crate) fn top1(logits: &[f32]) -> u32 {
    sums(logits).top1 as u32
}

/// The KL divergence of changed from clean next-token distributions, `sum(p ln(p / q))` with clean `p`, in nats; none where logits
/// are not those of a distribution, such as NaN.
pub(crate) fn kl(clean: &[f32], changed: &[f32]) -> Option<f64> {
    let of_clean = sums(clean);
    let mut kept = vec![0.0; clean.len()];
    exps(clean, of_clean.max, &mut kept);
    let against = Clean { logits: clean, exps: &kept, max: of_clean.max };
    let SumsAgainst { sums: of_changed, cross } = sums_against(changed, against);
    let kl = cross / of_clean.sum + of_changed.sum.ln() - of_clean.sum.ln();
    kl.is_finite().then(|| kl.max(0.0)) // rounding can make it a little less than 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_and_probability_are_their_definitions() {
        let (clean, changed) = ([1.0f32, 2.0, -3.0, 0.5], [0.0f32, 2.5, 1.0, -1.0]);
        let probabilities = |logits: &[f32]| -> Vec<f64> {
            let exps: Vec<f64> = logits.iter().map(|x| f64::from(*x).exp()).collect();
            let sum: f64 = exps.iter().sum();
            exps.iter().map(|e| e / sum).collect()
        };
        let (p, q) = (probabilities(&clean), probabilities(&changed));
        let expected: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
        assert!((kl(&clean, &changed).unwrap() - expected).abs() < 1e-6);
        assert_eq!(kl(&clean, &clean), Some(0.0));
        assert!((log_prob(&clean, 3) - p[3].ln()).abs() < 1e-6);
        assert_eq!(top1(&changed), 1);
    }

    #[test]
    fn logits_of_no_distribution_have_no_divergence() {
        let sound = [1.0f32, 2.0, -3.0];
        for broken in [[1.0, f32::NAN, 0.0], [f32::INFINITY, 1.0, 0.0], [f32::NEG_INFINITY, 0.0, 0.0]] {
            assert_eq!(kl(&sound, &broken), None, "{broken:?}");
        }
        assert_eq!(kl(&[f32::NAN; 3], &sound), None);
        // A token that both find impossible adds nothing.
        let (clean, changed) = ([1.0f32, 2.0, f32::NEG_INFINITY], [2.0f32, 1.0, f32::NEG_INFINITY]);
        assert!((kl(&clean, &changed).unwrap() - kl(&clean[..2], &changed[..2]).unwrap()).abs() < 1e-6);
    }
}

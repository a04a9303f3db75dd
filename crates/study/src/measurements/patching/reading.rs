//! The metric of a prompt's answer, [`AnswerMetric`], computed from residual streams by [`AnswerReadout`].

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_probes::ProbeError;
use stratigraph_probes::metrics::{Metric, Metrics};
use stratigraph_probes::readout::{Clean, Readout};
use stratigraph_probes::scores::{Row, ScoreSink};

use super::encoded::PairGroup;
use crate::{Result, StudyError};

/// The metric at the last position of a prompt.
#[derive(Clone)]
pub(super) enum AnswerMetric {
    /// The logit of the pair's answer minus that of its other answer.
    LogitDifference,
    /// Any other metric; the token that follows is the pair's answer.
    Other(Arc<dyn Metric>),
}

impl AnswerMetric {
    pub(super) fn name(&self) -> &str {
        match self {
            AnswerMetric::LogitDifference => "logit_difference",
            AnswerMetric::Other(metric) => metric.name(),
        }
    }

    pub(super) fn unit(&self) -> &str {
        match self {
            AnswerMetric::LogitDifference => "logits",
            AnswerMetric::Other(metric) => metric.unit(),
        }
    }

    pub(super) fn check(&self, d_vocab: usize) -> Result<()> {
        match self {
            AnswerMetric::LogitDifference => Ok(()),
            AnswerMetric::Other(metric) => Ok(metric.check(d_vocab)?),
        }
    }
}

/// Computes the metric of a group's runs at the last position.
pub(super) struct AnswerReadout<'a> {
    model: &'a dyn ResidualModel,
    readout: Readout<'a>,
    group: &'a PairGroup<'a>,
    metric: &'a AnswerMetric,
    /// The last token of each clean prompt and its answer.
    answers: TokenWindows,
    /// The last residual stream of the clean prompts at the last position, `[pair, 1, d_model]`, with which metrics such as KL
    /// compare.
    clean: Tensor<3>,
}

impl<'a> AnswerReadout<'a> {
    /// For the pairs of a group; `clean` is the residual stream of their clean prompts at the last position,
    /// `[pair, 1, d_model]`.
    pub(super) fn new(
        readout: Readout<'a>,
        model: &'a dyn ResidualModel,
        (group, metric): (&'a PairGroup<'a>, &'a AnswerMetric),
        clean: Tensor<3>,
    ) -> Result<Self> {
        let readout = match metric {
            AnswerMetric::LogitDifference => readout,
            AnswerMetric::Other(metric) => readout.with_metrics(Metrics::new().with_shared(metric.clone())?),
        };
        Ok(Self { model, readout, group, metric, answers: group.answers()?, clean })
    }

    /// The metric of each run and pair, `[run][pair]`, from the residual streams of some pairs at the last position,
    /// `[pair, 1, d_model]` each.
    ///
    /// # Errors
    /// When a value is not finite, or the metric is not defined there.
    pub(super) fn values(&self, pairs: Range<usize>, last: Vec<Tensor<3>>) -> Result<Vec<Vec<f64>>> {
        match self.metric {
            AnswerMetric::LogitDifference => self.logit_differences(pairs, last),
            AnswerMetric::Other(metric) => self.other(metric.name(), pairs, last),
        }
    }

    /// Computes only the logits of the answers.
    fn logit_differences(&self, pairs: Range<usize>, last: Vec<Tensor<3>>) -> Result<Vec<Vec<f64>>> {
        let (n_pairs, n_runs, d_model) = (pairs.len(), last.len(), self.model.d_model());
        let answers: Vec<_> = pairs.clone().map(|pair| self.group.pair(pair)).collect();
        let mut tokens: Vec<u32> = answers.iter().flat_map(|pair| [pair.answer, pair.other]).collect();
        tokens.sort_unstable();
        tokens.dedup();
        let rows = Tensor::cat(last, 0).reshape([n_runs * n_pairs, d_model]);
        let logits = self.readout.logits_of(rows, &tokens)?;
        let difference = |(row, logits): (usize, &Vec<f32>)| {
            let pair = answers[row % n_pairs];
            let logit = |token: u32| tokens.binary_search(&token).map_or(f64::NAN, |at| f64::from(logits[at]));
            let value = logit(pair.answer) - logit(pair.other);
            if value.is_finite() {
                return Ok(value);
            }
            let reason = format!("its logit difference is {value} in a run; run the model in f32");
            Err(StudyError::UnfitPair { pair: self.group.name(pairs.start + row % n_pairs).to_owned(), reason })
        };
        let values = logits.iter().enumerate().map(difference).collect::<Result<Vec<f64>>>()?;
        Ok(values.chunks(n_pairs).map(<[f64]>::to_vec).collect())
    }

    /// Reads each stream out as a window of two equal positions. The first is followed by the answer; the second is followed
    /// by no token, as metrics that are defined only at the last position of a window expect. The first value counts.
    fn other(&self, metric: &str, pairs: Range<usize>, last: Vec<Tensor<3>>) -> Result<Vec<Vec<f64>>> {
        let twice = |stream: Tensor<3>| Tensor::cat(vec![stream.clone(), stream], 1);
        let clean = twice(self.clean.clone().narrow(0, pairs.start, pairs.len()));
        let mut values = vec![FirstOfWindow::new(&pairs); last.len()];
        let last = last.into_iter().map(twice).collect();
        self.readout.compare(&self.answers, pairs, last, Clean::other(self.model, clean), &mut values)?;
        let undefined = || ProbeError::MetricWithoutValues { name: metric.to_owned() };
        let defined =
            |run: FirstOfWindow| run.values.into_iter().map(|value| Ok(value.ok_or_else(undefined)?)).collect();
        values.into_iter().map(defined).collect()
    }
}

/// The residual stream `[batch, pos, d_model]` at its last position, `[batch, 1, d_model]`.
pub(super) fn last_position(resid: Tensor<3>) -> Tensor<3> {
    let [_, pos, _] = resid.dims();
    resid.narrow(1, pos - 1, 1)
}

/// The first value of each window.
#[derive(Clone)]
struct FirstOfWindow {
    first: usize,
    values: Vec<Option<f64>>,
}

impl FirstOfWindow {
    fn new(windows: &Range<usize>) -> Self {
        Self { first: windows.start, values: vec![None; windows.len()] }
    }
}

impl ScoreSink for FirstOfWindow {
    fn row(&mut self, sequence: usize, _position: usize, row: &Row) {
        let value = &mut self.values[sequence - self.first];
        *value = value.or(row.first().copied().flatten());
    }
}

//! Interventions scored on parts of a corpus: [`Scoring`], and on a model [`Scorer`].

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use stratigraph_core::{NoTap, ResidualModel, RunModel, TokenWindows};
use stratigraph_probes::lens::{LensReading, ReadStream};
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::readout::{Clean, Readout, Tiles};
use stratigraph_probes::scores::ScoreSink;
use stratigraph_surgery::{Budget, CorpusMeans, Executor, Intervention, LastStream, Prepared, Sink};

use crate::progress::{block_work, readout_work};
use crate::{Result, StudyError};

/// How interventions are read out.
#[derive(Clone)]
pub(crate) struct ReadoutOptions<'a> {
    pub(crate) metrics: Metrics,
    pub(crate) budget: Budget,
    pub(crate) tiles: Option<Tiles>,
    /// The model whose distributions are the clean ones, where it is not the studied model itself.
    pub(crate) reference: Option<&'a dyn ResidualModel>,
    /// The last residual stream of the unchanged model on each window, `[1, pos, d_model]`, where it need not run.
    pub(crate) clean: Option<Arc<[Tensor<3>]>>,
}

impl<'a> ReadoutOptions<'a> {
    pub(crate) fn new(metrics: Metrics, budget: Budget) -> Self {
        Self { metrics, budget, tiles: None, reference: None, clean: None }
    }

    /// A readout with its part of the budget, a quarter.
    pub(crate) fn readout<'m>(&self, model: &'m dyn ResidualModel) -> Readout<'m> {
        let readout = Readout::new(model).with_metrics(self.metrics.clone()).with_bytes(self.budget.bytes / 4);
        match self.tiles {
            Some(tiles) => readout.with_tiles(tiles),
            None => readout,
        }
    }

    /// The rest of the budget, which the executor has.
    pub(crate) fn executor_budget(&self) -> Budget {
        Budget { bytes: self.budget.bytes - self.budget.bytes / 4, ..self.budget }
    }
}

/// Some interventions to run and to read out against the unchanged model.
pub(crate) struct Scoring<'a> {
    executor: Executor,
    /// Which of them is the unchanged model.
    clean: usize,
    /// How the residual stream of each is read; empty where all are read as the model's last one.
    readings: Vec<Option<LensReading>>,
    windows: &'a TokenWindows,
    options: ReadoutOptions<'a>,
}

impl<'a> Scoring<'a> {
    /// For these interventions; the unchanged model is added if it is not among them.
    pub(crate) fn new(
        mut interventions: Vec<Intervention>,
        clean: &Intervention,
        windows: &'a TokenWindows,
        options: ReadoutOptions<'a>,
    ) -> Self {
        let place = interventions.iter().position(|intervention| intervention == clean);
        let clean = place.unwrap_or_else(|| {
            interventions.push(clean.clone());
            interventions.len() - 1
        });
        let executor = Executor::new(interventions).with_budget(options.executor_budget()).with_first(clean);
        Self { executor, clean, readings: Vec::new(), windows, options }
    }

    /// With how the residual stream of each intervention is read; the unchanged model's is read without a lens.
    pub(crate) fn with_readings(self, readings: Vec<Option<LensReading>>) -> Self {
        debug_assert!(readings.get(self.clean).is_none_or(Option::is_none));
        Self { readings, ..self }
    }

    /// With means over the corpus that were measured before.
    pub(crate) fn with_means(self, means: Arc<CorpusMeans>) -> Self {
        Self { executor: self.executor.with_means(means), ..self }
    }

    /// The interventions, in the order of their scores.
    pub(crate) fn interventions(&self) -> &[Intervention] {
        self.executor.interventions()
    }

    /// About how many multiplications a window takes, so that progress is even whatever the shape of the model.
    pub(crate) fn work(&self, model: &dyn ResidualModel) -> u64 {
        let Cost { step, readout } = Cost::new(model, self.windows);
        self.executor.n_steps() as u64 * step + self.interventions().len() as u64 * readout
    }

    /// Gets ready to run on a model, in parts of `longest` windows at most.
    ///
    /// # Errors
    /// When an intervention or the windows do not fit the model, or the budget is too small.
    pub(crate) fn on(&'a self, model: &'a dyn ResidualModel, longest: usize) -> Result<Scorer<'a>> {
        let readout = self.options.readout(model);
        let prepared = self.executor.prepare(model, self.windows, longest)?;
        Ok(Scorer { scoring: self, readout, prepared, cost: Cost::new(model, self.windows) })
    }
}

/// A [`Scoring`] on a model.
pub(crate) struct Scorer<'a> {
    scoring: &'a Scoring<'a>,
    readout: Readout<'a>,
    prepared: Prepared<'a>,
    cost: Cost,
}

impl Scorer<'_> {
    /// Scores a part of the corpus, each intervention into what `empty` makes; `done` is called with the multiplications
    /// since its last call.
    ///
    /// # Errors
    /// When a score is not finite.
    pub(crate) fn score<S: ScoreSink>(
        &mut self,
        part: Range<usize>,
        empty: impl Fn() -> S,
        done: &mut dyn FnMut(u64),
    ) -> Result<Vec<S>> {
        let Self { scoring, readout, prepared, cost } = self;
        let scores = scoring.interventions().iter().map(|_| empty()).collect();
        let mut sink = MetricSink { readout, scoring, scores, clean: None, cost: *cost, done };
        prepared.run(part, &mut sink)?;
        Ok(sink.scores)
    }
}

/// About how many multiplications one window takes.
#[derive(Clone, Copy)]
struct Cost {
    step: u64,
    readout: u64,
}

impl Cost {
    fn new(model: &dyn ResidualModel, windows: &TokenWindows) -> Self {
        let (shape, tokens) = (model.shape(), windows.seq_len());
        Self { step: block_work(&shape, tokens), readout: readout_work(&shape, tokens) }
    }
}

/// Reads residual streams out into scores.
struct MetricSink<'a, S> {
    readout: &'a Readout<'a>,
    scoring: &'a Scoring<'a>,
    scores: Vec<S>,
    /// What the streams of the last windows are compared with.
    clean: Option<(Range<usize>, Clean<'a>)>,
    cost: Cost,
    done: &'a mut dyn FnMut(u64),
}

impl<'a, S> MetricSink<'a, S> {
    /// What some streams of the windows `sequences` are compared with. The first of these streams have the unchanged model's among
    /// them, which is kept for the others.
    fn clean(&mut self, sequences: &Range<usize>, streams: &[LastStream]) -> Result<Clean<'a>> {
        if let Some((_, clean)) = self.clean.as_ref().filter(|(of, _)| of == sequences) {
            return Ok(clean.clone());
        }
        let Scoring { clean, windows, options, .. } = self.scoring;
        let (kept, found) = match (options.reference, &options.clean) {
            (None, Some(clean)) => {
                let device = streams[0].resid.device();
                let of_windows = clean[sequences.clone()].iter().map(|resid| resid.clone().to_device(&device));
                let clean = Clean::Unscored(Tensor::cat(of_windows.collect(), 0));
                (clean.clone(), clean)
            }
            (Some(model), _) => {
                let tokens = windows.batch(sequences.clone(), &model.device());
                let clean = Clean::other(model, model.forward(tokens, &mut NoTap)?);
                (clean.clone(), clean)
            }
            (None, None) => {
                let index = streams.iter().position(|stream| stream.intervention == *clean);
                let index = index.expect("the unchanged model is the executor's first");
                (Clean::Unscored(streams[index].resid.clone()), Clean::Stream(index))
            }
        };
        self.clean = Some((sequences.clone(), kept));
        Ok(found)
    }
}

impl<S: ScoreSink> Sink for MetricSink<'_, S> {
    type Error = StudyError;

    fn batch(&mut self, sequences: Range<usize>, streams: Vec<LastStream>) -> Result<()> {
        let readouts = (streams.len() * sequences.len()) as u64;
        let clean = self.clean(&sequences, &streams)?;
        let Self { readout, scoring, scores, cost, done, .. } = self;
        let mut indices = streams.iter().map(|stream| stream.intervention).peekable();
        let chosen = scores.iter_mut().enumerate().filter(|(index, _)| indices.next_if_eq(index).is_some());
        let mut chosen: Vec<_> = chosen.map(|(_, scores)| scores).collect();
        let reading = |index: usize| scoring.readings.get(index).cloned().flatten();
        let read = |LastStream { intervention, resid }| ReadStream::new(resid, reading(intervention));
        let streams: Vec<_> = streams.into_iter().map(read).collect();
        readout.compare(scoring.windows, sequences, streams, clean, &mut chosen)?;
        done(readouts * cost.readout);
        Ok(())
    }

    fn step_done(&mut self, n_sequences: usize) {
        (self.done)(n_sequences as u64 * self.cost.step);
    }
}

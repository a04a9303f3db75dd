//! Plans scored on parts of a corpus: [`Scoring`], and on a model [`Scorer`].

use std::collections::BTreeSet;
use std::ops::Range;

use burn::tensor::Tensor;
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::readout::{Readout, Tiles};
use stratigraph_probes::scores::ScoreSink;
use stratigraph_surgery::{Budget, Executor, LayerPlan, Prepared, Sink};

use crate::{Error, Result};

/// Some plans to run and to read out against the unchanged model.
pub(crate) struct Scoring<'a> {
    executor: Executor,
    /// Which plan is the unchanged model's.
    clean: usize,
    windows: &'a TokenWindows,
    metrics: Metrics,
    budget: Budget,
    tiles: Option<Tiles>,
}

impl<'a> Scoring<'a> {
    /// Of these plans and the unchanged model's, by the default metrics.
    pub(crate) fn new(
        mut plans: BTreeSet<LayerPlan>,
        clean: &LayerPlan,
        windows: &'a TokenWindows,
        (budget, tiles): (Budget, Option<Tiles>),
    ) -> Self {
        plans.insert(clean.clone());
        let executor = Executor::new(plans.into_iter().collect()).with_budget(of_executor(budget));
        let clean = executor.plans().iter().position(|plan| plan == clean).expect("it is one of them");
        Self { executor, clean, windows, metrics: Metrics::default(), budget, tiles }
    }

    /// With other metrics.
    pub(crate) fn with_metrics(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// The plans, in the order of their scores.
    pub(crate) fn plans(&self) -> &[LayerPlan] {
        self.executor.plans()
    }

    /// About how many multiplications a window takes, so that progress is even whatever the shape of the model.
    pub(crate) fn work(&self, model: &dyn ResidualModel) -> u64 {
        let Cost { step, readout } = Cost::of(model, self.windows);
        self.executor.n_steps() as u64 * step + self.plans().len() as u64 * readout
    }

    /// Gets ready to run on a model, in parts of `longest` windows at most.
    ///
    /// # Errors
    /// When a plan or the windows do not fit the model, or the budget is too small.
    pub(crate) fn on(&'a self, model: &'a dyn ResidualModel, longest: usize) -> Result<Scorer<'a>> {
        let readout = readout(model, self.tiles, self.budget).with_metrics(self.metrics.clone());
        let prepared = self.executor.prepare(model, self.windows, longest)?;
        Ok(Scorer { scoring: self, readout, prepared, cost: Cost::of(model, self.windows) })
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
    /// Scores a part of the corpus, each plan into what `empty` makes; `done` hears of work, in multiplications.
    ///
    /// # Errors
    /// When a metric is not defined on the model's vocabulary, or a score is not finite.
    pub(crate) fn score<S: ScoreSink>(
        &mut self,
        part: Range<usize>,
        empty: impl Fn() -> S,
        done: &mut dyn FnMut(u64),
    ) -> Result<Vec<S>> {
        let Self { scoring, readout, prepared, cost } = self;
        let scores = scoring.plans().iter().map(|_| empty()).collect();
        let mut bench = Bench { readout, windows: scoring.windows, clean: scoring.clean, scores, cost: *cost, done };
        prepared.run(part, &mut bench)?;
        Ok(bench.scores)
    }
}

/// A readout with its part of a budget, a quarter.
pub(crate) fn readout(model: &dyn ResidualModel, tiles: Option<Tiles>, budget: Budget) -> Readout<'_> {
    let readout = Readout::new(model).with_bytes(budget.bytes / 4);
    match tiles {
        Some(tiles) => readout.with_tiles(tiles),
        None => readout,
    }
}

/// What a readout leaves of a budget.
pub(crate) fn of_executor(budget: Budget) -> Budget {
    Budget { bytes: budget.bytes - budget.bytes / 4, ..budget }
}

/// About how many multiplications one window takes.
#[derive(Clone, Copy)]
struct Cost {
    step: u64,
    readout: u64,
}

impl Cost {
    fn of(model: &dyn ResidualModel, windows: &TokenWindows) -> Self {
        let (width, d_vocab, tokens) = (model.d_model() as u64, model.d_vocab() as u64, windows.seq_len() as u64);
        Self { step: tokens * 12 * width * width, readout: tokens * d_vocab * width }
    }
}

/// Where residual streams are read out.
struct Bench<'a, S> {
    readout: &'a Readout<'a>,
    windows: &'a TokenWindows,
    clean: usize,
    scores: Vec<S>,
    cost: Cost,
    done: &'a mut dyn FnMut(u64),
}

impl<S: ScoreSink> Sink for Bench<'_, S> {
    type Error = Error;

    fn batch(&mut self, sequences: Range<usize>, residuals: Vec<Tensor<3>>) -> Result<()> {
        let readouts = (residuals.len() * sequences.len()) as u64;
        self.readout.compare(self.windows, sequences, residuals, self.clean, &mut self.scores)?;
        (self.done)(readouts * self.cost.readout);
        Ok(())
    }

    fn step_done(&mut self, n_sequences: usize) {
        (self.done)(n_sequences as u64 * self.cost.step);
    }
}

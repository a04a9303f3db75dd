//! Benchmarks under surgery: [`TaskRun`] scores the items of a task under any layer plans.

use std::fmt;
use std::ops::Range;

use burn::tensor::Tensor;
use serde::Serialize;
use stratigraph_core::ResidualModel;
use stratigraph_probes::readout::{Readout, Tiles, TokenScore};
use stratigraph_surgery::{Budget, Executor, LayerPlan, Sink, Step, SurgeryError};
use stratigraph_tasks::{EncodedItems, Likelihood, TaskBatch, TaskScores};

use crate::{Error, Progress, Result, scoring};

/// What a plan makes of a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskResult {
    /// The layers that ran.
    pub plan: LayerPlan,
    /// The scores.
    pub scores: TaskScores,
}

impl fmt::Display for TaskResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.plan, self.scores)
    }
}

/// Scores a task under many plans at once; every block that plans share is run once.
///
/// ```no_run
/// use stratigraph::TaskRun;
/// use stratigraph::prelude::*;
/// use stratigraph::tasks::Task;
/// # fn run(model: &Decoder, tokenizer: &Tokenizer) -> stratigraph::Result<()> {
/// let items = Task::HellaSwag.read("hellaswag.jsonl")?;
/// let encoded = Task::HellaSwag.encode(items, |text| tokenizer.encode(text))?;
/// for result in TaskRun::new(model).plans(sweep::delete_each(model.n_layers())).run(&encoded)? {
///     println!("{result}");
/// }
/// # Ok(())
/// # }
/// ```
pub struct TaskRun<'a> {
    model: &'a dyn ResidualModel,
    plans: Vec<LayerPlan>,
    budget: Budget,
    tiles: Option<Tiles>,
    batch_tokens: usize,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

/// Tokens in a batch: as many as the executor sends through a block at once.
const BATCH_TOKENS: usize = 2048;

impl<'a> TaskRun<'a> {
    /// A run of the unchanged model.
    pub fn new(model: &'a dyn ResidualModel) -> Self {
        Self {
            model,
            plans: vec![LayerPlan::full(model.n_layers())],
            budget: Budget::default(),
            tiles: None,
            batch_tokens: BATCH_TOKENS,
            on_progress: Box::new(|_| {}),
        }
    }

    /// With these plans in place of the unchanged model.
    pub fn plans(mut self, plans: impl IntoIterator<Item = LayerPlan>) -> Self {
        self.plans = plans.into_iter().collect();
        self
    }

    /// With another memory budget.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// With other tiles of the readout than the budget gives.
    pub fn tiles(mut self, tiles: Tiles) -> Self {
        self.tiles = Some(tiles);
        self
    }

    /// With about this many tokens in a batch of texts, which are filled up to the longest of them.
    pub fn batch_tokens(mut self, batch_tokens: usize) -> Self {
        self.batch_tokens = batch_tokens;
        self
    }

    /// With a function that hears how far the run is.
    pub fn on_progress(mut self, hear: impl FnMut(Progress) + 'a) -> Self {
        self.on_progress = Box::new(hear);
        self
    }

    /// Scores every item under every plan, in the order of the plans.
    ///
    /// The model must be causal, as every decoder is: texts of many lengths are run side by side, the shorter ones filled
    /// up on the right. A text that is too long for the model loses tokens at its start.
    ///
    /// # Errors
    /// When there are no items, a plan or an item does not fit the model, the budget is too small, or a log-probability
    /// is not finite.
    pub fn run(self, encoded: &EncodedItems) -> Result<Vec<TaskResult>> {
        self.plans.iter().try_for_each(refuse_ablations)?;
        let batches = encoded.batches(self.model, self.batch_tokens)?;
        let readout = scoring::readout(self.model, self.tiles, self.budget);
        let executor = Executor::new(self.plans).with_budget(scoring::of_executor(self.budget));
        let unread = |pairs: &Vec<_>| vec![Likelihood { log_prob: f64::NAN, is_greedy: false }; pairs.len()];
        let unread: Vec<_> = encoded.pairs().iter().map(unread).collect();
        let (work, on_progress) = (Work::of(self.model, &executor, &batches), self.on_progress);
        let mut bench = Bench {
            readout,
            plans: executor.plans(),
            batch: &batches[0],
            likelihoods: vec![unread; executor.plans().len()],
            work,
            on_progress,
        };
        for batch in &batches {
            bench.batch = batch;
            executor.run(self.model, &batch.windows, &mut bench)?;
        }
        let results = executor.plans().iter().zip(bench.likelihoods);
        let result =
            |(plan, found): (&LayerPlan, Vec<_>)| TaskResult { plan: plan.clone(), scores: encoded.score(&found) };
        Ok(results.map(result).collect())
    }
}

/// Texts are no corpus of windows: what a sublayer writes on the average, or for another text, is not defined on them.
fn refuse_ablations(plan: &LayerPlan) -> Result<()> {
    let ablated = |(_, step): &(usize, &Step)| matches!(step, Step::Ablated(..));
    match plan.steps().iter().enumerate().find(ablated) {
        Some((slot, step)) => Err(SurgeryError::NeedsCorpus { slot, step: step.clone() }.into()),
        None => Ok(()),
    }
}

/// Counts multiplications, roughly.
struct Work {
    /// Of a step, for each token.
    step: u64,
    /// Of reading a residual stream out, for each token of a continuation.
    readout: u64,
    done: u64,
    total: u64,
}

impl Work {
    fn of(model: &dyn ResidualModel, executor: &Executor, batches: &[TaskBatch]) -> Self {
        let (width, d_vocab) = (model.d_model() as u64, model.d_vocab() as u64);
        let (step, readout) = (12 * width * width, d_vocab * width);
        let read: usize = batches.iter().map(TaskBatch::n_tokens).sum();
        let run: usize = batches.iter().map(|batch| batch.windows.ids().len()).sum();
        let (steps, plans) = (executor.n_steps() as u64, executor.plans().len() as u64);
        Self { step, readout, done: 0, total: steps * step * run as u64 + plans * readout * read as u64 }
    }

    fn add(&mut self, work: u64) -> Progress {
        self.done += work;
        Progress { done: self.done, total: self.total }
    }
}

/// Where the residual streams of a batch are read out.
struct Bench<'a> {
    readout: Readout<'a>,
    plans: &'a [LayerPlan],
    batch: &'a TaskBatch,
    /// For each plan, each item and each of its continuations.
    likelihoods: Vec<Vec<Vec<Likelihood>>>,
    work: Work,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

impl Sink for Bench<'_> {
    type Error = Error;

    fn batch(&mut self, sequences: Range<usize>, residuals: Vec<Tensor<3>>) -> Result<()> {
        let seq_len = self.batch.windows.seq_len();
        let (mut rows, mut tokens) = (Vec::new(), Vec::new());
        for (window, reads) in self.batch.reads[sequences.clone()].iter().enumerate() {
            for read in reads {
                let first = window * seq_len + read.position;
                rows.extend(first..first + read.tokens.len());
                tokens.extend_from_slice(&read.tokens);
            }
        }
        for (plan, resid) in residuals.iter().enumerate() {
            let found = self.readout.of_tokens(resid, &rows, &tokens)?;
            self.keep(plan, sequences.clone(), &found)?;
            (self.on_progress)(self.work.add(rows.len() as u64 * self.work.readout));
        }
        Ok(())
    }

    fn step_done(&mut self, n_sequences: usize) {
        let tokens = (n_sequences * self.batch.windows.seq_len()) as u64;
        (self.on_progress)(self.work.add(tokens * self.work.step));
    }
}

impl Bench<'_> {
    /// Gives each continuation of some windows its tokens' scores, which come in the order of the reads.
    fn keep(&mut self, plan: usize, sequences: Range<usize>, mut found: &[TokenScore]) -> Result<()> {
        for read in self.batch.reads[sequences].iter().flatten() {
            let (own, rest) = found.split_at(read.tokens.len());
            found = rest;
            let log_prob: f64 = own.iter().map(|token| token.log_prob).sum();
            if !log_prob.is_finite() {
                let (item, continuation, plan) = (read.item, read.continuation, self.plans[plan].clone());
                return Err(Error::ItemNotFinite { item, continuation, plan, log_prob });
            }
            let is_greedy = own.iter().all(|token| token.is_top1);
            self.likelihoods[plan][read.item][read.continuation] = Likelihood { log_prob, is_greedy };
        }
        Ok(())
    }
}

//! Benchmarks under interventions: [`TaskRun`] scores the items of a task, into a [`TaskResult`] for each intervention.

use std::fmt;
use std::ops::Range;

use serde::Serialize;
use stratigraph_core::{Edit, EditKind, Positions, ResidualModel};
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::readout::{Readout, Tiles, TokenScore};
use stratigraph_profile::InterventionRecord;
use stratigraph_surgery::{Budget, Executor, Intervention, LastStream, Sink};
use stratigraph_tasks::{EncodedItems, Likelihood, TaskBatch, TaskScores};

use crate::names::check_intervention_names;
use crate::progress::{block_work, readout_work};
use crate::scoring::ReadoutOptions;
use crate::{Progress, Result, StudyError};

/// The scores of a task under one intervention: [`TaskScores`], or the [`GenerativeScores`](stratigraph_tasks::GenerativeScores) of
/// texts. It prints as `delete 11: lambada (50 items): acc 0.420 ± 0.070, ..`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TaskResult<S = TaskScores> {
    /// The name of the intervention, such as `delete 11`; `clean` for the unchanged model.
    pub name: String,
    /// The intervention as text, such as `0..11-12..30`.
    pub text: String,
    /// The scores.
    pub scores: S,
}

impl<S: fmt::Display> fmt::Display for TaskResult<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.scores)
    }
}

/// Scores a task with the unchanged model and under interventions; blocks that interventions share are run once.
///
/// ```no_run
/// use stratigraph_core::ResidualModel;
/// use stratigraph_study::TaskRun;
/// use stratigraph_surgery::{Sweep, SweepContext};
/// use stratigraph_tasks::Task;
///
/// # type Error = Box<dyn std::error::Error>;
/// fn run(model: &dyn ResidualModel, encode: impl Fn(&str) -> Result<Vec<u32>, Error>) -> Result<(), Error> {
///     let items = Task::HellaSwag.encode(Task::HellaSwag.read("hellaswag.jsonl")?, encode)?;
///     let deletions = Sweep::delete().points(&SweepContext::new(model.shape(), 128))?;
///     for result in TaskRun::new(model).interventions(deletions.interventions).run(&items)? {
///         println!("{result}");
///     }
///     Ok(())
/// }
/// ```
pub struct TaskRun<'a> {
    model: &'a dyn ResidualModel,
    interventions: Vec<Intervention>,
    options: ReadoutOptions<'a>,
    batch_tokens: usize,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

/// Tokens in a batch: the most that the executor sends through a block at once.
const BATCH_TOKENS: usize = 2048;

impl<'a> TaskRun<'a> {
    /// A run of the unchanged model.
    pub fn new(model: &'a dyn ResidualModel) -> Self {
        Self {
            model,
            interventions: vec![Intervention::none(model.n_layers()).with_name(InterventionRecord::CLEAN)],
            options: ReadoutOptions::new(Metrics::new(), Budget::default()),
            batch_tokens: BATCH_TOKENS,
            on_progress: Box::new(|_| {}),
        }
    }

    /// A run of these interventions alone, without the unchanged model.
    pub(crate) fn only(model: &'a dyn ResidualModel, interventions: Vec<Intervention>) -> Self {
        Self { interventions, ..Self::new(model) }
    }

    /// With interventions beside the unchanged model.
    pub fn interventions<I: Into<Intervention>>(mut self, interventions: impl IntoIterator<Item = I>) -> Self {
        self.interventions.extend(interventions.into_iter().map(Into::into));
        self
    }

    /// With another memory budget.
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.options.budget = budget;
        self
    }

    /// With other tiles of the readout than the budget gives.
    pub fn with_tiles(mut self, tiles: Tiles) -> Self {
        self.options.tiles = Some(tiles);
        self
    }

    /// With about this many tokens in a batch of texts, which are padded to the longest of them.
    pub fn with_batch_tokens(mut self, batch_tokens: usize) -> Self {
        self.batch_tokens = batch_tokens;
        self
    }

    /// With a function that is called with the progress of the run.
    pub fn on_progress(mut self, on_progress: impl FnMut(Progress) + 'a) -> Self {
        self.on_progress = Box::new(on_progress);
        self
    }

    /// Refuses interventions that cannot be made, or whose positions no text has.
    pub(crate) fn check_on(&self, encoded: &EncodedItems) -> Result<()> {
        let longest = self.longest(encoded)?;
        self.interventions.iter().try_for_each(|intervention| {
            check_intervention(intervention)?;
            Ok(intervention.check(&self.model.shape(), longest)?)
        })
    }

    /// Tokens of the longest window in which texts run.
    pub(crate) fn longest(&self, encoded: &EncodedItems) -> Result<usize> {
        let batches = encoded.batches(self.model, self.batch_tokens)?;
        Ok(batches.iter().map(|batch| batch.windows.seq_len()).max().unwrap_or_default())
    }

    /// About how many multiplications it takes.
    pub(crate) fn work(&self, encoded: &EncodedItems) -> Result<u64> {
        let executor = Executor::new(self.interventions.clone()).with_budget(self.options.executor_budget());
        let batches = encoded.batches(self.model, self.batch_tokens)?;
        Ok(Work::new(self.model, &executor, &batches).progress.total)
    }

    /// Scores every item: first with the unchanged model, then under each intervention in order. An edit at positions that a text
    /// does not have changes nothing there; at least one text must have one of them.
    ///
    /// The model must be causal, as every decoder is: texts of different lengths are run side by side, the shorter ones
    /// padded on the right. A text that is too long for the model loses tokens at its start.
    ///
    /// # Errors
    /// When there are no items, an intervention takes values from a corpus or differs between windows, an intervention
    /// or an item does not fit the model, two interventions have one name, the budget is too small, or a log-probability is not
    /// finite.
    pub fn run(self, encoded: &EncodedItems) -> Result<Vec<TaskResult>> {
        check_intervention_names(&self.interventions, self.model.n_layers())?;
        self.check_on(encoded)?;
        self.run_some(encoded)
    }

    /// As [`run`](TaskRun::run), of some of the items that were [checked](TaskRun::check_on): edits may reach others alone.
    pub(crate) fn run_some(self, encoded: &EncodedItems) -> Result<Vec<TaskResult>> {
        let batches = encoded.batches(self.model, self.batch_tokens)?;
        let budget = self.options.executor_budget();
        let executor = Executor::new(self.interventions).with_budget(budget);
        let unread = |pairs: &Vec<_>| vec![Likelihood { log_prob: f64::NAN, is_greedy: false }; pairs.len()];
        let unread: Vec<_> = encoded.pairs().iter().map(unread).collect();
        let mut sink = LikelihoodSink {
            readout: self.options.readout(self.model),
            interventions: executor.interventions(),
            batch: &batches[0],
            likelihoods: vec![unread; executor.interventions().len()],
            work: Work::new(self.model, &executor, &batches),
            on_progress: self.on_progress,
        };
        for batch in &batches {
            sink.batch = batch;
            let seq_len = batch.windows.seq_len();
            let reaching = executor.interventions().iter().map(|intervention| intervention.within(seq_len));
            Executor::new(reaching).with_budget(budget).run(self.model, &batch.windows, &mut sink)?;
        }
        let found = executor.interventions().iter().zip(sink.likelihoods);
        Ok(found.map(|(intervention, found)| result(intervention, encoded, &found)).collect())
    }
}

fn result(intervention: &Intervention, encoded: &EncodedItems, found: &[Vec<Likelihood>]) -> TaskResult {
    TaskResult { name: intervention.name(), text: intervention.to_string(), scores: encoded.score(found) }
}

/// Refuses edits that depend on a corpus: the texts of a task are laid out in batches, which are not its windows.
fn check_intervention(intervention: &Intervention) -> Result<()> {
    let edits = intervention.edits().iter();
    let mut reasons = edits.filter_map(|edit| Some(format!("the edit `{edit}` {}", corpus_dependence(edit)?)));
    match reasons.next() {
        Some(reason) => Err(StudyError::CannotScore { name: intervention.name(), reason }),
        None => Ok(()),
    }
}

/// How an edit depends on a corpus.
pub(crate) fn corpus_dependence(edit: &Edit) -> Option<&'static str> {
    let is_mask = |positions: &Positions| matches!(positions, Positions::Mask(_));
    match edit.kind() {
        EditKind::Mean(_) | EditKind::Resample => Some("takes values from a corpus, which a task does not have"),
        EditKind::Add(values) | EditKind::Patch(values) if values.activation().dims()[0] > 1 => {
            Some("has values for several windows of a corpus; give the values of one window")
        }
        EditKind::MaskKeys(keys) if is_mask(keys) => Some("masks other positions in each window of a corpus"),
        EditKind::MaskPairs(_) => Some("masks other pairs in each window of a corpus"),
        _ if is_mask(edit.positions()) => Some("is at other positions in each window of a corpus"),
        _ => None,
    }
}

/// Counts multiplications, roughly.
struct Work {
    /// Of a step, for each token.
    step: u64,
    /// Of a readout, for each token of a continuation.
    readout: u64,
    progress: Progress,
}

impl Work {
    fn new(model: &dyn ResidualModel, executor: &Executor, batches: &[TaskBatch]) -> Self {
        let (step, readout) = (block_work(&model.shape(), 1), readout_work(&model.shape(), 1));
        let read: usize = batches.iter().map(TaskBatch::n_tokens).sum();
        let run: usize = batches.iter().map(|batch| batch.windows.ids().len()).sum();
        let (steps, interventions) = (executor.n_steps() as u64, executor.interventions().len() as u64);
        let total = steps * step * run as u64 + interventions * readout * read as u64;
        Self { step, readout, progress: Progress::new(0, total) }
    }

    fn add(&mut self, work: u64) -> Progress {
        self.progress.done += work;
        self.progress
    }
}

/// Reads the residual streams of a batch out into likelihoods.
struct LikelihoodSink<'a> {
    readout: Readout<'a>,
    interventions: &'a [Intervention],
    batch: &'a TaskBatch,
    /// Of each intervention, each item and each of its continuations.
    likelihoods: Vec<Vec<Vec<Likelihood>>>,
    work: Work,
    on_progress: Box<dyn FnMut(Progress) + 'a>,
}

impl Sink for LikelihoodSink<'_> {
    type Error = StudyError;

    fn batch(&mut self, sequences: Range<usize>, streams: Vec<LastStream>) -> Result<()> {
        let seq_len = self.batch.windows.seq_len();
        let (mut rows, mut tokens) = (Vec::new(), Vec::new());
        for (window, reads) in self.batch.reads[sequences.clone()].iter().enumerate() {
            for read in reads {
                let first = window * seq_len + read.position;
                rows.extend(first..first + read.tokens.len());
                tokens.extend_from_slice(&read.tokens);
            }
        }
        for LastStream { intervention, resid } in &streams {
            let found = self.readout.of_tokens(resid, &rows, &tokens)?;
            self.keep(*intervention, sequences.clone(), &found)?;
            (self.on_progress)(self.work.add(rows.len() as u64 * self.work.readout));
        }
        Ok(())
    }

    fn step_done(&mut self, n_sequences: usize) {
        let tokens = (n_sequences * self.batch.windows.seq_len()) as u64;
        (self.on_progress)(self.work.add(tokens * self.work.step));
    }
}

impl LikelihoodSink<'_> {
    /// Adds up the scores of each continuation's tokens, which come in the order of the reads.
    fn keep(&mut self, index: usize, sequences: Range<usize>, mut found: &[TokenScore]) -> Result<()> {
        for read in self.batch.reads[sequences].iter().flatten() {
            let (own, rest) = found.split_at(read.tokens.len());
            found = rest;
            let log_prob: f64 = own.iter().map(|token| token.log_prob).sum();
            if !log_prob.is_finite() {
                let (item, continuation, intervention) =
                    (read.item, read.continuation, self.interventions[index].name());
                return Err(StudyError::ItemNotFinite { item, continuation, intervention, log_prob });
            }
            let is_greedy = own.iter().all(|token| token.is_top1);
            self.likelihoods[index][read.item][read.continuation] = Likelihood { log_prob, is_greedy };
        }
        Ok(())
    }
}

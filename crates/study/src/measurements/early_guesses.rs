//! What lenses predict at early layers: [`EarlyGuesses`].

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use stratigraph_core::{ActivationCache, Hook, PerSequence, RunModel, TokenWindows};
use stratigraph_probes::lens::{Lens, LensRows};
use stratigraph_probes::readout::Readout;
use stratigraph_profile::{Axis, Curve, Unit};

use crate::progress::{pass_work, readout_work};
use crate::{Findings, Measurement, Needs, Result, StudyContext, StudyError, Work};

/// The depth at which a lens first has the model's top-1 prediction, and how frequent the tokens are that it guesses.
///
/// For each lens: curves `lens_first_agreement` and `lens_guess_frequency` over residual positions, and the value
/// `lens_first_agreement_depth`, all named after the lens, over the positions whose predictions
/// [count](TokenWindows::scored_from). Early guesses are frequent tokens in most models (Gupta et al.,
/// *How Do LLMs Use Their Depth?*, arXiv 2510.18871).
///
/// ```no_run
/// use stratigraph_core::{ResidualModel, TokenWindows};
/// use stratigraph_study::{Study, measurements::{EarlyGuesses, LogitLens}};
///
/// fn depth(model: &dyn ResidualModel, windows: &TokenWindows) -> stratigraph_study::Result<f64> {
///     let findings = Study::new(model).add(EarlyGuesses::new(LogitLens)).run(windows)?;
///     Ok(findings.value("lens_first_agreement_depth")?.mean) // in layers
/// }
/// ```
#[derive(Clone)]
pub struct EarlyGuesses {
    lenses: Vec<Arc<dyn Lens>>,
}

impl EarlyGuesses {
    /// The name of the measurement.
    pub const NAME: &str = "early_guesses";

    /// Of one lens.
    pub fn new(lens: impl Lens + 'static) -> Self {
        Self { lenses: vec![Arc::new(lens)] }
    }

    /// And of another one.
    pub fn with_lens(mut self, lens: Arc<dyn Lens>) -> Self {
        self.lenses.push(lens);
        self
    }

    /// Runs the model on all windows, and adds what the lenses guess.
    fn run(&self, context: &StudyContext, findings: &mut Findings, progress: &mut dyn FnMut(u64)) -> Result<()> {
        /// Bytes of residual streams that one batch keeps.
        const STREAM_BYTES: usize = 256 << 20;
        let StudyContext { model, windows, .. } = *context;
        let (shape, n_sequences) = (model.shape(), windows.n_sequences());
        let of_window = (shape.n_layers + 1) * shape.d_model * windows.seq_len() * size_of::<f32>();
        let batch = (STREAM_BYTES / of_window.max(1)).clamp(1, 16);
        let frequencies = frequencies(windows, shape.d_vocab);
        let readout = Readout::new(model).with_bytes(context.budget.bytes / 4);
        let mut guesses = vec![Guesses::new(shape.n_layers); self.lenses.len()];
        for start in (0..n_sequences).step_by(batch) {
            let batch = Batch::of(context, start..(start + batch).min(n_sequences), (&readout, &frequencies))?;
            progress(pass_work(&shape, batch.sequences.len() * windows.seq_len()));
            for (lens, guesses) in self.lenses.iter().zip(&mut guesses) {
                batch.read(&**lens, guesses, progress)?;
            }
        }
        self.lenses.iter().zip(&guesses).try_for_each(|(lens, guesses)| guesses.add(lens.name(), findings))
    }
}

impl Measurement for EarlyGuesses {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        Needs::hooks([Hook::ResidPre])
    }

    fn check(&self, context: &StudyContext) -> Result<()> {
        let shape = context.model.shape();
        let unfit = || self.lenses.iter().find_map(|lens| Some(lens.check(&shape).err()?.to_string()));
        match self.needs(context).missing(context).or_else(unfit) {
            Some(reason) => Err(StudyError::CannotMeasure { name: self.name(), reason }),
            None => Ok(()),
        }
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let (shape, tokens, context) = (context.model.shape(), context.windows.ids().len(), *context);
        let scored = tokens - context.windows.n_sequences() * context.windows.scored_from();
        let readouts = self.lenses.len() as u64 * (shape.n_layers as u64 + 1) * readout_work(&shape, scored);
        let work = pass_work(&shape, tokens) + readouts;
        Ok(vec![Work::own(work, move |findings, progress| self.run(&context, findings, progress))])
    }
}

/// The residual streams of some windows, and the model's own top-1 predictions.
struct Batch<'a> {
    cache: ActivationCache,
    resid: Tensor<3>,
    last: Vec<u32>,
    sequences: Range<usize>,
    /// The first position whose prediction counts.
    scored_from: usize,
    readout: &'a Readout<'a>,
    frequencies: &'a [f64],
}

impl<'a> Batch<'a> {
    fn of(
        context: &StudyContext,
        sequences: Range<usize>,
        (readout, frequencies): (&'a Readout<'a>, &'a [f64]),
    ) -> Result<Self> {
        let StudyContext { model, windows, .. } = *context;
        let mut cache = ActivationCache::at([Hook::ResidPre]);
        let resid = model.forward(windows.batch(sequences.clone(), &model.device()), &mut cache)?;
        let scored_from = windows.scored_from();
        let last = readout.top1(rows(&resid, scored_from))?;
        Ok(Self { cache, resid, last, sequences, scored_from, readout, frequencies })
    }

    /// The guesses of a lens at a residual position of a model of `n_layers` layers.
    fn top1(&self, lens: &dyn Lens, position: usize, n_layers: usize) -> Result<Vec<u32>> {
        if position == n_layers {
            return Ok(self.last.clone());
        }
        let resid = rows(&self.cache.tensor(Hook::ResidPre.at(position))?, self.scored_from);
        let of_rows = LensRows::new(position, resid).with_last(rows(&self.resid, self.scored_from));
        Ok(self.readout.lens_top1(lens, of_rows)?)
    }

    /// Adds the guesses of a lens at all residual positions.
    fn read(&self, lens: &dyn Lens, guesses: &mut Guesses, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let (n_rows, n_layers) = (self.last.len(), guesses.n_layers);
        let [_, seq_len, _] = self.resid.dims();
        let sequence = |row: usize| self.sequences.start + row / (seq_len - self.scored_from);
        let mut first: Vec<Option<usize>> = vec![None; n_rows];
        for position in (0..=n_layers).filter(|&position| lens.reads(position)) {
            let top1 = self.top1(lens, position, n_layers)?;
            for row in 0..n_rows {
                first[row] = first[row].or((top1[row] == self.last[row]).then_some(position));
                let has_agreed = f64::from(u8::from(first[row].is_some()));
                guesses.agreed[position].push(sequence(row), has_agreed);
                guesses.frequency[position].push(sequence(row), self.frequencies[top1[row] as usize]);
            }
            progress(readout_work(&self.readout.model().shape(), n_rows));
        }
        for (row, first) in first.into_iter().enumerate() {
            let depth = first.expect("the last position agrees with itself");
            guesses.depth.push(sequence(row), depth as f64);
        }
        Ok(())
    }
}

/// The rows of a residual stream at the positions from `first` on, window by window, `[rows, d_model]`.
fn rows(resid: &Tensor<3>, first: usize) -> Tensor<2> {
    let [batch, pos, width] = resid.dims();
    resid.clone().narrow(1, first, pos - first).reshape([batch * (pos - first), width])
}

/// What a lens guesses at each residual position, by window.
#[derive(Clone)]
struct Guesses {
    agreed: Vec<PerSequence>,
    frequency: Vec<PerSequence>,
    depth: PerSequence,
    n_layers: usize,
}

impl Guesses {
    fn new(n_layers: usize) -> Self {
        let nothing = vec![PerSequence::default(); n_layers + 1];
        Self { agreed: nothing.clone(), frequency: nothing, depth: PerSequence::default(), n_layers }
    }

    fn add(&self, lens: &str, findings: &mut Findings) -> Result<()> {
        for (name, points) in [("first_agreement", &self.agreed), ("guess_frequency", &self.frequency)] {
            let axis = Axis::residual_positions(self.n_layers);
            findings.add_measured(&format!("{lens}_{name}"), Curve::empty(axis, Unit::Fraction), points)?;
        }
        let depth = findings.estimate(&self.depth);
        findings.add_value(&format!("{lens}_first_agreement_depth"), depth)
    }
}

/// The fraction of the corpus's tokens, BOS left out, that each id of the vocabulary is.
fn frequencies(windows: &TokenWindows, d_vocab: usize) -> Vec<f64> {
    let (mut counts, n) = (vec![0.0; d_vocab], windows.text_ids().count());
    windows.text_ids().for_each(|id| counts[id as usize] += 1.0);
    counts.iter_mut().for_each(|count| *count /= n as f64);
    counts
}

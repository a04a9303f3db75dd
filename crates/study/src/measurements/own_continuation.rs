//! The loss of the model's own text: [`OwnContinuation`].

use stratigraph_core::{PerSequence, TokenWindows};
use stratigraph_generate::{Generation, Generator};
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::scores::Scores;
use stratigraph_surgery::{Intervention, Sweep, SweepContext};

use super::curve_of_windows;
use crate::progress::pass_work;
use crate::scoring::{ReadoutOptions, Scoring};
use crate::{Findings, Measurement, Needs, Result, StudyContext, StudyError, Work};

/// How well the model still predicts its own greedy text when a layer is deleted.
///
/// Each window of the corpus is cut in half (or after as many tokens as [`new`](OwnContinuation::new) says), the unchanged model
/// continues the first part greedily to the length of the window, and the loss of that continuation is measured under the
/// deletion of each layer. The clean loss is small, since the model is sure of what it writes, so a rise of the loss is
/// damage to what the model would have written, whatever the corpus contains.
///
/// Adds the curve `own_continuation_nll` over layers and the value `own_continuation_clean_nll`.
///
/// ```no_run
/// use stratigraph_core::{ResidualModel, TokenWindows};
/// use stratigraph_study::{Study, measurements::OwnContinuation};
///
/// fn losses(model: &dyn ResidualModel, windows: &TokenWindows) -> stratigraph_study::Result<Vec<f64>> {
///     let findings = Study::new(model).add(OwnContinuation::default()).run(windows)?;
///     Ok(findings.curve("own_continuation_nll")?.mean.clone()) // in nats
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnContinuation {
    n_prompt: Option<usize>,
}

/// The most prompts that are continued at once.
const BATCH: usize = 16;
const NLL: &str = "nll";
const CURVE: &str = "own_continuation_nll";
const CLEAN: &str = "own_continuation_clean_nll";

impl OwnContinuation {
    /// The name of the measurement.
    pub const NAME: &str = "own_continuation";

    /// Continues the first `n_prompt` tokens of each window; half of them by default.
    pub fn new(n_prompt: usize) -> Self {
        Self { n_prompt: Some(n_prompt) }
    }

    fn n_prompt(&self, seq_len: usize) -> usize {
        self.n_prompt.unwrap_or(seq_len / 2)
    }

    /// The windows with the model's own text after their prompts; its tokens alone are measured.
    fn continued(&self, context: &StudyContext, done: &mut dyn FnMut(usize)) -> Result<TokenWindows> {
        let (windows, n_prompt) = (context.windows, self.n_prompt(context.windows.seq_len()));
        let seq_len = windows.seq_len();
        let generator = Generator::new(context.model).with_max_new_tokens(seq_len - n_prompt);
        let failed = |error: stratigraph_generate::GenerateError| StudyError::CannotMeasure {
            name: self.name(),
            reason: error.to_string(),
        };
        let mut ids = Vec::with_capacity(windows.ids().len());
        let at_once = at_once(context);
        for start in (0..windows.n_sequences()).step_by(at_once) {
            let batch = start..(start + at_once).min(windows.n_sequences());
            let prompts: Vec<_> = batch.map(|window| windows.sequence(window)[..n_prompt].to_vec()).collect();
            for Generation { prompt, tokens, .. } in generator.run(&prompts).map_err(failed)? {
                ids.extend(prompt.into_iter().chain(tokens));
            }
            done(prompts.len());
        }
        let continued = TokenWindows::new(&ids, seq_len)?;
        // The prediction at the last token of the prompt is the first that counts.
        Ok(continued.with_skip_first(n_prompt - 1)?)
    }

    fn run(&self, context: &StudyContext, findings: &mut Findings, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let (model, n_layers) = (context.model, context.model.n_layers());
        let of_window = generation_work(context);
        let windows = self.continued(context, &mut |n_windows| progress(of_window * n_windows as u64))?;
        let (clean, metrics) = (Intervention::none(n_layers), Metrics::from_names([NLL])?);
        let options = ReadoutOptions::new(metrics, context.budget);
        let scoring = Scoring::new(self.interventions(context)?, &clean, &windows, options);
        let n_sequences = windows.n_sequences();
        let scores = scoring.on(model, n_sequences)?.score(0..n_sequences, Scores::default, progress)?;
        let losses: Vec<&PerSequence> = scores.iter().filter_map(|scores| scores.get(NLL)).collect();
        // The deletion of each layer, and the unchanged model after them.
        findings.add_curve(CURVE, curve_of_windows(CURVE, n_layers, losses[..n_layers].iter().copied()))?;
        let of_clean = findings.estimate(losses[n_layers]);
        findings.add_value(CLEAN, of_clean)
    }

    /// The deletion of each layer.
    fn interventions(&self, context: &StudyContext) -> Result<Vec<Intervention>> {
        let context = SweepContext::new(context.model.shape(), context.windows.seq_len());
        Ok(Sweep::delete().points(&context)?.interventions)
    }
}

/// Prompts that are continued at once: those whose keys and values the budget holds beside a run of their windows, at least one.
fn at_once(context: &StudyContext) -> usize {
    let (shape, seq_len) = (context.model.shape(), context.windows.seq_len());
    let of_token = shape.heads.map_or(0, |heads| 2 * shape.n_layers * heads.n_kv_heads * heads.d_head);
    let kept = of_token * seq_len * size_of::<f32>();
    context.budget.windows_at_once(&shape, seq_len, kept).map_or(1, |n| n.min(BATCH))
}

/// About how many multiplications the text of a window takes.
fn generation_work(context: &StudyContext) -> u64 {
    pass_work(&context.model.shape(), context.windows.seq_len())
}

impl Measurement for OwnContinuation {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs(&self, context: &StudyContext) -> Needs {
        let n_prompt = self.n_prompt(context.windows.seq_len()).max(1);
        Needs::nothing().with_n_layers(1).with_seq_len(n_prompt + 1)
    }

    fn check(&self, context: &StudyContext) -> Result<()> {
        let reason = match self.n_prompt {
            Some(0) => Some("a prompt has at least one token".to_owned()),
            _ => self.needs(context).missing(context),
        };
        match reason {
            Some(reason) => Err(StudyError::CannotMeasure { name: self.name(), reason }),
            None => Ok(()),
        }
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let (windows, context) = (context.windows, *context);
        let (metrics, n_sequences) = (Metrics::from_names([NLL])?, windows.n_sequences() as u64);
        let options = ReadoutOptions::new(metrics, context.budget);
        let clean = Intervention::none(context.model.n_layers());
        let scoring = Scoring::new(self.interventions(&context)?, &clean, windows, options);
        let work = n_sequences * (generation_work(&context) + scoring.work(context.model));
        Ok(vec![Work::own(work, move |findings, progress| self.run(&context, findings, progress))])
    }
}

#[cfg(test)]
mod tests {
    use stratigraph_surgery::Budget;
    use stratigraph_testing::Toy;

    use super::*;

    #[test]
    fn as_many_prompts_run_at_once_as_the_budget_holds() {
        let (model, windows) = (Toy::default(), TokenWindows::new(&[0, 1, 2, 3], 4).unwrap());
        let of =
            |bytes| at_once(&StudyContext::new(&model, &windows, 0).with_budget(Budget { bytes, ..Budget::default() }));
        assert_eq!([of(0), of(usize::MAX)], [1, BATCH]);
    }
}

//! Continues prompts: [`Generator`].

use stratigraph_core::{NoTap, ResidualModel, Tap};
use stratigraph_corpus::TextDecoder;
use stratigraph_surgery::{IncrementalRun, Intervention};

use crate::logits::last_rows;
use crate::row::Row;
use crate::{Event, GenerateError, Generation, Result, Sampling};

/// A text of a model without a limit of its context.
const LONG: usize = 1 << 16;

/// Tokens that run at once after others have run: their attention patterns are computed as a whole.
const AT_ONCE: usize = 512;

/// Continues prompts under an intervention, token by token.
///
/// ```
/// use stratigraph_core::ResidualModel;
/// use stratigraph_generate::{Generator, Sampling};
///
/// /// Two continuations of eight tokens without layer 1.
/// fn continued(model: &dyn ResidualModel) -> Result<Vec<u32>, Box<dyn std::error::Error>> {
///     let generator = Generator::new(model)
///         .with_intervention("0-2".parse()?)
///         .with_sampling(Sampling::at_temperature(0.8).with_top_p(0.95).with_seed(1))
///         .with_max_new_tokens(8);
///     let generations = generator.run(&[vec![5, 6, 7], vec![9]])?;
///     Ok(generations.into_iter().flat_map(|generation| generation.tokens).collect())
/// }
/// ```
#[derive(Clone)]
pub struct Generator<'a> {
    pub(crate) model: &'a dyn ResidualModel,
    pub(crate) intervention: Intervention,
    pub(crate) sampling: Sampling,
    pub(crate) max_new_tokens: usize,
    pub(crate) stop_tokens: Vec<u32>,
    pub(crate) stop_strings: Vec<String>,
    pub(crate) text: Option<&'a dyn TextDecoder>,
    recomputes: bool,
    longest_prompt: usize,
}

impl<'a> Generator<'a> {
    /// Greedy continuations of up to 64 tokens by the unchanged model.
    pub fn new(model: &'a dyn ResidualModel) -> Self {
        Self {
            model,
            intervention: Intervention::none(model.n_layers()),
            sampling: Sampling::greedy(),
            max_new_tokens: 64,
            stop_tokens: Vec::new(),
            stop_strings: Vec::new(),
            text: None,
            recomputes: false,
            longest_prompt: 0,
        }
    }

    /// The model.
    pub fn model(&self) -> &'a dyn ResidualModel {
        self.model
    }

    /// Under an intervention. Positions of its edits count from the first token of a prompt and go on through what is
    /// generated.
    pub fn with_intervention(self, intervention: Intervention) -> Self {
        Self { intervention, ..self }
    }

    /// With another choice of tokens.
    pub fn with_sampling(self, sampling: Sampling) -> Self {
        Self { sampling, ..self }
    }

    /// With another number of tokens at most.
    pub fn with_max_new_tokens(self, max_new_tokens: usize) -> Self {
        Self { max_new_tokens, ..self }
    }

    /// With tokens that end a text, such as EOS.
    pub fn with_stop_tokens(self, tokens: impl IntoIterator<Item = u32>) -> Self {
        Self { stop_tokens: tokens.into_iter().collect(), ..self }
    }

    /// With texts that end a text, wherever tokens are cut; they need [`with_text`](Generator::with_text).
    pub fn with_stop_strings(self, strings: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { stop_strings: strings.into_iter().map(Into::into).collect(), ..self }
    }

    /// Turns tokens into text.
    pub fn with_text(self, decoder: &'a dyn TextDecoder) -> Self {
        Self { text: Some(decoder), ..self }
    }

    /// With prompts of up to `n_tokens` tokens in other runs. An edit is refused only where the longest text of all has none of
    /// its positions, and changes nothing in a shorter one.
    pub fn with_longest_prompt(self, n_tokens: usize) -> Self {
        Self { longest_prompt: self.longest_prompt.max(n_tokens), ..self }
    }

    /// Runs the whole text again for every token, in any case. Otherwise keys and values are kept where that can be done.
    pub fn recomputing(self) -> Self {
        Self { recomputes: true, ..self }
    }

    /// Why the whole text runs again for every token; none where keys and values are kept.
    ///
    /// # Errors
    /// When the intervention does not fit the model.
    pub fn recomputes_because(&self) -> Result<Option<String>> {
        let longest = self.model.n_ctx().unwrap_or(LONG);
        Ok(self.start(1, longest)?.recomputes_because())
    }

    /// Continues prompts, given as token ids. All of them run as one batch; they may have different lengths.
    ///
    /// # Errors
    /// When there is no prompt, one is empty or longer than the context, the sampling has no meaning, the intervention does not
    /// fit the model or growing windows, or logits are not finite.
    pub fn run(&self, prompts: &[Vec<u32>]) -> Result<Vec<Generation>> {
        self.run_with(prompts, &mut NoTap, |_| true)
    }

    /// As [`run`](Generator::run), with a tap, and a function that is shown each token when it is chosen and returns whether to
    /// go on: all texts end with the first token after which it does not.
    ///
    /// The tap sees the prompt and then each token that runs, after the edits; tokens of all prompts run together, and those
    /// that follow a text's end are 0. For a tap that wants no hook, texts that have ended are left out. Texts of different lengths
    /// are batched without padding: the beginning that all of them have runs at once, and then every text goes on by its own next
    /// token, from its prompt or generated.
    ///
    /// # Errors
    /// As [`run`](Generator::run); what the tap returns.
    pub fn run_with(
        &self,
        prompts: &[Vec<u32>],
        tap: &mut dyn Tap,
        mut go_on: impl FnMut(&Event) -> bool,
    ) -> Result<Vec<Generation>> {
        self.check(prompts)?;
        let rows = prompts.iter().enumerate().map(|(index, prompt)| Row::new(self, prompt, index));
        let mut rows = rows.collect::<Result<Vec<_>>>()?;
        let longest = self.longest(prompts.iter().map(Vec::len).max().unwrap_or(0));
        let mut run = self.start(prompts.len(), longest)?;
        let at_once = if run.recomputes_because().is_none() && tap.takes_parts() { AT_ONCE } else { usize::MAX };
        let mut texts: Vec<usize> = (0..rows.len()).collect(); // of each window that runs
        loop {
            let n_run = run.n_positions();
            let running = rows.iter().filter(|row| row.is_running());
            let Some(n_known) = running.map(|row| row.n_known_behind(n_run)).min() else { break };
            let n_new = if n_run == 0 { n_known } else { n_known.min(at_once) };
            if tap.hooks().is_empty() {
                leave_ended(&mut run, &mut texts, &rows);
            }
            let tokens: Vec<_> = texts.iter().map(|&text| rows[text].next(n_run, n_new)).collect();
            let resid = run.extend(&tokens, tap)?;
            let is_due = |row: &Row| row.is_running() && row.n_known_behind(n_run) == n_new;
            let due: Vec<usize> = (0..texts.len()).filter(|&window| is_due(&rows[texts[window]])).collect();
            if due.is_empty() {
                continue;
            }
            for (&window, logits) in due.iter().zip(last_rows(self.model, resid, &due)?) {
                if !rows[texts[window]].take(&logits, self, &mut go_on)? {
                    rows.iter_mut().try_for_each(Row::interrupt)?;
                    break;
                }
            }
        }
        Ok(rows.into_iter().map(Row::into_generation).collect())
    }

    /// Tokens of the longest text in runs of prompts of up to `n_tokens` tokens, and in others that were announced.
    pub(crate) fn longest(&self, n_tokens: usize) -> usize {
        n_tokens.max(self.longest_prompt).saturating_add(self.max_new_tokens)
    }

    /// A run of windows of up to `longest` tokens, as far as the context allows. The last token that is generated does not run.
    pub(crate) fn start(&self, batch: usize, longest: usize) -> Result<IncrementalRun<'_>> {
        let longest = longest.saturating_sub(1).max(1);
        let longest = self.model.n_ctx().map_or(longest, |n_ctx| longest.min(n_ctx));
        let run = IncrementalRun::new(self.model, &self.intervention, batch, longest)?;
        Ok(if self.recomputes { run.recomputing() } else { run })
    }

    fn check(&self, prompts: &[Vec<u32>]) -> Result<()> {
        if prompts.is_empty() {
            return Err(GenerateError::NoPrompts);
        }
        if let Some(index) = prompts.iter().position(Vec::is_empty) {
            return Err(GenerateError::EmptyPrompt { index });
        }
        let n_ctx = self.model.n_ctx().unwrap_or(usize::MAX);
        if let Some(index) = prompts.iter().position(|prompt| prompt.len() > n_ctx) {
            return Err(GenerateError::PromptTooLong { index, n_tokens: prompts[index].len(), n_ctx });
        }
        if !self.stop_strings.is_empty() && self.text.is_none() {
            return Err(GenerateError::StopStringsWithoutText);
        }
        if self.stop_strings.iter().any(String::is_empty) {
            return Err(GenerateError::EmptyStopString);
        }
        self.sampling.check()
    }
}

/// Leaves texts that have ended out of the batch, where they are half of it: what is kept of the others is copied.
fn leave_ended(run: &mut IncrementalRun, texts: &mut Vec<usize>, rows: &[Row]) {
    let running: Vec<usize> = (0..texts.len()).filter(|&window| rows[texts[window]].is_running()).collect();
    if 2 * running.len() <= texts.len() && run.keep_windows(&running) {
        *texts = running.into_iter().map(|window| texts[window]).collect();
    }
}

//! Benchmarks that are answered by texts, under interventions: [`GenerativeRun`] lets a model write the answers, into a
//! [`GenerativeResult`] for each intervention.

use stratigraph_generate::Generator;
use stratigraph_profile::InterventionRecord;
use stratigraph_surgery::Intervention;
use stratigraph_tasks::{GenerativeItem, GenerativeScores, GenerativeTask};

use crate::names::check_intervention_names;
use crate::{Result, StudyError, TaskResult};

/// The scores of a task under one intervention, with the texts. It prints as
/// `delete 11: gsm8k (50 items): strict_match 0.100 ± 0.043, ..`.
pub type GenerativeResult = TaskResult<GenerativeScores>;

/// Lets the unchanged model, and the model under interventions, write answers greedily, and scores them.
///
/// ```no_run
/// use stratigraph_generate::Generator;
/// use stratigraph_study::GenerativeRun;
/// use stratigraph_tasks::GenerativeTask;
///
/// # type Error = Box<dyn std::error::Error>;
/// /// `generator` turns tokens into text and knows the tokens that end one; `encode` does the reverse.
/// fn run(generator: Generator, encode: impl Fn(&str) -> Result<Vec<u32>, Error>) -> Result<(), Error> {
///     let items = GenerativeTask::Gsm8k.read("gsm8k.jsonl")?;
///     let prompts = items.iter().map(|item| encode(&item.prompt())).collect::<Result<Vec<_>, _>>()?;
///     let without_5 = "0..5-6..30".parse::<stratigraph_surgery::Intervention>()?;
///     for result in GenerativeRun::new(generator).interventions([without_5]).run(GenerativeTask::Gsm8k, &items, &prompts)? {
///         println!("{result}");
///     }
///     Ok(())
/// }
/// ```
pub struct GenerativeRun<'a> {
    generator: Generator<'a>,
    interventions: Vec<Intervention>,
    max_new_tokens: usize,
    on_answered: Box<dyn FnMut(usize) + 'a>,
}

/// Prompts that are continued at once.
const BATCH: usize = 16;

impl<'a> GenerativeRun<'a> {
    /// The most tokens of an answer by default, as in the harness.
    pub const MAX_NEW_TOKENS: usize = 256;

    /// A run of the unchanged model, with answers of up to [`MAX_NEW_TOKENS`](Self::MAX_NEW_TOKENS). The generator's own
    /// stop strings and number of tokens are not used.
    pub fn new(generator: Generator<'a>) -> Self {
        let clean = Intervention::none(generator.model().n_layers()).with_name(InterventionRecord::CLEAN);
        let (interventions, max_new_tokens) = (vec![clean], Self::MAX_NEW_TOKENS);
        Self { generator, interventions, max_new_tokens, on_answered: Box::new(|_| ()) }
    }

    /// With interventions beside the unchanged model.
    pub fn interventions<I: Into<Intervention>>(mut self, interventions: impl IntoIterator<Item = I>) -> Self {
        self.interventions.extend(interventions.into_iter().map(Into::into));
        self
    }

    /// With another limit on the tokens of an answer.
    pub fn with_max_new_tokens(self, max_new_tokens: usize) -> Self {
        Self { max_new_tokens, ..self }
    }

    /// With a function that is called with the number of texts that were written since its last call.
    pub fn on_answered(mut self, on_answered: impl FnMut(usize) + 'a) -> Self {
        self.on_answered = Box::new(on_answered);
        self
    }

    /// Tokens of a prompt that leave room for an answer.
    fn room(&self) -> usize {
        self.generator.model().n_ctx().map_or(usize::MAX, |n_ctx| n_ctx.saturating_sub(self.max_new_tokens))
    }

    /// Refuses an answer that the model's context cannot hold, and interventions that cannot be made in texts that grow, or whose
    /// positions no text has, where prompts have up to `longest` tokens.
    pub(crate) fn check(&self, task: GenerativeTask, longest: usize) -> Result<()> {
        let cannot = |reason: String| StudyError::CannotMeasure { name: task.to_string(), reason };
        if self.room() == 0 {
            let (n_ctx, asked) = (self.generator.model().n_ctx().unwrap_or_default(), self.max_new_tokens);
            let reason =
                format!("an answer of {asked} tokens leaves no room for a prompt in the model's context of {n_ctx}");
            return Err(cannot(format!("{reason}; give a smaller number of new tokens")));
        }
        let model = self.generator.model();
        let last = longest.min(self.room()).saturating_add(self.max_new_tokens).saturating_sub(1); // it does not run
        for intervention in &self.interventions {
            intervention.check(&model.shape(), last).map_err(|error| cannot(error.to_string()))?;
            let grown = self.generator.clone().with_intervention(intervention.clone()).recomputes_because();
            grown.map_err(|error| cannot(error.to_string()))?;
        }
        Ok(())
    }

    /// Writes an answer to every item, whose prompts are given as token ids: first with the unchanged model, then under each
    /// intervention in order. A prompt that leaves no room for an answer loses tokens at its start.
    ///
    /// # Errors
    /// When there are no items, the model's context has no room for an answer, two interventions have one name, or as
    /// [`Generator::run`].
    ///
    /// # Panics
    /// When there is not a prompt for each item.
    pub fn run(
        self,
        task: GenerativeTask,
        items: &[GenerativeItem],
        prompts: &[Vec<u32>],
    ) -> Result<Vec<GenerativeResult>> {
        if items.is_empty() {
            return Err(StudyError::CannotMeasure { name: task.to_string(), reason: "there are no items".to_owned() });
        }
        check_intervention_names(&self.interventions, self.generator.model().n_layers())?;
        self.check(task, prompts.iter().map(Vec::len).max().unwrap_or(0))?;
        self.run_some(task, items, prompts)
    }

    /// As [`run`](GenerativeRun::run), of some of the items that were [checked](GenerativeRun::check): edits may reach others alone.
    pub(crate) fn run_some(
        mut self,
        task: GenerativeTask,
        items: &[GenerativeItem],
        prompts: &[Vec<u32>],
    ) -> Result<Vec<GenerativeResult>> {
        assert_eq!(items.len(), prompts.len(), "there is a prompt for each item");
        let cannot = |reason: String| StudyError::CannotMeasure { name: task.to_string(), reason };
        let room = self.room();
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0).min(room);
        let generator = self.generator.clone().with_max_new_tokens(self.max_new_tokens).with_longest_prompt(longest);
        let generator = generator.with_stop_strings(task.stop_strings());
        // Prompts of similar length are continued together.
        let mut order: Vec<usize> = (0..prompts.len()).collect();
        order.sort_by_key(|&item| prompts[item].len());
        let mut results = Vec::with_capacity(self.interventions.len());
        for intervention in &self.interventions {
            let generator = generator.clone().with_intervention(intervention.clone());
            let mut texts = vec![String::new(); items.len()];
            for batch in order.chunks(BATCH) {
                let end_of = |prompt: &Vec<u32>| prompt[prompt.len().saturating_sub(room)..].to_vec();
                let shown: Vec<_> = batch.iter().map(|&item| end_of(&prompts[item])).collect();
                let written = generator.run(&shown).map_err(|error| cannot(error.to_string()))?;
                for (&item, written) in batch.iter().zip(written) {
                    texts[item] = written.text.unwrap_or_default();
                }
                (self.on_answered)(batch.len());
            }
            let scores = GenerativeScores::new(task, items, texts);
            results.push(GenerativeResult { name: intervention.name(), text: intervention.to_string(), scores });
        }
        Ok(results)
    }
}

//! Benchmarks of which the model writes the answers, under sweeps: [`GenerativeScoring`] of [`Questions`].

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stratigraph_core::ResidualModel;
use stratigraph_corpus::TextDecoder;
use stratigraph_generate::Generator;
use stratigraph_surgery::{Intervention, Sweep};
use stratigraph_tasks::{GenerativeItem, GenerativeTask};

use super::generative_curves::{GenerativeCurves, WrittenAnswers};
use super::swept_scores::SweepAxes;
use super::task_sweeps;
use crate::job::{JobPart, hash_bytes};
use crate::{
    Derived, Findings, GenerativeRun, Measurement, OwnWork, Result, StudyContext, StudyError, Work, pass_work,
};

/// Items that run together, and that are a step of a job.
const ITEMS: usize = 16;

/// The items of a benchmark that is answered by texts, as a model reads them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Questions {
    task: GenerativeTask,
    items: Vec<GenerativeItem>,
    /// The tokens of each.
    prompts: Vec<Vec<u32>>,
    stop_tokens: Vec<u32>,
    max_new_tokens: usize,
}

impl Questions {
    /// Items with their prompts as token ids, answered by up to [`GenerativeRun::MAX_NEW_TOKENS`].
    ///
    /// # Panics
    /// When there is not a prompt for each item.
    pub fn new(task: GenerativeTask, items: Vec<GenerativeItem>, prompts: Vec<Vec<u32>>) -> Self {
        assert_eq!(items.len(), prompts.len(), "there is a prompt for each item");
        Self { task, items, prompts, stop_tokens: Vec::new(), max_new_tokens: GenerativeRun::MAX_NEW_TOKENS }
    }

    /// With tokens that end an answer, such as EOS.
    pub fn with_stop_tokens(self, stop_tokens: impl IntoIterator<Item = u32>) -> Self {
        Self { stop_tokens: stop_tokens.into_iter().collect(), ..self }
    }

    /// With another number of tokens of an answer at most.
    pub fn with_max_new_tokens(self, max_new_tokens: usize) -> Self {
        Self { max_new_tokens, ..self }
    }

    /// Tokens of the longest prompt.
    fn longest_prompt(&self) -> usize {
        self.prompts.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Tokens of the longest prompt with its answer, at most.
    fn longest(&self) -> usize {
        self.longest_prompt().saturating_add(self.max_new_tokens)
    }

    /// The SHA-256 of the text that the prompts are by a tokenizer.
    fn text_sha256(&self, text: &dyn TextDecoder) -> String {
        let texts = self.prompts.iter().map(|prompt| text.decode_ids(prompt).unwrap_or_default());
        hash_bytes(texts.collect::<Vec<_>>().join("\n").as_bytes())
    }

    fn select(&self, range: Range<usize>) -> Self {
        let (items, prompts) = (self.items[range.clone()].to_vec(), self.prompts[range].to_vec());
        Self { items, prompts, stop_tokens: self.stop_tokens.clone(), ..*self }
    }
}

/// The scores of a benchmark whose answers the model writes, at each point of some sweeps, and of the unchanged model.
///
/// Curves are named after the sweep, the task and the score, such as `delete_gsm8k_strict_match` and
/// `delete_gsm8k_strict_match_change`, which is the score minus that of the unchanged model, item by item; `clean_gsm8k_strict_match`
/// is the unchanged model's. The corpus of the study has no part in them. Every intervention writes every answer anew, token by token:
/// an item takes as many passes as answers have tokens, for each intervention.
#[derive(Clone)]
pub struct GenerativeScoring {
    questions: Questions,
    text: Arc<Decoder>,
    sweeps: Vec<Sweep>,
    items_at_once: usize,
}

/// What turns tokens into text, on any thread.
type Decoder = dyn TextDecoder + Send + Sync;

impl GenerativeScoring {
    /// The items of a benchmark under each of some sweeps; `text` turns the tokens that are written into text.
    pub fn new(questions: Questions, text: Arc<Decoder>, sweeps: impl IntoIterator<Item = Sweep>) -> Self {
        Self { questions, text, sweeps: sweeps.into_iter().collect(), items_at_once: ITEMS }
    }

    /// With this many items in a step of a job, at least one; 16 by default.
    pub fn with_items_at_once(self, items_at_once: usize) -> Self {
        Self { items_at_once: items_at_once.max(1), ..self }
    }
}

impl Measurement for GenerativeScoring {
    fn name(&self) -> String {
        self.questions.task.name().to_owned()
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let n_items = self.questions.items.len();
        let longest = self.questions.longest();
        let (points, interventions) = task_sweeps::points(&self.sweeps, context, longest)?;
        let names = task_sweeps::names(&self.sweeps, &points, context, longest);
        let mut work = Vec::new();
        for first in (0..n_items).step_by(self.items_at_once) {
            let questions = self.questions.select(first..n_items.min(first + self.items_at_once));
            let part = names.clone().map(|sweeps| {
                let text_sha256 = Some(questions.text_sha256(&*self.text));
                GenerativePart { sweeps, first, questions: questions.clone(), text_sha256 }
            });
            let chunk = Chunk { first, questions, interventions: interventions.clone() };
            if first == 0 {
                chunk.check(context.model, self.questions.longest_prompt())?;
            }
            let (work_of_chunk, part, model) =
                (chunk.work(context.model), part.map(JobPart::Generative), context.model);
            let run = move |findings: &mut Findings, progress: &mut dyn FnMut(u64)| {
                chunk.measure((model, &*self.text), findings, progress)
            };
            work.push(Work::Own(OwnWork { work: work_of_chunk, run: Box::new(run), part }));
        }
        if n_items == 0 {
            return Err(cannot(self.questions.task, "there are no items".to_owned()));
        }
        let axes = self.sweeps.iter().zip(points).map(|(sweep, points)| SweepAxes::new(sweep.name(), &points));
        work.push(Work::Derived(Derived::Generative(GenerativeCurves::new(self.questions.task, n_items, axes))));
        Ok(work)
    }
}

fn cannot(task: GenerativeTask, reason: String) -> StudyError {
    StudyError::CannotMeasure { name: task.to_string(), reason }
}

/// Some items under interventions.
struct Chunk {
    /// The index of the first item.
    first: usize,
    questions: Questions,
    interventions: Vec<Intervention>,
}

impl Chunk {
    /// Refuses what cannot be run, where the longest prompt of all items has `longest` tokens.
    fn check(&self, model: &dyn ResidualModel, longest: usize) -> Result<()> {
        let run = GenerativeRun::new(Generator::new(model)).interventions(self.interventions.iter().cloned());
        run.with_max_new_tokens(self.questions.max_new_tokens).check(self.questions.task, longest)
    }

    /// About how many multiplications an answer takes, of all tokens that it may have.
    fn work_of_answer(&self, model: &dyn ResidualModel) -> u64 {
        let Questions { prompts, max_new_tokens, .. } = &self.questions;
        let of_prompts: usize = prompts.iter().map(Vec::len).sum();
        pass_work(&model.shape(), of_prompts / prompts.len().max(1) + max_new_tokens)
    }

    fn work(&self, model: &dyn ResidualModel) -> u64 {
        let n_answers = self.questions.items.len() * (1 + self.interventions.len());
        n_answers as u64 * self.work_of_answer(model)
    }

    fn measure(
        self,
        (model, text): (&dyn ResidualModel, &dyn TextDecoder),
        findings: &mut Findings,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let each = self.work_of_answer(model);
        let Self { first, questions, interventions } = self;
        let Questions { task, items, prompts, stop_tokens, max_new_tokens } = questions;
        let generator = Generator::new(model).with_text(text).with_stop_tokens(stop_tokens);
        // Positions that only the other items reach change nothing here.
        let generator = model.n_ctx().into_iter().fold(generator, Generator::with_longest_prompt);
        let run = GenerativeRun::new(generator).interventions(interventions).with_max_new_tokens(max_new_tokens);
        let results = run.on_answered(|n| progress(n as u64 * each)).run_some(task, &items, &prompts)?;
        let answers = results.into_iter().map(|result| result.scores.items).collect();
        findings.written.push(WrittenAnswers { task, first, answers });
        Ok(())
    }
}

/// Some items of a [`GenerativeScoring`] under sweeps with names, as plain data for another process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerativePart {
    sweeps: Vec<String>,
    first: usize,
    questions: Questions,
    /// The SHA-256 of the text that the prompts are by the tokenizer of the plan; none in plans of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text_sha256: Option<String>,
}

impl GenerativePart {
    /// What a reader calls it.
    pub(crate) fn name(&self) -> &str {
        self.questions.task.name()
    }

    /// Refuses sweeps that are not known.
    pub(crate) fn check(&self) -> Result<()> {
        task_sweeps::by_names(&self.sweeps).map(drop)
    }

    fn chunk(&self, context: &StudyContext) -> Result<Chunk> {
        let sweeps = task_sweeps::by_names(&self.sweeps)?;
        let (_, interventions) = task_sweeps::points(&sweeps, context, self.questions.longest())?;
        Ok(Chunk { first: self.first, questions: self.questions.clone(), interventions })
    }

    /// About how many multiplications it takes.
    ///
    /// # Errors
    /// When nothing turns tokens into text, or not into that of the plan, or a sweep does not fit the model.
    pub(crate) fn work(&self, context: &StudyContext) -> Result<u64> {
        self.text(context)?;
        Ok(self.chunk(context)?.work(context.model))
    }

    /// Adds what is written for the items.
    pub(crate) fn measure(
        &self,
        context: &StudyContext,
        findings: &mut Findings,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        self.chunk(context)?.measure((context.model, self.text(context)?), findings, progress)
    }

    fn text<'a>(&self, context: &StudyContext<'a>) -> Result<&'a dyn TextDecoder> {
        let cannot = |reason: &str| cannot(self.questions.task, reason.to_owned());
        let Some(text) = context.text else {
            return Err(cannot("its answers are texts, and the shard has no tokenizer: give it one"));
        };
        if self.text_sha256.as_ref().is_some_and(|sha256| *sha256 != self.questions.text_sha256(text)) {
            return Err(cannot(
                "its prompts are another text by the shard's tokenizer than by the plan's; give it the same",
            ));
        }
        Ok(text)
    }
}

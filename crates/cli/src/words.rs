//! Experiments on words, which need more than windows: [`WordExperiment`]s built from files and a text by [`WordData`].

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use stratigraph_core::TokenSpan;
use stratigraph_corpus::Corpus;
use stratigraph_models::Tokenizer;
use stratigraph_probes::lexical::{
    SuffixTask, VerbForms, WicPair, WicSplit, WicTokens, WordEndOptions, WordEnds, Words,
};
use stratigraph_study::measurements::{KnockOutWords, MergingHeads, SuffixEnsembles, WordInContext};
use stratigraph_study::{Measurement, StudyContext};

use crate::{defaults, load, output};

/// The most windows of a kind.
const MOST_WINDOWS: usize = 256;
/// The suffix that ensembles of neurons predict.
const SUFFIX: &str = "ing";
/// Bytes of a text in which words are looked for.
const TEXT_BYTES: usize = 4 << 20;

/// An experiment on words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordExperiment {
    /// Probes for a word's sense.
    WordInContext,
    /// Heads that look from the last token of a word to its earlier ones.
    MergingHeads,
    /// Neurons that together predict a suffix.
    Ensembles,
    /// The same before verbs.
    VerbEnsembles,
    /// Attention knocked out within words and across words.
    KnockOutWords,
}

impl WordExperiment {
    /// All of them.
    pub const ALL: [WordExperiment; 5] = [
        WordExperiment::WordInContext,
        WordExperiment::MergingHeads,
        WordExperiment::Ensembles,
        WordExperiment::VerbEnsembles,
        WordExperiment::KnockOutWords,
    ];

    /// The experiments of the paper.
    pub const PAPER: [WordExperiment; 4] = [
        WordExperiment::WordInContext,
        WordExperiment::MergingHeads,
        WordExperiment::Ensembles,
        WordExperiment::VerbEnsembles,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            WordExperiment::WordInContext => "wic",
            WordExperiment::MergingHeads => "merging_heads",
            WordExperiment::Ensembles => "ensembles",
            WordExperiment::VerbEnsembles => "verb_ensembles",
            WordExperiment::KnockOutWords => KnockOutWords::NAME,
        }
    }
}

/// What experiments on words are made from.
pub struct WordData<'a> {
    /// The directory of Word-in-Context pairs that the user gave.
    pub wic: Option<&'a Path>,
    /// The documents.
    pub corpus: &'a Corpus,
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
}

impl WordData<'_> {
    /// The measurements of these experiments. An experiment that cannot be done is left out with a note, unless the
    /// user asked for it by name.
    ///
    /// # Errors
    /// When an experiment that the user asked for cannot be done.
    pub fn measurements(
        &self,
        experiments: &[WordExperiment],
        asked_for: bool,
        context: &StudyContext,
    ) -> Result<Vec<Box<dyn Measurement>>> {
        let mut measurements = Vec::new();
        let mut words = None;
        for &experiment in experiments {
            let is_required = asked_for || experiment == WordExperiment::WordInContext && self.wic.is_some();
            match self.checked(experiment, &mut words, context) {
                Ok(measurement) => measurements.push(measurement),
                Err(reason) if is_required => {
                    return Err(reason.context(format!("cannot measure {}", experiment.name())));
                }
                Err(reason) => output::skipped(experiment.name(), format_args!("{reason:#}")),
            }
        }
        Ok(measurements)
    }

    /// One of them, if the model can run it.
    fn checked(
        &self,
        experiment: WordExperiment,
        words: &mut Option<Words>,
        context: &StudyContext,
    ) -> Result<Box<dyn Measurement>> {
        let measurement: Box<dyn Measurement> = match experiment {
            WordExperiment::WordInContext => Box::new(self.word_in_context(context)?),
            WordExperiment::MergingHeads => Box::new(merging_heads(self.words(words, context)?, context)?),
            WordExperiment::Ensembles => Box::new(self.ensembles(self.words(words, context)?, context)?),
            WordExperiment::VerbEnsembles => Box::new(self.verb_ensembles(self.words(words, context)?, context)?),
            WordExperiment::KnockOutWords => Box::new(KnockOutWords::new(load::token_texts(self.tokenizer)?)),
        };
        measurement.check(context)?;
        measurement.work(context)?; // refuses what does not fit, and runs nothing yet
        Ok(measurement)
    }

    fn word_in_context(&self, context: &StudyContext) -> Result<WordInContext> {
        let directory: PathBuf = match self.wic {
            Some(directory) => directory.to_owned(),
            None => {
                defaults::word_in_context().ok_or_else(|| anyhow!("there are no pairs: give them with --wic DIR"))?
            }
        };
        let (train, test) = (self.pairs(&directory, "train", context)?, self.pairs(&directory, "dev", context)?);
        Ok(WordInContext::new(WicSplit { train, test }))
    }

    /// The pairs of a part whose sentences the model can read; they begin with BOS where the windows do.
    fn pairs(&self, directory: &Path, part: &str, context: &StudyContext) -> Result<WicTokens> {
        let mut pairs = WicPair::read(directory, part)?;
        let n_pairs = pairs.len();
        let bos = context.windows.bos().map(|bos| TokenSpan::new(bos, 0..0));
        let encode = |text: &str| -> Result<Vec<TokenSpan>> {
            let spans = self.tokenizer.encode_with_offsets(text)?;
            Ok(bos.iter().cloned().chain(spans).collect())
        };
        if let Some(n_ctx) = context.model.shape().n_ctx {
            let mut fits = |pair: &WicPair| -> Result<bool> {
                let lengths = pair.sentences.iter().map(|sentence| Ok(encode(&sentence.text)?.len()));
                Ok(lengths.collect::<Result<Vec<_>>>()?.into_iter().all(|length| length <= n_ctx))
            };
            let fitting = pairs.iter().map(&mut fits).collect::<Result<Vec<_>>>()?;
            pairs = pairs.into_iter().zip(fitting).filter_map(|(pair, fits)| fits.then_some(pair)).collect();
            if pairs.len() < n_pairs {
                let left_out = n_pairs - pairs.len();
                output::note(format_args!(
                    "wic: {left_out} of {n_pairs} pairs of {part} are left out: a sentence has more tokens than the \
                     model's {n_ctx} positions"
                ));
            }
        }
        WicTokens::new(&pairs, encode)
    }

    fn ensembles(&self, words: &Words, context: &StudyContext) -> Result<SuffixEnsembles> {
        let task = SuffixTask::find(words, SUFFIX, SuffixTask::CONTEXT, MOST_WINDOWS, context.seed)?;
        Ok(SuffixEnsembles::new(SUFFIX, task, self.tokenizer.token_texts()?))
    }

    fn verb_ensembles(&self, words: &Words, context: &StudyContext) -> Result<SuffixEnsembles> {
        let of_text = words.words().iter().map(|word| word.text.clone());
        let verbs = VerbForms::new(of_text.chain(self.tokenizer.token_texts()?));
        let words = words.clone().retain(|word| verbs.contains(&word.text));
        Ok(self.ensembles(&words, context)?.before_verbs())
    }

    /// The words of the text, which are looked for once; windows of them begin with BOS where those of the corpus do.
    fn words<'w>(&self, words: &'w mut Option<Words>, context: &StudyContext) -> Result<&'w Words> {
        if words.is_none() {
            let text = self.corpus.beginning(TEXT_BYTES)?;
            let tokens = self.tokenizer.encode_with_offsets(&text).context("cannot encode the text")?;
            *words = Some(Words::new(&text, tokens).with_bos(context.windows.bos()));
        }
        Ok(words.as_ref().expect("they were just found"))
    }
}

fn merging_heads(words: &Words, context: &StudyContext) -> Result<MergingHeads> {
    let options = WordEndOptions::default().with_at_most(MOST_WINDOWS).with_seed(context.seed);
    Ok(MergingHeads::new(WordEnds::find(words, options)?))
}

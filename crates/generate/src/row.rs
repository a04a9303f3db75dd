//! One text of a batch while it grows: [`Row`].

use crate::generation::{Event, Generation, StopReason};
use crate::logits::log_prob;
use crate::stop_strings::{Shown, StopStrings};
use crate::{GenerateError, Generator, Result, Sampler, TextStream};

/// A prompt and what follows it so far.
pub(crate) struct Row<'a> {
    index: usize,
    /// Prompt and continuation.
    ids: Vec<u32>,
    n_prompt: usize,
    log_probs: Vec<f64>,
    sampler: Sampler,
    stream: Option<TextStream<'a>>,
    stop_strings: StopStrings,
    text: String,
    stop: Option<StopReason>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(generator: &Generator<'a>, prompt: &[u32], index: usize) -> Result<Self> {
        let stream = generator.text.map(|decoder| TextStream::new(decoder, prompt)).transpose()?;
        Ok(Self {
            index,
            ids: prompt.to_vec(),
            n_prompt: prompt.len(),
            log_probs: Vec::new(),
            sampler: Sampler::new(&generator.sampling, index)?,
            stream,
            stop_strings: StopStrings::new(&generator.stop_strings),
            text: String::new(),
            stop: (generator.max_new_tokens == 0).then_some(StopReason::MaxNewTokens),
        })
    }

    pub(crate) fn is_running(&self) -> bool {
        self.stop.is_none()
    }

    /// Tokens that are known and have not run, of which `n_run` have.
    pub(crate) fn n_known_behind(&self, n_run: usize) -> usize {
        self.ids.len().saturating_sub(n_run)
    }

    /// The next `n` tokens to run after the first `n_run`. A text that has ended continues with token 0: no other text of the
    /// batch sees it.
    pub(crate) fn next(&self, n_run: usize, n: usize) -> Vec<u32> {
        let known = self.ids.iter().copied().skip(n_run);
        known.chain(std::iter::repeat(0)).take(n).collect()
    }

    /// Chooses the next token, and shows it; returns what `go_on` says.
    pub(crate) fn take(
        &mut self,
        logits: &[f32],
        generator: &Generator,
        go_on: &mut dyn FnMut(&Event) -> bool,
    ) -> Result<bool> {
        let token = self.sampler.pick(logits, &self.ids);
        let token = token.ok_or(GenerateError::NotFinite { index: self.index, position: self.ids.len() - 1 })?;
        let log_prob = log_prob(logits, token);
        self.ids.push(token);
        self.log_probs.push(log_prob);
        let new = self.end_or_text(token, generator)?;
        self.text.push_str(&new);
        let event = Event { prompt: self.index, token, log_prob, text: &new, stop: self.stop.as_ref() };
        Ok(go_on(&event))
    }

    /// Ends the text if this token does, and returns the text that can be shown now.
    fn end_or_text(&mut self, token: u32, generator: &Generator) -> Result<String> {
        if generator.stop_tokens.contains(&token) {
            self.stop = Some(StopReason::Token(token));
            return self.rest();
        }
        let new = self.stream.as_mut().map(|stream| stream.push(token)).transpose()?.unwrap_or_default();
        let Shown { text, stop } = self.stop_strings.push(&new);
        self.stop = match stop {
            Some(stop) => Some(StopReason::Text(stop)),
            None if self.log_probs.len() == generator.max_new_tokens => Some(StopReason::MaxNewTokens),
            // The last token of a full context need not run.
            None if generator.model.n_ctx().is_some_and(|n_ctx| self.ids.len() > n_ctx) => {
                Some(StopReason::ContextFull)
            }
            None => None,
        };
        match self.stop {
            Some(StopReason::Text(_)) | None => Ok(text),
            Some(_) => Ok(text + &self.rest()?),
        }
    }

    /// The text that was held back, when no more will come.
    fn rest(&mut self) -> Result<String> {
        let rest = self.stream.as_mut().map(TextStream::finish).transpose()?.unwrap_or_default();
        let Shown { text, stop } = self.stop_strings.push(&rest);
        match stop {
            Some(_) => Ok(text),
            None => Ok(text + &self.stop_strings.finish()),
        }
    }

    /// Ends it, where it has not ended, with the text that was held back.
    pub(crate) fn interrupt(&mut self) -> Result<()> {
        if self.is_running() {
            self.stop = Some(StopReason::Interrupted);
            let rest = self.rest()?;
            self.text.push_str(&rest);
        }
        Ok(())
    }

    pub(crate) fn into_generation(mut self) -> Generation {
        let tokens = self.ids.split_off(self.n_prompt);
        Generation {
            prompt: self.ids,
            tokens,
            log_probs: self.log_probs,
            text: self.stream.is_some().then_some(self.text),
            stop: self.stop.unwrap_or(StopReason::Interrupted),
        }
    }
}

//! The page of a prompt: [`PageArgs`].

use std::path::PathBuf;

use anyhow::{Context, Result};
use stratigraph_models::Tokenizer;
use stratigraph_report::OutDir;
use stratigraph_study::PromptStudy;

/// What else is measured on a prompt, for its page.
#[derive(clap::Args)]
#[command(next_help_heading = "Page")]
pub struct PageArgs {
    /// A new or empty directory for prompt.html and prompt.json, with everything measured on the prompt
    ///
    /// Beside the lenses: the deletion of each layer, the attention of every head, logit attribution of --token against --against,
    /// and patching from the prompt into --corrupted.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The token whose logit is attributed, such as " Paris" [default: the most likely one]
    #[arg(long, value_name = "TOKEN", requires = "out")]
    token: Option<String>,
    /// The token that it is compared with [default: the most likely one after --corrupted, or the second most likely one]
    #[arg(long, value_name = "TOKEN", requires = "out")]
    against: Option<String>,
    /// Another prompt with the same number of tokens, into whose run activations of the prompt are patched
    #[arg(long, value_name = "TEXT", requires = "out")]
    corrupted: Option<String>,
}

impl PageArgs {
    /// The directory, if a page is wanted.
    ///
    /// # Errors
    /// When it holds something or cannot be written.
    pub fn directory(&self) -> Result<Option<OutDir>> {
        Ok(self.out.as_ref().map(OutDir::create).transpose()?)
    }

    /// A study with the tokens and the other prompt; `bos` begins both prompts, where there is one.
    ///
    /// # Errors
    /// When a token is not one of the tokenizer's.
    pub fn on<'a>(&self, study: PromptStudy<'a>, tokenizer: &Tokenizer, bos: Option<u32>) -> Result<PromptStudy<'a>> {
        let one = |token: &String, option: &str| tokenizer.token(token).with_context(|| format!("cannot use {option}"));
        let study = match &self.token {
            Some(token) => study.with_token(one(token, "--token")?),
            None => study,
        };
        let study = match &self.against {
            Some(token) => study.against(one(token, "--against")?),
            None => study,
        };
        Ok(match &self.corrupted {
            Some(text) => study.with_corrupted(bos.into_iter().chain(tokenizer.encode(text)?).collect()),
            None => study,
        })
    }
}

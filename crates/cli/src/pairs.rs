//! Activation patching over pairs of prompts from a file: [`PairArgs`].

use std::path::PathBuf;

use anyhow::{Result, anyhow, ensure};
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_models::Tokenizer;
use stratigraph_study::measurements::{ActivationPatching, PromptPairs};

use crate::{defaults, output};

/// Which pairs of prompts.
#[derive(clap::Args)]
#[command(next_help_heading = "Measurements")]
pub struct PairArgs {
    /// A JSONL file of pairs of prompts for patching [default: examples/data/pairs/agreement.jsonl]
    ///
    /// One pair per line: {"clean": .., "corrupted": .., "answer": .., "other": ..}. Both prompts have the same number of tokens,
    /// and each answer is one token, with the space before it where it begins a word.
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// Leave out pairs that the model or its tokenizer cannot use, instead of failing
    #[arg(long)]
    skip_unfit_pairs: bool,
}

impl PairArgs {
    /// Patching with the pairs, or with those that come with the repository. Prompts begin with BOS where the windows of the corpus
    /// do. Pairs that are left out are reported.
    ///
    /// # Errors
    /// When the file cannot be read, or a pair cannot be used and is not to be left out.
    pub fn patching(
        &self,
        model: &dyn ResidualModel,
        tokenizer: &Tokenizer,
        windows: &TokenWindows,
    ) -> Result<ActivationPatching> {
        let path = self.pairs.clone().map_or_else(defaults::prompt_pairs, Ok)?;
        let pairs = PromptPairs::read(&path)?.with_bos(windows.bos());
        let encode = |text: &str| tokenizer.encode(text);
        if !self.skip_unfit_pairs {
            let encoded = pairs.encode(model, encode);
            let encoded = encoded.map_err(|error| anyhow!("{error}; --skip-unfit-pairs leaves such pairs out"))?;
            return Ok(ActivationPatching::new(encoded));
        }
        let fitting = pairs.encode_fitting(model, encode)?;
        fitting.left_out.iter().for_each(|reason| output::skipped("patching", reason));
        Ok(ActivationPatching::new(fitting.pairs))
    }

    /// Refuses options for a measurement that is not made.
    ///
    /// # Errors
    /// When an option is given and patching is not among the experiments.
    pub fn check_use(&self, is_patching: bool) -> Result<()> {
        let is_given = self.pairs.is_some() || self.skip_unfit_pairs;
        ensure!(
            is_patching || !is_given,
            "--pairs and --skip-unfit-pairs are for patching: add patching to --experiments"
        );
        Ok(())
    }
}

//! Attention knocked out within words, compared with the same number of pairs across words: [`KnockOutWords`].

use stratigraph_core::Hook;
use stratigraph_probes::lexical::{WindowWords, WordPairs};
use stratigraph_surgery::Sweep;

use crate::measurement::sweep_work;
use crate::{Derived, Measurement, Needs, Result, StudyContext, SweepDifference, Work};

/// Does a layer join the tokens of words? Attention from the tokens of a word to its earlier tokens is knocked out in each
/// layer: curves `knock_out_within_words_*`. For comparison, the same number of pairs of tokens of different words, at the same
/// distances and in the same windows, is knocked out: `knock_out_across_words_*`. The curves `knock_out_words_*` are the
/// difference, window by window.
#[derive(Debug, Clone)]
pub struct KnockOutWords {
    token_texts: Vec<String>,
}

impl KnockOutWords {
    /// The name of the measurement, and of the curves of the difference.
    pub const NAME: &str = "knock_out_words";
    const WITHIN: &str = "knock_out_within_words";
    const ACROSS: &str = "knock_out_across_words";

    /// For a corpus whose tokens have these texts, by their ids; words are those of
    /// [`WindowWords`](stratigraph_probes::lexical::WindowWords).
    pub fn new(token_texts: Vec<String>) -> Self {
        Self { token_texts }
    }
}

impl Measurement for KnockOutWords {
    fn name(&self) -> String {
        Self::NAME.to_owned()
    }

    fn needs(&self, _: &StudyContext) -> Needs {
        Needs::hooks([Hook::AttnScores]).with_n_layers(1)
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> Result<Vec<Work<'a>>> {
        let words = WindowWords::new(context.windows, &self.token_texts);
        let WordPairs { within, across } = WordPairs::draw(&words, context.seed)?;
        let within = sweep_work(&Sweep::knock_out_pairs(Self::WITHIN, within), context)?;
        let across = sweep_work(&Sweep::knock_out_pairs(Self::ACROSS, across), context)?;
        let difference = Derived::Difference(SweepDifference::new(Self::NAME, Self::WITHIN, Self::ACROSS));
        Ok(within.into_iter().chain(across).chain([Work::Derived(difference)]).collect())
    }
}

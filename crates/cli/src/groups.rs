//! Groups of positions by their names: [`GroupArgs`].

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use stratigraph_core::TokenWindows;
use stratigraph_models::Tokenizer;
use stratigraph_probes::scores::TokenGroups;

use crate::load;

/// Groups of positions by which the metrics of sweeps and interventions are also measured.
#[derive(clap::Args)]
#[command(next_help_heading = "Measurements")]
pub struct GroupArgs {
    /// Also measure by groups of positions: class, frequency, position, word, next_class
    ///
    /// By the class of the token read at a position, by its number of occurrences in the text, by the position in the window,
    /// by the token's part of a word, by the class of the token that is predicted. Separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(TokenGroups::KNOWN))]
    by: Vec<String>,
}

impl GroupArgs {
    /// The groups of a text's windows.
    ///
    /// # Errors
    /// When the tokenizer cannot decode a token.
    pub fn groups(&self, tokenizer: &Tokenizer, windows: &TokenWindows) -> Result<Vec<TokenGroups>> {
        if self.by.is_empty() {
            return Ok(Vec::new());
        }
        let texts = load::token_texts(tokenizer)?;
        Ok(self.by.iter().map(|name| TokenGroups::by_name(name, windows, &texts)).collect::<Result<_, _>>()?)
    }
}

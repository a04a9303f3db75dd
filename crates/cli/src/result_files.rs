//! Where the results of a study go, and how curves are drawn: [`FileArgs`].

use std::path::PathBuf;

use clap::ValueEnum;
use stratigraph_report::Bands;

use crate::prompt_pages::PromptPageArgs;

/// Where results go.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
pub struct FileArgs {
    /// A new or empty directory for profile.json, report.html, tables and figures
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// A new CSV file of every number
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// What bands around curves show: standard-error or standard-deviation (of the means of windows)
    ///
    /// --protocol paper draws standard deviations.
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "standard-error",
        hide_possible_values = true,
        hide_short_help = true
    )]
    #[arg(default_value_if("protocol", "paper", "standard-deviation"))]
    bands: BandsArg,
    #[command(flatten)]
    pub prompts: PromptPageArgs,
}

/// What bands around curves show.
#[derive(Clone, Copy, ValueEnum)]
enum BandsArg {
    StandardError,
    StandardDeviation,
}

impl FileArgs {
    /// What bands around curves show.
    pub fn bands(&self) -> Bands {
        match self.bands {
            BandsArg::StandardError => Bands::StandardError,
            BandsArg::StandardDeviation => Bands::StandardDeviation,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::corpus::TextArgs;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        _text: TextArgs,
        #[command(flatten)]
        files: FileArgs,
    }

    #[test]
    fn the_paper_draws_standard_deviations() {
        let bands = |line: &str| Program::parse_from(line.split(' ')).files.bands();
        assert_eq!(bands("program"), Bands::StandardError);
        assert_eq!(bands("program --protocol paper"), Bands::StandardDeviation);
        assert_eq!(bands("program --protocol released-code"), Bands::StandardError);
        assert_eq!(bands("program --protocol paper --bands standard-error"), Bands::StandardError);
    }
}

//! The options of a corpus: [`TextArgs`], which documents and which windows of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use clap::builder::ArgPredicate;
use stratigraph_core::TokenWindows;
use stratigraph_corpus::{BosMode, Corpus, DocumentFormat, Draw, SampleOver, Windows};
use stratigraph_models::Tokenizer;

use crate::args::at_least;
use crate::{defaults, load, output};

/// Which windows of which documents.
#[derive(clap::Args)]
#[command(next_help_heading = "Model and text")]
pub struct TextArgs {
    /// A text file, a JSONL or Parquet file of documents, or a directory; - for standard input [default:
    /// examples/data/sample.txt]
    ///
    /// May be given more than once. A text file is one document; each line of a JSONL file and each row of a Parquet file is one
    /// (Parquet needs the feature `parquet`). Files are read as streams.
    #[arg(long = "text", value_name = "PATH")]
    texts: Vec<PathBuf>,
    /// The format of all files, whatever their names
    #[arg(long, value_name = "FORMAT", hide_short_help = true)]
    text_format: Option<FormatArg>,
    /// The field of JSONL or the column of Parquet that holds the text
    #[arg(long, value_name = "NAME", default_value = "text", hide_short_help = true)]
    text_field: String,
    /// Replace bytes that are not UTF-8, instead of failing
    #[arg(long, hide_short_help = true)]
    lossy: bool,
    /// Draw and measure windows as the paper does, unless other options override it: paper or released-code
    ///
    /// paper is --windows random --sample-over documents --bos always --skip-first 1; released-code has --windows first. The
    /// text, --sequences and --seq-len are not changed.
    #[arg(long, value_name = "NAME", hide_short_help = true, hide_possible_values = true)]
    protocol: Option<Protocol>,
    /// The most windows to use
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = at_least::<1>)]
    sequences: usize,
    /// Tokens in a window, BOS included
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = at_least::<2>)]
    pub seq_len: usize,
    /// Which windows: the first ones, or at random by --seed
    ///
    /// auto draws them at random where there are several documents, or more windows than --sequences.
    #[arg(long, value_name = "HOW", default_value = "auto", hide_possible_values = true)]
    #[arg(default_value_ifs = [("protocol", "paper", "random"), ("protocol", "released-code", "first")])]
    windows: DrawArg,
    /// Whether a random sample gives each document or each token the same chance: documents or tokens
    ///
    /// documents: each gives the same number of windows, if it has that many. tokens: each window of the corpus has the same
    /// chance, so that documents give windows in proportion to their tokens.
    #[arg(long, value_name = "UNIT", default_value = "documents", hide_short_help = true, hide_possible_values = true)]
    sample_over: SampleArg,
    /// Begin windows with the BOS token: auto, always or never
    ///
    /// auto does as the tokenizer or the GGUF file says. BOS is a position of the window: its prediction counts, its activations
    /// do not.
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    #[arg(default_value_if("protocol", ArgPredicate::IsPresent, "always"))]
    bos: BosArg,
    /// Leave this many positions at the start of each window out of every measure
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(default_value_if("protocol", ArgPredicate::IsPresent, "1"))]
    skip_first: usize,
}

/// Whose protocol of drawing windows.
#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    Paper,
    ReleasedCode,
}

/// A format of files.
#[derive(Clone, Copy, ValueEnum)]
enum FormatArg {
    Text,
    Jsonl,
    Parquet,
}

/// How windows are drawn.
#[derive(Clone, Copy, ValueEnum)]
enum DrawArg {
    Auto,
    First,
    Random,
}

/// What a random sample is drawn over.
#[derive(Clone, Copy, ValueEnum)]
enum SampleArg {
    Documents,
    Tokens,
}

/// When texts begin with BOS.
#[derive(Clone, Copy, ValueEnum)]
pub enum BosArg {
    Auto,
    Always,
    Never,
}

impl From<BosArg> for BosMode {
    fn from(bos: BosArg) -> Self {
        match bos {
            BosArg::Auto => BosMode::Auto,
            BosArg::Always => BosMode::Always,
            BosArg::Never => BosMode::Never,
        }
    }
}

impl BosArg {
    /// The token that a text begins with.
    ///
    /// # Errors
    /// When it is wanted and the tokenizer names none.
    pub fn token(self, tokenizer: &Tokenizer) -> Result<Option<u32>> {
        Ok(BosMode::from(self).token(tokenizer.bos())?)
    }
}

impl TextArgs {
    /// The files and directories that are given, or the sample text.
    fn paths(&self) -> Result<Vec<PathBuf>> {
        if self.texts.is_empty() { Ok(vec![defaults::text()?]) } else { Ok(self.texts.clone()) }
    }

    /// Opens the documents.
    ///
    /// # Errors
    /// When a file cannot be opened, or standard input is given beside others.
    pub fn corpus(&self) -> Result<Corpus> {
        let paths = self.paths()?;
        let is_standard_input = |path: &PathBuf| path.as_os_str() == "-";
        let corpus = if paths.iter().any(is_standard_input) {
            ensure!(paths.len() == 1, "--text - reads all of standard input; give no other --text beside it");
            Corpus::from_reader("standard input", DocumentFormat::Text, std::io::stdin())?
        } else {
            Corpus::from_paths(&paths)?
        };
        Ok(self.read_as_given(corpus))
    }

    /// Another text, read by the same options.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn other_corpus(&self, path: &Path) -> Result<Corpus> {
        Ok(self.read_as_given(Corpus::open(path)?))
    }

    fn read_as_given(&self, corpus: Corpus) -> Corpus {
        let corpus = corpus.with_field(&self.text_field);
        let corpus = if self.lossy { corpus.lossy() } else { corpus };
        match self.text_format {
            None => corpus,
            Some(FormatArg::Text) => corpus.with_format(DocumentFormat::Text),
            Some(FormatArg::Jsonl) => corpus.with_format(DocumentFormat::JsonLines),
            Some(FormatArg::Parquet) => corpus.with_format(DocumentFormat::Parquet),
        }
    }

    /// The name for the record: those of the files or directories, with commas between.
    ///
    /// # Errors
    /// When none is given and the sample text is not here.
    pub fn name(&self) -> Result<String> {
        let name = |path: &PathBuf| if path == Path::new("-") { "standard input".to_owned() } else { load::name(path) };
        Ok(self.paths()?.iter().map(name).collect::<Vec<_>>().join(", "))
    }

    /// The token that texts begin with.
    ///
    /// # Errors
    /// When it is wanted and the tokenizer names none.
    pub fn bos(&self, tokenizer: &Tokenizer) -> Result<Option<u32>> {
        self.bos.token(tokenizer)
    }

    /// Cuts the documents into windows, drawn by `seed`.
    ///
    /// # Errors
    /// When the documents cannot be read or have no window, or no position of one would be measured.
    pub fn cut(&self, corpus: &Corpus, tokenizer: &Tokenizer, seed: u64) -> Result<TokenWindows> {
        if self.protocol.is_some() {
            output::note(
                "--protocol sets how windows are drawn; docs/reproduction.md says what else differs from the paper",
            );
        }
        self.cut_drawn(Windows::of(self.seq_len).count(self.sequences).seed(seed).draw(self.draw()), corpus, tokenizer)
    }

    /// The first windows of the documents, without those at the very beginning: `skipped` of them.
    ///
    /// # Errors
    /// As [`cut`](TextArgs::cut); also when windows are to be drawn at random, or none is left.
    pub fn cut_after(&self, skipped: usize, corpus: &Corpus, tokenizer: &Tokenizer) -> Result<TokenWindows> {
        ensure!(self.draw() != Draw::Random, "--skip-sequences is for --windows first");
        let count = self.sequences.saturating_add(skipped);
        let all = self.cut_drawn(Windows::of(self.seq_len).count(count).first(), corpus, tokenizer)?;
        let n = all.n_sequences();
        ensure!(n > skipped, "--skip-sequences leaves out all {n} windows of {}", corpus.name());
        Ok(all.select(skipped..n))
    }

    /// At most `n` windows of another corpus, cut in the same way.
    ///
    /// # Errors
    /// As [`cut`](TextArgs::cut).
    pub fn cut_other(&self, n: usize, corpus: &Corpus, tokenizer: &Tokenizer, seed: u64) -> Result<TokenWindows> {
        self.cut_drawn(Windows::of(self.seq_len).count(n).seed(seed).draw(self.draw()), corpus, tokenizer)
    }

    fn draw(&self) -> Draw {
        match self.windows {
            DrawArg::Auto => Draw::Auto,
            DrawArg::First => Draw::First,
            DrawArg::Random => Draw::Random,
        }
    }

    /// Cuts windows that are drawn in some way, by all other options.
    fn cut_drawn(&self, windows: Windows, corpus: &Corpus, tokenizer: &Tokenizer) -> Result<TokenWindows> {
        let Self { seq_len, skip_first, .. } = *self;
        ensure!(
            matches!(self.sample_over, SampleArg::Documents) || !matches!(self.windows, DrawArg::First),
            "--sample-over tokens is for random windows, and --windows first draws none; leave one of them out"
        );
        ensure!(
            skip_first < seq_len.saturating_sub(1),
            "--skip-first leaves no position of a window of {seq_len} tokens"
        );
        let windows = windows.skip_first(skip_first).over(match self.sample_over {
            SampleArg::Documents => SampleOver::Documents,
            SampleArg::Tokens => SampleOver::Tokens,
        });
        let windows = windows.bos(self.bos.into());
        let windows = corpus.windows(tokenizer, windows);
        let windows = windows.with_context(|| format!("cannot cut windows from {}", corpus.name()))?;
        if matches!(self.bos, BosArg::Never) && tokenizer.bos().is_usual {
            output::note(format_args!(
                "the model was trained on texts that begin with BOS, and --bos never leaves it out"
            ));
        }
        Ok(windows)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        text: TextArgs,
    }

    fn text(arguments: &str) -> TextArgs {
        Program::parse_from(["program"].into_iter().chain(arguments.split_whitespace())).text
    }

    #[test]
    fn a_protocol_is_a_set_of_options_that_others_override() {
        let plain = text("");
        assert!(matches!((plain.windows, plain.bos, plain.skip_first), (DrawArg::Auto, BosArg::Auto, 0)));
        let paper = text("--protocol paper");
        assert!(matches!((paper.windows, paper.bos, paper.skip_first), (DrawArg::Random, BosArg::Always, 1)));
        assert!(matches!(paper.sample_over, SampleArg::Documents));
        let released = text("--protocol released-code");
        assert!(matches!((released.windows, released.bos, released.skip_first), (DrawArg::First, BosArg::Always, 1)));
        let other = text("--protocol paper --bos never --skip-first 0 --windows first");
        assert!(matches!((other.windows, other.bos, other.skip_first), (DrawArg::First, BosArg::Never, 0)));
    }
}

//! `stratigraph lens --prompt`: what lenses predict at each residual position after each token of a prompt, and its page.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_models::{Checkpoint, Tokenizer};
use stratigraph_profile::prompt::PromptReading;
use stratigraph_report::{LENS_COLUMNS, LensChart, LensMeasure, PromptPage, lens_rows};
use stratigraph_study::PromptStudy;

use super::files::GivenLenses;
use super::page::PageArgs;
use crate::args::{MemoryArgs, ModelArgs, OneDeviceArgs, PrecisionArgs, at_least};
use crate::corpus::BosArg;
use crate::output::CsvFile;
use crate::{load, output};

/// The arguments of `lens --prompt` and `lens show`.
#[derive(clap::Args)]
pub struct ShowArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    prompt: PromptArgs,
    #[command(flatten)]
    lenses: GivenLenses,
    #[command(flatten)]
    pub device: OneDeviceArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    files: ShownArgs,
}

/// Which prompt.
#[derive(clap::Args)]
#[command(next_help_heading = "Model and text")]
struct PromptArgs {
    /// The prompt, of at least two tokens
    #[arg(long, value_name = "TEXT", required = true)]
    prompt: Option<String>,
    /// Begin the prompt with the BOS token: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    bos: BosArg,
}

/// How and where results are shown.
#[derive(clap::Args)]
#[command(next_help_heading = "Output")]
struct ShownArgs {
    /// The number in each cell: probability, entropy, kl, output_rank or output_probability
    ///
    /// output_rank and output_probability are of the token that the model itself finds most likely.
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Measure::Probability, hide_possible_values = true)]
    show: Measure,
    /// Colour the cells: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Colour::Auto, hide_possible_values = true)]
    color: Colour,
    /// Keep this many of the most likely tokens of each cell in files
    #[arg(long, value_name = "N", default_value_t = PromptStudy::TOP_K, value_parser = at_least::<1>)]
    top_k: usize,
    /// A new JSON file of the grids
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A new CSV file of every cell
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// A number of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Measure {
    Probability,
    Entropy,
    Kl,
    OutputRank,
    OutputProbability,
}

impl From<Measure> for LensMeasure {
    fn from(measure: Measure) -> Self {
        match measure {
            Measure::Probability => LensMeasure::Probability,
            Measure::Entropy => LensMeasure::Entropy,
            Measure::Kl => LensMeasure::Kl,
            Measure::OutputRank => LensMeasure::OutputRank,
            Measure::OutputProbability => LensMeasure::OutputProbability,
        }
    }
}

/// When cells are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

impl Colour {
    fn is_wanted(self) -> bool {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match self {
            Colour::Auto => io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb,
            Colour::Always => true,
            Colour::Never => false,
        }
    }
}

/// Reads the prompt and prints the grids.
pub fn run(args: &ShowArgs) -> Result<()> {
    let ShownArgs { json, csv, top_k, .. } = &args.files;
    let out = args.page.directory()?;
    output::check_distinct([("--json", json.as_deref()), ("--csv", csv.as_deref())])?;
    let csv = csv.as_deref().map(CsvFile::new).transpose()?;
    json.as_deref().map(output::check_new).transpose()?;
    let (path, device) = (args.model.path()?, args.device.open()?);
    let checkpoint = load::open(&path)?;
    let tokenizer = checkpoint.tokenizer()?;
    let prompt = args.prompt.windows(&tokenizer)?;
    let loaded = load::model(&checkpoint, args.memory.stream, args.precision.precision, &device)?;
    let budget = load::budget(&args.memory, std::slice::from_ref(&loaded), None)?;
    let study = study(&args.lenses, (&checkpoint, &tokenizer), &*loaded.model, &prompt)?;
    let study = study.with_budget(budget).with_top_k(*top_k).with_name(load::name(&path));
    let study = args.page.on(study, &tokenizer, prompt.bos())?;
    let reading = if out.is_some() { study.read()? } else { study.read_lenses()? };
    let reading = reading.with_record(args.device.to_string(), output::command());
    let mut written =
        out.map(|out| PromptPage::new(&reading).write_to(&out, "prompt")).transpose()?.unwrap_or_default();
    if let Some(json) = json {
        let file = std::fs::File::create_new(json).and_then(|mut file| file.write_all(reading.to_json().as_bytes()));
        file.with_context(|| format!("cannot write {}", json.display()))?;
        written.push(json.clone());
    }
    written.extend(csv.map(|csv| csv.write(&LENS_COLUMNS, lens_rows(&reading))).transpose()?);
    output::line(args.files.chart(&reading).trim_end())?;
    output::written(written)
}

/// A study of the prompt by the logit lens and those that were given.
fn study<'a>(
    lenses: &GivenLenses,
    (checkpoint, tokenizer): (&Checkpoint, &'a Tokenizer),
    model: &'a dyn ResidualModel,
    prompt: &TokenWindows,
) -> Result<PromptStudy<'a>> {
    let study = PromptStudy::new(model, prompt)?;
    let lenses = lenses.open(checkpoint, model)?;
    let study = lenses.into_iter().fold(study, |study, lens| study.with_lens(Arc::new(lens)));
    Ok(study.with_texts(|id| tokenizer.token_text(id).unwrap_or_default()))
}

impl PromptArgs {
    /// The prompt as one window, with BOS where it is wanted.
    fn windows(&self, tokenizer: &Tokenizer) -> Result<TokenWindows> {
        let Some(text) = &self.prompt else { bail!("--prompt is missing") };
        Ok(tokenizer.prompt_with(text, self.bos.into())?)
    }
}

impl ShownArgs {
    fn chart(&self, reading: &PromptReading) -> String {
        let chart = LensChart::new(reading).with_measure(self.show.into());
        chart.with_width(output::width()).with_colour(self.color.is_wanted()).to_string()
    }
}

//! `stratigraph study`: measurements on a model and a text, with their table, chart, stages and files.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_corpus::Corpus;
use stratigraph_models::{Checkpoint, Tokenizer};
use stratigraph_probes::metrics::Metrics;
use stratigraph_profile::Profile;
use stratigraph_report::{LayerTable, OutDir, Report, TerminalChart};
use stratigraph_study::{Measurement, Study, StudyContext, measurements};
use stratigraph_surgery::{Budget, Intervention};

use crate::args::{self, DeviceArgs, MemoryArgs, ModelArgs, PrecisionArgs};
use crate::corpus::TextArgs;
use crate::experiments::Experiment;
use crate::group_table::GroupTables;
use crate::groups::GroupArgs;
use crate::lens::{LensFileArgs, LensUse};
use crate::load::LoadedModel;
use crate::output::CsvFile;
use crate::pairs::PairArgs;
use crate::prompt_pages::PageSetup;
use crate::result_files::FileArgs;
use crate::steering::{SteeringArgs, SteeringTable};
use crate::table::SweepTable;
use crate::task_items::{ItemUse, TaskFileArgs};
use crate::words::{WordData, WordExperiment};
use crate::{lens, load, output, results};

/// The arguments of `study`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph study --model openai-community/gpt2 --text text.txt --out results\n  \
    stratigraph study --experiments attention,merging_heads --csv attention.csv")]
pub struct StudyArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    text: TextArgs,
    #[command(flatten)]
    measure: MeasureArgs,
    #[command(flatten)]
    steering: SteeringArgs,
    #[command(flatten)]
    pub devices: DeviceArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    files: FileArgs,
}

/// What to measure.
#[derive(clap::Args)]
#[command(next_help_heading = "Measurements")]
struct MeasureArgs {
    /// What to measure, separated by commas; an unknown name lists all [default: what the paper measures]
    ///
    /// Layers: delete, swap, lens, delete_frozen_patterns, delete_frozen_norms.
    ///
    /// Blocks of N layers: skip_N, repeat_N (each layer), repeat_block_N, reverse_N, shuffle_N, parallel_N, middle_N,
    /// looped_parallel_N_times_M; all blocks of up to N layers: skip_up_to_N and so on. Repeats take _times_M and _scaled_X
    /// after them, and shuffles _seed_M.
    ///
    /// Layers removed by a criterion, none to all: remove_by_block_influence, remove_by_angular_distance, remove_by_loss,
    /// remove_by_taylor (with the feature `fit`).
    ///
    /// Sublayers and heads: delete_attention, delete_mlp, zero_heads, and mean_, mean_each_, mean_after_first_ or resample_ before
    /// attention, mlp or heads.
    ///
    /// Classes of neurons: neuron_sets, mean_neuron_sets.
    ///
    /// Attention knock-out: knock_back_N, knock_back_N_in_M_layers, knock_out_words.
    ///
    /// What sublayers and heads contribute to the next token: effects.
    ///
    /// With data of their own: steering (--steer-...), patching (--pairs).
    ///
    /// What the residual stream predicts by other lenses: affine_lens, tuned_lens, jacobian_lens (--lens), fixed_scale_lens,
    /// early_guesses.
    ///
    /// What later layers write when one is skipped: skip_effects.
    ///
    /// The unchanged model: attention, geometry, neurons, wic, merging_heads, ensembles, verb_ensembles.
    ///
    /// Sweeps other than lens and those over blocks (except skip_N) can be limited to positions: delete_after_first, swap_from_N,
    /// mean_mlp_at_N..M.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    experiments: Vec<Experiment>,
    /// Metrics of sweeps, separated by commas [default: kl,top1_agreement,entropy_bits,nll,accuracy]
    ///
    /// Others are reverse_kl, js, topK_overlap (such as top5_overlap), rank, output_rank and output_probability.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    metrics: Vec<String>,
    /// An intervention of your own, such as `no-11=0..11-12..30`; may be given more than once
    ///
    /// It is a plan of layers and, after `|`, edits: `0..30 | blocks.3.attn.hook_z heads=2 zero`. NAME= in front gives it a name.
    #[arg(long = "intervention", value_name = "[NAME=]TEXT", value_parser = args::intervention)]
    interventions: Vec<Intervention>,
    #[command(flatten)]
    groups: GroupArgs,
    /// Compare with the predictions of another model with the same vocabulary
    ///
    /// Metrics then compare with that model, such as the original of a pruned, quantised or fine-tuned one.
    #[arg(long, value_name = "MODEL")]
    against: Option<PathBuf>,
    /// A directory of Word-in-Context pairs [default: examples/data/wic]
    ///
    /// It holds train.data.txt, train.gold.txt, dev.data.txt and dev.gold.txt, as the benchmark does.
    #[arg(long, value_name = "DIR")]
    wic: Option<PathBuf>,
    /// Leave out wic, merging_heads, ensembles, verb_ensembles and knock_out_words
    #[arg(long)]
    no_words: bool,
    #[command(flatten)]
    pairs: PairArgs,
    #[command(flatten)]
    tasks: TaskFileArgs,
    #[command(flatten)]
    lenses: LensFileArgs,
    /// The seed of everything that is drawn at random
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// What a study runs on.
struct Setup {
    models: Vec<LoadedModel>,
    reference: Option<LoadedModel>,
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    corpus: Corpus,
    windows: TokenWindows,
    model_path: PathBuf,
    /// The memory budget of a device.
    budget: Budget,
}

/// Runs a study.
pub fn run(args: &StudyArgs) -> Result<()> {
    let seq_len = args.text.seq_len;
    let steers = args.measure.experiments.contains(&Experiment::Steering);
    args.steering.check_use(steers)?;
    args.measure.pairs.check_use(args.measure.experiments.contains(&Experiment::Patching))?;
    args.measure.lenses.check_use(&lens::asked(&args.measure.experiments))?;
    let metrics = metrics(&args.measure)?;
    let out = args.files.out.as_ref().map(OutDir::create).transpose()?;
    let csv = args.files.csv.as_deref().map(CsvFile::new).transpose()?;
    let setup = load(args)?;
    let started = Instant::now();
    let profile = measure(args, &setup, metrics)?;
    let seconds = started.elapsed();
    // Results are written before anything is printed: a reader may close the pipe. What cannot be written is printed all the same.
    let csv = csv.map(|csv| csv.write(&results::HEADER, results::rows(&profile))).transpose();
    let files = out.map(|out| write(args, &setup, &profile, &out)).transpose();
    print(&profile)?;
    let files = files?.into_iter().flatten().chain(csv?);
    let n_windows = setup.windows.n_sequences();
    let (name, devices) = (load::name(&setup.model_path), &args.devices);
    output::line(format_args!("{n_windows} windows of {seq_len} tokens, {name} on {devices}: {seconds:.1?}"))?;
    output::written(files)
}

/// Writes the numbers, then the pages of single windows, which the model reads once more, and then the report that links to them.
fn write(args: &StudyArgs, setup: &Setup, profile: &Profile, out: &OutDir) -> Result<Vec<PathBuf>> {
    let Setup { models, checkpoint, tokenizer, windows, budget, .. } = setup;
    let (model, lenses) = (&*models[0].model, args.measure.lenses.given());
    let report = Report::new(profile).with_bands(args.files.bands());
    let mut files = report.write_numbers(out)?;
    let pages = PageSetup { model, checkpoint, tokenizer, windows, lenses, budget: *budget };
    let links = args.files.prompts.write(&pages, profile, out);
    let paths = links.iter().map(|link| out.path().join(&link.href)).collect::<Vec<_>>();
    files.extend(links.into_iter().fold(report, Report::with_prompt).write_page(out)?);
    files.extend(paths);
    Ok(files)
}

/// Prints the table of layers, the rest of the numbers, the chart and the stages.
pub fn print(profile: &Profile) -> Result<()> {
    let parts = [
        LayerTable::new(profile).to_string(),
        SweepTable::new(profile).to_string(),
        SteeringTable(profile).to_string(),
        GroupTables(profile).to_string(),
        results::Summary(profile).to_string(),
        TerminalChart::new(profile).to_string(),
    ];
    let parts = parts.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty());
    output::line(parts.collect::<Vec<_>>().join("\n\n"))
}

fn metrics(args: &MeasureArgs) -> Result<Metrics> {
    Ok(if args.metrics.is_empty() { Metrics::default() } else { Metrics::from_names(&args.metrics)? })
}

fn load(args: &StudyArgs) -> Result<Setup> {
    let StudyArgs { model, text, measure, devices, memory, precision: PrecisionArgs { precision }, .. } = args;
    let model_path = model.path()?;
    let corpus = text.corpus()?;
    let devices = devices.open()?;
    let checkpoint = load::open(&model_path)?;
    let tokenizer = checkpoint.tokenizer()?;
    let windows = text.cut(&corpus, &tokenizer, measure.seed)?;
    let models = load::models(&checkpoint, memory.stream, *precision, &devices)?;
    let load = |path| load::model(&load::open(path)?, memory.stream, *precision, &devices[0]);
    let reference = measure.against.as_deref().map(load).transpose()?;
    let budget = load::budget(memory, &models, reference.as_ref())?;
    Ok(Setup { models, reference, checkpoint, tokenizer, corpus, windows, model_path, budget })
}

/// Runs the measurements.
fn measure(args: &StudyArgs, setup: &Setup, metrics: Metrics) -> Result<Profile> {
    let Setup { models, reference, windows, budget, .. } = setup;
    let model = &*models[0].model;
    windows.check(model)?;
    let bar = output::bar()?;
    let study = Study::new(model)
        .with_metrics(metrics)
        .with_seed(args.measure.seed)
        .with_budget(*budget)
        .with_names(load::name(&setup.model_path), args.text.name()?)
        .on_progress(output::shown(&bar));
    let groups = args.measure.groups.groups(&setup.tokenizer, windows)?;
    let study = groups.into_iter().fold(study, Study::by_tokens);
    let study = measurements(args, setup, model)?.into_iter().fold(study, Study::add_boxed);
    let study = args.measure.interventions.iter().cloned().fold(study, Study::intervention);
    let study = models[1..].iter().fold(study, |study, replica| study.also_on(&*replica.model));
    let study = reference.iter().fold(study, |study, reference| study.against(&*reference.model));
    let findings = study.run(windows);
    bar.finish_and_clear();
    let devices: Vec<_> = models.iter().map(|loaded| loaded.model.device()).collect();
    Ok(findings?.with_record(args.devices.record(&devices), output::command()).into_profile())
}

/// The measurements that were asked for, or all of the paper's that the model and the text allow.
fn measurements(all: &StudyArgs, setup: &Setup, model: &dyn ResidualModel) -> Result<Vec<Box<dyn Measurement>>> {
    let args = &all.measure;
    let is_default = args.experiments.is_empty() && args.interventions.is_empty();
    let mut measured = if is_default { measurements::paper(model) } else { Vec::new() };
    let mut words = if is_default { WordExperiment::PAPER.to_vec() } else { Vec::new() };
    let Setup { checkpoint, tokenizer, .. } = setup;
    let lens_use = LensUse { checkpoint, tokenizer, model, text: &all.text, seed: args.seed, budget: setup.budget };
    let lenses = args.lenses.lenses(&lens::asked(&args.experiments), &lens_use)?;
    measured.extend(lens::curves(&lenses));
    for experiment in &args.experiments {
        match experiment {
            Experiment::Lens(_) => {} // among the lenses
            Experiment::EarlyGuesses => measured.push(Box::new(lens::early_guesses(&lenses))),
            Experiment::Named(name) => measured.push(measurements::by_name(name)?),
            Experiment::TaylorRemoval => measured.push(Experiment::taylor()?),
            Experiment::Words(experiment) => words.push(*experiment),
            Experiment::Steering => {
                measured.push(Box::new(all.steering.measurement(model, tokenizer, &setup.windows)?));
            }
            Experiment::Patching => {
                measured.push(Box::new(args.pairs.patching(model, tokenizer, &setup.windows)?));
            }
        }
    }
    let item_use = ItemUse { checkpoint, tokenizer, bos: setup.windows.bos() };
    measured.extend(args.tasks.measurements(&args.experiments, &item_use)?);
    ensure!(
        args.wic.is_none() || (words.contains(&WordExperiment::WordInContext) && !args.no_words),
        "--wic is for the experiment wic: add it to --experiments, and leave out --no-words"
    );
    if args.no_words {
        ensure!(is_default || words.is_empty(), "--no-words leaves out {}; give one of the two", words[0].name());
        words.clear();
    }
    let data = WordData { wic: args.wic.as_deref(), corpus: &setup.corpus, tokenizer: &setup.tokenizer };
    let context = StudyContext::new(model, &setup.windows, args.seed);
    measured.extend(data.measurements(&words, !is_default, &context)?);
    Ok(measured)
}

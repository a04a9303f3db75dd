//! `stratigraph export`: a checkpoint with the layers of a plan, as a Hugging Face directory or a GGUF file.

mod card;
mod numbers;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use stratigraph_models::{Checkpoint, Export};
use stratigraph_study::Memory;
use stratigraph_surgery::{Intervention, LayerPlan, Mergekit};

use self::card::Card;
use crate::{args, defaults, load, output};

/// The file in which mergekit keeps how a model was made.
const MERGEKIT: &str = "mergekit_config.yml";

/// The arguments of `export`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    stratigraph export --model HuggingFaceTB/SmolLM2-135M --plan 0..20-24..30 --out pruned\n  \
    stratigraph export --model SmolLM2.Q4_1.gguf --plan 0..14-10..30 --out repeated\n  \
    stratigraph export --mergekit config.yml --out merged")]
pub struct ExportArgs {
    /// A GGUF file, a Hugging Face directory or ORGANISATION/NAME[@REVISION] of the hub [default: models/tiny]
    ///
    /// With --mergekit the default is the model that the file names.
    #[arg(long, help_heading = "Model and plan")]
    model: Option<PathBuf>,
    /// The layers in order, such as 0..14-12..30; only whole layers can be written
    #[arg(long, value_parser = args::intervention, required_unless_present = "mergekit", conflicts_with = "mergekit",
        help_heading = "Model and plan")]
    plan: Option<Intervention>,
    /// A configuration of mergekit with merge_method: passthrough, instead of a plan
    #[arg(long, value_name = "FILE", help_heading = "Model and plan")]
    mergekit: Option<PathBuf>,
    /// A new directory; it appears once it is complete
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: PathBuf,
    /// The largest safetensors file, such as 2GB [default: 5GB]
    #[arg(long, value_name = "SIZE", help_heading = "Output")]
    max_shard_size: Option<Memory>,
    /// A profile.json of a study that ran the plan: the model card has its numbers
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    profile: Option<PathBuf>,
    /// A search.json of the search that found the plan: the model card has its rounds and its validation
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    numbers: Option<PathBuf>,
}

/// What is exported.
struct Source {
    checkpoint: Checkpoint,
    plan: LayerPlan,
    /// As the user named it.
    model: PathBuf,
    /// The type that weights are to be stored as, where a configuration of mergekit says so.
    dtype: Option<String>,
}

/// Exports a checkpoint.
pub fn run(args: &ExportArgs) -> Result<()> {
    check_out(&args.out)?;
    let source = source(args)?;
    let Source { checkpoint, plan, model, dtype } = &source;
    let mut export = checkpoint.export(&plan.layers()?)?;
    if let Some(dtype) = dtype {
        check_dtype(&export, dtype)?;
    }
    if let Some(size) = args.max_shard_size {
        ensure!(!export.is_gguf(), "--max-shard-size: a GGUF is always written as one file; leave it out");
        export = export.with_max_shard_bytes(size.n_bytes() as u64);
    }
    let numbers = args.profile.as_deref().map(|profile| numbers::of_profile(profile, plan, checkpoint)).transpose()?;
    let sha256 = checkpoint.sha256()?;
    let search = args.numbers.as_deref().map(|search| numbers::of_search(search, plan, &sha256)).transpose()?;
    let card = Card {
        title: args.out.file_name().unwrap_or(args.out.as_os_str()).display().to_string(),
        hub_name: (!export.is_gguf() && !model.exists()).then(|| model.display().to_string()), // GGUF: a pattern of names
        source: load::name(model),
        sha256,
        n_layers: checkpoint.config().n_layers,
        plan: plan.to_string(),
        layers: export.layers().to_vec(),
        is_gguf: export.is_gguf(),
        sizes: export.sizes(),
        command: output::command(),
        numbers,
        search,
    };
    export = export.with_file("README.md", card.to_string());
    if !export.is_gguf() {
        export = export.with_file(MERGEKIT, Mergekit::new(model.display().to_string(), plan)?.to_string());
    }
    let files = export.write(&args.out)?;
    tell(&export, &source, &args.out)?;
    output::written(files)
}

/// The checkpoint and the plan; a plan that no checkpoint can have is refused before the checkpoint is opened.
fn source(args: &ExportArgs) -> Result<Source> {
    let Some(file) = &args.mergekit else {
        let plan = args.plan.as_ref().context("give --plan or --mergekit")?;
        plan.layers().with_context(|| format!("cannot export {plan}"))?;
        let model = args.model.clone().map_or_else(defaults::model, Ok)?;
        return Ok(Source { checkpoint: load::open(&model)?, plan: plan.plan().clone(), model, dtype: None });
    };
    let shown = || format!("cannot apply {}", file.display());
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let config = Mergekit::parse(&text).with_context(shown)?;
    let model = args.model.clone().unwrap_or_else(|| PathBuf::from(config.model()));
    if model != Path::new(config.model()) {
        output::note(format_args!(
            "{} names the model {}; its layers are taken from {}",
            file.display(),
            config.model(),
            model.display()
        ));
    }
    let checkpoint = load::open(&model)?;
    let plan = config.plan(checkpoint.config().n_layers).with_context(shown)?;
    Ok(Source { checkpoint, plan, model, dtype: config.dtype().map(str::to_owned) })
}

/// Refuses to convert weights to another type.
fn check_dtype(export: &Export, dtype: &str) -> Result<()> {
    let stored = export.dtypes();
    ensure!(
        stored.iter().all(|stored| stored == dtype),
        "cannot apply dtype: {dtype}: weights are copied as they are stored, which is {}; remove it",
        stored.join(", ")
    );
    Ok(())
}

/// A directory with the name of a file would surprise whoever looks for the file.
fn check_out(out: &Path) -> Result<()> {
    if let Some(extension) = out.extension().filter(|extension| *extension == "gguf" || *extension == "safetensors") {
        bail!(
            "--out {} is made as a directory, with the model in it: name it without .{}",
            out.display(),
            extension.display()
        );
    }
    Ok(())
}

/// Says what was made, and what it costs.
fn tell(export: &Export, Source { checkpoint, plan, model, .. }: &Source, out: &Path) -> Result<()> {
    let sizes = export.sizes();
    let (n, of) = (export.layers().len(), checkpoint.config().n_layers);
    output::line(format_args!(
        "{}: {n} layers from the {of} of {}, as {plan}: {} of tensors, {} in the source",
        out.display(),
        load::name(model),
        output::size(sizes.bytes),
        output::size(sizes.source_bytes)
    ))?;
    if sizes.repeated_bytes > 0 {
        let format = if export.is_gguf() { "GGUF" } else { "safetensors" };
        output::line(format_args!(
            "{} of these are repeated layers: {format} cannot share a tensor between layers",
            output::size(sizes.repeated_bytes)
        ))?;
    }
    Ok(())
}

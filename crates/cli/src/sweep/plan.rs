//! `stratigraph sweep plan`: what a job measures, put together from [`PlanArgs`].

use std::path::Path;

use anyhow::{Result, bail};
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_study::job::{Job, JobCorpus, JobModel, JobPlan, StepSize};
use stratigraph_study::measurements::{self, KnockOutWords};
use stratigraph_study::{Backend, Measurement};
use stratigraph_surgery::Budget;

use super::args::{PlanArgs, PlanMeasureArgs};
use crate::experiments::Experiment;
use crate::lens::LensUse;
use crate::task_items::ItemUse;
use crate::words::WordExperiment;
use crate::{lens, load, output};

/// Plans a job.
pub fn run(args: &PlanArgs) -> Result<()> {
    check(args)?;
    Job::check_new(&args.job)?;
    let (model_path, corpus) = (args.model.path()?, args.text.corpus()?);
    let checkpoint = load::open(&model_path)?;
    let tokenizer = checkpoint.tokenizer()?;
    let windows = args.text.cut(&corpus, &tokenizer, args.measure.seed)?;
    let groups = args.measure.groups.groups(&tokenizer, &windows)?;
    let sha256 = checkpoint.sha256()?;
    // Reads and checks every weight, and keeps none.
    let loaded = load::model(&checkpoint, true, args.precision.precision, &Backend::Flex.device()?)?;
    let model = &*loaded.model;
    let record = JobModel::new(model, load::name(&model_path), source(&model_path)?, sha256);
    let corpus = JobCorpus::new(args.text.name()?, &windows);
    let plan = with_options(JobPlan::new(model, record, corpus, &windows)?, args)?;
    let plan = args.measure.interventions.iter().cloned().try_fold(plan, JobPlan::with_intervention)?;
    let plan = groups.into_iter().try_fold(plan, |plan, groups| plan.with_groups(groups, &windows))?;
    let (text, seed, budget) = (&args.text, args.measure.seed, Budget::default());
    let lens_use = LensUse { checkpoint: &checkpoint, tokenizer: &tokenizer, model, text, seed, budget };
    let lenses = args.measure.lenses.lenses(&lens::asked(&args.measure.experiments), &lens_use)?;
    let item_use = ItemUse { checkpoint: &checkpoint, tokenizer: &tokenizer, bos: windows.bos() };
    let plan = measurements(args, model, &item_use, &windows)?
        .into_iter()
        .chain(lens::curves(&lenses))
        .try_fold(plan, |plan, measurement| plan.with_measurement(&*measurement, model, &windows))?;
    let job = Job::create(&args.job, plan, windows)?;
    output::line(format_args!("{}: {job}", job.path().display()))
}

/// Refuses options that are wrong for every model.
fn check(PlanArgs { measure, steering, .. }: &PlanArgs) -> Result<()> {
    let PlanMeasureArgs { experiments, pairs, lenses, .. } = measure;
    steering.check_use(experiments.contains(&Experiment::Steering))?;
    pairs.check_use(experiments.contains(&Experiment::Patching))?;
    lenses.check_use(&lens::asked(experiments))?;
    for experiment in experiments {
        let reason = match experiment {
            Experiment::Words(WordExperiment::KnockOutWords) => continue,
            Experiment::Words(_) => "it is not measured on the windows of a corpus",
            Experiment::EarlyGuesses | Experiment::TaylorRemoval => "it needs the whole corpus in one process",
            _ => continue,
        };
        bail!("cannot shard {experiment}: {reason}; run it with `stratigraph study`");
    }
    Ok(())
}

/// Everything on which measurements may depend.
fn with_options(plan: JobPlan, PlanArgs { measure, steps, .. }: &PlanArgs) -> Result<JobPlan> {
    let step = StepSize::new(steps.windows_per_step);
    let step = steps.interventions_per_step.map_or(step, |n| step.with_interventions(n));
    let mut plan = plan.with_seed(measure.seed).with_step_size(step)?;
    if !measure.metrics.is_empty() {
        plan = plan.with_metrics(&measure.metrics)?;
    }
    if measure.per_token {
        plan = plan.with_per_token()?;
    }
    Ok(plan)
}

/// The measurements that were asked for, except lenses.
fn measurements(
    args: &PlanArgs,
    model: &dyn ResidualModel,
    item_use: &ItemUse,
    windows: &TokenWindows,
) -> Result<Vec<Box<dyn Measurement>>> {
    let tokenizer = item_use.tokenizer;
    let measurement = |experiment: &Experiment| -> Result<Option<Box<dyn Measurement>>> {
        Ok(Some(match experiment {
            Experiment::Named(name) => measurements::by_name(name)?,
            Experiment::Words(_) => Box::new(KnockOutWords::new(load::token_texts(tokenizer)?)),
            Experiment::Steering => Box::new(args.steering.measurement(model, tokenizer, windows)?),
            Experiment::Patching => Box::new(args.measure.pairs.patching(model, tokenizer, windows)?),
            Experiment::TaylorRemoval => Experiment::taylor()?,
            Experiment::Lens(_) | Experiment::EarlyGuesses => return Ok(None), // among the lenses, and refused
        }))
    };
    let made = args.measure.experiments.iter().filter_map(|experiment| measurement(experiment).transpose());
    let mut all = made.collect::<Result<Vec<_>>>()?;
    all.extend(args.measure.tasks.measurements(&args.measure.experiments, item_use)?);
    Ok(all)
}

/// Where `run` finds the model: an absolute path, or the name of a model of the hub.
fn source(model: &Path) -> Result<String> {
    let path = if model.exists() { std::path::absolute(model)? } else { model.to_owned() };
    match path.to_str() {
        Some(path) => Ok(path.to_owned()),
        None => bail!("a job cannot hold the path {}, which is not UTF-8: rename it or link to it", path.display()),
    }
}

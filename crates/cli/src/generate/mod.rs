//! `stratigraph generate`: continues prompts, clean or under an intervention, and puts both side by side.

mod args;
mod columns;
mod comparison;
mod prompts;
mod shown;

use std::io::IsTerminal;

use anyhow::Result;
use stratigraph_core::{NoTap, ResidualModel};
use stratigraph_generate::{Event, Generation, Generator};
use stratigraph_models::Tokenizer;

pub use args::GenerateArgs;
use shown::{Writer, printable};

use crate::{load, output};

/// Continues the prompts.
pub fn run(args: &GenerateArgs) -> Result<()> {
    let device = args.device.open()?;
    let path = args.model.path()?;
    let checkpoint = load::open(&path)?;
    let tokenizer = checkpoint.tokenizer()?;
    let prompts = prompts::encode(&args.prompts, &checkpoint, &tokenizer)?;
    let loaded = load::model(&checkpoint, args.stream, args.precision.precision, &device)?;
    let model = &*loaded.model;
    let generator = generator(args, model, &tokenizer)?.with_stop_tokens(if args.ignore_eos {
        Vec::new()
    } else {
        checkpoint.stop_tokens()?
    });
    if let Some(reason) = generator.recomputes_because()?.filter(|_| !args.no_cache) {
        output::note(format_args!("the whole text runs again for every token: {reason}"));
    }
    if args.compare {
        return comparison::run(&generator, &prompts, &tokenizer);
    }
    match &prompts[..] {
        [prompt] => streamed(&generator, prompt),
        _ => one_after_the_other(&generator, &prompts),
    }
}

fn generator<'a>(args: &GenerateArgs, model: &'a dyn ResidualModel, tokenizer: &'a Tokenizer) -> Result<Generator<'a>> {
    let generator = Generator::new(model)
        .with_intervention(args.intervention(model.n_layers()))
        .with_sampling(args.sampling())
        .with_max_new_tokens(args.max_new_tokens)
        .with_stop_strings(args.stops.iter().map(|text| unescaped(text)))
        .with_text(tokenizer);
    Ok(if args.no_cache { generator.recomputing() } else { generator })
}

/// A stop string with the escapes `\n` and `\t`.
fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}

/// Writes the text as it is generated, until the reader closes the pipe.
fn streamed(generator: &Generator, prompt: &[u32]) -> Result<()> {
    let mut writer = Writer::new();
    let mut on_event = |event: &Event| writer.text(event.text);
    let generations = generator.run_with(&[prompt.to_vec()], &mut NoTap, &mut on_event)?;
    writer.end()?;
    if std::io::stderr().is_terminal() {
        generations.iter().for_each(told);
    }
    Ok(())
}

/// Says why a text ended.
fn told(generation: &Generation) {
    output::note(format_args!("{} tokens; the text ended at {}", generation.tokens.len(), generation.stop));
}

/// Writes each text under its number, when all have ended.
fn one_after_the_other(generator: &Generator, prompts: &[Vec<u32>]) -> Result<()> {
    for (index, generation) in generator.run(prompts)?.iter().enumerate() {
        let text = generation.text.as_deref().unwrap_or_default();
        output::line(format_args!("prompt {index}:\n{}\n", printable(text)))?;
    }
    Ok(())
}

//! The arguments of `generate`: [`GenerateArgs`].

use stratigraph_generate::Sampling;
use stratigraph_generate::chat::ChatVariable;
use stratigraph_surgery::{Intervention, LayerPlan};

use crate::args::{self, ModelArgs, OneDeviceArgs, PrecisionArgs};
use crate::corpus::BosArg;

/// The arguments of `generate`.
#[derive(clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:\n  \
    stratigraph generate --prompt \"The king said\" --temperature 0.8 --top-p 0.95\n  \
    stratigraph generate --prompt \"The king said\" --plan 0..2-3..12 --compare\n  \
    stratigraph generate --model Qwen/Qwen3-0.6B --chat --chat-var enable_thinking=false --prompt \"Who wrote Faust?\"")]
pub struct GenerateArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub prompts: PromptArgs,
    /// The layers to run, such as 0..11-12..30
    #[arg(long, value_name = "PLAN", conflicts_with = "intervention", help_heading = "Intervention")]
    plan: Option<LayerPlan>,
    /// A plan and edits, such as '0..30 | blocks.3.attn.hook_z heads=2 zero'
    ///
    /// Positions of edits count from the first token of the prompt and continue into the generated text.
    #[arg(long, value_name = "TEXT", value_parser = args::intervention, help_heading = "Intervention")]
    intervention: Option<Intervention>,
    /// Show the unchanged model's text beside it, where they diverge, and the KL divergence along the unchanged one
    #[arg(long, help_heading = "Intervention")]
    pub compare: bool,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// The most tokens to generate
    #[arg(long, value_name = "N", default_value_t = 64, help_heading = "Sampling and ends")]
    pub max_new_tokens: usize,
    /// A text that ends the continuation; may be given more than once, with \n for a new line
    #[arg(long = "stop", value_name = "TEXT", help_heading = "Sampling and ends")]
    pub stops: Vec<String>,
    /// Continue after an EOS token
    #[arg(long, help_heading = "Sampling and ends")]
    pub ignore_eos: bool,
    #[command(flatten)]
    pub device: OneDeviceArgs,
    #[command(flatten)]
    pub precision: PrecisionArgs,
    /// Read each layer from disk when it runs, for a model that is larger than memory
    #[arg(long, help_heading = "Devices and memory")]
    pub stream: bool,
    /// Run the whole text again for every token, without a KV cache
    #[arg(long, help_heading = "Devices and memory")]
    pub no_cache: bool,
}

/// What is continued.
#[derive(clap::Args)]
#[command(next_help_heading = "Model and text")]
pub struct PromptArgs {
    /// The text to continue, - for standard input; may be given more than once
    #[arg(long = "prompt", value_name = "TEXT", required = true)]
    pub prompts: Vec<String>,
    /// Put each prompt into the model's chat template, as a user's message
    #[arg(long)]
    pub chat: bool,
    /// The system message of a chat
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub system: Option<String>,
    /// A variable of the chat template, such as enable_thinking=false; may be given more than once
    ///
    /// VALUE is JSON: false, 3, null, '"a text"', '["a", "list"]'.
    #[arg(long = "chat-var", value_name = "NAME=VALUE", requires = "chat")]
    pub variables: Vec<ChatVariable>,
    /// Begin prompts with the BOS token: auto, always or never
    ///
    /// auto does as the tokenizer or the GGUF file says; a chat begins as its template says.
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub bos: BosArg,
}

/// How tokens are chosen.
#[derive(clap::Args)]
#[command(next_help_heading = "Sampling and ends")]
struct SamplingArgs {
    /// Divide logits by this before sampling; 0 takes the most likely token [default: 0, or 1 with --top-k or --top-p]
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Sample from the N most likely tokens
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Sample from the fewest tokens whose probabilities sum to at least P
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// Make tokens that occur in the text so far less likely, as Hugging Face defines it; 1 is no penalty
    #[arg(long, value_name = "X", default_value_t = 1.0, hide_default_value = true)]
    repetition_penalty: f64,
    /// The seed of sampling
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

impl GenerateArgs {
    /// The intervention on a model of `n_layers` layers.
    pub fn intervention(&self, n_layers: usize) -> Intervention {
        let of_plan = self.plan.clone().map(Intervention::from);
        of_plan.or_else(|| self.intervention.clone()).unwrap_or_else(|| Intervention::none(n_layers))
    }

    /// How tokens are chosen.
    pub fn sampling(&self) -> Sampling {
        let SamplingArgs { temperature, top_k, top_p, repetition_penalty, seed } = self.sampling;
        let is_drawn = top_k.is_some() || top_p.is_some();
        let sampling = Sampling::at_temperature(temperature.unwrap_or(if is_drawn { 1.0 } else { 0.0 }));
        let sampling = top_k.map_or(sampling, |k| sampling.with_top_k(k));
        let sampling = top_p.map_or(sampling, |p| sampling.with_top_p(p));
        sampling.with_repetition_penalty(repetition_penalty).with_seed(seed)
    }
}

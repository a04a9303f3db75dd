//! The settings of a run: [`TrainingConfig`].

use std::fmt::Display;

use serde::Serialize;
use stratigraph_models::{Activation, Bias, DecoderConfig, Head, Mlp, Norm, Position, Residual, Rope, RopeScaling};

use crate::{Result, TrainError};

/// The family whose shape a model has. All of them tie embedding and unembedding, so that small ones have parameters left for
/// their layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrainedShape {
    /// GPT-2: learned positions, LayerNorm, GELU, biases.
    #[default]
    Gpt2,
    /// GPT-NeoX and Pythia: parallel attention and MLP, a quarter of each head rotated, LayerNorm, GELU, biases.
    NeoX,
    /// Llama: rotary positions, RMSNorm, gated MLPs with SiLU and two thirds of the neurons, no biases.
    Llama,
}

impl TrainedShape {
    /// All of them.
    pub const ALL: [TrainedShape; 3] = [TrainedShape::Gpt2, TrainedShape::NeoX, TrainedShape::Llama];

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            TrainedShape::Gpt2 => "gpt2",
            TrainedShape::NeoX => "neox",
            TrainedShape::Llama => "llama",
        }
    }

    fn apply(self, config: DecoderConfig) -> DecoderConfig {
        let plain = |config: DecoderConfig| {
            config.with_norm(Norm::Layer { eps: 1e-5 }).with_mlp(Mlp::Plain { activation: Activation::Gelu })
        };
        let (d_model, d_head) = (config.d_model, config.d_head);
        match self {
            TrainedShape::Gpt2 => plain(config).with_position(Position::Learned).with_biases(Bias::Present),
            TrainedShape::NeoX => {
                let rope = Rope { base: 10_000.0, d_rotary: d_head / 8 * 2, scaling: RopeScaling::None };
                let config = plain(config).with_position(Position::Rotary(rope)).with_biases(Bias::Present);
                config.with_residual(Residual::Parallel)
            }
            TrainedShape::Llama => config.with_d_mlp(d_model * 8 / 3),
        }
    }
}

/// The settings of a run. The default is that of the model in this repository, `models/tiny`.
///
/// ```
/// use stratigraph_train::TrainingConfig;
/// let config = TrainingConfig::default().with_steps(1000, 50).with_keep([0, 10, 100, 1000]);
/// config.validate()?;
/// assert_eq!((config.n_layers, config.d_model, config.n_steps), (12, 128, 1000));
/// # Ok::<(), stratigraph_train::TrainError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TrainingConfig {
    /// The family whose shape the model has.
    pub family: TrainedShape,
    /// Layers of the model.
    pub n_layers: usize,
    /// Width of the residual stream, a multiple of `n_heads`; MLPs have four times as many neurons (Llama's 8/3 times).
    pub d_model: usize,
    /// Attention heads in each layer.
    pub n_heads: usize,
    /// Tokens in the vocabulary, at least the 256 bytes.
    pub d_vocab: usize,
    /// Tokens in a window; it is the context of the model too.
    pub n_ctx: usize,
    /// Windows in a step.
    pub batch_size: usize,
    /// How many threads share the windows of a step. Another number changes the rounding.
    pub n_workers: usize,
    /// Steps of the optimiser.
    pub n_steps: usize,
    /// Steps until the learning rate is at its highest, at least 1 and fewer than `n_steps`.
    pub warm_up_steps: usize,
    /// The highest learning rate, above 0 and at most 1. After the warm-up it follows half a cosine down to a hundredth.
    pub learning_rate: f64,
    /// Weight decay of every parameter.
    pub weight_decay: f32,
    /// The largest norm that the gradient of a parameter may have; a longer one is scaled down.
    pub max_grad_norm: f32,
    /// Number of steps between two measurements of the held-out loss, each with a checkpoint; the last step has one too.
    pub checkpoint_every: usize,
    /// Seed of everything that is drawn at random.
    pub seed: u64,
    /// After how many steps the model is also written as a Hugging Face directory of its own, which is kept: 350 is
    /// `steps/000350`, and 0 the model before training.
    pub keep: Vec<usize>,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            family: TrainedShape::Gpt2,
            n_layers: 12,
            d_model: 128,
            n_heads: 4,
            d_vocab: 2560,
            n_ctx: 128,
            batch_size: 16,
            n_workers: 2,
            n_steps: 7000,
            warm_up_steps: 200,
            learning_rate: 8e-3,
            weight_decay: 0.1,
            max_grad_norm: 1.0,
            checkpoint_every: 350,
            seed: 0,
            keep: Vec::new(),
        }
    }
}

impl TrainingConfig {
    /// With a model like those of another family.
    pub fn with_family(self, family: TrainedShape) -> Self {
        Self { family, ..self }
    }

    /// With a model of other sizes.
    pub fn with_shape(self, n_layers: usize, d_model: usize, n_heads: usize) -> Self {
        Self { n_layers, d_model, n_heads, ..self }
    }

    /// With another number of tokens in the vocabulary.
    pub fn with_d_vocab(self, d_vocab: usize) -> Self {
        Self { d_vocab, ..self }
    }

    /// With windows of another number of tokens.
    pub fn with_n_ctx(self, n_ctx: usize) -> Self {
        Self { n_ctx, ..self }
    }

    /// With another number of windows in a step.
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        Self { batch_size, ..self }
    }

    /// With another number of threads that share the windows of a step.
    pub fn with_n_workers(self, n_workers: usize) -> Self {
        Self { n_workers, ..self }
    }

    /// With another number of steps, and of those in which the learning rate rises.
    pub fn with_steps(self, n_steps: usize, warm_up_steps: usize) -> Self {
        Self { n_steps, warm_up_steps, ..self }
    }

    /// With another highest learning rate.
    pub fn with_learning_rate(self, learning_rate: f64) -> Self {
        Self { learning_rate, ..self }
    }

    /// With another weight decay.
    pub fn with_weight_decay(self, weight_decay: f32) -> Self {
        Self { weight_decay, ..self }
    }

    /// With another largest norm of a parameter's gradient.
    pub fn with_max_grad_norm(self, max_grad_norm: f32) -> Self {
        Self { max_grad_norm, ..self }
    }

    /// With another number of steps between two checkpoints.
    pub fn with_checkpoint_every(self, checkpoint_every: usize) -> Self {
        Self { checkpoint_every, ..self }
    }

    /// With another seed.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// With the numbers of steps after which the model is written to a directory that is kept.
    pub fn with_keep(self, steps: impl IntoIterator<Item = usize>) -> Self {
        Self { keep: steps.into_iter().collect(), ..self }
    }

    /// Checks that a run can have these settings.
    ///
    /// # Errors
    /// [`TrainError::InvalidSetting`] with the first setting that no run can have, or the model's own error.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("batch_size", self.batch_size),
            ("n_workers", self.n_workers),
            ("checkpoint_every", self.checkpoint_every),
        ];
        for (name, count) in counts {
            check(count > 0, name, count, "it must be at least 1")?;
        }
        check(self.n_ctx >= 2, "n_ctx", self.n_ctx, "it must be at least 2")?;
        check(self.n_heads > 0, "n_heads", self.n_heads, "it must be at least 1")?;
        let reason = format!("it must be a multiple of n_heads = {}", self.n_heads);
        check(self.d_model.is_multiple_of(self.n_heads), "d_model", self.d_model, reason)?;
        let reason = format!("it must be at least 1 and below n_steps = {}", self.n_steps);
        check((1..self.n_steps).contains(&self.warm_up_steps), "warm_up_steps", self.warm_up_steps, reason)?;
        let in_range = self.learning_rate > 0.0 && self.learning_rate <= 1.0;
        check(in_range, "learning_rate", self.learning_rate, "it must be above 0 and at most 1")?;
        let not_negative = self.weight_decay >= 0.0 && self.weight_decay.is_finite();
        check(not_negative, "weight_decay", self.weight_decay, "it must be 0 or a positive number")?;
        let positive = self.max_grad_norm > 0.0 && self.max_grad_norm.is_finite();
        check(positive, "max_grad_norm", self.max_grad_norm, "it must be a positive number")?;
        let past_end = self.keep.iter().find(|step| **step > self.n_steps);
        let reason = format!("the run has n_steps = {}", self.n_steps);
        past_end.map_or(Ok(()), |step| check(false, "keep", step, reason))?;
        Ok(self.decoder().validate()?)
    }

    /// The model, with a tied head.
    pub fn decoder(&self) -> DecoderConfig {
        let config = DecoderConfig::new(self.n_layers, self.d_model, self.n_heads, self.d_vocab);
        self.family.apply(config.with_n_ctx(self.n_ctx).with_head(Head::Tied))
    }
}

/// An error unless the setting `name` is `valid`.
fn check(valid: bool, name: &'static str, value: impl Display, reason: impl Into<String>) -> Result<()> {
    let error = || TrainError::InvalidSetting { name, value: value.to_string(), reason: reason.into() };
    if valid { Ok(()) } else { Err(error()) }
}

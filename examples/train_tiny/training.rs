//! The loop: [`Trainer`], with warm-up, a cosine and clipped gradients.

use anyhow::{Result, ensure};
use burn::grad_clipping::GradientClippingConfig;
use burn::lr_scheduler::LrSchedulerConfig;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::lr_scheduler::sequential::SequentialLrSchedulerConfig;
use burn::module::{Module, ParamGroup};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamWConfig, AdjustLrFn, GradientsAccumulator, GradientsParams, ModuleOptimizer, MuonConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use stratigraph::models::{Activation, Bias, DecoderConfig, Head, Mlp, Norm, Position};
use stratigraph::prelude::*;

use super::args::Args;
use super::checkpoint::{Checkpoints, Point, State};
use super::corpus::Corpus;

/// A run from its start, or from where it stopped, to its end.
pub struct Trainer<'a> {
    args: &'a Args,
    corpus: &'a Corpus,
    device: Device,
    model: Decoder,
    optimizer: ModuleOptimizer,
    schedule: ModuleLrScheduler,
    checkpoints: Checkpoints,
    state: State,
}

impl<'a> Trainer<'a> {
    pub fn new(args: &'a Args, corpus: &'a Corpus) -> Result<Self> {
        let device = args.device.device()?.autodiff();
        let model = shape(args).init(args.seed, &device)?;
        println!("{} parameters", model.num_params());
        let optimizer = optimizer(args);
        let checkpoints = Checkpoints::new(args.out.join("checkpoints"));
        let (model, optimizer, state) = checkpoints.load(model, optimizer, &serde_json::to_value(args)?)?;
        let mut schedule = schedule(args)?;
        (0..state.step).for_each(|_| drop(schedule.step()));
        Ok(Self { args, corpus, device, model, optimizer, schedule, checkpoints, state })
    }

    /// Takes the steps that are left and returns the trained model; `None` when it was to stop before.
    pub fn run(mut self) -> Result<Option<Decoder>> {
        let template = "{bar:30} {pos}/{len} steps, {msg}, {eta} left";
        let bar = ProgressBar::new(self.args.steps as u64).with_style(ProgressStyle::with_template(template)?);
        bar.set_position(self.state.step as u64);
        bar.reset_eta();
        let mut losses = Vec::new();
        while self.state.step < self.args.steps {
            let (loss, learning_rate) = self.step();
            let step = self.state.step;
            ensure!(loss.is_finite(), "the loss is {loss} after {step} steps; a lower --learning-rate may help");
            losses.push(loss);
            if step.is_multiple_of(self.args.every) || step == self.args.steps {
                let train_loss = losses.iter().sum::<f64>() / losses.len() as f64;
                losses.clear();
                self.record(train_loss, learning_rate)?;
                let point = self.state.curve.last().expect("it was just recorded");
                if self.args.stop_after.is_some_and(|stop| stop <= step) && step < self.args.steps {
                    return Ok(None);
                }
                bar.suspend(|| println!("{step:>6} steps: loss {train_loss:.4}, held out {:.4}", point.held_out_loss));
            }
            bar.set_message(format!("loss {loss:.3}"));
            bar.set_position(step as u64);
        }
        bar.finish_and_clear();
        Ok(Some(self.model.valid()))
    }

    /// One step of the optimiser; returns the batch's loss and the learning rate.
    fn step(&mut self) -> (f64, f64) {
        let Args { batch, n_ctx, seed, workers, .. } = *self.args;
        let windows = self.corpus.batch(self.state.step, batch, n_ctx, seed);
        // Each worker has a graph of its own, over the same weights.
        let plain = self.model.valid();
        let work = |windows: &[&[u32]]| {
            let model = plain.clone().train();
            let loss = batch_loss(&model, windows, &self.device) * (windows.len() as f64 / batch as f64);
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            (f64::from(loss.into_scalar::<f32>()), gradients)
        };
        let parts: Vec<_> = windows.par_chunks(batch.div_ceil(workers)).map(work).collect();
        let (mut sum, mut loss) = (GradientsAccumulator::new(), 0.0);
        for (part, gradients) in parts {
            sum.accumulate(&self.model, gradients);
            loss += part;
        }
        let learning_rate = self.schedule.step();
        let base = learning_rate.base();
        self.model = self.optimizer.step(learning_rate, self.model.clone(), sum.grads());
        self.state.step += 1;
        (loss, base)
    }

    /// Measures the held-out loss, and writes a checkpoint and the curve so far.
    fn record(&mut self, train_loss: f64, learning_rate: f64) -> Result<()> {
        let step = self.state.step;
        let held_out_loss = loss(&self.model.valid(), &self.corpus.held_out)?;
        let tokens = step * self.args.batch * self.args.n_ctx;
        self.state.curve.push(Point { step, tokens, learning_rate, train_loss, held_out_loss });
        self.checkpoints.save(&self.model, &self.optimizer, &self.state)?;
        let mut csv = String::from("step,tokens,learning_rate,train_loss,held_out_loss\n");
        for Point { step, tokens, learning_rate, train_loss, held_out_loss } in &self.state.curve {
            csv += &format!("{step},{tokens},{learning_rate:.6},{train_loss:.4},{held_out_loss:.4}\n");
        }
        Ok(std::fs::write(self.args.out.join("loss.csv"), csv)?)
    }
}

/// GPT-2's shape: learned positions, LayerNorm, biases, a tied head.
fn shape(args: &Args) -> DecoderConfig {
    DecoderConfig::new(args.n_layers as usize, args.d_model, args.n_heads, args.d_vocab)
        .with_n_ctx(args.n_ctx)
        .with_norm(Norm::Layer { eps: 1e-5 })
        .with_mlp(Mlp::Plain { activation: Activation::Gelu })
        .with_position(Position::Learned)
        .with_head(Head::Tied)
        .with_biases(Bias::Present)
}

/// Muon for the matrices of the blocks, with AdamW's scale of steps (Liu et al., arXiv 2502.16982, section 2.2), and AdamW
/// for the rest.
fn optimizer(args: &Args) -> ModuleOptimizer {
    let clip = || GradientClippingConfig::Norm(args.clip).init();
    let adamw = AdamWConfig::new().with_beta_2(0.95).with_weight_decay(args.weight_decay);
    let adamw = adamw.init().with_grad_clipping(clip());
    let muon = MuonConfig::new()
        .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW)
        .with_weight_decay(Some(WeightDecayConfig::new(args.weight_decay)));
    let matrices = ParamGroup::from_regex(r"^blocks\..*\.weight$").expect("a valid expression");
    adamw.with_group(matrices, muon.build(), Some(clip()))
}

/// A straight line up to the highest learning rate, then half a cosine down to a hundredth of it.
fn schedule(args: &Args) -> Result<ModuleLrScheduler> {
    let (highest, warm_up) = (args.learning_rate, args.warm_up);
    let up = LinearLrSchedulerConfig::new(highest / warm_up as f64, highest, warm_up);
    let down = CosineAnnealingLrSchedulerConfig::new(highest, args.steps - warm_up).with_min_lr(highest / 100.0);
    let both = vec![LrSchedulerConfig::Linear(up), LrSchedulerConfig::Cosine(down)];
    SequentialLrSchedulerConfig::new(both, vec![warm_up]).init().map_err(anyhow::Error::msg)
}

/// The mean of `-ln p` over all tokens of the windows but their first, nats.
fn batch_loss(model: &Decoder, windows: &[&[u32]], device: &Device) -> Tensor<1> {
    let (n, seq_len) = (windows.len(), windows[0].len() - 1);
    let ids = |skip: usize| {
        let ids = windows.iter().flat_map(|window| &window[skip..skip + seq_len]);
        let ids: Vec<i32> = ids.map(|&id| id as i32).collect();
        Tensor::<2, Int>::from_data(TensorData::new(ids, [n, seq_len]), device)
    };
    let resid = model.forward(ids(0), &mut NoTap).expect("the windows are of the model's vocabulary and context");
    let logits = model.logits(resid).expect("the stream is the model's own");
    let log_probs = log_softmax(logits, 2); // [batch, pos, d_vocab]
    log_probs.gather(2, ids(1).unsqueeze_dim::<3>(2)).mean().neg()
}

/// The loss on windows as a study measures it: over every token of a window but its first, in nats.
pub fn loss(model: &Decoder, windows: &TokenWindows) -> Result<f64> {
    Ok(Study::new(model).run(windows)?.value("clean_nll")?.mean)
}

//! The loop: [`Trainer`], with warm-up, a cosine and clipped gradients.

use std::fs;
use std::path::{Path, PathBuf};

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;
use stratigraph_core::{NoTap, RunModel};
use stratigraph_models::{Decoder, Storage};

use crate::checkpoints::{Checkpoints, State, Trained, replace};
use crate::optimizer::{optimizer, schedule};
use crate::progress::loss_csv;
use crate::{Corpus, LossPoint, Result, Texts, TrainError, TrainingConfig, TrainingProgress};

/// A run from its start, or from where it stopped, to its end.
///
/// In its directory it writes `tokenizer.json`; with each checkpoint the loss curve, `loss.csv`, and what it needs to continue,
/// `checkpoints/`; and after the last step `config.json` and `model.safetensors`, with weights as f16. The steps of
/// [`TrainingConfig::keep`] give Hugging Face directories of the same form, such as `steps/000350`.
///
/// On one machine the settings, the texts and the kind of device decide every bit of these files, whether or not the run was
/// stopped.
///
/// ```
/// use stratigraph_study::Backend;
/// use stratigraph_train::{Texts, Trainer, TrainingConfig};
///
/// # let dir = tempfile::tempdir()?;
/// # let out = dir.path();
/// let texts = Texts::from_documents([include_str!("../../../examples/data/sample.txt").repeat(12)]);
/// let config = TrainingConfig::default().with_shape(1, 8, 2).with_d_vocab(300).with_n_ctx(16);
/// let config = config.with_steps(4, 1).with_batch_size(2).with_checkpoint_every(2).with_keep([0]);
///
/// let mut curve = Vec::new();
/// let trainer = Trainer::new(config, &texts, out, &Backend::Flex.device()?)?;
/// trainer.on_progress(|progress| curve.extend(progress.recorded)).run()?;
/// assert_eq!([curve[0].step, curve[1].step], [2, 4]);
/// assert!(out.join("model.safetensors").exists() && out.join("steps/000000/model.safetensors").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Trainer<'a> {
    config: TrainingConfig,
    corpus: Corpus,
    out: PathBuf,
    device: Device,
    trained: Trained,
    schedule: ModuleLrScheduler,
    checkpoints: Checkpoints,
    stop_after: Option<usize>,
    on_progress: Box<dyn FnMut(TrainingProgress) + 'a>,
}

impl<'a> Trainer<'a> {
    /// A run that writes to the directory `out` and continues from the checkpoint in it, if there is one. The model is trained
    /// on `device`.
    ///
    /// # Errors
    /// When a setting is not valid, the texts are too short, a checkpoint in `out` is damaged or of a run with other
    /// settings or texts, or `out` cannot be written.
    pub fn new(mut config: TrainingConfig, texts: &Texts, out: impl AsRef<Path>, device: &Device) -> Result<Self> {
        config.validate()?;
        let out = out.as_ref().to_owned();
        config.keep.sort_unstable();
        config.keep.dedup();
        let corpus = Corpus::new(texts, &config)?;
        let device = device.clone().autodiff();
        let model = config.decoder().init(config.seed, &device)?;
        let start = Trained { model, optimizer: optimizer(&config), state: State::new(&config, texts) };
        let checkpoints = Checkpoints::new(out.join("checkpoints"));
        let trained = checkpoints.load(start)?;
        let mut schedule = schedule(&config)?;
        (0..trained.state.step).for_each(|_| drop(schedule.step()));
        write_tokenizer(&corpus, &out)?;
        Ok(Self {
            config,
            corpus,
            out,
            device,
            trained,
            schedule,
            checkpoints,
            stop_after: None,
            on_progress: Box::new(|_| {}),
        })
    }

    /// With a stop after the first checkpoint that has at least this many steps; the same run without it continues from there.
    pub fn with_stop_after(self, step: usize) -> Self {
        Self { stop_after: Some(step), ..self }
    }

    /// With a function that is called after each step.
    pub fn on_progress(mut self, on_progress: impl FnMut(TrainingProgress) + 'a) -> Self {
        self.on_progress = Box::new(on_progress);
        self
    }

    /// What the model is trained on, and what is held out.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// Parameters of the model.
    pub fn n_params(&self) -> usize {
        self.trained.model.num_params()
    }

    /// Steps done.
    pub fn step(&self) -> usize {
        self.trained.state.step
    }

    /// Does the remaining steps, writes the model and returns it as it was trained, without the rounding of the file;
    /// `None` when the run was to stop before its end.
    ///
    /// # Errors
    /// When the loss is not finite, or a file cannot be written; the last checkpoint stays.
    pub fn run(&mut self) -> Result<Option<Decoder>> {
        let n_steps = self.config.n_steps;
        if self.step() == 0 {
            self.keep()?;
        }
        let mut losses = Vec::new();
        while self.step() < n_steps {
            let (loss, learning_rate) = self.take_step();
            let step = self.step();
            if !loss.is_finite() {
                return Err(TrainError::Diverged { loss, step });
            }
            losses.push(loss);
            self.keep()?;
            let mut recorded = None;
            if step.is_multiple_of(self.config.checkpoint_every) || step == n_steps {
                let train_loss = losses.iter().sum::<f64>() / losses.len() as f64;
                losses.clear();
                recorded = Some(self.record(train_loss, learning_rate)?);
            }
            (self.on_progress)(TrainingProgress { step, n_steps, loss, recorded });
            if recorded.is_some() && self.stop_after.is_some_and(|stop| stop <= step) && step < n_steps {
                return Ok(None);
            }
        }
        self.write_losses()?; // where a run was stopped between its last checkpoint and this
        let trained = self.trained.model.valid();
        trained.save(&self.out, Storage::F16)?;
        Ok(Some(trained))
    }

    /// One step of the optimiser; returns the batch's loss and the learning rate.
    fn take_step(&mut self) -> (f64, f64) {
        let TrainingConfig { batch_size, n_workers, .. } = self.config;
        let Trained { model, optimizer, state } = &mut self.trained;
        let windows = self.corpus.batch(state.step, &self.config);
        // Each worker has a graph of its own, over the same weights.
        let plain = model.valid();
        let work = |windows: &[&[u32]]| {
            let model = plain.clone().train();
            let loss = batch_loss(&model, windows, &self.device) * (windows.len() as f64 / batch_size as f64);
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            (f64::from(loss.into_scalar::<f32>()), gradients)
        };
        let parts: Vec<_> = windows.par_chunks(batch_size.div_ceil(n_workers)).map(work).collect();
        let (mut sum, mut loss) = (GradientsAccumulator::new(), 0.0);
        for (part, gradients) in parts {
            sum.accumulate(&*model, gradients);
            loss += part;
        }
        let learning_rate = self.schedule.step();
        let base = learning_rate.base();
        *model = optimizer.step(learning_rate, model.clone(), sum.grads());
        state.step += 1;
        (loss, base)
    }

    /// Measures the held-out loss, and writes a checkpoint and the curve so far.
    fn record(&mut self, train_loss: f64, learning_rate: f64) -> Result<LossPoint> {
        let step = self.step();
        let held_out_loss = self.corpus.held_out_loss(&self.trained.model.valid())?;
        let tokens = step * self.config.batch_size * self.config.n_ctx;
        let point = LossPoint { step, tokens, learning_rate, train_loss, held_out_loss };
        self.trained.state.curve.push(point);
        self.checkpoints.save(&self.trained)?;
        self.write_losses()?;
        Ok(point)
    }

    /// Writes the curve so far, whole or not at all.
    fn write_losses(&self) -> Result<()> {
        let (path, partial) = (self.out.join("loss.csv"), self.out.join("loss.csv.partial"));
        let write = fs::write(&partial, loss_csv(&self.trained.state.curve)).and_then(|()| fs::rename(&partial, &path));
        write.map_err(TrainError::write(&path))
    }

    /// Writes the model to a directory of its own, when it is one to keep.
    fn keep(&self) -> Result<()> {
        let step = self.step();
        if !self.config.keep.contains(&step) {
            return Ok(());
        }
        let steps = self.out.join("steps");
        let partial = steps.join("partial");
        let _ = fs::remove_dir_all(&partial); // of a run that was stopped here
        write_tokenizer(&self.corpus, &partial)?;
        self.trained.model.valid().save(&partial, Storage::F16)?;
        replace(&partial, &steps.join(format!("{step:06}")))
    }
}

/// Writes `tokenizer.json` to a directory, which is made when it is not there.
fn write_tokenizer(corpus: &Corpus, dir: &Path) -> Result<()> {
    let path = dir.join("tokenizer.json");
    let write = fs::create_dir_all(dir).and_then(|()| fs::write(&path, corpus.tokenizer_json()));
    write.map_err(TrainError::write(&path))
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

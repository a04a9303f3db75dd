//! How parameters are changed by gradients: [`optimizer`] and [`schedule`].

use burn::grad_clipping::GradientClippingConfig;
use burn::lr_scheduler::LrSchedulerConfig;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::lr_scheduler::sequential::SequentialLrSchedulerConfig;
use burn::module::ParamGroup;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamWConfig, AdjustLrFn, ModuleOptimizer, MuonConfig};

use crate::{Result, TrainError, TrainingConfig};

/// Muon for the matrices of the blocks, with AdamW's scale of steps (Liu et al., arXiv 2502.16982, section 2.2), and AdamW
/// for the rest.
pub(crate) fn optimizer(config: &TrainingConfig) -> ModuleOptimizer {
    let clip = || GradientClippingConfig::Norm(config.max_grad_norm).init();
    let adamw = AdamWConfig::new().with_beta_2(0.95).with_weight_decay(config.weight_decay);
    let adamw = adamw.init().with_grad_clipping(clip());
    let muon = MuonConfig::new()
        .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW)
        .with_weight_decay(Some(WeightDecayConfig::new(config.weight_decay)));
    let matrices = ParamGroup::from_regex(r"^blocks\..*\.weight$").expect("a valid expression");
    adamw.with_group(matrices, muon.build(), Some(clip()))
}

/// A straight line up to the highest learning rate, then half a cosine down to a hundredth of it.
pub(crate) fn schedule(config: &TrainingConfig) -> Result<ModuleLrScheduler> {
    let (highest, warm_up) = (config.learning_rate, config.warm_up_steps);
    let up = LinearLrSchedulerConfig::new(highest / warm_up as f64, highest, warm_up);
    let down = CosineAnnealingLrSchedulerConfig::new(highest, config.n_steps - warm_up).with_min_lr(highest / 100.0);
    let both = vec![LrSchedulerConfig::Linear(up), LrSchedulerConfig::Cosine(down)];
    let schedule = SequentialLrSchedulerConfig::new(both, vec![warm_up]).init();
    schedule.map_err(|reason| TrainError::InvalidSetting { name: "learning_rate", value: highest.to_string(), reason })
}

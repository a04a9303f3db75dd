//! mergekit's passthrough configurations as plans, and plans as configurations: [`Mergekit`].
//!
//! Source of the form: <https://github.com/arcee-ai/mergekit>, `merge_method: passthrough`.

mod read;
mod write;

use crate::{LayerPlan, Result, Step, SurgeryError};

/// What a configuration with `merge_method: passthrough` does to one model.
///
/// ```
/// use stratigraph_surgery::{LayerPlan, Mergekit};
/// let text = "
/// merge_method: passthrough
/// slices:
/// - sources:
///   - model: HuggingFaceTB/SmolLM2-135M
///     layer_range: [0, 14]
/// - sources:
///   - model: HuggingFaceTB/SmolLM2-135M
///     layer_range: [12, 30]
/// dtype: bfloat16
/// ";
/// let config = Mergekit::parse(text)?;
/// assert_eq!(config.model(), "HuggingFaceTB/SmolLM2-135M");
/// assert_eq!(config.plan(30)?.to_string(), "0..14-12..30");
/// assert_eq!(Mergekit::new("m", &config.plan(30)?)?.plan(30)?, config.plan(30)?);
/// # Ok::<(), stratigraph_surgery::SurgeryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mergekit {
    model: String,
    /// None for the whole model.
    slices: Option<Vec<Slice>>,
    dtype: Option<String>,
}

/// Consecutive layers, `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slice {
    start: usize,
    end: usize,
}

impl Mergekit {
    /// The configuration that makes a plan of a model.
    ///
    /// # Errors
    /// When a step of the plan is not one whole layer, or there are no steps.
    pub fn new(model: impl Into<String>, plan: &LayerPlan) -> Result<Self> {
        let layers = plan.layers()?;
        if layers.is_empty() {
            return Err(bad("a plan without steps has no slices"));
        }
        let runs = layers.chunk_by(|a, b| a + 1 == *b);
        let slices = runs.map(|run| Slice { start: run[0], end: run[0] + run.len() }).collect();
        Ok(Self { model: model.into(), slices: Some(slices), dtype: None })
    }

    /// The model, as the configuration names it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// PyTorch's name of the type that weights are to be stored as; none where they stay as they are.
    pub fn dtype(&self) -> Option<&str> {
        self.dtype.as_deref()
    }

    /// The plan for a model of `n_layers` layers.
    ///
    /// # Errors
    /// When a slice ends beyond the last layer.
    pub fn plan(&self, n_layers: usize) -> Result<LayerPlan> {
        let Some(slices) = &self.slices else { return Ok(LayerPlan::full(n_layers)) };
        if let Some(Slice { start, end }) = slices.iter().find(|slice| slice.end > n_layers) {
            return Err(bad(format!("layer_range [{start}, {end}] goes beyond the model's {n_layers} layers")));
        }
        Ok(slices.iter().flat_map(|slice| slice.start..slice.end).collect())
    }
}

fn bad(reason: impl Into<String>) -> SurgeryError {
    SurgeryError::BadMergekit { reason: reason.into() }
}

impl LayerPlan {
    /// The layer of each step, of a plan whose steps are whole layers.
    ///
    /// # Errors
    /// When a step is several layers side by side; the error names it.
    pub fn layers(&self) -> Result<Vec<usize>> {
        let layer = |(slot, step): (usize, &Step)| match step {
            Step::Layer(layer) => Ok(*layer),
            step => Err(SurgeryError::NotAWholeLayer { slot, step: step.clone() }),
        };
        self.steps().iter().enumerate().map(layer).collect()
    }
}
